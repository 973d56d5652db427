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
from ..notations import Call, Index, Node
from ..printers import (
    NOWHERE,
    Applied,
    Leaf,
    Letters,
    Mapped,
    Names,
    Pending,
    Power,
    Product,
    Raw,
    Total,
    TreeWriter,
    Unfolder,
    all_names,
    entry,
    fraction_tree,
    free_names,
    matrix_text_of,
    number_tree,
    raw_postorder,
    rename,
    to_term,
    unparse,
)
from ..terms import (
    ONE,
    Contraction,
    Delta,
    Dim,
    Expr,
    Literal,
    Ones,
    Variable,
    dependents,
    extent,
    is_zero,
    postorder,
    split_scale,
    substitute_terms,
    transpose,
)
from . import laws
from .derivation import Derivation, Question
from .laws import Rule, combine
from .parts import free_name, named_parts, reserved_names
from .records import (
    Line,
    Step,
    checked_step,
    fold_steps,
    index_line,
    partial_line,
    program_line,
    step_by,
)

_SHORT = 64  # characters of a definition's derivative that is put in where it is used
_PRODUCTS = 4  # it brings in so many products at most
_NOTHING = Product(ONE, (), ())


def derive(question: Question) -> Derivation:
    """The derivation of a derivative by the index method."""
    return _Index(question).derivation()


def _raw_sum(front: Product, terms: Sequence[Product]) -> Raw:
    """Constant factors in front, then a sum of products, as one tree."""
    if not terms:
        return Total((), ())
    if len(terms) == 1:
        (term,) = terms
        c = front.coefficient * term.coefficient
        return Product(c, (*front.factors, *term.factors), term.summed)
    units = tuple(replace(term, coefficient=ONE) for term in terms)
    inner = Total(tuple(term.coefficient for term in terms), units)
    if not front.factors and front.coefficient == 1:
        return inner
    return Product(front.coefficient, (inner, *front.factors), ())


@dataclass(slots=True)
class Block:
    """The derivation of one left-hand side, the result's or a definition's, and its last right-hand side."""

    left: Line
    axes: Names  # its own indices, then the variable's
    front: Product
    terms: Sequence[Product]
    steps: list[Step] = field(default_factory=list)

    def raw(self) -> Raw:
        return _raw_sum(self.front, self.terms)


