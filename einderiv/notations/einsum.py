"""From an einsum string to labels, and with the names of its operands to what it means.

In: a string in NumPy's rules; names, extents and assumptions given beside it. Out: `Subscripts`; `Meaning`.
Invariant: the term is the one that index notation gives for the same product; every label that is not in
the output is summed. Output labels occur once each, and also in the inputs; an operand holds one ellipsis
at most. Tensors and extents are `ranks.py`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from string import ascii_letters, ascii_uppercase

from ..errors import DimensionError, NotationError, Span, axes_in_words
from ..terms import Dim, Subscript
from . import complaints
from .complaints import REASONS, refusal
from .context import Assumptions, Meaning, Shapes
from .index import Statement, contraction
from .ranks import Program
from .syntax import Access, Definition, Index, Name, Product, Text, full_name

ELLIPSIS = "..."
LETTERS = ascii_letters  # all that a string can use

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subscripts:
    """Labels of every operand and of the output: letters, and "..." for the axes not named.

    `explicit`: was the output written? `str()` is a string that reads back to the same labels.

    >>> str(Subscripts((("i", "j"), ("j",)), ("i",)))
    'ij,j->i'
    """

    inputs: tuple[Labels, ...]
    output: Labels
    explicit: bool = True

    def __str__(self) -> str:
        left = ",".join("".join(term) for term in self.inputs)
        return f"{left}->{''.join(self.output)}" if self.explicit else left

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters in the order of the text."""
        found = dict.fromkeys(chain(*self.inputs, self.output))
        return tuple(letter for letter in found if letter != ELLIPSIS)

    @property
    def has_ellipsis(self) -> bool:
        """Does an operand or the output have axes that are not named?"""
        return any(ELLIPSIS in term for term in (*self.inputs, self.output))

    def count_unnamed(self, ranks: Sequence[int]) -> tuple[int, ...]:
        """How many axes the ellipsis of each operand covers, for operands of these ranks.

        >>> Subscripts((("...", "i"), ("i",)), ("...",)).count_unnamed([3, 1])
        (2, 0)

        Raises NotationError on another number of operands, DimensionError if a rank does not fit.
        """
        self.check_count(len(ranks))
        counts = []
        for place, (term, rank) in enumerate(zip(self.inputs, ranks, strict=True)):
            named = sum(label != ELLIPSIS for label in term)
            if rank < named or (rank > named and ELLIPSIS not in term):
                raise DimensionError(
                    f"operand {place} has {axes_in_words(rank)}, "
                    f"its subscripts {_quote(term)} name {named}",
                    source=str(self),
                    spans=[self.place(place)],
                    facts=["each letter names one axis"],
                    hint="add an ellipsis ... for axes without a letter"
                    if rank > named
                    else "drop a letter, or give the array more axes",
                )
            counts.append(rank - named)
        if any(counts) and ELLIPSIS not in self.output:
            most = counts.index(max(counts))
            raise NotationError(
                f"the output {_quote(self.output)} has no ellipsis",
                facts=[f"the ellipsis of operand {most} stands for {axes_in_words(counts[most])}"],
                hint="write ... in the output too, or letters for axes to be summed",
            )
        return tuple(counts)

    def check_count(self, count: int) -> None:
        """There are as many operands as terms."""
        if count != len(self.inputs):
            raise NotationError(
                f"{len(self.inputs)} operands are named, {count} given",
                facts=[f"the terms are {', '.join(_quote(term) for term in self.inputs)}"],
                hint="give one operand for each term between commas",
            )

    def place(self, operand: int, label: str | None = None) -> Span:
        """The place of an operand in `str(self)`, or the first of its labels called `label`.

        >>> Subscripts((("i", "j"), ("j",)), ("i",)).place(1)
        (3, 4)
        """
        term = self.inputs[operand]
        start = sum(len("".join(before)) + 1 for before in self.inputs[:operand])
        if label is None:
            return start, start + len("".join(term))
        start += len("".join(term[: term.index(label)]))
        return start, start + len(label)

    def resolve(self, ranks: Sequence[int]) -> tuple[tuple[Subscript, ...], Subscript]:
        """Integer labels for operands of these ranks, and those of the output.

        Axes of an ellipsis come first, aligned on the right as NumPy broadcasts; then the letters as they
        come in the text.

        >>> Subscripts((("...", "i"), ("i", "...")), ("...",)).resolve([2, 3])
        (((1, 2), (2, 0, 1)), (0, 1))
        """
        counts = self.count_unnamed(ranks)
        most = max(counts, default=0)
        number = {letter: most + place for place, letter in enumerate(self.letters)}

        def labels(term: Labels, count: int) -> Subscript:
            spread = range(most - count, most)
            return tuple(chain(*(spread if x == ELLIPSIS else (number[x],) for x in term)))

        inputs = (labels(term, count) for term, count in zip(self.inputs, counts, strict=True))
        return tuple(inputs), labels(self.output, most)

    def spell_out(self, ranks: Sequence[int]) -> Subscripts:
        """The same for operands of these ranks, with letters instead of ellipses.

        >>> str(Subscripts((("...", "i"), ("i",)), ("...",)).spell_out([3, 1]))
        'abi,i->ab'
        """
        inputs, output = self.resolve(ranks)
        unnamed = max(self.count_unnamed(ranks), default=0)
        names = [*fresh_letters(unnamed, self.letters), *self.letters]
        terms = tuple(tuple(names[label] for label in term) for term in inputs)
        return Subscripts(terms, tuple(names[label] for label in output))


