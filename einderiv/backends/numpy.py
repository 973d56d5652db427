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

from ..expr import Dim, Label, Subscript
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

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TERMS = 100  # of a sum in one expression; a nesting of 1000 is beyond what Python's compiler takes
Runner = Callable[..., tuple[Any, ...]]


# ---------------------------------------------------------------- small builders


def _name(text: str) -> ast.expr:
    return ast.Name(text, ast.Load())


def _path(text: str) -> ast.expr:
    first, *rest = text.split(".")
    tree = _name(first)
    for part in rest:
        tree = ast.Attribute(tree, part, ast.Load())
    return tree


def _constant(value: int | float | str | bool | None) -> ast.expr:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        tree = _path("np.inf")
        return tree if value > 0 else ast.UnaryOp(ast.USub(), tree)
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def _tuple(items: Sequence[ast.expr]) -> ast.expr:
    return ast.Tuple(list(items), ast.Load())


def _numbers(items: Sequence[int]) -> ast.expr:
    return _tuple([_constant(item) for item in items])


def _call(function: ast.expr, *arguments: ast.expr, **named: ast.expr) -> ast.expr:
    return ast.Call(function, list(arguments), [ast.keyword(k, v) for k, v in named.items()])


def _method(value: ast.expr, name: str, *arguments: ast.expr, **named: ast.expr) -> ast.expr:
    return _call(ast.Attribute(value, name, ast.Load()), *arguments, **named)


def _binary(left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.expr:
    return ast.BinOp(left, operator, right)


def _assign(target: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(target, ast.Store())], value)


