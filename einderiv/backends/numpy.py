"""Programs as Python functions over NumPy arrays.

In: a `Program`. Out: a function of arrays and extents, and its source as a reader would want it.
Invariant: code is built as syntax-tree nodes over names minted here (v0, v1, ..., n0, n1, ...); a user's
name or constant never becomes code text, and the source that is shown is never executed.
"""

from __future__ import annotations

import ast
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..functions import ELEMENTWISE, WHOLE
from ..program import (
    Combine,
    Constant,
    Contract,
    Elementwise,
    Input,
    Instruction,
    Program,
    Scatter,
    Size,
    Solve,
    Whole,
)
from . import numpy_functions
from . import python_code as py
from .contractions import Contractions

_TERMS = 100  # of a sum in one expression; a nesting of 1000 is beyond what Python's compiler takes
Runner = Callable[..., tuple[Any, ...]]


# ---------------------------------------------------------------- instructions


class _Writer(Contractions):
    """The statements of a program."""

    def body(self) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for step in self.program.instructions:
            statements += self.step(step)
        outputs = [py.name(f"v{register}") for register in self.program.outputs]
        return [*statements, ast.Return(py.tuple(outputs))]

    def step(self, step: Instruction) -> list[ast.stmt]:
        target = f"v{step.target}"
        match step:
            case Input():
                return []
            case Constant():
                value = py.path("np.pi") if isinstance(step.value, str) else py.number(step.value)
                return [py.assign(target, py.call(py.path("dtype.type"), value))]
            case Size():
                return [py.assign(target, py.call(py.path("dtype.type"), self.dim(step.dim)))]
            case Contract():
                return [py.assign(target, self.contract(step))]
            case Combine():
                return self.combine(step, target)
            case Scatter():
                return self.scatter(step, target)
            case Elementwise():
                return [py.assign(target, self.elementwise(step))]
            case Whole():
                return [py.assign(target, self.whole(step))]
            case Solve():
                operands = [py.name(f"v{register}") for register in step.operands]
                axis, flag = py.constant(step.axis), py.constant(step.transposed)
                return [py.assign(target, py.call(self.helper("solve"), *operands, axis, flag))]

    # ------------------------------------------------------------ sums

    def combine(self, step: Combine, target: str) -> list[ast.stmt]:
        output = tuple(range(len(step.shape)))
        total: ast.expr | None = None
        statements: list[ast.stmt] = []
        terms = zip(step.coefficients, step.operands, step.axes, strict=True)
        for number, (c, register, axes) in enumerate(terms, 1):
            value = self.placed(f"v{register}", axes, output)
            size = abs(c)
            if size != 1:
                value = (
                    py.binary(value, ast.Div(), py.number(1 / size))
                    if size.numerator == 1
                    else py.binary(py.number(size), ast.Mult(), value)
                )
            if total is None:
                total = ast.UnaryOp(ast.USub(), value) if c < 0 else value
            else:
                total = py.binary(total, ast.Sub() if c < 0 else ast.Add(), value)
            if number % _TERMS == 0:
                statements.append(py.assign(target, total))
                total = py.name(target)
        assert total is not None
        return [*statements, py.assign(target, total)]

    def scatter(self, step: Scatter, target: str) -> list[ast.stmt]:
        """Zeros, then each term added through a view of its diagonal."""
        shape = py.tuple([self.dim(dim) for dim in step.shape])
        statements = [
            py.assign(target, py.call(py.path("np.zeros"), shape, dtype=py.name("dtype")))
        ]
        terms = zip(step.coefficients, step.operands, step.axes, step.places, strict=True)
        for coefficient, register, axes, places in terms:
            distinct = tuple(dict.fromkeys(places))
            view = self.diagonal(target, places, distinct)
            if register is None:
                value = py.number(coefficient)
            else:
                value = self.placed(f"v{register}", axes, distinct)
                if coefficient != 1:
                    value = py.binary(py.number(coefficient), ast.Mult(), value)
            slot = ast.Subscript(view, ast.Constant(...), ast.Store())
            statements.append(ast.AugAssign(slot, ast.Add(), value))
        return statements

    # ------------------------------------------------------------ functions

    def elementwise(self, step: Elementwise) -> ast.expr:
        output = tuple(range(len(step.shape)))
        operands = [
            self.placed(f"v{register}", axes, output)
            for register, axes in zip(step.operands, step.axes, strict=True)
        ]
        if step.exponent is not None:
            return self.power(operands[0], step.exponent)
        return py.call(self.function(ELEMENTWISE[step.function].numpy), *operands)

    def power(self, base: ast.expr, exponent: Fraction) -> ast.expr:
        size = abs(exponent)
        if size == 1:
            value = base
        elif size == 2:
            value = py.call(py.path("np.square"), base)
        elif size == Fraction(1, 2):
            value = py.call(py.path("np.sqrt"), base)
        else:
            return py.call(py.path("np.power"), base, py.number(exponent))
        return py.binary(py.constant(1.0), ast.Div(), value) if exponent < 0 else value

    def whole(self, step: Whole) -> ast.expr:
        if step.function == "eps":
            made = py.call(self.helper("levi_civita"), py.constant(step.width))
            return py.method(made, "astype", py.name("dtype"))
        row = WHOLE[step.function]
        count = 2 if row.matrix else step.width
        axes = py.numbers(range(-count, 0))
        operands = [py.name(f"v{register}") for register in step.operands]
        return py.call(self.helper(row.numpy), *operands, axes)


