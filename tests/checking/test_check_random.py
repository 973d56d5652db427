"""Derivatives with one thing changed are never called correct, unless the change changes nothing.

Oracle: central differences of the program's NumPy function, which shares no code with the engine.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import einderiv as ed
from einderiv.terms.canonical import add, contract, scale, transpose
from einderiv.terms.expr import Contraction, Expr, Sum
from einderiv.terms.substitution import substitute_terms
from einderiv.terms.walk import postorder
from tests.random_programs import Program, random_program

Array = Any
SEEDS = 120
STEP = 1e-5
TOLERANCE = 1e-4  # central differences of values up to 1e4, relative to the largest entry


def changed(term: Expr, rng: random.Random) -> Iterator[tuple[str, Expr]]:
    """The term with one thing changed, of the same shape, in the ways people do it."""
    nodes = [node for node in postorder([term]) if isinstance(node, Sum | Contraction)]
    rng.shuffle(nodes)
    for node in nodes:
        for what, new in node_changed(node, rng):
            if new.shape == node.shape:
                (result,) = substitute_terms([term], {node: new})
                if result.shape == term.shape:
                    yield what, result
    yield "factor", scale(Fraction(rng.choice([-1, 2, 3]), rng.choice([1, 2])), term)


def node_changed(node: Expr, rng: random.Random) -> Iterator[tuple[str, Expr]]:
    if isinstance(node, Sum) and node.children:
        pairs = list(zip(node.coefficients, node.children, strict=True))
        k = rng.randrange(len(pairs))
        c, t = pairs[k]
        yield "sign", add([*pairs[:k], (-c, t), *pairs[k + 1 :]], node.shape)
        yield "coefficient", add([*pairs[:k], (2 * c, t), *pairs[k + 1 :]], node.shape)
        if len(pairs) > 1:
            yield "term dropped", add([*pairs[:k], *pairs[k + 1 :]], node.shape)
        if t.rank == 2 and t.shape[0] == t.shape[1]:
            turned = (c, transpose(t, (1, 0)))
            yield "transposed", add([*pairs[:k], turned, *pairs[k + 1 :]], node.shape)
    if isinstance(node, Contraction):
        k = rng.randrange(len(node.children))
        labels = list(node.inputs)
        if node.children[k].rank == 2 and len(set(node.children[k].shape)) == 1:
            labels[k] = labels[k][::-1]
            yield "index swapped", contract(node.children, labels, node.output)
        same = [
            j
            for j in range(len(node.children))
            if j != k and node.children[j].shape == node.children[k].shape
        ]
        if same:
            j, labels = rng.choice(same), list(node.inputs)
            labels[j], labels[k] = labels[k], labels[j]
            yield "operands exchanged", contract(node.children, labels, node.output)


def central_differences(program: Program, name: str) -> Array:
    """The derivative of the program's NumPy function by one tensor."""
    x = np.asarray(program.arrays[name], dtype=float)
    columns = []
    for place in np.ndindex(*x.shape):
        ahead, back = x.copy(), x.copy()
        ahead[place] += STEP
        back[place] -= STEP
        with np.errstate(all="ignore"):
            values = [np.asarray(program.numpy(**{name: y})) for y in (ahead, back)]
        columns.append((values[0] - values[1]) / (2 * STEP))
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *x.shape))


def agrees(ours: Array, theirs: Array, value: Array) -> bool:
    """Equal to the accuracy of central differences: `value` rounds to 1e-16, which STEP makes 1e-11."""
    largest = float(np.max(np.abs(theirs), initial=0.0))
    noise = 1e-9 * (1 + float(np.max(np.abs(value), initial=0.0)))
    difference = (
        np.max(np.abs(ours - theirs), initial=0.0) if ours.shape == theirs.shape else np.inf
    )
    return bool(difference <= TOLERANCE * largest + noise)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_changed_derivative_of_a_random_program_is_correct_only_where_its_values_are(
    seed: int,
) -> None:
    program = random_program(seed)
    rng = random.Random(seed)
    e = ed.parse(program.text, shapes=program.shapes, assume=program.assume)
    if not e.variables:
        pytest.skip("nothing to differentiate by")
    name = rng.choice(sorted(e.variables))
    derivative = e.diff(name)
    numerical = central_differences(program, name)
    assert ed.check(e, name, derivative).correct
    for count, (what, term) in enumerate(changed(derivative._term, rng)):
        claim = derivative._with(term)
        try:
            verdict = ed.check(e, name, claim)
        except ed.DataError:
            continue  # no point where both have values
        print(seed, what, verdict.kind, verdict.method)
        if verdict.correct:
            assert agrees(claim(program.arrays), numerical, program.numpy()), (
                f"seed {seed}: {what}\n{verdict}"
            )
        if count == 3:
            break
