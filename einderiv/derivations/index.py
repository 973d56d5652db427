"""The index method: product and chain rule entry by entry, with Kronecker deltas.

In: a question. Out: its derivation: the expression in indices, rules applied from the outside in, deltas
contracted, dummy indices renamed, like terms collected, the engine's result, its matrix form.
Invariant: definitions are derived before what uses them; the last step is the engine's own result.
Source: the MIT notes' A.15 to A.22, "matrix derivatives using Einstein summation".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..calculus import with_assumptions
from ..equality import check_equal
from ..errors import NotMatrixFormError
from ..notations import Definition, Node
from ..printers import (
    Leaf,
    Letters,
    Names,
    Pending,
    Product,
    Raw,
    Total,
    TreeWriter,
    Unfolder,
    all_names,
    entry,
    free_names,
    matrix_latex,
    matrix_text_of,
    name_latex,
    partial,
    rename,
    to_term,
    tree_latex,
    tree_text,
    unparse,
)
from ..terms import (
    ONE,
    Contraction,
    Dim,
    Expr,
    Variable,
    dependents,
    postorder,
    split_scale,
    substituted,
    transpose,
)
from .derivation import Derivation, Question
from .index_rules import Rule, Rules, spliced, without_deltas
from .parts import named_parts, reserved_names
from .records import Line, Step, capped

# What the blocks of one derivation share: letters, definitions, and how a step is shown and checked.
#
# In: a question. Out: lines and checked steps.
# Invariant: each step's two sides are compared before it is shown (`checking.py`); definitions stand as
# tensors of their own there, so that the work grows with the length of what is shown.


@dataclass(frozen=True, slots=True)
class State:
    """A right-hand side: constant factors in front, then a sum of products."""

    front: Product
    terms: tuple[Product, ...]

    def raw(self) -> Raw:
        """The whole as one tree."""
        if not self.terms:
            return Total((), ())
        if len(self.terms) == 1:
            (term,) = self.terms
            c = self.front.coefficient * term.coefficient
            return Product(c, (*self.front.factors, *term.factors), term.summed)
        inner = Total(
            tuple(term.coefficient for term in self.terms),
            tuple(replace(term, coefficient=ONE) for term in self.terms),
        )
        if not self.front.factors and self.front.coefficient == 1:
            return inner
        return Product(self.front.coefficient, (inner, *self.front.factors), ())


@dataclass(slots=True)
class Block:
    """The derivation of one left-hand side: the result's or a definition's."""

    name: str
    term: Expr
    indices: Names
    steps: list[Step] = field(default_factory=list)
    state: State = State(Product(ONE, (), ()), ())


class Frame:
    """What all blocks of a derivation share."""

    def __init__(self, question: Question) -> None:
        self.question = question
        context, x = question.context, question.variable
        self.names = question.names
        hints = context
        letters = Letters(hints)
        self.dims: dict[str, Dim] = letters.dims
        for names, shape in ((question.indices, question.term.shape), (self.names, x.shape)):
            self.dims.update(zip(names, shape, strict=True))
        moving = dependents([question.term], [x])
        taken = reserved_names(context.variables, context.declared)
        self.name = (
            context.name if context.name and context.name not in taken else _free_name(taken)
        )
        taken.add(self.name)
        parts = named_parts(question.term, context.definitions, moving, taken)
        self.lets = {node: Variable(name, node.shape) for node, name in parts.items()}
        self.slope: dict[Variable, Variable] = {
            u: Variable(f"∂{u.name}", u.shape + x.shape)
            for node, u in self.lets.items()
            if node in moving
        }
        self.unfolder = Unfolder(letters, self.lets, frozenset((*question.indices, *self.names)))
        self.slopes = set(self.slope.values())
        self.rules = Rules(self.unfolder, self.dims, x, self.names, tuple(self.slope.items()))
        self.writer = TreeWriter(
            self.extent, {du: (u.name, x.name, u.rank) for u, du in self.slope.items()}
        )
        self.blocks: dict[Variable, Block] = {}
        # definitions, each in terms of those before
        self.bodies: dict[Expr, Expr] = {}
        self.full: dict[
            Expr, Expr
        ] = {}  # the same and their derivatives, in terms of the user's tensors
        self.given: list[tuple[Line, Line]] = []

    def extent(self, dim: str) -> Node:
        """An extent as the size of an index."""
        return entry("size", [next((n for n, own in self.dims.items() if own == dim), dim)])

    def line(self, raw: Raw, names: Names) -> Line:
        """A right-hand side whose left-hand side has the indices `names`."""
        tree = self.writer.tree(raw, names)
        return Line(tree_text(tree), tree_latex(tree), to_term(raw, self.dims, names))

    def left(self, block: Block) -> Line:
        """`∂J/∂th[d]`."""
        x = entry(self.question.variable.name, self.names)
        tree = partial(entry(block.name, block.indices), x)
        return Line(tree_text(tree), tree_latex(tree))

    def give(self, name: str, indices: Names, raw: Raw) -> None:
        """Put an equation among what is given."""
        tree = entry(name, indices)
        self.given.append((Line(tree_text(tree), tree_latex(tree)), self.line(raw, indices)))

    def step(
        self,
        block: Block,
        rule: str,
        law: str,
        before: State,
        after: State,
        latex: str = "",
        part: tuple[Raw, Raw] | None = None,
        folded: Sequence[Step] = (),
        known: Mapping[Expr, Expr] | None = None,
    ) -> None:
        """Add a step to a block unless nothing is seen to change; checked here."""
        names = (*block.indices, *self.names)
        block.state = after
        left, right = self.line(before.raw(), names), self.line(after.raw(), names)
        if left.text == right.text:
            return
        block.steps.append(
            self.checked(rule, law, left, right, latex, part, self.left(block), folded, known)
        )

    def checked(
        self,
        rule: str,
        law: str,
        before: Line,
        after: Line,
        latex: str,
        part: tuple[Raw, Raw] | None,
        left: Line | None,
        folded: Sequence[Step] = (),
        known: Mapping[Expr, Expr] | None = None,
    ) -> Step:
        """A step whose two sides are compared, where need be with what is `known` put in."""
        assert before.term is not None and after.term is not None
        how = check_equal(self.more_and_more_explicit(before.term, after.term, known or {}))
        shown = None
        if part is not None:
            names = tuple(dict.fromkeys(name for raw in part for name in free_names(raw)))
            shown = (self.line(part[0], names), self.line(part[1], names))
        return Step(rule, law, before, after, shown, how, left, latex, tuple(folded))

    def more_and_more_explicit(
        self, before: Expr, after: Expr, known: Mapping[Expr, Expr]
    ) -> Iterator[tuple[Expr, Expr]]:
        """Two sides with what is known put in; with definitions called by name; with all in full."""
        a, b = substituted([before, after], known)
        yield a, b
        named: dict[Expr, Expr] = {body: u for u, body in self.bodies.items()}
        c, d = substituted([a, b], named)
        if (c, d) != (a, b):
            yield c, d
        if self.full:
            yield self.in_full(a), self.in_full(b)

    def in_full(self, term: Expr) -> Expr:
        """A term with the definitions and their derivatives written out."""
        return substituted([term], self.full)[0]

    def write_out(self, node: Expr, u: Variable) -> None:
        """Note what a definition and its derivative are in full."""
        self.full[u] = node
        if u in self.blocks:
            block = self.blocks[u]
            own = to_term(block.state.raw(), self.dims, (*block.indices, *self.names))
            self.full[self.slope[u]] = self.in_full(own)

    def axis_letters(self, node: Expr) -> Names:
        """Letters for the axes of a definition."""
        return self.unfolder.letters.letters(node.shape, self.unfolder.reserved)


def _free_name(taken: set[str]) -> str:
    return next(
        name for name in ("f", "F", "y", "Y", *(f"f{k}" for k in range(1, 99))) if name not in taken
    )


# The index method on one left-hand side: rules from the outside in, then deltas, names and like terms.
#
# In: a raw tree. Out: the steps to its derivative, and the state they end in.
# Invariant: a round applies each rule that is due once; rules that a reader takes for granted all at once.

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
            moved = rename(whole, {**fresh, **dict(zip(axes, names, strict=True))})
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


# ----------------------------------------------------------------------


def derive(question: Question) -> Derivation:
    """The derivation of a derivative by the index method."""
    return _Derivation(question).derivation()


class _Derivation(BlockRules):
    """All blocks, then the engine's result."""

    def derivation(self) -> Derivation:
        """All blocks, then the engine's result."""
        question = self.question
        for node, u in self.lets.items():
            indices = self.axis_letters(node)
            raw = self.unfolder.raw(node, indices)
            self.give(u.name, indices, raw)
            self.bodies[u] = to_term(raw, self.dims, indices)
            self.unfolder.lets[self.bodies[u]] = u  # shown by its name from now on
            if u in self.slope:
                block = Block(u.name, node, indices)
                self.blocks[u] = block
                self.derive_block(block, raw)
            self.write_out(node, u)
        main = Block(self.name, question.term, question.indices)
        raw = self.unfolder.raw(question.term, question.indices)
        self.give(self.name, question.indices, raw)
        self.derive_block(main, raw)
        self.finish(main)
        note = [self.layout_note(), self.matrix_form(main)]
        return Derivation(
            "index",
            question.expression,
            question.wanted,
            capped([block.steps for block in self.blocks.values()], main.steps),
            question.answer,
            "\n".join(line for line in note if line),
            self.left(main),
            tuple(self.given),
        )

    def finish(self, main: Block) -> None:
        """From the last line to the engine's result, then its matrix form."""
        question = self.question
        names = (*main.indices, *self.names)
        answer = question.answer
        now = self.line(main.state.raw(), names)
        assert now.term is not None
        result = self.result_line()
        axes = tuple(names.index(name) for name in answer.indices)
        full = transpose(self.in_full(now.term), axes)
        term = with_assumptions(full, question.context.assumptions)
        how = check_equal([(term, answer.term)])
        uses = [u for u in postorder([now.term]) if u in self.bodies or u in self.slopes]
        if main.steps and not uses and (full is answer.term or now.text == result.text):
            main.steps[-1] = replace(main.steps[-1], after=result)
            return
        rule, law, latex = self.last_rule(uses, len(main.state.terms))
        main.steps.append(Step(rule, law, now, result, None, how, self.left(main), latex))

    def result_line(self) -> Line:
        """The engine's result, with definitions of its own behind it."""
        answer = self.question.answer
        shown = unparse(answer.term, answer.indices, self.question.context)
        *others, last = [s for s in shown.statements if isinstance(s, Definition)]
        text, latex = tree_text(last.expression), tree_latex(last.expression)
        for other in others:
            assert other.name is not None
            left = entry(other.name, [index.name for index in other.indices or ()])
            text += f"\nwhere {tree_text(left)} = {tree_text(other.expression)}"
            latex += rf",\quad {tree_latex(left)} = {tree_latex(other.expression)}"
        return Line(text, latex, answer.term)

    def last_rule(self, uses: Sequence[Expr], terms: int) -> tuple[str, str, str]:
        """What the last step to the engine's result does, in words and symbols."""
        names = [x.name for x in uses if isinstance(x, Variable)]
        assumed = self.question.context.assumptions
        words = "; ".join(f"{n} is {' and '.join(sorted(w))}" for n, w in assumed.items() if w)
        if names:
            more = " and others" if len(names) > 4 else ""
            return "definitions written out", f"{', '.join(names[:4])}{more} from above", ""
        if words:
            return "simplified", words, ""
        if terms < 2:
            return "simplified", "the engine's shorter form", ""
        return "simplified", "u*v + u*w = u*(v + w)", r"u\,v + u\,w = u\,(v + w)"

    def matrix_form(self, main: Block) -> str:
        """A step to the matrix form, or why there is none."""
        answer = self.question.answer
        try:
            shown = matrix_text_of(answer.term, self.question.context)
        except NotMatrixFormError as problem:
            rank = answer.term.rank
            return f"no matrix form: the result has {rank} axes" if rank > 2 else problem.message
        result = self.result_line()
        *others, last = [s for s in shown.statements if isinstance(s, Definition)]
        text, latex = tree_text(last.expression), matrix_latex(last.expression)
        for other in others:
            text += f"\nwhere {other.name} = {tree_text(other.expression)}"
            latex += rf",\quad {name_latex(other.name or '')} = {matrix_latex(other.expression)}"
        if text == result.text:
            return ""
        after = Line(text, latex, result.term)
        law, formula = _matrix_laws(text, result.term)
        main.steps.append(
            Step("matrix form", law, result, after, None, "identity", self.left(main), formula)
        )
        return ""

    def layout_note(self) -> str:
        """The axes of the result in order, and whose they are."""
        question = self.question
        own = [f"{', '.join(question.indices)} of {self.name}"] if question.indices else []
        new = [f"{', '.join(question.names)} of {question.variable.name}"] if self.names else []
        if not own and not new:
            return "a number by a number: no axes"
        parts = new + own if question.layout == "denominator" else own + new
        return f"{question.layout} layout: axes {', then '.join(parts)}"


def _matrix_laws(text: str, term: Expr | None) -> tuple[str, str]:
    """What reading entries as a matrix uses: text and LaTeX."""
    laws = []
    nodes = postorder([term]) if term is not None else ()
    products = [node for node in nodes if isinstance(node, Contraction) and len(node.children) > 1]
    if "*" in text and any({x for own in p.inputs for x in own} - set(p.output) for p in products):
        laws.append(("(A*B)[i,j] = A[i,k]*B[k,j]", r"(A B)_{ij} = A_{ik} B_{kj}"))
    if "'" in text:
        laws.append(("A'[i,j] = A[j,i]", r"{A}^{\mathsf{T}}_{ij} = A_{ji}"))
    laws = laws or [("A is the array of A[i,j]", r"A = (A_{ij})")]
    return ", ".join(law for law, _ in laws), r",\; ".join(formula for _, formula in laws)
