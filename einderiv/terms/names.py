"""Letters for indices, names that are still free, and classes of things that are the same.

In: names that are taken; pairs that are joined. Out: a name that is not taken; the member that speaks for
a class.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator
from itertools import count
from typing import Generic, TypeVar

INDICES = "ijklmnpqrstuvwabcdefgh"  # for axes, in the order in which people write them
INDICES_BUT_N = INDICES.replace("n", "")  # beside extents, of which n is the usual one

T = TypeVar("T", bound=Hashable)


def numbered_names(word: str, first: int = 2) -> Iterator[str]:
    """The word itself, then with a number behind it.

    >>> names = numbered_names("Y")
    >>> next(names), next(names), next(names)
    ('Y', 'Y2', 'Y3')
    """
    yield word
    for number in count(first):
        yield f"{word}{number}"


def free_name(wanted: Iterable[str], taken: Container[str]) -> str:
    """The first name that is not taken.

    >>> free_name(numbered_names("Y"), {"X", "Y"})
    'Y2'
    """
    return next(name for name in wanted if name not in taken)


class Classes(Generic[T]):
    """Things that are the same, in classes; one member of each speaks for it.

    >>> same = Classes()
    >>> same.join(1, 2)
    >>> same.join(2, 3)
    >>> same.find(3), same.find(4)
    (1, 4)
    """

    def __init__(self) -> None:
        self.parent: dict[T, T] = {}

    def find(self, member: T) -> T:
        """The member that speaks for the class of `member`."""
        parent = self.parent
        while member in parent:
            above = parent[member]
            if above in parent:
                parent[member] = parent[above]
            member = above
        return member

    def join(self, first: T, second: T) -> None:
        """Two classes become one, for which that of `first` speaks."""
        a, b = self.find(first), self.find(second)
        if a != b:
            self.parent[b] = a