def to_float(value: Fraction) -> float:
    """The nearest float, infinite beyond the range."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _number(value: Fraction) -> ast.expr:
    return _constant(to_float(value))


# ---------------------------------------------------------------- instructions


class _Writer:
    """The statements of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.dims: dict[str, str] = {}  # extent -> its minted name
        self.helpers: list[str] = []
        self.shapes = {step.target: step.shape for step in program.instructions}

    def body(self) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for step in self.program.instructions:
            statements += self.step(step)
        outputs = [_name(f"v{register}") for register in self.program.outputs]
        return [*statements, ast.Return(_tuple(outputs))]

    def dim(self, dim: Dim) -> ast.expr:
        if isinstance(dim, int):
            return _constant(dim)
        return _name(self.dims.setdefault(dim, f"n{len(self.dims)}"))

    def step(self, step: Instruction) -> list[ast.stmt]:
        target = f"v{step.target}"
        match step:
            case Input():
                return []
            case Constant():
                value = _path("np.pi") if isinstance(step.value, str) else _number(step.value)
                return [_assign(target, _call(_path("dtype.type"), value))]
            case Size():
                return [_assign(target, _call(_path("dtype.type"), self.dim(step.dim)))]
            case Contract():
                return [_assign(target, self.contract(step))]
            case Combine():
                return self.combine(step, target)
            case Scatter():
                return self.scatter(step, target)
            case Elementwise():
                return [_assign(target, self.elementwise(step))]
            case Whole():
                return [_assign(target, self.whole(step))]
            case Solve():
                operands = [_name(f"v{register}") for register in step.operands]
                axis, flag = _constant(step.axis), _constant(step.transposed)
                return [_assign(target, _call(self.helper("solve"), *operands, axis, flag))]

    def helper(self, name: str) -> ast.expr:
        if name not in self.helpers:
            self.helpers.append(name)
        return _name(name)

    def function(self, path: str) -> ast.expr:
        return _path(path) if "." in path else self.helper(path)

    # ------------------------------------------------------------ contractions

    def contract(self, step: Contract) -> ast.expr:
        """A product, a matrix product or a sum, whichever the labels allow."""
        if len(step.operands) == 1:
            return self.unary(step)
        (first, second), (a, b) = step.operands, step.inputs
        distinct = len(set(a)) == len(a) and len(set(b)) == len(b)
        summed = [label for label in a if label in b and label not in step.output]
        alone = [x for x in (*a, *b) if x not in step.output and x not in summed]
        if distinct and not alone and not summed:
            return _binary(
                self.placed(f"v{first}", a, step.output),
                ast.Mult(),
                self.placed(f"v{second}", b, step.output),
            )
        if distinct and not alone:
            product = self.matrix_product(step)
            if product is not None:
                return product
        return self.einsum(step)

    def einsum(self, step: Contract) -> ast.expr:
        letters: dict[Label, str] = {}
        for labels in (*step.inputs, step.output):
            for label in labels:
                letters.setdefault(label, _LETTERS[len(letters)])
        inputs = ",".join("".join(letters[x] for x in labels) for labels in step.inputs)
        subscripts = f"{inputs}->{''.join(letters[x] for x in step.output)}"
        operands = [_name(f"v{register}") for register in step.operands]
        return _call(_path("np.einsum"), _constant(subscripts), *operands)

    def unary(self, step: Contract) -> ast.expr:
        (register,), (labels,) = step.operands, step.inputs
        value = _name(f"v{register}")
        if len(set(labels)) < len(labels):
            return self.einsum(step)
        gone = [axis for axis, label in enumerate(labels) if label not in step.output]
        if gone:
            value = _call(_path("np.add.reduce"), value, axis=_numbers(gone))
        rest = [label for label in labels if label in step.output]
        order = [rest.index(label) for label in step.output]
        return value if order == sorted(order) else self.transposed(value, order)

    def transposed(self, value: ast.expr, order: Sequence[int]) -> ast.expr:
        if list(order) == list(range(len(order))):
            return value
        if list(order) == [1, 0]:
            return ast.Attribute(value, "T", ast.Load())
        return _method(value, "transpose", *map(_constant, order))

    def placed(self, name: str, labels: Subscript, output: Subscript) -> ast.expr:
        """A view whose axes stand where `output` has them, broadcasting over the others."""
        value = _name(name)
        if not labels:
            return value
        order = sorted(range(len(labels)), key=lambda axis: output.index(labels[axis]))
        value = self.transposed(value, order)
        first = min(output.index(label) for label in labels)
        places: list[ast.expr] = []
        for label in output[first:]:
            places.append(ast.Slice() if label in labels else _constant(None))
        if len(places) == len(labels):
            return value
        return ast.Subscript(value, _tuple(places) if len(places) > 1 else places[0], ast.Load())

    def matrix_product(self, step: Contract) -> ast.expr | None:
        """`batch x rows x summed` times `batch x summed x columns`, views where possible."""
        (first, second), (a, b) = step.operands, step.inputs
        output = step.output
        summed = [label for label in a if label in b and label not in output]
        batch = [label for label in output if label in a and label in b]
        rows = [label for label in output if label in a and label not in b]
        columns = [label for label in output if label in b and label not in a]
        if batch and not rows and not columns:
            return None
        if len(rows) > 1 or len(columns) > 1 or len(summed) > 1:
            groups = (batch, rows, columns, summed)
            return self.fused(step, *groups) if batch else self.tensordot(step, summed)
        if not rows and columns:
            first, second, a, b, rows, columns = second, first, b, a, columns, rows
        left = self.matrix(f"v{first}", a, [*batch, *rows, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed, *columns])
        if batch and not columns:
            last = _tuple([ast.Constant(...), _constant(None)])
            product = _binary(left, ast.MatMult(), ast.Subscript(right, last, ast.Load()))
            zero = _tuple([ast.Constant(...), _constant(0)])
            product = ast.Subscript(product, zero, ast.Load())
        else:
            product = _binary(left, ast.MatMult(), right)
        made = [*batch, *rows, *columns]
        return self.transposed(product, [made.index(label) for label in output])

    def fused(
        self,
        step: Contract,
        batch: Sequence[Label],
        rows: Sequence[Label],
        columns: Sequence[Label],
        summed: Sequence[Label],
    ) -> ast.expr:
        """The same with any number of axes, or none, in the place of each: joined, multiplied, split."""
        dims = dict(step.extents)
        (first, second), (a, b) = step.operands, step.inputs

        def shaped(value: ast.expr, groups: Sequence[Sequence[Label]]) -> ast.expr:
            shape = [self.product([dims[x] for x in group]) for group in groups]
            return _method(value, "reshape", _tuple(shape))

        single = [[label] for label in batch]
        left = self.matrix(f"v{first}", a, [*batch, *rows, *summed])
        right = self.matrix(f"v{second}", b, [*batch, *summed, *columns])
        left = shaped(left, [*single, rows, summed])
        right = shaped(right, [*single, summed, columns])
        made = [*batch, *rows, *columns]
        split = shaped(_binary(left, ast.MatMult(), right), [[label] for label in made])
        return self.transposed(split, [made.index(label) for label in step.output])

    def product(self, dims: Sequence[Dim]) -> ast.expr:
        """The number of entries of some axes together."""
        if not dims:
            return _constant(1)
        total = self.dim(dims[0])
        for dim in dims[1:]:
            total = _binary(total, ast.Mult(), self.dim(dim))
        return total

    def matrix(self, name: str, labels: Subscript, wanted: Sequence[Label]) -> ast.expr:
        return self.transposed(_name(name), [labels.index(label) for label in wanted])

    def tensordot(self, step: Contract, summed: Sequence[Label]) -> ast.expr:
        (first, second), (a, b) = step.operands, step.inputs
        axes = _tuple(
            [_numbers([a.index(x) for x in summed]), _numbers([b.index(x) for x in summed])]
        )
        product = _call(_path("np.tensordot"), _name(f"v{first}"), _name(f"v{second}"), axes=axes)
        made = [x for x in a if x not in summed] + [x for x in b if x not in summed]
        return self.transposed(product, [made.index(label) for label in step.output])

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
                    _binary(value, ast.Div(), _number(1 / size))
                    if size.numerator == 1
                    else _binary(_number(size), ast.Mult(), value)
                )
            if total is None:
                total = ast.UnaryOp(ast.USub(), value) if c < 0 else value
            else:
                total = _binary(total, ast.Sub() if c < 0 else ast.Add(), value)
            if number % _TERMS == 0:
                statements.append(_assign(target, total))
                total = _name(target)
        assert total is not None
        return [*statements, _assign(target, total)]

    def scatter(self, step: Scatter, target: str) -> list[ast.stmt]:
        """Zeros, then each term added through a view of its diagonal."""
        shape = _tuple([self.dim(dim) for dim in step.shape])
        statements = [_assign(target, _call(_path("np.zeros"), shape, dtype=_name("dtype")))]
        terms = zip(step.coefficients, step.operands, step.axes, step.places, strict=True)
        for coefficient, register, axes, places in terms:
            distinct = tuple(dict.fromkeys(places))
            view = self.diagonal(target, places, distinct)
            if register is None:
                value = _number(coefficient)
            else:
                value = self.placed(f"v{register}", axes, distinct)
                if coefficient != 1:
                    value = _binary(_number(coefficient), ast.Mult(), value)
            slot = ast.Subscript(view, ast.Constant(...), ast.Store())
            statements.append(ast.AugAssign(slot, ast.Add(), value))
        return statements

    def diagonal(self, target: str, places: Subscript, distinct: Subscript) -> ast.expr:
        if len(distinct) == len(places):
            return _name(target)
        letters = {label: _LETTERS[k] for k, label in enumerate(distinct)}
        left = "".join(letters[label] for label in places)
        right = "".join(letters[label] for label in distinct)
        return _call(_path("np.einsum"), _constant(f"{left}->{right}"), _name(target))

    # ------------------------------------------------------------ functions

    def elementwise(self, step: Elementwise) -> ast.expr:
        output = tuple(range(len(step.shape)))
        operands = [
            self.placed(f"v{register}", axes, output)
            for register, axes in zip(step.operands, step.axes, strict=True)
        ]
        if step.exponent is not None:
            return self.power(operands[0], step.exponent)
        return _call(self.function(ELEMENTWISE[step.function].numpy), *operands)

    def power(self, base: ast.expr, exponent: Fraction) -> ast.expr:
        size = abs(exponent)
        if size == 1:
            value = base
        elif size == 2:
            value = _call(_path("np.square"), base)
        elif size == Fraction(1, 2):
            value = _call(_path("np.sqrt"), base)
        else:
            return _call(_path("np.power"), base, _number(exponent))
        return _binary(_constant(1.0), ast.Div(), value) if exponent < 0 else value

    def whole(self, step: Whole) -> ast.expr:
        if step.function == "eps":
            made = _call(self.helper("levi_civita"), _constant(step.width))
            return _method(made, "astype", _name("dtype"))
        row = WHOLE[step.function]
        count = 2 if row.matrix else step.width
        axes = _numbers(range(-count, 0))
        operands = [_name(f"v{register}") for register in step.operands]
        return _call(self.helper(row.numpy), *operands, axes)


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
    arrays = [_name(parameter) for parameter in parameters.values()]
    dtype = _path("np.float64") if not arrays else _call(writer.helper("working_dtype"), *arrays)
    head: list[ast.stmt] = [_assign("dtype", _call(_path("np.dtype"), dtype))]
    for register, parameter in parameters.items():
        converted = _call(_path("np.asarray"), _name(parameter), _name("dtype"))
        head.append(_assign(f"v{register}", converted))
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
        shape = ast.Attribute(_name(f"v{place[0].target}"), "shape", ast.Load())
        head.append(_assign(minted, ast.Subscript(shape, _constant(place[1]), ast.Load())))
    doc = ast.Expr(ast.Constant(_documentation(program, parameters, writer.dims, extra, told)))
    if keys is None:
        body[-1] = ast.Return(_name(f"v{program.outputs[0]}"))
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