class _Index:
    """One derivation: its letters and definitions, how a step is shown and checked, its blocks.

    A step's two sides are compared with definitions as tensors of their own first, so that the work grows
    with the length of what is shown.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.x, self.names = question.variable, question.names
        letters = Letters(question.context)
        self.dims = letters.dims
        for names, shape in ((question.indices, question.term.shape), (self.names, self.x.shape)):
            self.dims.update(zip(names, shape, strict=True))
        moving = dependents([question.term], [self.x])
        taken = reserved_names(question.context)
        self.name = free_name((question.context.name, "f", "F", "y", "Y"), taken)
        parts = named_parts(question.term, question.context.definitions, moving, taken)
        self.lets = {node: Variable(name, node.shape) for node, name in parts.items()}
        self.slopes = {  # a definition that depends on x -> its derivative
            u: Variable(f"∂{u.name}", u.shape + self.x.shape)
            for node, u in self.lets.items()
            if node in moving
        }
        self.reserved = frozenset((*question.indices, *self.names))
        self.unfolder = Unfolder(letters, self.lets, self.reserved)
        slopes: dict[Expr, tuple[str, str, int]] = {
            du: (u.name, self.x.name, u.rank) for u, du in self.slopes.items()
        }
        self.writer = TreeWriter(self._extent, slopes)
        self.blocks: dict[Variable, Block] = {}  # a definition's derivative -> how it comes about
        self.bodies: dict[Expr, Expr] = {}  # definitions, each in terms of those before
        self.full: dict[Expr, Expr] = {}  # they and their derivatives, in the user's tensors
        self.given: list[tuple[Line, Line]] = []

    def _extent(self, dim: str) -> Node:
        """An extent as the size of an index."""
        return entry("size", [next((n for n, own in self.dims.items() if own == dim), dim)])

    def derivation(self) -> Derivation:
        question = self.question
        for node, u in self.lets.items():
            indices = self.unfolder.letters.letters(node.shape, self.reserved)
            raw = self._give(u.name, indices, node)
            self.bodies[u] = to_term(raw, self.dims, indices)
            self.unfolder.lets[self.bodies[u]] = u
            self.full[u] = node
            if u in self.slopes:
                du = self.slopes[u]
                block = self.blocks[du] = self._derive_block(u.name, indices, raw, False)
                own = to_term(block.raw(), self.dims, block.axes)
                self.full[du] = self._in_full(own)
        raw = self._give(self.name, question.indices, question.term)
        main = self._derive_block(self.name, question.indices, raw, True)
        self._finish(main)
        note = [self._layout_note(), self._matrix_form(main)]
        steps = fold_steps([block.steps for block in self.blocks.values()], main.steps)
        shown = "\n".join(line for line in note if line)
        return Derivation("index", question, main.left, tuple(self.given), steps, shown)

    def _give(self, name: str, indices: Names, node: Expr) -> Raw:
        """A term as a tree, put among what is given."""
        raw = self.unfolder.raw(node, indices)
        self.given.append((index_line(entry(name, indices)), self._line(raw, indices)))
        return raw

    # ------------------------------------------------------------ lines and steps

    def _line(self, raw: Raw, names: Names) -> Line:
        """A right-hand side whose left-hand side has the indices `names`."""
        return index_line(self.writer.tree(raw, names), to_term(raw, self.dims, names))

    def _step(
        self,
        block: Block,
        rule: Rule,
        terms: Iterable[Product],
        front: Product | None = None,
        part: tuple[Raw, Raw] | None = None,
        folded: Sequence[Step] = (),
        known: Mapping[Expr, Expr] | None = None,
    ) -> None:
        """The next right-hand side of a block; a step unless nothing is seen to change."""
        before = self._line(block.raw(), block.axes)
        block.front, block.terms = front or block.front, tuple(terms)
        after = self._line(block.raw(), block.axes)
        if after.text == before.text:
            return
        shown = None
        if part is not None:
            names = tuple(dict.fromkeys(name for raw in part for name in free_names(raw)))
            shown = self._line(part[0], names), self._line(part[1], names)
        step = self._checked_step(rule, before, after, block.left, known)
        block.steps.append(replace(step, part=shown, folded=tuple(folded)))

    def _checked_step(
        self, rule: Rule, before: Line, after: Line, left: Line, known: Mapping[Expr, Expr] | None
    ) -> Step:
        """A step whose sides are compared with what is known put in; definitions by name; all in full."""

        def more_and_more_explicit(before: Expr, after: Expr) -> Iterator[tuple[Expr, Expr]]:
            a, b = substitute_terms([before, after], known or {})
            yield a, b
            c, d = substitute_terms([a, b], {body: u for u, body in self.bodies.items()})
            if (c, d) != (a, b):
                yield c, d
            if self.full:
                yield self._in_full(a), self._in_full(b)

        return checked_step(rule, before, after, left, more_and_more_explicit)

    def _in_full(self, term: Expr) -> Expr:
        """A term with the definitions and their derivatives written out."""
        return substitute_terms([term], self.full)[0]

    # ------------------------------------------------------------ a block

    def _derive_block(self, name: str, indices: Names, raw: Raw, is_last: bool) -> Block:
        """Rules from the outside in, then deltas, names and like terms."""
        left = partial_line(name, indices, self.x.name, self.names)
        whole = Product(ONE, (self.pending(raw),), ())
        block = Block(left, (*indices, *self.names), _NOTHING, [whole])
        front, core = self._constant_factors(raw)
        if not self.depends(raw):
            self._step(block, Rule("constant", f"it has no {self.x.name}"), (), front)
            return block
        terms = [Product(ONE, (self.pending(core),), ())]
        while any(_place(term) is not None for term in terms):
            terms = self._round(block, front, terms)  # constants come out with the first rule
        self._put_definitions_in(block)
        self._contract_deltas(block)
        self._rename_dummies(block, is_last)
        self._collect(block)
        return block

    def _constant_factors(self, raw: Raw) -> tuple[Product, Raw]:
        """Numbers and scalars that do not depend on the variable, and what is left."""
        if not isinstance(raw, Product):
            return _NOTHING, raw
        front = tuple(f for f in raw.factors if not free_names(f) and not self.depends(f))
        rest = tuple(f for f in raw.factors if f not in front)
        single = rest[0] if len(rest) == 1 and not raw.summed else Product(ONE, rest, raw.summed)
        return Product(raw.coefficient, front, ()), single

    def _round(self, block: Block, front: Product, terms: list[Product]) -> list[Product]:
        """One rule everywhere it is due; rules that a reader takes for granted all at once."""
        folded: list[Step] = []
        used: list[Rule] = []
        part: tuple[Raw, Raw] | None = None
        pendings = [f for term in terms for f in term.factors if isinstance(f, Pending)]
        trivial = any(map(self._is_trivial, pendings))
        changed = True
        while changed:
            changed = False
            new: list[Product] = []
            for term in terms:
                place = _place(term)
                pending = None if place is None else term.factors[place]
                if place is None or self._is_trivial(pending) != trivial:
                    new.append(term)
                    continue
                assert isinstance(pending, Pending)
                rule, products = self.apply(pending, all_names([term]))
                changed = trivial
                used.append(rule)
                piece = _raw_sum(_NOTHING, products)
                if part is None or (isinstance(part[1], Total) and rule.name.startswith("deriv")):
                    part = (pending, piece)
                if rule.name != "definition":  # one rule applied once, checked on its own
                    names = free_names(pending)
                    one, other = self._line(pending, names), self._line(piece, names)
                    folded.append(self._checked_step(rule, one, other, one, None))
                new += [self.splice(term, place, product) for product in products]
            terms = new
        known = [rule for rule in dict.fromkeys(used) if rule.latex]
        main = [rule for rule in known if rule.name == "derivative of an entry"] or known
        folded = folded if len(folded) > 1 else []
        self._step(block, combine(used, main), terms, front, part, folded)
        return terms

    def _is_trivial(self, pending: Raw | None) -> bool:
        """Sums, constant factors and entries are taken for granted; so no step for each."""
        assert isinstance(pending, Pending)
        inner = pending.inner
        if isinstance(inner, Product):
            return sum(self.depends(factor) for factor in inner.factors) < 2
        return isinstance(inner, Leaf | Total)

    def _put_definitions_in(self, block: Block) -> None:
        """Short derivatives of definitions where they occur."""
        uses = [f.term for t in block.terms for f in t.factors if isinstance(f, Leaf)]
        derivatives: dict[Expr, Block] = {
            du: inner for du, inner in self.blocks.items() if _is_short(inner, uses.count(du))
        }
        terms: list[Product] = []
        put_in: dict[Line, Line] = {}
        known: dict[Expr, Expr] = {}
        waiting = list(reversed(block.terms))
        while waiting:
            term = waiting.pop()
            for place, leaf in enumerate(term.factors):
                if isinstance(leaf, Leaf) and leaf.term in derivatives:
                    inner = derivatives[leaf.term]
                    raw = inner.raw()
                    known[leaf.term] = to_term(raw, self.dims, inner.axes)
                    put_in[inner.left] = self._line(raw, inner.axes)
                    products = self._at_names(inner, leaf.names, term)
                    waiting += [self.splice(term, place, product) for product in products]
                    break
            else:
                terms.append(term)
        pairs = list(put_in.items())[:2]
        rule = Rule(
            "definitions' derivatives put in",
            "; ".join(f"{left} = {right}" for left, right in pairs),
            r",\; ".join(f"{left.latex} = {right.latex}" for left, right in pairs),
        )
        self._step(block, rule, terms, known=known)

    def _at_names(self, block: Block, names: Names, term: Product) -> Iterator[Product]:
        """The products of a definition's derivative, last first, at other names for its axes."""
        around = all_names([term])
        for product in reversed(block.terms):
            whole = _raw_sum(block.front, [product])
            own = all_names([whole]) - set(block.axes)
            used = self.reserved.union(own, around, names, block.axes)
            fresh = self.rename(sorted(own & {*names, *around}), used)
            moved = rename(whole, {**fresh, **dict(zip(block.axes, names, strict=True))})
            assert isinstance(moved, Product)
            yield moved

    def _contract_deltas(self, block: Block) -> None:
        found: dict[Rule, None] = {}
        terms = [_without_deltas(term, self.dims, found) for term in block.terms]
        is_delta = any("delta" in rule.law for rule in found)
        name = Rule("deltas contracted" if is_delta else "ones summed")
        self._step(block, combine([name], found), terms)

    def _rename_dummies(self, block: Block, is_last: bool) -> None:
        """Every product in one order of factors and with the first letters there are.

        Only if this brings terms together, or leads on to the result.
        """
        old = block.terms
        bare = {split_scale(to_term(term, self.dims, block.axes))[1] for term in old}
        if len(bare) == len(old) and (len(bare) < 2 or not is_last):
            return
        new = []
        for term in old:
            names = tuple(n for n in block.axes if n in free_names(term))
            new.append(_as_product(self.unfolder.raw(to_term(term, self.dims, names), names)))
        before, after = ([all_names([t]) - set(free_names(t)) for t in ts] for ts in (old, new))
        if before != after:
            self._step(block, laws.DUMMIES, new)
        elif len(bare) < len(old):
            self._step(block, laws.FACTOR_ORDER, new)

    def _collect(self, block: Block) -> None:
        """Equal products become one with a coefficient."""
        found: dict[Expr, list[tuple[Fraction, Product]]] = {}
        for term in block.terms:
            size, bare = split_scale(to_term(term, self.dims, block.axes))
            found.setdefault(bare, []).append((size, term))
        terms = []
        for equal in found.values():
            (first, term), total = equal[0], sum(size for size, _ in equal)
            if total:
                terms.append(replace(term, coefficient=term.coefficient * total / first))
        self._step(block, laws.LIKE_TERMS, terms)

    # ------------------------------------------------------------ the result

    def _finish(self, main: Block) -> None:
        answer, context = self.question.answer, self.question.context
        now = self._line(main.raw(), main.axes)
        assert now.term is not None
        result = self._result_line()
        full = transpose(self._in_full(now.term), tuple(map(main.axes.index, answer.indices)))
        how = check_equal([(with_assumptions(full, context.assumptions), answer.term)])
        named = {*self.bodies, *self.blocks}
        uses = [u.name for u in postorder([now.term]) if isinstance(u, Variable) and u in named]
        if main.steps and not uses and (full is answer.term or now.text == result.text):
            main.steps[-1] = replace(main.steps[-1], after=result)
            return
        words = [f"{n} is {' and '.join(sorted(w))}" for n, w in context.assumptions.items() if w]
        if uses:
            more = " and others" if len(uses) > 4 else ""
            rule = Rule("definitions written out", f"{', '.join(uses[:4])}{more} from above")
        elif words:
            rule = Rule("simplified", "; ".join(words))
        elif len(main.terms) < 2:
            rule = Rule("simplified", "the engine's shorter form")
        else:
            rule = laws.BRACKETS
        main.steps.append(step_by(rule, now, result, how, main.left))

    def _result_line(self) -> Line:
        """The engine's result, with definitions of its own behind it."""
        answer = self.question.answer
        hints = self.question.context
        return program_line(unparse(answer.term, answer.indices, hints), answer.term)

    def _matrix_form(self, main: Block) -> str:
        """A step to the matrix form, or why there is none."""
        term = self.question.answer.term
        try:
            program = matrix_text_of(term, self.question.context)
        except NotMatrixFormError as problem:
            return (
                f"no matrix form: the result has {term.rank} axes"
                if term.rank > 2
                else problem.message
            )
        result, after = self._result_line(), program_line(program, term, matrix=True)
        if after.text != result.text:
            rule = _matrix_rule(after.text, term)
            main.steps.append(step_by(rule, result, after, "identity", main.left))
        return ""

    def _layout_note(self) -> str:
        """The axes of the result in order, and whose they are."""
        question = self.question
        own = [f"{', '.join(question.indices)} of {self.name}"] if question.indices else []
        new = [f"{', '.join(self.names)} of {self.x.name}"] if self.names else []
        if not own and not new:
            return "a number by a number: no axes"
        parts = new + own if question.layout == "denominator" else own + new
        return f"{question.layout} layout: axes {', then '.join(parts)}"

    # ------------------------------------------------------------ one derivative, one level down

    # These are the engine's four formulas (Sum, Contraction, Map, Apply) on named indices; slopes and
    # differentials come from the same rows of the table of functions. Every product that leaves here holds
    # one derivative at most, as a factor of its own.

    def pending(self, raw: Raw) -> Pending:
        return Pending(raw, self.x, self.names, tuple(self.slopes.items()))

    def depends(self, root: Raw) -> bool:
        leaves = (raw.term for raw in raw_postorder(root) if isinstance(raw, Leaf))
        return any(term is self.x or term in self.slopes for term in leaves)

    def apply(self, pending: Pending, around: set[str]) -> tuple[Rule, list[Product]]:
        """The rule for a derivative, and the products it becomes; `around` are the names in use."""
        inner = pending.inner
        match inner:
            case Leaf():
                return self._entry(inner)
            case Total():
                pairs = zip(inner.coefficients, inner.terms, strict=True)
                terms = [Product(c, (self.pending(t),), ()) for c, t in pairs if self.depends(t)]
                return laws.P_SUM, terms
            case Product():
                return self._product(inner)
            case Power(base, p):
                slope = base if p == 2 else Power(base, p - 1)
                term = Product(p, (slope, self.pending(base)), ())
                return laws.P_POWERS.get(p, laws.P_POWER), [term]
            case Mapped():
                return self._elementwise(inner, around)
            case Applied():
                return self._whole(inner, around)
        raise AssertionError(inner)

    def _entry(self, leaf: Leaf) -> tuple[Rule, list[Product]]:
        u = leaf.term
        if isinstance(u, Variable) and u in self.slopes:
            slope = Leaf(self.slopes[u], (*leaf.names, *self.names))
            rule = Rule("definition", f"∂{u.name} stands above", "", True)
            return rule, [Product(ONE, (slope,), ())]
        pairs = list(zip(leaf.names, self.names, strict=True))
        deltas = tuple(Leaf(Delta(self.dims[b]), (a, b)) for a, b in pairs)
        left = partial_line(self.x.name, leaf.names, self.x.name, self.names)
        right = fraction_tree([entry("delta", pair) for pair in pairs], [], ONE)
        rule = _equation("derivative of an entry", left, right)
        return replace(rule, trivial=True), [Product(ONE, deltas, ())]

    def _product(self, inner: Product) -> tuple[Rule, list[Product]]:
        places = [k for k, factor in enumerate(inner.factors) if self.depends(factor)]
        terms = []
        for k in places:
            factors = list(inner.factors)
            factors[k] = self.pending(factors[k])
            terms.append(replace(inner, factors=tuple(factors)))
        if len(places) > 1:
            return laws.P_PRODUCT, terms
        return (laws.P_ENTRIES if len(inner.factors) == 1 else laws.P_FACTOR), terms

    def _elementwise(self, inner: Mapped, around: set[str]) -> tuple[Rule, list[Product]]:
        names = free_names(inner)
        used = frozenset(around - all_names([inner]) | set(names))
        arguments = tuple(
            to_term(a, self.dims, names if free_names(a) else ()) for a in inner.arguments
        )
        terms, own_laws = [], []
        for k, argument in enumerate(inner.arguments):
            if not self.depends(argument):
                continue
            slope = laws.slope_at(inner.function, k, arguments)
            assert slope is not None  # the engine has differentiated it
            own_laws.append(laws.slope_law(inner.function, k))
            if not is_zero(slope):
                shown = self.unfolder.raw(slope, names if slope.rank else (), used)
                front = _as_product(shown)
                if front.summed:
                    front = Product(ONE, (shown,), ())
                elif isinstance(shown, Leaf) and isinstance(shown.term, Literal):
                    front = Product(shown.term.value, (), ())
                terms.append(replace(front, factors=(*front.factors, self.pending(argument))))
        law, latex = zip(*own_laws, strict=True)
        return Rule("chain rule", "; ".join(law), r",\; ".join(latex)), terms

    def _whole(self, inner: Applied, around: set[str]) -> tuple[Rule, list[Product]]:
        """The row's differential with the argument's derivative for dA."""
        core = inner.bound or inner.outer
        batch = tuple(name for name in free_names(inner.argument) if name not in core)
        argument = to_term(inner.argument, self.dims, (*batch, *core))
        moved = Variable("∂", argument.shape)
        used = self.reserved.union(around, batch)
        outer: Names = ()  # one name may occur twice: inv(A)[i,i]
        for name in inner.outer:
            fresh = self.unfolder.letters.letters([self.dims[name]], used.union(outer))
            outer += fresh if name in outer or name in batch else (name,)
        found = laws.differential_at(inner.function, argument, moved, len(batch))
        shown = self.unfolder.raw(found, (*batch, *outer), frozenset(around))
        shown = rename(shown, dict(zip(outer, inner.outer, strict=True)))
        terms = []
        for term, k in self._linear_terms(shown, moved):
            factor = term.factors[k]
            assert isinstance(factor, Leaf)
            own = rename(inner.argument, dict(zip((*batch, *core), factor.names, strict=True)))
            factors = (*term.factors[:k], self.pending(own), *term.factors[k + 1 :])
            terms.append(replace(term, factors=factors))
        return Rule(
            f"differential of {inner.function}", *laws.differential_law(inner.function)
        ), terms

    def _linear_terms(self, root: Raw, moved: Expr) -> Iterator[tuple[Product, int]]:
        """A tree linear in the leaf `moved`, as products that hold it as a factor, and where."""
        waiting = [_as_product(root)]
        while waiting:
            term = waiting.pop()
            place = next(k for k, factor in enumerate(term.factors) if _holds(factor, moved))
            factor = term.factors[place]
            if isinstance(factor, Leaf):
                yield term, place
            elif isinstance(factor, Product):
                waiting.append(self._write_out(term, place, factor))
            else:
                assert isinstance(factor, Total)
                pairs = list(zip(factor.coefficients, factor.terms, strict=True))
                for c, inner in reversed(pairs):
                    if _holds(inner, moved):
                        whole = _as_product(inner)
                        whole = replace(whole, coefficient=c * whole.coefficient)
                        waiting.append(self._write_out(term, place, whole))

    def _write_out(self, term: Product, place: int, inner: Product) -> Product:
        """A product with its factor `place`, itself a product, written out.

        A term of a sum may lack an index that the product sums: it counts as often as the index has values.
        """
        factors = (*term.factors[:place], *inner.factors, *term.factors[place + 1 :])
        summed = (*term.summed, *inner.summed)
        present = {name for factor in factors for name in free_names(factor)}
        lacking = (Leaf(Ones(self.dims[name]), (name,)) for name in summed if name not in present)
        return Product(term.coefficient * inner.coefficient, (*factors, *lacking), summed)

    def splice(self, term: Product, place: int, inner: Product) -> Product:
        """A product with `inner` for its factor `place`, names apart.

        What `inner` sums must not occur in the other factors, what they keep must not be summed further in.
        """
        others = (*term.factors[:place], *term.factors[place + 1 :])
        elsewhere = all_names(others).union(term.summed)
        open_names = set(term.summed).union(*(free_names(factor) for factor in others))
        own = all_names(inner.factors) - set(free_names(inner)) - set(inner.summed)
        clashes = [name for name in inner.summed if name in elsewhere] + sorted(own & open_names)
        used = self.reserved.union(all_names([*term.factors, inner]))
        moved = rename(inner, self.rename(clashes, used))
        assert isinstance(moved, Product)
        return self._write_out(term, place, moved)

    def rename(self, names: Sequence[str], used: Iterable[str]) -> dict[str, str]:
        fresh = self.unfolder.letters.letters([self.dims[name] for name in names], used)
        return dict(zip(names, fresh, strict=True))


