"""From an einsum string and the names of its operands to what it means.

In: a string in NumPy's rules, names, extents and assumptions given beside it. Out: `Meaning`.
Invariant: the term is the one that index notation gives for the same product; every label that is not in
the output is summed. The string itself is read by `subscripts.py`; tensors and extents are `ranks.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

from ..errors import DimensionError, NotationError, Span, axes_in_words
from ..terms import Apply, Delta, Dim, Expr, Map, Ones, Subscript, contract, extent, functions, zero
from . import complaints
from .context import Meaning
from .parser import Parser, Token, Transformer
from .ranks import Program
from .syntax import Access, Definition, Index, Name, Node, Product, Text

# Einsum equations as labels: letters, and integers once ranks are known.
#
# In: labels of every operand and of the output. Out: ranks checked, ellipses aligned, letters spelled out.
# Invariant: output labels stand once each and occur in the inputs; an operand holds one ellipsis at most.
# The string is read by `subscripts.py`, so that no parser is loaded where labels are all that is needed.

ELLIPSIS = "..."
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"  # all that a string can use

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

    def unnamed(self, ranks: Sequence[int]) -> tuple[int, ...]:
        """How many axes the ellipsis of each operand stands for, for operands of these ranks.

        >>> Subscripts((("...", "i"), ("i",)), ("...",)).unnamed([3, 1])
        (2, 0)

        Raises NotationError on another number of operands, DimensionError where a rank does not fit.
        """
        self.check_count(len(ranks))
        counts = []
        for place, (term, rank) in enumerate(zip(self.inputs, ranks, strict=True)):
            named = sum(label != ELLIPSIS for label in term)
            if rank < named or (rank > named and ELLIPSIS not in term):
                raise self._wrong_rank(place, rank, named)
            counts.append(rank - named)
        if any(counts) and ELLIPSIS not in self.output:
            most = counts.index(max(counts))
            raise NotationError(
                f"the output {self._shown(self.output)} has no ellipsis",
                facts=[f"the ellipsis of operand {most} stands for {axes_in_words(counts[most])}"],
                hint="write ... in the output too, or letters for axes to be summed",
            )
        return tuple(counts)

    def check_count(self, count: int) -> None:
        """There are as many operands as terms."""
        if count != len(self.inputs):
            raise NotationError(
                f"{len(self.inputs)} operands are named, {count} given",
                facts=[f"the terms are {', '.join(self._shown(term) for term in self.inputs)}"],
                hint="give one operand for each term between commas",
            )

    def _wrong_rank(self, place: int, rank: int, named: int) -> DimensionError:
        term = self.inputs[place]
        return DimensionError(
            f"operand {place} has {axes_in_words(rank)}, "
            f"its subscripts {self._shown(term)} name {named}",
            source=str(self),
            spans=[self.place(place)],
            facts=["each letter names one axis"],
            hint="add an ellipsis ... for axes without a letter"
            if rank > named
            else "drop a letter, or give the array more axes",
        )

    def place(self, operand: int, label: str | None = None) -> Span:
        """Where an operand stands in `str(self)`, or the first of its labels called `label`.

        >>> Subscripts((("i", "j"), ("j",)), ("i",)).place(1)
        (3, 4)
        """
        term = self.inputs[operand]
        start = sum(len("".join(before)) + 1 for before in self.inputs[:operand])
        if label is None:
            return start, start + len("".join(term))
        start += len("".join(term[: term.index(label)]))
        return start, start + len(label)

    @staticmethod
    def _shown(term: Labels) -> str:
        return repr("".join(term))

    def resolved(self, ranks: Sequence[int]) -> tuple[tuple[Subscript, ...], Subscript]:
        """Integer labels for operands of these ranks, and those of the output.

        Axes of an ellipsis come first, aligned on the right as NumPy broadcasts; then the letters as they
        come in the text.

        >>> Subscripts((("...", "i"), ("i", "...")), ("...",)).resolved([2, 3])
        (((1, 2), (2, 0, 1)), (0, 1))
        """
        counts = self.unnamed(ranks)
        most = max(counts, default=0)
        number = {letter: most + place for place, letter in enumerate(self.letters)}

        def labels(term: Labels, count: int) -> Subscript:
            spread = range(most - count, most)
            return tuple(chain(*(spread if x == ELLIPSIS else (number[x],) for x in term)))

        inputs = (labels(term, count) for term, count in zip(self.inputs, counts, strict=True))
        return tuple(inputs), labels(self.output, most)

    def spelled(self, ranks: Sequence[int]) -> Subscripts:
        """The same for operands of these ranks, with letters instead of ellipses.

        >>> str(Subscripts((("...", "i"), ("i",)), ("...",)).spelled([3, 1]))
        'abi,i->ab'
        """
        inputs, output = self.resolved(ranks)
        unnamed = max(self.unnamed(ranks), default=0)
        names = [*fresh_letters(unnamed, self.letters), *self.letters]
        terms = tuple(tuple(names[label] for label in term) for term in inputs)
        return Subscripts(terms, tuple(names[label] for label in output))


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


# Einsum strings: from text to labels.
#
# In: a string such as `"ij,jk->ik"`, in NumPy's rules. Out: `Subscripts`.
# Invariant: what is read is what numpy.einsum reads; a mistake shows its place.
# What labels do: `equations.py`; what such a string means as a term: `einsum.py`.

__all__ = ["Placed", "Subscripts", "placed", "read_subscripts"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A string as read, with the places of the operands and of their labels."""

    source: str
    subscripts: Subscripts
    labels: tuple[tuple[Span, ...], ...]  # of every operand
    terms: tuple[Span, ...]