def _quote(term: Labels) -> str:
    return repr("".join(term))


def fresh_letters(count: int, used: Collection[str], first: str = "") -> list[str]:
    """`count` letters that are not used; those of `first` are preferred.

    >>> fresh_letters(3, "ac", first="pc")
    ['p', 'b', 'd']
    """
    letters = [x for x in dict.fromkeys(first + LETTERS) if x not in used]
    if len(letters) < count:
        raise NotationError(
            f"no letters are left for {axes_in_words(count)}",
            facts=[f"an einsum string has {len(LETTERS)} letters, {len(used)} are in use"],
            hint="split the product, or write it in index notation, where names are longer",
        )
    return letters[:count]


_TOKEN = re.compile(r"(?P<LABEL>[A-Za-z]|\.\.\.)|(?P<COMMA>,)|(?P<ARROW>->)| +")


@dataclass(frozen=True, slots=True)
class Placed:
    """A string as read, with the places of the operands and of their labels."""

    source: str
    subscripts: Subscripts
    labels: tuple[tuple[Span, ...], ...]  # of every operand
    terms: tuple[Span, ...]

    def place_of_ellipsis(self, operand: int) -> Span:
        """The place of the ellipsis of an operand."""
        return self.labels[operand][self.subscripts.inputs[operand].index(ELLIPSIS)]


def read_subscripts(text: str) -> Subscripts:
    """The labels of an einsum string, in NumPy's rules.

    Without `->` the output is the ellipsis, then in alphabetical order (upper case first) the letters that
    occur once. Raises NotationError with the place of the first mistake.

    >>> read_subscripts("ba").output
    ('a', 'b')
    """
    return places_of(text).subscripts


def places_of(text: str) -> Placed:
    """`read_subscripts` with places."""
    if not isinstance(text, str):
        raise NotationError(
            "the subscripts are no text",
            facts=[f"they are of type {type(text).__name__}"],
            hint="pass a string, for example 'ij,jk->ik'",
        )
    terms: list[list[tuple[str, Span]]] = [[]]  # of the operands, and of the output
    ends: list[int] = []  # of the operands
    explicit, place = False, 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise complaints.sign_error("einsum", text, place)
        kind = token.lastgroup
        if explicit and kind in ("COMMA", "ARROW"):
            raise complaints.answer({"einsum", "token", kind}, {}, text, [token.span()])
        if kind == "LABEL":
            terms[-1].append((token.group(), token.span()))
        elif kind:
            terms.append([])
            ends.append(place)
            explicit = kind == "ARROW"
        place = token.end()
    for term in terms:
        dots = [span for label, span in term if label == ELLIPSIS]
        if len(dots) > 1:
            raise refusal(REASONS["two ellipses"], text, dots)
    *inputs, output = (tuple(label for label, _ in term) for term in terms)
    if explicit:
        _check_output(text, list(chain(*inputs)), terms.pop())
    else:
        inputs, ends = [*inputs, output], [*ends, place]
        count = Counter(chain(*inputs))
        first = (ELLIPSIS,) if count.pop(ELLIPSIS, 0) else ()
        output = (*first, *sorted(label for label, n in count.items() if n == 1))
    labels = tuple(tuple(span for _, span in term) for term in terms)
    spans = tuple(
        (own[0][0], own[-1][1]) if own else (end, end)
        for own, end in zip(labels, ends, strict=True)
    )
    return Placed(text, Subscripts(tuple(inputs), output, explicit), labels, spans)