def _matrix_rule(text: str, term: Expr) -> Rule:
    """What reading entries as a matrix uses."""
    found = []
    products = [n for n in postorder([term]) if isinstance(n, Contraction) and len(n.children) > 1]
    if "*" in text and any({x for own in p.inputs for x in own} - set(p.output) for p in products):
        found.append(("(A*B)[i,j] = A[i,k]*B[k,j]", r"(A B)_{ij} = A_{ik} B_{kj}"))
    if "'" in text:
        found.append(("A'[i,j] = A[j,i]", r"{A}^{\mathsf{T}}_{ij} = A_{ji}"))
    law, latex = zip(*(found or [("A is the array of A[i,j]", r"A = (A_{ij})")]), strict=True)
    return Rule("matrix form", ", ".join(law), r",\; ".join(latex))


# ------------------------------------------------------------ products


def _place(term: Product) -> int | None:
    """The place in a product of the derivative that is not carried out."""
    return next((k for k, f in enumerate(term.factors) if isinstance(f, Pending)), None)


def _is_short(block: Block, uses: int) -> bool:
    """Is a definition's derivative put in where it is used, so often?"""
    length = len(block.steps[-1].after.text) if block.steps else 0
    return len(block.terms) * uses <= _PRODUCTS and length <= _SHORT


