"""Einsum equations as labels: letters, and integers once ranks are known.

In: labels of every operand and of the output. Out: ranks checked, ellipses aligned, letters spelled out.
Invariant: output labels stand once each and occur in the inputs; an operand holds one ellipsis at most.
The string is read by `subscripts.py`, so that no parser is loaded where labels are all that is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain

from ..errors import DimensionError, NotationError, Span, axes_in_words
from ..expr import Subscript

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
