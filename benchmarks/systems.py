"""Every way to compute one problem's derivative, as calls without arguments.

In: a system's name, a problem, its arrays. Out: `callables`, one per variant; the fastest counts.
Invariant: a system imports only its own library, and only in its own process. JAX and PyTorch are given
arrays of their own beforehand; what they return is made a NumPy array only for the check.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from problems import Arrays, Problem

import einderiv as ed

SYSTEMS = ("ours", "expert", "naive", "einsum", "oe", "jax", "torch", "autograd")
LIBRARIES = {"oe": "opt_einsum", "jax": "jax", "torch": "torch", "autograd": "autograd"}
Calls = dict[str, Callable[[], Any]]


def why_not(system: str) -> str | None:
    """Why the system cannot run here, or None."""
    library = LIBRARIES.get(system)
    if library and importlib.util.find_spec(library) is None:
        return f"{library} is not installed"
    return None


def callables(system: str, problem: Problem, arrays: Arrays, size: int) -> Calls:
    """The variants of a system for one problem; none where it has no form for it."""
    return _MAKERS[system](problem, arrays, size)


def asked(problem: Problem, size: int) -> Any:
    """Our expression (or expressions) of the wanted derivative."""
    e = ed.parse(problem.text(size))
    if problem.kind == "value and grad":
        return [e, e.grad(problem.wrt[0])]
    if problem.kind == "grad":
        return [e.grad(name) for name in problem.wrt] if problem.wrt[1:] else e.grad(*problem.wrt)
    if problem.kind == "hessian":
        return e.hessian(problem.wrt[0])
    return e.jacobian(problem.wrt[0])


def _ours(problem: Problem, arrays: Arrays, size: int) -> Calls:
    p = ed.compile(asked(problem, size), structured=problem.structured)
    calls: Calls = {"checked": lambda: p(**arrays)}
    p(**arrays)
    given = [arrays[name] for name in p.arguments]
    if set(p.arguments) == set(arrays):  # else an extent of the result needs the others
        calls["unchecked"] = lambda: p.unchecked(*given)
    return calls


def _expert(problem: Problem, arrays: Arrays, size: int) -> Calls:
    return {f.__name__: lambda f=f: f(arrays) for f in problem.experts}  # type: ignore[misc]


def _naive(problem: Problem, arrays: Arrays, size: int) -> Calls:
    naive = problem.naive
    return {"naive": lambda: naive(arrays)} if naive else {}


def _einsum(problem: Problem, arrays: Arrays, size: int) -> Calls:
    einsums = problem.einsums

    def contract(equation: str, *operands: Any) -> Any:
        return np.einsum(equation, *operands, optimize=True)

    return {"optimize=True": lambda: einsums(contract, arrays)} if einsums else {}


def _oe(problem: Problem, arrays: Arrays, size: int) -> Calls:
    einsums = problem.einsums
    if einsums is None:
        return {}
    opt_einsum = importlib.import_module("opt_einsum")
    kept: dict[str, Any] = {}  # the equation is the key: shapes are fixed within a problem

    def contract(equation: str, *operands: Any) -> Any:
        if equation not in kept:
            kept[equation] = opt_einsum.contract_expression(equation, *map(np.shape, operands))
        return kept[equation](*operands)

    return {"expressions": lambda: einsums(contract, arrays)}


def _jax(problem: Problem, arrays: Arrays, size: int) -> Calls:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = importlib.import_module("jax.numpy")
    xp = SimpleNamespace(
        sum=jnp.sum, tanh=jnp.tanh, einsum=jnp.einsum, softplus=jax.nn.softplus,
        softmax=jax.nn.softmax, inv=jnp.linalg.inv, solve=jnp.linalg.solve,
        logdet=lambda A: jnp.linalg.slogdet(A)[1],
    )  # fmt: skip
    there = {name: jnp.asarray(array) for name, array in arrays.items()}
    forward = problem.wrt != ("W",)  # by a matrix it runs out of memory
    ways: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
        "grad": {"grad": jax.grad},
        "value and grad": {"value_and_grad": jax.value_and_grad},
        "hessian": {
            "hessian": jax.hessian,
            "jacrev(grad)": lambda model, n: jax.jacrev(jax.grad(model, n), n),
        },
        "jacobian": {"jacrev": jax.jacrev, **({"jacfwd": jax.jacfwd} if forward else {})},
    }

    def compiled(way: Callable[[Any, Any], Any]) -> Callable[[], Any]:
        def whole(given: Arrays) -> Any:  # all arrays are arguments: constants would be folded
            model, numbers = _of_wanted(problem, xp, given)
            return way(model, numbers)(*(given[name] for name in problem.wrt))

        run = jax.jit(whole)
        return lambda: jax.block_until_ready(run(there))

    return {name: compiled(way) for name, way in ways[problem.kind].items()}


def _torch(problem: Problem, arrays: Arrays, size: int) -> Calls:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    xp = SimpleNamespace(
        sum=torch.sum, tanh=torch.tanh, einsum=torch.einsum, inv=torch.linalg.inv,
        softplus=lambda z: torch.logaddexp(z, torch.zeros_like(z)),
        softmax=lambda z: torch.softmax(z, -1), solve=torch.linalg.solve,
        logdet=lambda A: torch.linalg.slogdet(A)[1],
    )  # fmt: skip
    there = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    model, numbers = _of_wanted(problem, xp, there)
    values = tuple(there[name] for name in problem.wrt)
    func = torch.func
    if problem.kind == "grad":
        return {"func.grad": lambda: func.grad(model, numbers)(*values)}
    if problem.kind == "value and grad":
        return {"func.grad_and_value": lambda: func.grad_and_value(model, numbers)(*values)[::-1]}
    if problem.kind == "jacobian":
        return {"func.jacrev": lambda: func.jacrev(model)(*values)}
    return {
        "func.hessian": lambda: func.hessian(model)(*values),
        "func.jacrev(grad)": lambda: func.jacrev(func.grad(model))(*values),
    }


def _autograd(problem: Problem, arrays: Arrays, size: int) -> Calls:
    autograd = importlib.import_module("autograd")
    anp = importlib.import_module("autograd.numpy")

    def softmax(z: Any) -> Any:
        e = anp.exp(z - anp.max(z, axis=-1, keepdims=True))
        return e / anp.sum(e, axis=-1, keepdims=True)

    xp = SimpleNamespace(
        sum=anp.sum, tanh=anp.tanh, einsum=anp.einsum, softplus=lambda z: anp.logaddexp(0.0, z),
        softmax=softmax, inv=anp.linalg.inv, solve=anp.linalg.solve,
        logdet=lambda A: anp.linalg.slogdet(A)[1],
    )  # fmt: skip
    model, numbers = _of_wanted(problem, xp, arrays)
    values = tuple(arrays[name] for name in problem.wrt)
    if problem.kind == "grad":
        f = autograd.grad(model, numbers)
    elif problem.kind == "value and grad":
        f = autograd.value_and_grad(model)
    else:
        f = (autograd.hessian if problem.kind == "hessian" else autograd.jacobian)(model)
    return {problem.kind: lambda: f(*values)}


def _of_wanted(problem: Problem, xp: Any, arrays: Arrays) -> tuple[Callable[..., Any], Any]:
    """The model as a function of the wanted arrays alone, and their positions (one or a tuple)."""

    def model(*values: Any) -> Any:
        return problem.model(xp, {**arrays, **dict(zip(problem.wrt, values, strict=True))})

    return model, tuple(range(len(problem.wrt))) if problem.wrt[1:] else 0


def difference(found: Any, truth: Any) -> float:
    """The largest deviation, relative to the largest entry, over all results."""
    if isinstance(truth, list):
        return max(difference(f, t) for f, t in zip(found, truth, strict=True))
    dense = found.dense() if hasattr(found, "dense") else np.asarray(found)
    if dense.shape != np.shape(truth):
        return float("inf")
    return float(np.max(np.abs(dense - truth)) / max(float(np.max(np.abs(truth))), 1e-300))


_MAKERS: dict[str, Callable[[Problem, Arrays, int], Calls]] = {
    "ours": _ours,
    "expert": _expert,
    "naive": _naive,
    "einsum": _einsum,
    "oe": _oe,
    "jax": _jax,
    "torch": _torch,
    "autograd": _autograd,
}
