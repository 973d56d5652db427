"""The index method on one left-hand side: rules from the outside in, then deltas, names and like terms.

In: a raw tree. Out: the steps to its derivative, and the state they end in.
Invariant: a round applies each rule that is due once; rules that a reader takes for granted all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from ..expr import Expr
from ..printers.partials import tree_latex, tree_text
from ..structure import split_scale
from .frame import Block, Frame, State
from .index_rules import spliced, without_deltas
from .laws import Rule
from .raw_terms import (
    Leaf,
    Names,
    Pending,
    Product,
    Raw,
    Total,
    all_names,
    free_names,
    renamed,
    to_term,
)
from .records import Line, Step
from .unfolding import ONE

_SHORT = 64  # characters of a definition's derivative that is put in where it is used
_PRODUCTS = 4  # it brings in so many products at most
_LAWS = 90  # characters of laws that are shown with one step


class BlockRules(Frame):
    """Derives blocks."""

    def derive_block(self, block: Block, raw: Raw) -> None:
        """Rules from the outside in, then deltas, names and like terms."""
        whole = self.rules.pending(raw)
        front, core = self.constant_factors(raw)
        state = State(Product(ONE, (), ()), (Product(ONE, (whole,), ()),))
        inner = State(front, (Product(ONE, (self.rules.pending(core),), ()),))
        if not self.rules.depends(raw):
            self.step(
                block,
                "constant",
                f"it has no {self.question.variable.name}",
                state,
                State(front, ()),
            )
            return
        block.state = state
        first: State | None = state  # constants come out with the first rule
        while any(_place(term) is not None for term in inner.terms):
            inner = self.round(block, first or inner, inner)
            first = None
        self.put_definitions_in(block)
        self.contract_deltas(block)
        self.rename_dummies(block, block.term is self.question.term)
        self.collect(block)

    def constant_factors(self, raw: Raw) -> tuple[Product, Raw]:
        """Numbers and scalars that do not depend on the variable, and what is left."""
        if not isinstance(raw, Product):
            return Product(ONE, (), ()), raw
        front = tuple(f for f in raw.factors if not free_names(f) and not self.rules.depends(f))
        rest = tuple(f for f in raw.factors if f not in front)
        single = rest[0] if len(rest) == 1 and not raw.summed else Product(ONE, rest, raw.summed)
        return Product(raw.coefficient, front, ()), single

    def round(self, block: Block, shown: State, state: State) -> State:
        """One rule everywhere it is due; rules that a reader takes for granted all at once."""
        before = shown
        folded: list[Step] = []
        used: dict[Rule, None] = {}
        part: tuple[Raw, Raw] | None = None
        trivial = self.next_is_trivial(state)
        while True:
            terms: list[Product] = []
            changed = False
            for term in state.terms:
                place = _place(term)
                if place is None:
                    terms.append(term)
                    continue
                pending = term.factors[place]
                assert isinstance(pending, Pending)
                around = all_names([term])
                if self.is_trivial(pending) != trivial:
                    terms.append(term)
                    continue
                rule, products = self.rules.applied(pending, around)
                changed = True
                used[rule] = None
                piece = State(Product(ONE, (), ()), tuple(products)).raw()
                if part is None or (isinstance(part[1], Total) and rule.name.startswith("deriv")):
                    part = (pending, piece)
                if rule.name != "definition":
                    folded.append(self.single(rule, pending, piece))
                terms += [spliced(term, place, product, self.rules) for product in products]
            state = State(state.front, tuple(terms))
            if not trivial or not changed:
                break
        names = list(dict.fromkeys(rule.name for rule in used))
        laws = [rule for rule in used if rule.latex]
        main = [rule for rule in laws if rule.name == "derivative of an entry"] or laws
        self.step(
            block,
            ", ".join(names),
            listed([rule.law for rule in main], "; "),
            before,
            state,
            listed([rule.latex for rule in main], r",\; "),
            part,
            folded if len(folded) > 1 else (),
        )
        return state

    def single(self, rule: Rule, pending: Pending, piece: Raw) -> Step:
        """One rule applied once, checked on its own."""
        names = free_names(pending)
        before, after = self.line(pending, names), self.line(piece, names)
        return self.checked(rule.name, rule.law, before, after, rule.latex, None, before)

    def next_is_trivial(self, state: State) -> bool:
        pendings = [term.factors[k] for term in state.terms if (k := _place(term)) is not None]
        return any(isinstance(p, Pending) and self.is_trivial(p) for p in pendings)

    def is_trivial(self, pending: Pending) -> bool:
        """Sums, constant factors and entries are taken for granted; so no step for each."""
        inner = pending.inner
        if isinstance(inner, Product):
            return sum(self.rules.depends(factor) for factor in inner.factors) < 2
        return isinstance(inner, Leaf | Total)

    def put_definitions_in(self, block: Block) -> None:
        """Short derivatives of definitions where they stand."""
        state = block.state
        uses = [f.term for t in state.terms for f in t.factors if isinstance(f, Leaf)]
        derivatives: dict[Expr, Block] = {
            du: self.blocks[u]
            for u, du in self.slope.items()
            if u in self.blocks and _is_short(self.blocks[u], uses.count(du))
        }
        terms: list[Product] = []
        laws: dict[Line, Line] = {}
        known: dict[Expr, Expr] = {}
        waiting = list(reversed(state.terms))
        while waiting:
            term = waiting.pop()
            places = (k for k, f in enumerate(term.factors) if _term_of(f) in derivatives)
            place = next(places, None)
            if place is None:
                terms.append(term)
                continue
            leaf = term.factors[place]
            assert isinstance(leaf, Leaf)
            inner = derivatives[leaf.term]
            axes = (*inner.indices, *self.names)
            raw = inner.state.raw()
            known[leaf.term] = to_term(raw, self.dims, axes)
            laws[self.left(inner)] = self.line(raw, axes)
            products = list(self.placed_apart(inner.state, axes, leaf.names, term))
            waiting += [spliced(term, place, product, self.rules) for product in products]
        shown = list(laws.items())[:2]
        self.step(
            block,
            "definitions' derivatives put in",
            "; ".join(f"{left} = {right}" for left, right in shown),
            state,
            State(state.front, tuple(terms)),
            r",\; ".join(f"{left.latex} = {right.latex}" for left, right in shown),
            known=known,
        )

    def placed_apart(
        self, known: State, axes: Names, names: Names, term: Product
    ) -> Iterable[Product]:
        """The products of a definition's derivative at other names for its axes."""
        for product in reversed(known.terms):
            whole = State(known.front, (product,)).raw()
            assert isinstance(whole, Product)
            own = all_names([whole]) - set(axes)
            used = self.unfolder.reserved.union(own, all_names([term]), names, axes)
            fresh: dict[str, str] = {}
            for name in sorted(own & {*names, *all_names([term])}):
                fresh[name] = self.unfolder.letters.letter(self.dims[name], used)
                used |= {fresh[name]}
            moved = renamed(whole, {**fresh, **dict(zip(axes, names, strict=True))})
            assert isinstance(moved, Product)
            yield moved

    def contract_deltas(self, block: Block) -> None:
        state = block.state
        terms, laws = [], []
        for term in state.terms:
            new, own = without_deltas(term, self.dims)
            terms.append(new)
            laws += own
        texts = dict.fromkeys(tree_text(law).replace("==", "=") for law in laws)
        formulas = dict.fromkeys(tree_latex(law) for law in laws)
        rule = "deltas contracted" if any("delta" in text for text in texts) else "ones summed"
        self.step(
            block,
            rule,
            listed(list(texts), "; "),
            state,
            State(state.front, tuple(terms)),
            listed(list(formulas), r",\; "),
        )

    def rename_dummies(self, block: Block, is_last: bool) -> None:
        """Every product in one order of factors and with the first letters there are.

        Only where this brings terms together, or leads on to the result.
        """
        state = block.state
        names = (*block.indices, *self.names)
        bare = {split_scale(to_term(term, self.dims, names))[1] for term in state.terms}
        if len(bare) == len(state.terms) and (len(bare) < 2 or not is_last):
            return
        terms = [self.tidied(term, block) for term in state.terms]
        before = [self.dummies(term) for term in state.terms]
        after = [self.dummies(term) for term in terms]
        rule, law, latex = "factors in one order", "u*v = v*u", r"u\,v = v\,u"
        if before != after:
            rule, law = "dummy indices renamed", "u[a]*v[a] = u[b]*v[b]"
            latex = r"u_{a} v_{a} = u_{b} v_{b}"
        elif len(bare) == len(state.terms):
            return
        self.step(block, rule, law, state, State(state.front, tuple(terms)), latex)

    def dummies(self, term: Product) -> set[str]:
        return all_names([term]) - set(free_names(term))

    def tidied(self, term: Product, block: Block) -> Product:
        names = tuple(n for n in (*block.indices, *self.names) if n in free_names(term))
        raw = self.unfolder.raw(to_term(term, self.dims, names), names)
        return raw if isinstance(raw, Product) else Product(ONE, (raw,), ())

    def collect(self, block: Block) -> None:
        """Equal products become one with a coefficient."""
        state = block.state
        names = (*block.indices, *self.names)
        found: dict[Expr, list[tuple[Fraction, Product]]] = {}
        for term in state.terms:
            size, bare = split_scale(to_term(term, self.dims, names))
            found.setdefault(bare, []).append((size, term))
        terms = []
        for equal in found.values():
            (first, term), total = equal[0], sum(size for size, _ in equal)
            if total:
                terms.append(replace(term, coefficient=term.coefficient * total / first))
        self.step(
            block,
            "like terms collected",
            "u + u = 2*u",
            state,
            State(state.front, tuple(terms)),
            "u + u = 2\\,u",
        )


def listed(laws: Sequence[str], between: str) -> str:
    """The first laws, as many as fit beside a line."""
    count = 2 if sum(map(len, laws[:2])) <= _LAWS else 1
    return between.join(laws[:count])


def _place(term: Product) -> int | None:
    """Where a product has its derivative that is not carried out."""
    return next((k for k, f in enumerate(term.factors) if isinstance(f, Pending)), None)


def _term_of(raw: Raw) -> Expr | None:
    return raw.term if isinstance(raw, Leaf) else None


def _is_short(block: Block, uses: int) -> bool:
    """Is a definition's derivative put in where it is used, so often?"""
    length = len(block.steps[-1].after.text) if block.steps else 0
    return len(block.state.terms) * uses <= _PRODUCTS and length <= _SHORT
