"""Is a claimed derivative right? A verdict on what somebody derived by hand.

In: an expression, what to differentiate by, the claim. Out: `Verdict`.
Invariant: "correct" only where `deciding.decide` says so of the derivative and the claim as it was stated.
Order of the questions: correct, transposed, sign, factor, shape, terms, wrong; see `mistakes.py` for the
sentences and `claims.py` for how a claim is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..calculus import expand, simplify
from ..equality import Decision, Samples, TooLargeError, decide, same_values
from ..errors import NotationError
from ..expressions import Expression
from ..notations import variable_name
from ..terms import Apply, Delta, Expr, Literal, add, contract, is_zero, postorder, power
from .claims import Question, in_order, posed, read_expression
from .mistakes import (
    Case,
    agree_if_symmetric,
    factor_between,
    forgotten_factor,
    missing_terms,
    rewriting,
    scalars_of,
    symmetry_needed,
    term_with_other_coefficient,
)
from .verdicts import Counterexample, Verdict, both_forms, counterexample, formula


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
    without a left-hand side is matched by name where it has the names of the derivative's axes.
    Raises NotationError where a text cannot be read, DerivativeError as `diff` does.

    >>> from einderiv import parse
    >>> J = parse("(X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n")
    >>> check(J, "th", "2*X'*(X*th - Y)/n").correct
    True
    >>> v = check(J, "th", "X'*(X*th - Y)/n")
    >>> v.kind, v.factor
    ('factor', Fraction(1, 2))
    """
    e = _expression_of(expression)
    targets = [wrt] if isinstance(wrt, str) else list(wrt)
    question = posed(e, targets, claimed, notation, order, layout)
    return _Check(question, targets).verdict()


def _expression_of(given: Expression | str) -> Expression:
    if isinstance(given, Expression):
        return given
    if not isinstance(given, str):
        raise NotationError(
            "what is differentiated is no expression",
            facts=[f"it is of type {type(given).__name__}"],
            hint="pass a text or an Expression",
        )
    return read_expression(given)


