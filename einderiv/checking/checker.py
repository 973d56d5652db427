"""Is a claimed derivative right, and are two expressions equal?

In: an expression, what to differentiate by, the claim. Out: `Verdict`.
Invariant: "correct" only if `decide` says so of the derivative and the claim as it was stated.
Order of the questions: correct, transposed, sign, factor, shape, terms, wrong; see `mistakes.py` for the
sentences and `claims.py` for how a claim is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..calculus import expand, simplify, with_assumptions
from ..equality import Decision, Samples, decide
from ..errors import NotationError
from ..expressions import Expression
from ..terms import Delta, Expr, Literal, add, contract, is_zero, postorder, power, scale, unite
from .claims import Question, question_about, read_expression
from .mistakes import (
    INVERSE,
    Case,
    factor_between,
    has_function,
    missing_terms,
    probable_mistakes,
    scalars_of,
    symmetry_needed,
)
from .verdicts import Verdict, counterexample

_FACTORS = {
    Fraction(1, 2): "a factor 2 is forgotten: a square, or a variable that stands in two places",
    Fraction(2): "there is a factor 2 too many",
}


def equal(first: Expression, second: Expression, how: bool = False) -> bool | tuple[bool, str]:
    """Do two expressions agree for all arrays? Axes are compared in order, index names do not matter.

    With `how=True`: the answer and how it was found: "identity", "expansion", "modular" (exact evaluation
    modulo a prime at random points) or "floating point" (agreement to 1e-8 at random points).
    Raises DimensionError if a tensor has different ranks in the two.

    >>> from einderiv import parse
    >>> equal(parse("(a + b)^2"), parse("a^2 + 2*a*b + b^2"), how=True)
    (True, 'expansion')
    """
    for one in (first, second):
        if not isinstance(one, Expression):
            raise NotationError(
                f"an object of type {type(one).__name__} is compared",
                hint="pass Expressions: ed.parse(...)",
            )
    answer = _equal(first, second)
    return answer if how else answer[0]


def _equal(first: Expression, second: Expression) -> tuple[bool, str]:
    if len(first.shape) != len(second.shape):
        return False, "identity"
    if first == second:
        return True, "identity"
    same = [((0, a), (1, b)) for a, b in zip(first.shape, second.shape, strict=True)]
    terms, _ = unite([(e._term, e._context.variables) for e in (first, second)], same)
    assumed = {**first._context.assumptions}
    for name, words in second._context.assumptions.items():
        assumed[name] = assumed.get(name, frozenset()) | words  # tensors of one name are one
    a, b = (with_assumptions(term, assumed) for term in terms)
    decision = decide(a, b, "quick")
    return decision.equal, "expansion" if decision.how == "identity" else decision.how


def check(
    expression: Expression | str,
    wrt: str | Sequence[str],
    claimed: Expression | str,
    notation: str | None = None,
    *,
    order: int = 1,
    layout: str | None = None,
) -> Verdict:
    """Is `claimed` the derivative of `expression` by `wrt`?

    `wrt`, `order` and `layout` as in `Expression.diff`; several names for a mixed derivative. `notation`:
    that of the claim; without it index, matrix and LaTeX notation are tried in this order, for an
    expression given as a text as well. Axes: the expression's, then the variable's; a claim in indices
    without a left-hand side is matched by name if it has the names of the derivative's axes.
    Raises NotationError if a text cannot be read, DerivativeError as `diff` does.

    >>> from einderiv import parse
    >>> J = parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n")
    >>> check(J, "th", "2*X'*(X*th - Y)/n").correct
    True
    >>> v = check(J, "th", "X'*(X*th - Y)/n")
    >>> v.kind, v.factor
    ('factor', Fraction(1, 2))
    """
    if isinstance(expression, str):
        expression = read_expression(expression)
    elif not isinstance(expression, Expression):
        raise NotationError(
            "what is differentiated is no expression",
            facts=[f"it is of type {type(expression).__name__}"],
            hint="pass a text or an Expression",
        )
    targets = [wrt] if isinstance(wrt, str) else list(wrt)
    return _verdict(question_about(expression, targets, claimed, notation, order, layout))


def _verdict(q: Question) -> Verdict:
    if q.claimed is None:
        headline = "wrong shape: the axes of the claim do not fit together"
        return _new_verdict(q, "shape", None, headline, str(q.refusal).splitlines())
    if q.merged:
        pairs = ", ".join(f"{a} = {b}" for a, b in q.merged)
        headline = f"wrong shape: the claim makes sense only for {pairs}"
        return _new_verdict(q, "shape", None, headline)
    if not q.readings:
        return _shape_verdict(q, q.claimed)
    samples = Samples([q.truth, q.claimed], q.variables)
    cases = [Case(q, q.truth, term, samples) for term in q.readings]
    first: Decision | None = None
    for case in cases:
        is_stated = q.stated and case is cases[0]
        if not is_stated and samples.agree(q.truth, case.claimed) is False:
            continue
        decision = decide(q.truth, case.claimed)
        if decision.equal and is_stated:
            headline = f"correct: this is the derivative by {' and '.join(q.wrt)}"
            return _new_verdict(q, "correct", decision, headline)
        if decision.equal:
            return _transpose_verdict(cases[0], decision)
        if case is cases[0]:
            first = decision
    first = first or decide(q.truth, q.readings[0])
    for case in cases:
        factor = factor_between(case, scalars_of(case)) if samples else None
        if factor is not None:
            other_axes = case is not cases[0] or not q.stated
            return _multiple_verdict(case, factor, first, ["it is transposed, too"] * other_axes)
    if not q.stated:
        return _shape_verdict(q, q.claimed)
    return _wrong_verdict(cases[0], first) if samples else _new_verdict(q, "wrong", first, "wrong")


def _new_verdict(
    q: Question,
    kind: str,
    decision: Decision | None,
    headline: str,
    mistakes: Sequence[str] = (),
    *,
    factor: Fraction | Expression | None = None,
    difference: Expr | None = None,
) -> Verdict:
    example, claim = None, q.given
    if q.readings:
        term = q.readings[0]
        claim = q.as_expression(term)
        if kind != "correct":
            numbers = ", ".join(str(n) for n in q.numbers.values())
            note = f"with small extents in place of {numbers}, " if numbers else ""
            truth, ours = (q.as_expression(t, generic=True) for t in (q.truth, term))
            example = counterexample(truth, ours, q.variables, note)
            if difference is None:
                difference = _shortest(add([(1, q.truth), (-1, term)], q.truth.shape))
    return Verdict(
        kind=kind,
        truth=q.derivative,
        claim=claim,
        text=q.text,
        notation=q.notation,
        method=decision.method if decision else "axes",
        certainty=decision.certainty if decision else "",
        factor=factor,
        difference=None if difference is None else q.as_expression(difference),
        mistakes=(q.note, *mistakes) if q.note else tuple(mistakes),
        counterexample=example,
        headline=headline,
    )


def _shortest(term: Expr) -> Expr:
    """The simplified term, multiplied out if that is shorter."""
    (short,) = simplify([term])
    (long,) = simplify(expand([short]))
    return min((short, long), key=lambda t: len(postorder([t])))


def _sizes(term: Expr) -> str:
    return f"({', '.join(map(str, term.shape))})"


# ------------------------------------------------------------ kinds


def _transpose_verdict(case: Case, decision: Decision) -> Verdict:
    q = case.question
    if q.truth.rank == 2:
        sentences = [f"the derivative has the axes {_sizes(q.truth)}; the claim is its transpose"]
        if q.notation == "matrix" and q.derivative._layout.ranks[0] == 0:
            sentences.append("that is the numerator layout: check it with layout='numerator'")
        elif q.notation == "matrix":
            other = "numerator" if q.derivative._layout.denominator else "denominator"
            sentences.append(f"that is the other layout: check it with layout='{other}'")
    else:
        sentences = ["its axes stand in another order than the expression's, then the variable's"]
    symmetric = symmetry_needed(case) if q.stated else ""
    if symmetric:
        sentences.append(f"the two agree where {symmetric}")
    headline = "correct up to layout: the derivative, transposed"
    return _new_verdict(q, "transposed", decision, headline, sentences)


def _multiple_verdict(
    case: Case, factor: Expr, decision: Decision, sentences: list[str]
) -> Verdict:
    """The claim is a scalar times the derivative."""
    q = case.question
    if not isinstance(factor, Literal):
        text, inverse = (case.part_text(power(factor, Fraction(e))) for e in (1, -1))
        is_inverse = len(inverse) < len(text)
        advice = f"multiply the claim by {inverse}" if is_inverse else f"divide it by {text}"
        found: Fraction | Expression = q.as_part(factor)
    elif factor.value == -1:
        if has_function(q.truth, "inv"):
            sentences.append(f"the differential of an inverse has a minus: {INVERSE}")
        headline = "wrong sign: the claim is minus the derivative"
        return _new_verdict(q, "sign", decision, headline, sentences, factor=Fraction(-1))
    else:
        found, text = factor.value, str(factor.value)
        advice = f"the sign is wrong, and the size by the factor {-found}" if found < 0 else ""
        advice = _FACTORS.get(found, advice)
    sentences = [advice, *sentences] if advice else sentences
    headline = f"off by a factor: the claim is {text} times the derivative"
    return _new_verdict(q, "factor", decision, headline, sentences, factor=found)


def _wrong_verdict(case: Case, decision: Decision) -> Verdict:
    q = case.question
    if is_zero(case.truth):
        sentence = f"the expression does not depend on {' and '.join(q.wrt)} in this way"
        return _new_verdict(q, "wrong", decision, "wrong: the derivative is 0", [sentence])
    if is_zero(case.claimed):
        return _new_verdict(q, "wrong", decision, "wrong: the derivative is not 0")
    part = missing_terms(case)
    symmetric = symmetry_needed(case)
    mistakes = []
    if symmetric:
        mistakes.append(f"the claim is right if {symmetric}, which was not assumed")
    if part is None:
        return _new_verdict(q, "wrong", decision, "wrong", [*mistakes, *probable_mistakes(case)])
    term, is_extra = part
    headline = f"{'extra' if is_extra else 'missing'} term: {' '.join(case.text(term).split())}"
    difference = scale(Fraction(-1), term) if is_extra else term
    return _new_verdict(q, "missing term", decision, headline, mistakes, difference=difference)


def _shape_verdict(q: Question, claimed: Expr) -> Verdict:
    ours, theirs = _sizes(claimed), _sizes(q.truth)
    headline = f"wrong shape: the claim has the axes {ours}, the derivative {theirs}"
    return _new_verdict(q, "shape", None, headline, _shape_sentences(q.truth, claimed))


def _shape_sentences(truth: Expr, claimed: Expr) -> list[str]:
    """One of the two is a diagonal of the other, or sums of its rows or columns."""

    def are_equal(a: Expr, b: Expr) -> bool:
        return a.shape == b.shape and decide(a, b).equal

    if truth.rank == 2 and claimed.rank == 1 and truth.shape[0] == truth.shape[1]:
        for labels, output, words in (
            ((0, 0), 0, "the diagonal of the derivative"),
            ((0, 1), 0, "the sum of the derivative's rows"),
            ((0, 1), 1, "the sum of its columns"),
        ):
            if are_equal(contract([truth], [labels], (output,)), claimed):
                whole = contract([claimed, Delta(truth.shape[0])], [(0,), (0, 1)], (0, 1))
                advice = ": write diag(...)" if are_equal(whole, truth) else " alone"
                return [f"the claim is {words}{advice}"]
    if claimed.rank == 2 and truth.rank == 1 and claimed.shape[0] == claimed.shape[1]:
        if are_equal(contract([claimed], [(0, 0)], (0,)), truth):
            return ["the derivative is the diagonal of the claim"]
    return []
