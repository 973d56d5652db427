"""The only loops over term graphs: post-order, fold, rebuild, uses; and a trampoline for deep descents.

In: roots. Out: nodes, values per node, rebuilt roots.
Invariant: nothing here recurses, so depth is bounded by memory alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Iterable, Mapping
from typing import Any, TypeVar

from .expr import Expr

T = TypeVar("T")


def postorder(roots: Iterable[Expr], known: Container[Expr] = ()) -> list[Expr]:
    """Every node below `roots` once, children before parents, in the order they are met.

    Nodes of `known`, and what stands only below them, are left out.
    """
    seen: set[Expr] = set()
    ordered: list[Expr] = []
    for root in roots:
        stack: list[tuple[Expr, bool]] = [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                ordered.append(node)
            elif node not in seen and node not in known:
                seen.add(node)
                stack.append((node, True))
                stack += [(child, False) for child in reversed(node.children) if child not in seen]
    return ordered


def fold(roots: Iterable[Expr], value: Callable[[Expr, list[T]], T]) -> dict[Expr, T]:
    """`value(node, values of its children)` for every node."""
    values: dict[Expr, T] = {}
    for node in postorder(roots):
        values[node] = value(node, [values[child] for child in node.children])
    return values


def rebuild(
    roots: Iterable[Expr], build: Callable[[Expr, tuple[Expr, ...]], Expr]
) -> dict[Expr, Expr]:
    """Every node replaced by `build(node, its rebuilt children)`."""
    return fold(roots, lambda node, children: build(node, tuple(children)))


def uses(roots: Iterable[Expr]) -> dict[Expr, int]:
    """How many places refer to each node: operand slots of its parents, and once for a root."""
    roots = list(roots)
    count: dict[Expr, int] = dict.fromkeys(roots, 0)
    for root in roots:
        count[root] += 1
    for node in postorder(roots):
        for child in node.children:
            count[child] = count.get(child, 0) + 1
    return count


def dependents(roots: Iterable[Expr], leaves: Iterable[Expr]) -> set[Expr]:
    """The nodes below `roots` that depend on one of `leaves`, these included."""
    found = set(leaves)
    for node in postorder(roots):
        if node not in found and any(child in found for child in node.children):
            found.add(node)
    return found


def trampoline(
    start: Any, visit: Callable[[Any], Generator[Any, Any, T]], known: Mapping[Any, T] | None = None
) -> T:
    """The value of `visit(start)`, where a visit yields what it needs visited and is sent the value.

    A recursive function written as a generator, run without recursion.
    """
    stack = [visit(start)]
    value: Any = None
    while stack:
        try:
            wanted = stack[-1].send(value)
        except StopIteration as stop:
            stack.pop()
            value = stop.value
        else:
            if known is not None and wanted in known:
                value = known[wanted]
            else:
                stack.append(visit(wanted))
                value = None
    result: T = value
    return result