def read_subscripts(text: str) -> Subscripts:
    """The labels of an einsum string, in NumPy's rules.

    Without `->` the output is the ellipsis, then in alphabetical order (upper case first) the letters that
    occur once. Raises NotationError with the place of the first mistake.

    >>> read_subscripts("ba").output
    ('a', 'b')
    """
    return placed(text).subscripts


def placed(text: str) -> Placed:
    """`read_subscripts` with places."""
    if not isinstance(text, str):
        raise NotationError(
            "the subscripts are no text",
            facts=[f"they are of type {type(text).__name__}"],
            hint="pass a string, for example 'ij,jk->ik'",
        )
    terms, written = _PARSER.parsed(text)
    for term in terms if written is None else (*terms, written):
        _check_one_ellipsis(text, term)
    inputs = tuple(tuple(str(token) for token in term) for term in terms)
    if written is None:
        output = _implicit_output(inputs)
    else:
        _check_output(text, terms, written)
        output = tuple(str(token) for token in written)
    return Placed(
        text,
        Subscripts(inputs, output, written is not None),
        tuple(tuple(_span(token) for token in term) for term in terms),
        tuple(_term_spans(text)),
    )


def _term_spans(text: str) -> Iterator[Span]:
    """Where each operand stands, without the blanks around it."""
    start = 0
    for piece in text.partition("->")[0].split(","):
        left = start + len(piece) - len(piece.lstrip(" "))
        yield left, max(left, start + len(piece.rstrip(" ")))
        start += len(piece) + 1


def _implicit_output(inputs: Sequence[Labels]) -> Labels:
    count = Counter(chain(*inputs))
    dots = (ELLIPSIS,) if count.pop(ELLIPSIS, 0) else ()
    return (*dots, *sorted(label for label, n in count.items() if n == 1))


Tokens = tuple[Token, ...]


class _Reader(Transformer[Token, Any]):
    """One method for each rule of `grammar/einsum.lark`."""

    def implicit(self, c: list[Any]) -> tuple[tuple[Tokens, ...], Tokens | None]:
        return tuple(map(tuple, c[0])), None

    def explicit(self, c: list[Any]) -> tuple[tuple[Tokens, ...], Tokens | None]:
        return tuple(map(tuple, c[0])), tuple(c[2])

    def first_term(self, c: list[Any]) -> list[list[Token]]:
        return [c[0]]

    def more_terms(self, c: list[Any]) -> list[list[Token]]:
        terms: list[list[Token]] = c[0]
        terms.append(c[2])
        return terms

    def scalar(self, c: list[Any]) -> list[Token]:
        return []

    def longer(self, c: list[Any]) -> list[Token]:
        term: list[Token] = c[0]
        term.append(c[1])
        return term


def _span(token: Token) -> Span:
    return token.start_pos or 0, token.end_pos or 0


def _check_one_ellipsis(text: str, term: Tokens) -> None:
    dots = [token for token in term if token == ELLIPSIS]
    if len(dots) > 1:
        raise NotationError(
            "a term has two ellipses",
            source=text,
            spans=[_span(token) for token in dots],
            facts=["an ellipsis stands for all axes of the operand that have no letter"],
            hint="leave one of them",
        )


