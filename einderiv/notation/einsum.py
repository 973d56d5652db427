"""From an einsum string and the names of its operands to what it means.

In: a string in NumPy's rules, names, extents and assumptions given beside it. Out: `Meaning`.
Invariant: the term is the one that index notation gives for the same product; every label that is not in
the output is summed. The string itself is read by `subscripts.py`; tensors and extents are `ranks.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice

from .. import functions
from ..canonical import contract, extent, zero
from ..errors import DimensionError, NotationError, axes_in_words
from ..expr import Apply, Delta, Dim, Expr, Map, Ones
from . import complaints
from .elaborator import Meaning
from .equations import ELLIPSIS, LETTERS, fresh_letters
from .ranks import Program
from .subscripts import Placed, placed
from .syntax import Access, Definition, Index, Name, Node, Product, Text

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
