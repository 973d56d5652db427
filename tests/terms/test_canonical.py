"""Canonical form changes the term, never the value: exact, no tolerance anywhere.

Oracle: `exact` below evaluates any nodes, canonical or not, in Fractions by `np.einsum` over objects; it
shares nothing with `canonical.py`. Raw terms are made of node constructors, which do no algebra.
"""

from __future__ import annotations

import random
import sys
from fractions import Fraction
from itertools import permutations
from math import gcd

import numpy as np
import pytest

import einderiv as ed
from einderiv.calculus.differentiator import gradient
from einderiv.calculus.simplifier import expand, simplify
from einderiv.equality.evaluating import Modular
from einderiv.terms.canonical import (
    add,
    contract,
    elementwise,
    extent,
    literal,
    scale,
    transpose,
    why_not_canonical,
    with_children,
    zero,
)
from einderiv.terms.expr import Contraction, Delta, Expr, Extent, Literal, Map, Ones, Sum, Variable
from einderiv.terms.structure import is_zero
from einderiv.terms.walk import postorder
from tests.random_programs import random_program

SIZES = {"m": 2, "n": 3}
PRIME = 2**31 - 1


# ---------------------------------------------------------------- oracle and raw terms


def exact(term: Expr, values: dict[Variable, np.ndarray]) -> np.ndarray:
    """The value in Fractions; raises KeyError on a kind of node that raw terms do not have."""
    known: dict[Expr, np.ndarray] = {}
    for node in postorder([term]):
        children = [known[child] for child in node.children]
        shape = [SIZES.get(dim, dim) for dim in node.shape]
        if isinstance(node, Variable):
            value = values[node]
        elif isinstance(node, Literal):
            value = node.value
        elif isinstance(node, Extent):
            value = Fraction(SIZES[node.dim])
        elif isinstance(node, Ones | Delta):
            value = (
                np.ones(shape, int) if isinstance(node, Ones) else np.eye(shape[0], dtype=int)
            ) * Fraction(1)
        elif isinstance(node, Sum):
            value = np.zeros(shape, object) + Fraction(0)
            for coefficient, child in zip(node.coefficients, children, strict=True):
                value = value + coefficient * child
        elif isinstance(node, Contraction):
            inputs = ",".join(
                "".join(chr(97 + label) for label in labels) for labels in node.inputs
            )
            output = "".join(chr(97 + label) for label in node.output)
            value = np.einsum(f"{inputs}->{output}", *children)
        else:
            value = {"pow": lambda x, p: x ** int(p), "sqrt": None}[node.function](*children)
        known[node] = np.asarray(value, dtype=object)
    return known[term]