def _check_output(text: str, terms: Sequence[Tokens], output: Tokens) -> None:
    known = set(chain(*terms))
    for place, token in enumerate(output):
        if token in output[:place]:
            raise NotationError(
                f"label {token} stands twice in the output",
                source=text,
                spans=[_span(other) for other in output if other == token],
                facts=["each axis of the output has a label of its own"],
                hint="give one of them a new letter; a diagonal matrix is a product with an identity: "
                "'i,ij->ij'",
            )
        if token not in known and token != ELLIPSIS:
            others = "".join(dict.fromkeys(x for x in chain(*terms) if x != ELLIPSIS))
            raise NotationError(
                f"label {token} of the output is in no operand",
                source=text,
                spans=[_span(token)],
                facts=[f"the operands have the labels {others}" if others else "they have none"],
                hint="drop it, or multiply by an array of ones that has it",
            )


_PARSER = Parser("einsum", _Reader, postlex=None)


# ----------------------------------------------------------------------

Letters = tuple[tuple[str, ...], ...]


def read_einsum(
    text: str,
    operands: Sequence[str] | None = None,
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    assume: Mapping[str, Iterable[str]] | None = None,
) -> Meaning:
    """The contraction that an einsum string says, of tensors named `operands` (A, B, C, ... if not given).

    An extent is named after its label where `shapes` does not name it. The same name may stand twice.
    An ellipsis needs the rank of its operand, from `shapes`; its axes are aligned on the right and must have
    the same extents, except that an axis declared to be 1 is repeated.
    Raises NotationError or DimensionError with the place.

    >>> read_einsum("ij,j->i", ("M", "x")).indices
    ('i',)
    """
    given = placed(text)
    names = _names(operands, given)
    declared = _checked_shapes(shapes)
    letters, output = _spelled(given, names, declared)
    nodes = [
        _access(given, place, name, own)
        for place, (name, own) in enumerate(zip(names, letters, strict=True))
    ]
    whole = (0, len(text))
    product = Product(tuple((False, node) for node in nodes), whole)
    source = Text(text, (Definition(None, None, product, whole, whole),))
    program = Program(source, declared, assume or {})
    labels = {
        letter: place
        for place, letter in enumerate(dict.fromkeys(x for own in letters for x in own))
    }
    term = contract(
        [_term(program, node) for node in nodes],
        [tuple(labels[x] for x in own) for own in letters],
        tuple(labels[x] for x in output),
    )
    dimensions = program.dimensions
    return Meaning(
        term,
        output,
        program.variables,
        program.assumptions,
        {},
        frozenset(dimensions.declared),
        dimensions.letters(),
        None,
    )


def _access(given: Placed, place: int, name: str, own: tuple[str, ...]) -> Node:
    """The operand as it would stand in index notation, at its place in the string."""
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


def _term(program: Program, node: Node) -> Expr:
    if isinstance(node, Access):
        special = functions.ALIASES.get(node.name, node.name)
        if special in functions.SPECIAL_TENSORS:
            return _special_tensor(program, special, node)
        return program.variables[node.name]
    assert isinstance(node, Name)
    if node.name in program.extents:
        return extent(program.dimensions.number_behind(node.name))
    if node.name not in program.variables:  # as in index notation
        assert node.name == "pi"
        return Map("pi", ())
    term = program.variables[node.name]
    if term.rank:
        spans, how = program.rank_told(node.name)
        raise DimensionError(
            f"{node.name} has {axes_in_words(term.rank)} and stands without labels",
            source=program.source,
            spans=[*spans, node.span],
            facts=[f"{axes_in_words(term.rank)} ({how}), no label here"],
            hint=f"write {LETTERS[8 : 8 + term.rank]!r} in its place, or declare it a scalar",
        )
    return term


def _special_tensor(program: Program, name: str, node: Access) -> Expr:
    """delta, ones, zeros, eps as operands; their extents are those of their labels."""
    shape = tuple(program.dimensions.extent(("index", index.name, 0)) for index in node.indices)
    if name == "delta":
        return Delta(shape[0])
    if name == "eps":
        return Apply("eps", (), len(shape))
    if name == "zeros":
        return zero(shape)
    if name == "ones":
        axes = tuple(range(len(shape)))
        return contract([Ones(dim) for dim in shape], [(axis,) for axis in axes], axes)
    raise NotationError(
        f"{node.name} is no tensor",
        source=program.source,
        spans=[node.span],
        facts=["in index notation size[i] is the extent of i, a number"],
        hint="give the operand another name",
    )


# ---------------------------------------------------------------- names and shapes