def _check_output(text: str, known: Sequence[str], output: Sequence[tuple[str, Span]]) -> None:
    """Its labels are different, and those of operands."""
    for label, span in output:
        spans = [at for other, at in output if other == label]
        if span != spans[0]:
            raise refusal(REASONS["twice in the output"], text, spans, label=label)
        if label not in known and label != ELLIPSIS:
            others = "".join(x for x in dict.fromkeys(known) if x != ELLIPSIS)
            fact = f"the operands have the labels {others}" if others else "they have none"
            raise refusal(REASONS["in no operand"], text, [span], label=label, known=fact)


def read_einsum(
    text: str,
    operands: Sequence[str] | None = None,
    shapes: Shapes | None = None,
    assume: Assumptions | None = None,
) -> Meaning:
    """The contraction that an einsum string says, of tensors named `operands` (A, B, C, ... if not given).

    An extent is named after its label if `shapes` does not name it. The same name may occur twice.
    An ellipsis needs the rank of its operand, from `shapes`; its axes are aligned on the right and must have
    the same extents, except that an axis declared to be 1 is repeated.
    Raises NotationError or DimensionError with the place.

    >>> read_einsum("ij,jk->ik").indices
    ('i', 'k')
    """
    given = places_of(text)
    names = _names(operands, given)
    complaints.check_names({} if shapes is None else shapes, "shapes={'A': ('n', 3)}")
    declared = {name: complaints.shape(name, axes) for name, axes in (shapes or {}).items()}
    letters, output = _spell_out(given, names, declared)
    nodes = [_access(given, *operand) for operand in enumerate(zip(names, letters, strict=True))]
    whole = (0, len(text))
    product = Definition(
        None, None, Product(tuple((False, node) for node in nodes), whole), whole, whole
    )
    program = Program(Text(text, (product,)), declared, assume or {})
    for node in nodes:
        _check_operand(program, node)
    statement = Statement(program, 0, product, {})
    values = [statement.access(n) if isinstance(n, Access) else statement.scalar(n) for n in nodes]
    term = contraction([(value.term, value.indices) for value in values], output)
    return Meaning(term, output, program.context({}, None))


def _access(given: Placed, place: int, operand: tuple[str, Labels]) -> Access | Name:
    """The operand as index notation would write it, at its place in the string."""
    name, own = operand
    span = given.terms[place]
    if not own:
        return Name(name, span)
    spans = []
    written = given.subscripts.inputs[place]
    for label, label_span in zip(written, given.labels[place], strict=True):
        times = len(own) - len(written) + 1 if label == ELLIPSIS else 1
        spans += [label_span] * times
    indices = tuple(Index(letter, None, at) for letter, at in zip(own, spans, strict=True))
    return Access(name, indices, span, span)


def _check_operand(program: Program, node: Access | Name) -> None:
    """A tensor has its labels, and no operand is an extent's name with a label."""
    if isinstance(node, Access) and full_name(node.name) == "size":
        program.fail(
            f"{node.name} is no tensor",
            [node.span],
            ["in index notation size[i] is the extent of i, a number"],
            "give the operand another name",
        )
    rank = 0 if isinstance(node, Access) else program.ranks.get(node.name, 0)
    if rank:
        spans, how = program.rank_origin(node.name)
        program.fail(
            f"{node.name} has {axes_in_words(rank)} and stands without labels",
            [*spans, node.span],
            [f"{axes_in_words(rank)} ({how}), no label here"],
            f"write {LETTERS[8 : 8 + rank]!r} in its place, or declare it a scalar",
            DimensionError,
        )


