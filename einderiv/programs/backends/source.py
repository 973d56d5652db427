"""The source of a program as a reader would want it: a module of its own.

In: a `Program`, the names of its results, its title. Out: text that needs nothing but NumPy, and SciPy if
it says so. Invariant: the text is never executed here.
"""

from __future__ import annotations

import ast
import inspect
import keyword
from collections.abc import Mapping

from ...terms import Shape
from ..program import Input, Program
from . import python_code as py
from .numpy import Writer, needs_scipy
from .numpy_functions import FUNCTIONS


def source_of(
    program: Program,
    is_several: bool,
    title: str,
    order: Mapping[str, Shape],
) -> str:
    """A module that needs nothing but NumPy (and SciPy if it says so); for reading, not run here.

    `is_several`: does it return a tuple of results; `order`: the arrays by name, in the order of the
    parameters; one that the program does not compute with tells an extent.
    """
    writer = Writer(program)
    body = writer.body()
    known = {step.name: step for step in program.inputs}
    wanted = dict.fromkeys([*order, *known])
    inputs = [known.get(n) or Input(-1 - k, n, order[n]) for k, n in enumerate(wanted)]
    parameters = {step.target: _parameter(step, program) for step in inputs}
    read = {register: name for register, name in parameters.items() if register >= 0}
    dtype = py.call(writer.helper("working_dtype"), *read.values()) if read else "np.float64"
    head = [py.assign("dtype", py.call("np.dtype", dtype))]
    head += [py.assign(f"v{r}", py.call("np.asarray", name, "dtype")) for r, name in read.items()]
    extra = []
    for dim, minted in writer.extents.items():
        places = [
            (step.target, axis)
            for step in sorted(inputs, key=lambda step: step.target < 0)
            for axis, own in enumerate(step.shape)
            if own == dim
        ]
        if not places:
            extra.append(minted)
            continue
        register, axis = places[0]
        shape = f"v{register}.shape" if register >= 0 else py.call("np.shape", parameters[register])
        head.append(py.assign(minted, py.index(shape, axis)))
    lines = [title]
    for step in inputs:
        lines.append(
            f"    {parameters[step.target]}: array of shape ({', '.join(map(str, step.shape))})"
        )
    lines += [f"    {n}: the extent {dim}" for dim, n in writer.extents.items() if n in extra]
    text = "\n".join([*lines, "    "])
    quoted = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    values = writer.results()
    body.append(ast.Return(py.tree(values) if is_several else values[0]))
    names = ", ".join([*parameters.values(), *extra])
    function = [f"def f({names}):", f'    """{quoted}"""', *py.text_of([*head, *body], "    ")]
    lines = ["import numpy as np", *["from scipy import special"] * needs_scipy(program), "", ""]
    for name in writer.helpers:
        text = _without_annotations(inspect.getsource(FUNCTIONS[name]))
        lines += [text, ""]
    return "\n".join([*lines, *function, ""])


def _without_annotations(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(tree) + "\n"


def _parameter(step: Input, program: Program) -> str:
    taken = {s.name for s in program.inputs if s is not step}
    name = step.name
    minted = name[:1] in ("v", "n") and name[1:].isdigit()
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name) and not minted
    reserved = {"np", "special", "dtype", "f", *FUNCTIONS}
    return name if plain and name not in reserved else f"x{abs(step.target)}_{len(taken)}"