def _names(operands: Sequence[str] | None, given: Placed) -> tuple[str, ...]:
    """A name for each operand."""
    wanted = len(given.subscripts.inputs)
    if operands is None:
        return default_names(wanted)
    if isinstance(operands, str) or not isinstance(operands, Sequence):
        raise NotationError(
            f"operands={operands!r} names no operands",
            facts=["it is a tuple of names, one for each operand"],
            hint=f"write operands={default_names(wanted)!r}",
        )
    for name in operands:
        if not isinstance(name, str) or not name.isidentifier():
            raise NotationError(
                f"{name!r} is no name of an operand",
                facts=["a name is a letter or _, then letters, digits and _"],
                hint=f"write operands={default_names(wanted)!r}",
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


def default_names(wanted: int) -> tuple[str, ...]:
    """A, B, ..., Z, A1, B1, ...

    >>> default_names(3)
    ('A', 'B', 'C')
    """
    capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names = (f"{letter}{number or ''}" for number in count() for letter in capitals)
    return tuple(islice(names, wanted))


def _checked_shapes(shapes: Mapping[str, Sequence[Dim]] | None) -> dict[str, tuple[Dim, ...]]:
    given = {} if shapes is None else shapes
    complaints.check_names(given, "shapes={'A': ('n', 3)}")
    return {name: complaints.shape(name, axes) for name, axes in given.items()}


# ---------------------------------------------------------------- ellipses


def _spelled(
    given: Placed, names: tuple[str, ...], shapes: Mapping[str, tuple[Dim, ...]]
) -> tuple[Letters, tuple[str, ...]]:
    """The labels with letters instead of ellipses; an axis of 1 that is repeated has a letter of its own."""
    subscripts = given.subscripts
    if not subscripts.has_ellipsis:
        return subscripts.inputs, subscripts.output
    ranks = _ranks(given, names, shapes)
    counts = subscripts.unnamed(ranks)
    spelled = subscripts.spelled(ranks)
    met: dict[
        str, dict[Dim, tuple[int, int]]
    ] = {}  # letter -> its extents, each with operand and axis
    alone: list[tuple[int, int, str]] = []  # axes of extent 1: operand, axis, letter
    for place, (term, name, unnamed) in enumerate(
        zip(subscripts.inputs, names, counts, strict=True)
    ):
        start = term.index(ELLIPSIS) if ELLIPSIS in term else 0
        for axis in range(start, start + unnamed):
            letter, dim = spelled.inputs[place][axis], shapes.get(name, ())[axis:][:1]
            if dim == (1,):
                alone.append((place, axis, letter))
            elif dim:
                met.setdefault(letter, {}).setdefault(dim[0], (place, axis))
    for extents in met.values():
        _check_one_extent(given, names, extents)
    repeated = [(place, axis) for place, axis, letter in alone if letter in met]
    own = fresh_letters(len(repeated), spelled.letters)
    inputs = [list(term) for term in spelled.inputs]
    for (place, axis), letter in zip(repeated, own, strict=True):
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
    for place, (name, term) in enumerate(zip(names, terms, strict=True)):
        if ELLIPSIS in term and name not in known and name not in shapes:
            axes = ", ".join(f"'{x}'" for x in "nmpq"[: 1 + len(term)])
            raise NotationError(
                f"the ellipsis of {name} stands for an unknown number of axes",
                source=given.source,
                spans=[given.labels[place][term.index(ELLIPSIS)]],
                facts=[f"only the shape of {name} tells it"],
                hint=f"give it, for example shapes={{{name!r}: ({axes})}}",
            )
    return [
        len(term) if ELLIPSIS not in term else len(shapes[name]) if name in shapes else known[name]
        for name, term in zip(names, terms, strict=True)
    ]


def _check_one_extent(
    given: Placed, names: tuple[str, ...], extents: Mapping[Dim, tuple[int, int]]
) -> None:
    """Axes that ellipses align have one number and one name at most."""
    for kind in (int, str):
        found = [(dim, at) for dim, at in extents.items() if isinstance(dim, kind)]
        if len(found) > 1:
            terms = given.subscripts.inputs
            facts = (f"axis {axis + 1} of {names[k]} is {dim}" for dim, (k, axis) in found)
            places = (given.labels[k][terms[k].index(ELLIPSIS)] for _, (k, _) in found)
            raise DimensionError(
                "two axes that the ellipses align have different extents",
                source=given.source,
                spans=sorted(set(places)),
                facts=[", ".join(facts)],
                hint="ellipses are aligned on the right; declare these axes alike, or one of them as 1",
            )