@dataclass
class _Check:
    """One question on its way to a verdict."""

    question: Question
    wrt: Sequence[str]

    def verdict(self) -> Verdict:
        q = self.question
        if q.claimed is None:
            return self._shape_refused()
        if q.merged or not q.orders:
            return self._wrong_shape()
        samples = self._samples()
        decisions: dict[tuple[int, ...], Decision] = {}
        for axes in q.orders:
            term = in_order(q.claimed, axes)
            is_stated = q.stated and axes == q.orders[0]
            if not is_stated and samples is not None:
                wanted, found = samples.values(q.truth), samples.values(term)
                if wanted is not None and found is not None and not same_values(wanted, found):
                    continue
            decision = decide(q.truth, term, q.variables)
            decisions[axes] = decision
            if decision.equal and is_stated:
                return self._made("correct", decision, headline=self._correct_headline())
            if decision.equal:
                return self._transposed(decision)
        decision = decisions.get(q.orders[0]) or decide(
            q.truth, in_order(q.claimed, q.orders[0]), q.variables
        )
        if samples is not None:
            for axes in q.orders:
                term = in_order(q.claimed, axes)
                multiple = self._multiple(Case(q.truth, term, q.variables, samples), axes, decision)
                if multiple is not None:
                    return multiple
        if not q.stated:
            return self._wrong_shape()
        if samples is None:
            return self._made("wrong", decision, headline="wrong")
        return self._different(
            Case(q.truth, in_order(q.claimed, q.orders[0]), q.variables, samples), decision
        )

    # ------------------------------------------------------------ helpers

    def _samples(self) -> Samples | None:
        q = self.question
        assert q.claimed is not None
        try:
            found = Samples([q.truth, q.claimed], q.variables)
        except TooLargeError:
            return None
        return found if len(found) > 1 else None

    def _made(
        self,
        kind: str,
        decision: Decision | None,
        *,
        headline: str,
        mistakes: Sequence[str] = (),
        factor: Fraction | Expression | None = None,
        difference: Expr | None = None,
    ) -> Verdict:
        q = self.question
        example = None
        if kind != "correct" and q.claimed is not None and q.orders:
            term = in_order(q.claimed, q.orders[0])
            example = self._example(term)
            if difference is None:
                difference = _shortest(add([(1, q.truth), (-1, term)], q.truth.shape))
        claim = q.claim.expression
        if q.claimed is not None and q.orders:
            claim = q.as_expression(in_order(q.claimed, q.orders[0]))
        if q.claim.note:
            mistakes = [q.claim.note, *mistakes]
        return Verdict(
            kind=kind,
            truth=q.derivative,
            claim=claim,
            text=q.claim.text,
            notation=q.claim.notation,
            method=decision.method if decision else "axes",
            certainty=decision.certainty if decision else "",
            factor=factor,
            difference=None if difference is None else q.as_expression(difference),
            mistakes=tuple(mistakes),
            counterexample=example,
            headline=headline,
        )

    def _example(self, term: Expr) -> Counterexample | None:
        q = self.question
        found = counterexample(
            q.as_expression(q.truth, generic=True), q.as_expression(term, generic=True), q.variables
        )
        if found is not None and q.numbers:
            numbers = ", ".join(str(n) for n in q.numbers.values())
            return replace(found, note=f"with small extents in place of {numbers}, ")
        return found

    def _of(self) -> str:
        return f"the derivative by {' and '.join(self.wrt)}"

    def _shown(self, term: Expr) -> str:
        return both_forms(self.question.as_expression(term), self.question.claim.notation)

    def _part(self, term: Expr) -> str:
        """A part of a term, with letters of its own."""
        q = self.question
        letters = tuple("ijklmnpq"[: term.rank])
        return formula(Expression(term, letters, q.as_expression(q.truth)._context))

    # ------------------------------------------------------------ kinds

    def _correct_headline(self) -> str:
        return f"correct: this is {self._of()}"

    def _transposed(self, decision: Decision) -> Verdict:
        q = self.question
        assert q.claimed is not None
        sentences = []
        if q.truth.rank == 2:
            rows = _sizes_in_words(q.truth.shape)
            sentences.append(f"the derivative has the axes {rows}; the claim is its transpose")
            if q.claim.notation == "matrix" and q.derivative._layout.ranks[0] == 0:
                sentences.append("that is the numerator layout: check it with layout='numerator'")
            elif q.claim.notation == "matrix":
                other = "numerator" if q.derivative._layout.denominator else "denominator"
                sentences.append(f"that is the other layout: check it with layout='{other}'")
        else:
            sentences.append(
                "its axes stand in another order than the expression's, then the variable's"
            )
        if q.stated:
            names = symmetry_needed(self._case_in_stated_order())
            if names:
                sentences.append(f"the two agree where {_listed(names)} symmetric")
        return self._made(
            "transposed",
            decision,
            headline="correct up to layout: the derivative, transposed",
            mistakes=sentences,
        )

    def _case_in_stated_order(self) -> Case:
        q = self.question
        assert q.claimed is not None
        samples = Samples([q.truth, q.claimed], q.variables)
        return Case(q.truth, in_order(q.claimed, q.orders[0]), q.variables, samples)

    def _multiple(self, case: Case, axes: tuple[int, ...], decision: Decision) -> Verdict | None:
        """The claim is a scalar times the derivative."""
        q = self.question
        factor = factor_between(case, scalars_of(case, {variable_name(text) for text in self.wrt}))
        if factor is None:
            return None
        sentences = []
        if axes != q.orders[0] or not q.stated:
            sentences.append("it is transposed, too")
        if isinstance(factor, Literal) and factor.value == -1:
            if _has(q.truth, "inv"):
                sentences.append(
                    "the differential of an inverse has a minus: d inv(A) = -inv(A)*dA*inv(A)"
                )
            return self._made(
                "sign",
                decision,
                headline="wrong sign: the claim is minus the derivative",
                mistakes=sentences,
                factor=Fraction(-1),
            )
        value = factor.value if isinstance(factor, Literal) else None
        shown = str(value) if value is not None else formula(_scalar(q, factor))
        if value is None:
            inverse = formula(_scalar(q, power(factor, Fraction(-1))))
            is_inverse = len(inverse) < len(shown)
            advice = [f"multiply the claim by {inverse}" if is_inverse else f"divide it by {shown}"]
        else:
            advice = _factor_sentences(value)
        sentences = [*advice, *sentences]
        return self._made(
            "factor",
            decision,
            headline=f"off by a factor: the claim is {shown} times the derivative",
            mistakes=sentences,
            factor=value if value is not None else _scalar(q, factor),
        )

    def _different(self, case: Case, decision: Decision) -> Verdict:
        if is_zero(case.truth):
            sentence = f"the expression does not depend on {' and '.join(self.wrt)} in this way"
            return self._made(
                "wrong", decision, headline="wrong: the derivative is 0", mistakes=[sentence]
            )
        if is_zero(case.claimed):
            return self._made("wrong", decision, headline="wrong: the derivative is not 0")
        part = missing_terms(case)
        symmetric = symmetry_needed(case)
        assumed = (
            [f"the claim is right if {_listed(symmetric)} symmetric, which was not assumed"]
            if symmetric
            else []
        )
        if part is not None:
            term, is_extra = part
            word = "extra" if is_extra else "missing"
            return self._made(
                "missing term",
                decision,
                headline=f"{word} term: {' '.join(self._shown(term).split())}",
                mistakes=assumed,
                difference=_negated(term) if is_extra else term,
            )
        return self._made(
            "wrong", decision, headline="wrong", mistakes=[*assumed, *self._probable(case)]
        )

    def _probable(self, case: Case) -> list[str]:
        """Sentences about a claim that is neither a multiple nor a part of the derivative."""
        q = self.question
        one = term_with_other_coefficient(case)
        if one is not None:
            term, number = one
            shown = self._shown(term)
            if number == -1:
                minus = ["d inv(A) = -inv(A)*dA*inv(A)"] if _has(term, "inv") else []
                return [f"one term has the wrong sign; it should be {shown}", *minus]
            return [f"one term is off by the factor {number}; it should be {shown}"]
        changed = rewriting(case)
        if changed is not None:
            if changed.transposed:
                return [f"a transpose is forgotten or too many: turn {changed.transposed[0]} round"]
            names = ", ".join(changed.order)
            rotated = ""
            if not q.expression._term.rank:
                rotated = "; a trace may be rotated, but its factors not exchanged"
            return [
                f"the factors {names} stand in the wrong order or are transposed wrongly{rotated}"
            ]
        inner = forgotten_factor(case)
        if inner is not None:
            term, is_extra = inner
            if is_extra:
                return [f"the factor {self._part(term)} is too many"]
            return [
                f"the factor {self._part(term)} is missing: the inner derivative of the chain rule?"
            ]
        return self._dependent_entries(case)

    def _dependent_entries(self, case: Case) -> list[str]:
        """G + G' - diag(G): the derivative by a symmetric matrix whose entries are tied."""
        shape, x = case.truth.shape, case.variables[variable_name(self.wrt[-1])]
        if len(shape) != 2 or x.shape != shape or shape[0] != shape[1]:
            return []
        turned = in_order(case.truth, (1, 0))
        diagonal = contract([case.truth, Delta(shape[0])], [(0, 1), (0, 1)], (0, 1))
        tied = add([(1, case.truth), (1, turned), (-1, diagonal)], shape)
        if agree_if_symmetric(tied, case.claimed, case.variables, [x.name]):
            return [
                f"this is G + G' - diag(G), the derivative G by a symmetric {x.name} whose entries above "
                "and below the diagonal are one; here all entries count as independent"
            ]
        return []

    # ------------------------------------------------------------ shapes

    def _shape_refused(self) -> Verdict:
        refusal = self.question.claim.refusal
        assert refusal is not None
        return self._made(
            "shape",
            None,
            headline="wrong shape: the axes of the claim do not fit together",
            mistakes=str(refusal).splitlines(),
        )

    def _wrong_shape(self) -> Verdict:
        q = self.question
        assert q.claimed is not None
        if q.merged:
            pairs = ", ".join(f"{a} = {b}" for a, b in q.merged)
            return self._made(
                "shape",
                None,
                headline=f"wrong shape: the claim makes sense only for {pairs}",
            )
        ours, theirs = (_sizes_in_words(t.shape) for t in (q.claimed, q.truth))
        return self._made(
            "shape",
            None,
            headline=f"wrong shape: the claim has the axes {ours}, the derivative {theirs}",
            mistakes=self._shape_sentences(),
        )

    def _shape_sentences(self) -> list[str]:
        q = self.question
        assert q.claimed is not None
        if q.truth.rank == 2 and q.claimed.rank == 1 and q.truth.shape[0] == q.truth.shape[1]:
            pairs = [(contract([q.truth], [(0, 0)], (0,)), "the diagonal of the derivative")]
            pairs.append((contract([q.truth], [(0, 1)], (0,)), "the sum of the derivative's rows"))
            pairs.append((contract([q.truth], [(0, 1)], (1,)), "the sum of its columns"))
            for term, words in pairs:
                if term.shape == q.claimed.shape and decide(term, q.claimed, q.variables).equal:
                    whole = contract([q.claimed, Delta(q.truth.shape[0])], [(0,), (0, 1)], (0, 1))
                    is_all = (
                        whole.shape == q.truth.shape and decide(whole, q.truth, q.variables).equal
                    )
                    return [f"the claim is {words}{': write diag(...)' if is_all else ' alone'}"]
        if q.claimed.rank == 2 and q.truth.rank == 1 and q.claimed.shape[0] == q.claimed.shape[1]:
            diagonal = contract([q.claimed], [(0, 0)], (0,))
            if diagonal.shape == q.truth.shape and decide(diagonal, q.truth, q.variables).equal:
                return ["the derivative is the diagonal of the claim"]
        return []


def _scalar(q: Question, factor: Expr) -> Expression:
    return Expression(factor, (), q.as_expression(q.truth)._context)


def _negated(term: Expr) -> Expr:
    return add([(-1, term)], term.shape)


def _shortest(term: Expr) -> Expr:
    """The simplified term, multiplied out where that is shorter."""
    (short,) = simplify([term])
    (long,) = simplify(expand([short]))
    return min((short, long), key=lambda t: len(postorder([t])))


def _has(term: Expr, function: str) -> bool:
    return any(isinstance(n, Apply) and n.function == function for n in postorder([term]))


def _listed(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _sizes_in_words(shape: Sequence[object]) -> str:
    return f"({', '.join(map(str, shape))})"


def _factor_sentences(value: Fraction) -> list[str]:
    if value == Fraction(1, 2):
        return ["a factor 2 is forgotten: a square, or a variable that stands in two places"]
    if value == 2:
        return ["there is a factor 2 too many"]
    if value < 0:
        return [f"the sign is wrong, and the size by the factor {-value}"]
    return []