def _holds(root: Raw, leaf: Expr) -> bool:
    return any(isinstance(raw, Leaf) and raw.term is leaf for raw in raw_postorder(root))


def _as_product(raw: Raw) -> Product:
    return raw if isinstance(raw, Product) else Product(ONE, (raw,), ())


def _without_deltas(term: Product, dims: Mapping[str, Dim], found: dict[Rule, None]) -> Product:
    """Every delta with a summed index contracted: delta[b,d]*u[b] is u[d]; then ones summed.

    The laws are added to those found.
    """
    while True:
        place = next((k for k in range(len(term.factors)) if _is_contractible(term, k)), None)
        if place is None:
            break
        delta = term.factors[place]
        assert isinstance(delta, Leaf)
        a, b = delta.names
        kept, gone = (b, a) if a in term.summed else (a, b)
        rest = (*term.factors[:place], *term.factors[place + 1 :])
        left, right = _sum_over(gone, entry("delta", (a, b))), number_tree(ONE)
        if any(gone in free_names(factor) for factor in rest):  # delta[b,d]*u[b] = u[d]
            left = fraction_tree([entry("delta", (a, b)), entry("u", (gone,))], [], ONE)
            right = entry("u", (kept,))
        found[_equation("", index_line(left), right)] = None
        summed = tuple(name for name in term.summed if name != gone)
        factors = tuple(rename(factor, {gone: kept}) for factor in rest)
        term = Product(term.coefficient, factors, summed)
    # a sum over an index that nothing has but ones counts its values
    full = tuple(f for f in term.factors if not (isinstance(f, Leaf) and isinstance(f.term, Ones)))
    names = {name for factor in full for name in free_names(factor)}
    bare = [name for name in term.summed if name not in names]
    if not bare:
        return term
    for name in bare:
        ones = index_line(_sum_over(name, entry("ones", (name,))))
        found[_equation("", ones, entry("size", (name,)))] = None
    counts = (Leaf(extent(dims[name]), ()) for name in bare)
    summed = tuple(name for name in term.summed if name in names)
    return Product(term.coefficient, (*counts, *full), summed)


def _equation(name: str, left: Line, right: Node) -> Rule:
    other = index_line(right)
    return Rule(name, f"{left} = {other}", f"{left.latex} = {other.latex}")


def _sum_over(name: str, tree: Node) -> Node:
    return Call("sum", (Index(name, None, NOWHERE),), (tree,), None, NOWHERE, NOWHERE)


def _is_contractible(term: Product, place: int) -> bool:
    """Is a factor a delta with a summed index, and may one index replace its two?

    In a softmax, which has them apart, it may not.
    """
    delta = term.factors[place]
    if not isinstance(delta, Leaf) or not isinstance(delta.term, Delta):
        return False
    a, b = delta.names
    if a == b or not (a in term.summed or b in term.summed):
        return False
    return not any(
        isinstance(raw, Applied) and not raw.bound and {a, b} <= set(free_names(raw))
        for k, factor in enumerate(term.factors)
        if k != place
        for raw in raw_postorder(factor)
    )
