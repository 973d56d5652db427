"""What a user asks of a program as a whole: a limit of memory, a backend.

In: arguments of `compile`. Out: bytes; or an error that says what there is.
"""

from __future__ import annotations

from .errors import BackendError, ResourceLimitError


def parsed_limit(limit: str | int | None) -> int | None:
    """Bytes from a number or a text such as `1GiB`.

    >>> parsed_limit("2KiB")
    2048
    """
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0):
        return limit
    units = {
        "B": 1,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
    }
    text = limit.strip() if isinstance(limit, str) else ""
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            try:
                size = int(float(text[: -len(unit)]) * units[unit])
            except (ValueError, OverflowError):
                break
            if size >= 0:
                return size
    raise ResourceLimitError(
        f"{limit!r} is no amount of memory",
        facts=[f"it is a whole number of bytes, or a number and one of {', '.join(units)}"],
        hint="write for example memory_limit='1GiB'",
    )


def check_backend(backend: str) -> None:
    """Refuse a backend that does not exist."""
    if backend != "numpy":
        raise BackendError(
            f"no backend {backend!r}", facts=["available: numpy"], hint="use backend='numpy'"
        )