class Raw:
    """Random terms out of bare constructors, and integers for their variables."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.values: dict[Variable, np.ndarray] = {}

    def variable(self, shape: tuple[str, ...]) -> Variable:
        x = Variable(f"{self.random.choice('XYZ')}{''.join(shape)}", shape)
        if x not in self.values:
            numbers = np.random.default_rng(len(self.values)).integers(
                -4, 5, [SIZES[d] for d in shape]
            )
            self.values[x] = numbers.astype(object)
        return x

    def term(self, shape: tuple[str, ...], depth: int) -> Expr:
        kind = self.random.random()
        if depth == 0 or kind < 0.15:
            return self.leaf(shape)
        if kind < 0.4:
            count = self.random.choice([0, 1, 2, 2, 3])
            coefficients = tuple(
                Fraction(
                    self.random.choice([-4, -2, -1, 1, 1, 2, 6]), self.random.choice([1, 1, 3])
                )
                for _ in range(count)
            )
            return Sum(
                tuple(self.term(shape, depth - 1) for _ in range(count)), coefficients, shape
            )
        return Contraction(*self.product(shape, depth))

    def leaf(self, shape: tuple[str, ...]) -> Expr:
        if self.random.random() < 0.45:
            if not shape:
                return self.random.choice(
                    [Literal(Fraction(self.random.randint(-3, 3))), Extent("n")]
                )
            if len(shape) == 1:
                return Ones(shape[0])
            if len(shape) == 2 and shape[0] == shape[1]:
                return Delta(shape[0])
        return self.variable(shape)

    def product(
        self, shape: tuple[str, ...], depth: int
    ) -> tuple[tuple[Expr, ...], tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """Operands, inputs and output of a contraction; labels in no order."""
        labels = self.random.sample(range(12), len(shape) + self.random.randint(0, 3))
        dims = {label: self.random.choice("mn") for label in labels}
        dims.update(zip(labels, shape, strict=False))
        inputs = [
            [self.random.choice(labels) for _ in range(self.random.choice([0, 1, 1, 2, 2, 3]))]
            if labels
            else []
            for _ in range(self.random.randint(1, 4))
        ]
        lacking = set(labels[: len(shape)]).difference(*inputs)
        inputs += [[label] for label in sorted(lacking)]
        operands = tuple(self.term(tuple(dims[x] for x in own), depth - 1) for own in inputs)
        return operands, tuple(map(tuple, inputs)), tuple(labels[: len(shape)])


def canonical(term: Expr) -> Expr:
    """The raw term rebuilt from its leaves by contract and add."""
    known: dict[Expr, Expr] = {}
    for node in postorder([term]):
        children = [known[child] for child in node.children]
        if isinstance(node, Contraction):
            known[node] = contract(children, node.inputs, node.output)
        elif isinstance(node, Sum):
            known[node] = add(zip(node.coefficients, children, strict=True), node.shape)
        else:
            known[node] = node
    return known[term]


SHAPES = [(), (), ("m",), ("n",), ("m", "n"), ("n", "n"), ("n", "m", "n")]


def raw_terms(count: int) -> list[tuple[int, Expr, dict[Variable, np.ndarray]]]:
    terms = []
    for seed in range(count):
        raw = Raw(seed)
        terms.append((seed, raw.term(raw.random.choice(SHAPES), 3), raw.values))
    return terms


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and bool(np.all(first == second))


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("block", range(10))
def test_canonical_form_has_the_value_of_the_raw_term(block):
    for seed, term, values in raw_terms(600)[block::10]:
        assert same(exact(canonical(term), values), exact(term, values)), f"seed {seed}: {term}"


def test_simplified_form_has_the_value_of_the_raw_term():
    for seed, term, values in raw_terms(400):
        (simple,) = simplify([canonical(term)])
        assert same(exact(simple, values), exact(term, values)), f"seed {seed}: {term}"


def test_expanded_form_has_the_value_of_the_raw_term():
    for seed, term, values in raw_terms(400):
        (expanded,) = expand([canonical(term)])
        assert same(exact(expanded, values), exact(term, values)), f"seed {seed}: {term}"


def test_several_roots_simplified_together_keep_their_values():
    terms = raw_terms(60)
    simple = simplify([canonical(term) for _, term, _ in terms])
    for (seed, term, values), result in zip(terms, simple, strict=True):
        assert same(exact(result, values), exact(term, values)), f"seed {seed}"


def test_exact_interpreter_agrees_with_einsum_over_fractions():
    for seed, term, values in raw_terms(80):
        right = np.vectorize(
            lambda x: Fraction(x).numerator * pow(Fraction(x).denominator, -1, PRIME) % PRIME,
            otypes=[object],
        )(exact(term, values))
        ours = Modular(values, SIZES, PRIME, salt=0, laws=True).value(term)
        assert same(ours, right), f"seed {seed}"


def test_transposing_a_canonical_term_transposes_its_value():
    for seed, term, values in raw_terms(400):
        if term.rank > 1:
            axes = tuple(random.Random(seed).sample(range(term.rank), term.rank))
            moved = transpose(canonical(term), axes)
            assert same(exact(moved, values), exact(term, values).transpose(axes)), f"seed {seed}"


# ---------------------------------------------------------------- one term, one object


def test_every_node_of_a_canonical_term_rebuilds_as_itself():
    for seed, term, _ in raw_terms(400):
        for node in postorder([canonical(term), *simplify([canonical(term)])]):
            assert why_not_canonical(node) is None, f"seed {seed}: {why_not_canonical(node)}"


def test_every_node_of_three_hundred_derivatives_rebuilds_as_itself():
    count, seed = 0, 5000
    while count < 300:
        program = random_program(seed)
        e = ed.parse(program.text, shapes=program.shapes)
        for name in program.tensors:
            if count < 300:
                count += 1
                for node in postorder([e.diff(name).term]):
                    reason = why_not_canonical(node)
                    assert reason is None, f"seed {seed}, d/d{name}: {reason}\n{program.text}"
        seed += 1


def test_simplifying_twice_changes_nothing():
    for seed, term, _ in raw_terms(400):
        once = simplify([canonical(term)])
        assert simplify(once)[0] is once[0], f"seed {seed}"


def test_simplifying_a_derivative_again_changes_nothing():
    for seed in range(6000, 6060):
        program = random_program(seed)
        e = ed.parse(program.text, shapes=program.shapes)
        for name in program.tensors:
            d = e.diff(name).term
            again = simplify([d])[0]
            assert again is d, f"seed {seed}, d/d{name}\n{program.text}\n{e.diff(name)}"


def test_all_orders_of_the_trace_of_a_fourth_power_are_one_object():
    A = Variable("A", ("n", "n"))
    cycle = [(0, 1), (1, 2), (2, 3), (3, 0)]
    found = {contract([A] * 4, order, ()) for order in permutations(cycle)}
    assert len(found) == 1


def test_renamed_labels_and_shuffled_operands_give_the_same_object():
    for seed in range(500):
        raw = Raw(seed)
        operands, inputs, output = raw.product(raw.random.choice(SHAPES), 1)
        operands = [canonical(operand) for operand in operands]
        names = dict(zip(range(12), raw.random.sample(range(100, 200), 12), strict=True))
        order = raw.random.sample(range(len(operands)), len(operands))
        renamed = contract(
            [operands[k] for k in order],
            [tuple(names[label] for label in inputs[k]) for k in order],
            tuple(names[label] for label in output),
        )
        assert renamed is contract(operands, inputs, output), f"seed {seed}"


def test_the_order_of_terms_does_not_matter():
    for seed in range(300):
        raw = Raw(seed)
        shape = raw.random.choice(SHAPES)
        terms = [
            (raw.random.choice([-2, -1, 1, 3]), canonical(raw.term(shape, 1))) for _ in range(4)
        ]
        shuffled = raw.random.sample(terms, len(terms))
        assert add(terms, shape) is add(shuffled, shape), f"seed {seed}"


# ---------------------------------------------------------------- laws, one by one

X, Y = Variable("X", ("m", "n")), Variable("Y", ("m", "n"))
A, B = Variable("A", ("n", "n")), Variable("B", ("n", "n"))
x, y = Variable("x", ("n",)), Variable("y", ("n",))
D, ONE = Delta("n"), Ones("n")


def test_a_delta_with_a_summed_label_renames_the_other():
    assert contract([D, x], [(0, 1), (1,)], (0,)) is x


def test_a_delta_takes_the_diagonal_where_both_labels_stand():
    assert contract([D, A], [(0, 1), (0, 1)], ()) is contract([A], [(0, 0)], ())


def test_a_chain_of_deltas_is_one_delta():
    assert contract([D, D, D], [(0, 1), (1, 2), (2, 3)], (0, 3)) is D


def test_the_trace_of_a_delta_is_the_extent():
    assert contract([D], [(0, 0)], ()) is extent("n")
    assert contract([D, D], [(0, 1), (0, 1)], ()) is extent("n")


def test_ones_vanish_where_their_label_stands_elsewhere():
    assert contract([x, ONE], [(0,), (0,)], (0,)) is x
    assert contract([x, ONE], [(0,), (0,)], ()) is contract([x], [(0,)], ())


def test_the_sum_of_ones_is_the_extent():
    assert contract([ONE], [(0,)], ()) is extent("n")
    assert contract([Ones(3)], [(0,)], ()) is literal(3)


def test_an_extent_survives_where_the_factors_of_its_label_cancel():
    inverse = elementwise("pow", [x, literal(-1)])
    assert contract([x, inverse], [(0,), (0,)], ()) is extent("n")
    assert contract([x, inverse], [(0,), (0,)], (0,)) is ONE


def test_equal_contributions_collect_into_a_factor_two():
    assert add([(1, x), (1, x)], x.shape) is scale(2, x)


def test_terms_that_cancel_are_zero():
    assert is_zero(add([(2, X), (-1, X), (-1, X)], X.shape))
    assert is_zero(
        add(
            [
                (1, contract([A, B], [(0, 1), (0, 1)], ())),
                (-1, contract([B, A], [(0, 1), (0, 1)], ())),
            ],
            (),
        )
    )


def test_a_product_with_zero_is_zero():
    assert contract([x, zero(("n",))], [(0,), (0,)], ()) is zero(())
    assert contract([x, zero(("m",))], [(0,), (1,)], (1, 0)) is zero(("m", "n"))


def test_transposing_twice_is_the_term_itself():
    assert transpose(transpose(X, (1, 0)), (1, 0)) is X


def test_a_symmetric_variable_is_its_transpose():
    S = Variable("S", ("n", "n"), frozenset({"symmetric"}))
    assert transpose(S, (1, 0)) is S


def test_numbers_come_out_of_products():
    assert contract([scale(2, x), scale(Fraction(1, 3), y)], [(0,), (0,)], ()) is scale(
        Fraction(2, 3), contract([x, y], [(0,), (0,)], ())
    )


def test_no_canonical_product_holds_a_summed_delta_or_ones_a_number_or_a_zero():
    for seed, term, _ in raw_terms(400):
        for node in postorder([canonical(term)]):
            if isinstance(node, Contraction):
                for operand, labels in zip(node.children, node.inputs, strict=True):
                    assert not isinstance(operand, Literal) and not is_zero(operand), f"seed {seed}"
                    if isinstance(operand, Delta | Ones):
                        assert set(labels) <= set(node.output), f"seed {seed}"


def test_canonical_sums_have_coprime_coefficients_and_start_positive():
    for seed, term, _ in raw_terms(400):
        for node in postorder([canonical(term)]):
            if isinstance(node, Sum) and len(node.children) > 1:
                assert all(c.denominator == 1 for c in node.coefficients), f"seed {seed}"
                assert gcd(*(int(c) for c in node.coefficients)) == 1, f"seed {seed}"
                assert node.coefficients[0] > 0, f"seed {seed}"
                assert len(set(node.children)) == len(node.children), f"seed {seed}"


# ---------------------------------------------------------------- depth


def test_terms_deeper_than_the_recursion_limit_are_built_simplified_expanded_and_derived():
    v = Variable("v", ("n",))
    term: Expr = v
    for _ in range(2 * sys.getrecursionlimit()):
        inner = elementwise("sin", [add([(1, term), (1, v)], v.shape)])
        term = contract([inner, x], [(0,), (0,)], (0,))
    (simple,) = simplify([term])
    (expanded,) = expand([term])
    derivative = gradient(contract([term], [(0,)], ()), [v])[v]
    for root in (term, simple, expanded, derivative):
        assert with_children(root, root.children) is root
    assert isinstance(simple, Contraction) and isinstance(inner, Map)