# ---------------------------------------------------------------- functions


def function_of(program: Program) -> tuple[Runner, tuple[str, ...]]:
    """A function of the input arrays, the dtype and the extents, and the extents it wants in order."""
    writer = _Writer(program)
    body = writer.body()
    arrays = [f"v{step.target}" for step in program.inputs]
    names = [*arrays, "dtype", *writer.dims.values()]
    module = ast.Module([_definition("run", names, body)], [])
    ast.fix_missing_locations(module)
    space: dict[str, Any] = {"__builtins__": {}, "np": np}
    space.update({name: getattr(numpy_functions, name) for name in writer.helpers})
    if _needs_scipy(program):
        from scipy import special

        space["special"] = special
    exec(compile(module, "<einderiv program>", "exec"), space)
    return space["run"], tuple(writer.dims)


def _needs_scipy(program: Program) -> bool:
    return any(
        isinstance(step, Elementwise) and ELEMENTWISE[step.function].numpy.startswith("special.")
        for step in program.instructions
    )


def _definition(name: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.stmt:
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(parameter) for parameter in parameters],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    return ast.FunctionDef(name, arguments, body, decorator_list=[], returns=None)


def source_of(program: Program, keys: Sequence[str] | None, told: Mapping[str, Any]) -> str:
    """A module that needs nothing but NumPy (and SciPy where it says so); for reading, not run here."""
    writer = _Writer(program)
    body = writer.body()
    parameters = {step.target: _parameter(step, program) for step in program.inputs}
    arrays = [py.name(parameter) for parameter in parameters.values()]
    dtype = (
        py.path("np.float64") if not arrays else py.call(writer.helper("working_dtype"), *arrays)
    )
    head: list[ast.stmt] = [py.assign("dtype", py.call(py.path("np.dtype"), dtype))]
    for register, parameter in parameters.items():
        converted = py.call(py.path("np.asarray"), py.name(parameter), py.name("dtype"))
        head.append(py.assign(f"v{register}", converted))
    extra = []
    for dim, minted in writer.dims.items():
        place = next(
            (
                (step, axis)
                for step in program.inputs
                for axis, d in enumerate(step.shape)
                if d == dim
            ),
            None,
        )
        if place is None:
            extra.append(minted)
            continue
        shape = ast.Attribute(py.name(f"v{place[0].target}"), "shape", ast.Load())
        head.append(py.assign(minted, ast.Subscript(shape, py.constant(place[1]), ast.Load())))
    doc = ast.Expr(ast.Constant(_documentation(program, parameters, writer.dims, extra, told)))
    if keys is None:
        body[-1] = ast.Return(py.name(f"v{program.outputs[0]}"))
    function = _definition("f", [*parameters.values(), *extra], [doc, *head, *body])
    module = ast.fix_missing_locations(ast.Module([function], []))
    lines = ["import numpy as np"]
    if _needs_scipy(program):
        lines.append("from scipy import special")
    lines += ["", ""]
    for name in writer.helpers:
        text = inspect.getsource(getattr(numpy_functions, name))
        text = text.replace(": Array", "").replace(" -> Array", "")
        lines += [text, ""]
    return "\n".join([*lines, ast.unparse(module), ""])


def _parameter(step: Input, program: Program) -> str:
    taken = {s.name for s in program.inputs if s is not step}
    name = step.name
    minted = name[:1] in ("v", "n") and name[1:].isdigit()
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and not minted
    reserved = {"np", "special", "dtype", "f", *dir(numpy_functions)}
    return name if plain and name not in reserved else f"x{step.target}_{len(taken)}"


def _documentation(
    program: Program,
    parameters: Mapping[int, str],
    dims: Mapping[str, str],
    extra: Sequence[str],
    told: Mapping[str, Any],
) -> str:
    lines = [str(told.get("title", "A program derived by einderiv."))]
    for step in program.inputs:
        shape = ", ".join(map(str, step.shape))
        lines.append(f"    {parameters[step.target]}: array of shape ({shape})")
    for dim, minted in dims.items():
        if minted in extra:
            lines.append(f"    {minted}: the extent {dim}")
    return "\n".join([*lines, "    "])