def _names(operands: Sequence[str] | None, given: Placed) -> tuple[str, ...]:
    """A name for each operand."""
    wanted = len(given.subscripts.inputs)
    default = tuple(map(operand_name, range(wanted)))
    if operands is None:
        return default
    hint = f"write operands={default!r}"
    if isinstance(operands, str) or not isinstance(operands, Sequence):
        raise NotationError(
            f"operands={operands!r} names no operands",
            facts=["it is a tuple of names, one for each operand"],
            hint=hint,
        )
    for name in operands:
        if not isinstance(name, str) or not name.isidentifier():
            raise NotationError(
                f"{name!r} is no name of an operand",
                facts=["a name is a letter or _, then letters, digits and _"],
                hint=hint,
            )
    if len(operands) != wanted:
        raise NotationError(
            f"{wanted} {'operand' if wanted == 1 else 'operands'} in the string, "
            f"{len(operands)} {'name' if len(operands) == 1 else 'names'} in operands=",
            source=given.source,
            spans=given.terms,
            facts=[f"named are {', '.join(operands) or 'none'}"],
            hint="name each operand; one tensor that stands twice is named twice",
        )
    return tuple(operands)


def operand_name(place: int) -> str:
    """A, B, ..., Z, A1, B1, ...

    >>> operand_name(1), operand_name(27)
    ('B', 'B1')
    """
    number, letter = divmod(place, 26)
    return f"{ascii_uppercase[letter]}{number or ''}"


def _spell_out(
    given: Placed, names: tuple[str, ...], shapes: Mapping[str, tuple[Dim, ...]]
) -> tuple[tuple[Labels, ...], Labels]:
    """The labels with letters instead of ellipses; an axis of 1 that is repeated has a letter of its own."""
    subscripts = given.subscripts
    if not subscripts.has_ellipsis:
        return subscripts.inputs, subscripts.output
    ranks = _ranks(given, names, shapes)
    spelled = subscripts.spell_out(ranks)
    inputs = [list(term) for term in spelled.inputs]
    aligned: dict[str, list[tuple[Dim, int, int]]] = {}  # letter -> extents, at operand and axis
    for place, unnamed in enumerate(subscripts.count_unnamed(ranks)):
        start = subscripts.inputs[place].index(ELLIPSIS) if unnamed else 0
        dims = shapes.get(names[place], ())[start : start + unnamed]
        for axis, dim in enumerate(dims, start):
            aligned.setdefault(inputs[place][axis], []).append((dim, place, axis))
    repeated = []
    for entries in aligned.values():
        first = {dim: (place, axis) for dim, place, axis in reversed(entries) if dim != 1}
        for kind in (int, str):
            found = [(dim, *at) for dim, at in first.items() if isinstance(dim, kind)][::-1]
            if len(found) > 1:
                facts = [f"axis {axis + 1} of {names[k]} is {dim}" for dim, k, axis in found]
                raise DimensionError(
                    "two axes that the ellipses align have different extents",
                    source=given.source,
                    spans=sorted({given.place_of_ellipsis(k) for _, k, _ in found}),
                    facts=[", ".join(facts)],
                    hint="ellipses are aligned on the right; declare these axes alike, "
                    "or one of them as 1",
                )
        repeated += [(place, axis) for dim, place, axis in entries if dim == 1 and first]
    own = fresh_letters(len(repeated), spelled.letters)
    for (place, axis), letter in zip(sorted(repeated), own, strict=True):
        inputs[place][axis] = letter
    return tuple(map(tuple, inputs)), spelled.output


def _ranks(
    given: Placed, names: tuple[str, ...], shapes: Mapping[str, tuple[Dim, ...]]
) -> list[int]:
    """The rank of every operand: from its shape, or from a term that names all its axes."""
    terms = given.subscripts.inputs
    known = {
        name: len(term) for name, term in zip(names, terms, strict=True) if ELLIPSIS not in term
    }
    ranks = []
    for place, (name, term) in enumerate(zip(names, terms, strict=True)):
        rank = len(shapes[name]) if name in shapes else known.get(name)
        rank = rank if ELLIPSIS in term else len(term)
        if rank is None:
            axes = ", ".join(f"'{x}'" for x in "nmpq"[: 1 + len(term)])
            spans = [given.place_of_ellipsis(place)]
            raise refusal(REASONS["ellipsis"], given.source, spans, name=name, axes=axes)
        ranks.append(rank)
    return ranks
