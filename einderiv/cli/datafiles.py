"""Arrays from files and to files: .npz, .npy and .csv.

In: `file.npz`, `file.csv`, `NAME=file` or `NAME=number`, and the names that are wanted. Out: arrays by name.
Invariant: no pickle is loaded; an output file is complete or not there; every refusal names the file,
in a table also the line.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, EinderivError

Array = NDArray[Any]

_NAMED = re.compile(r"([^\W\d]\w*)=(.+)", re.DOTALL)


def read_arrays(items: Sequence[str], wanted: Collection[str]) -> dict[str, Array]:
    """The arrays that the items give, by name.

    `file.npz` gives each of its arrays, `file.csv` each column under its header's name, as far as they
    are wanted. `NAME=file` gives one array: that of a .npy, the one of this name (or the only one) of
    a .npz, the whole table of a .csv as a matrix, or as a vector if it has one column.
    `NAME=3.5` gives a scalar. Raises DataError: unreadable, nothing wanted in it, a name given twice.
    """
    arrays: dict[str, Array] = {}
    origin: dict[str, str] = {}
    for item in items:
        named = _NAMED.fullmatch(item)
        found = {named[1]: _one_array(*named.groups())} if named else _arrays(item, wanted)
        twice = next((name for name in found if name in arrays), None)
        if twice is not None:
            raise DataError(
                f"{twice} is given twice",
                facts=[f"by {origin[twice]}", f"by {item}"],
                hint="drop one of them",
            )
        arrays |= found
        origin |= dict.fromkeys(found, item)
    return arrays


def _arrays(item: str, wanted: Collection[str]) -> dict[str, Array]:
    """What is wanted of a file that has names for what it holds."""
    suffix = format_of(item, "read")
    if suffix == ".npy":
        raise DataError(f"{item} holds an array without a name", hint=f"name it: --data X={item}")
    with _open(item, suffix) as loaded:
        names = loaded.header() if isinstance(loaded, Table) else loaded.files
        chosen = [name for name in names if name in wanted]
        if not chosen:
            raise DataError(
                f"{item} has no array that is needed",
                facts=[
                    f"it has {_some(names) or 'no names'}",
                    f"the expression has {_some(wanted) or 'no tensors'}",
                ],
                hint=f"name what it holds: --data X={item}, or drop it",
            )
        return {name: np.asarray(loaded[name]) for name in chosen}


def _one_array(name: str, text: str) -> Array:
    number = _number(text)
    if number is not None:
        return np.asarray(number)
    with _open(text, format_of(text, "read")) as loaded:
        if isinstance(loaded, Table):
            return loaded.array()
        if isinstance(loaded, np.ndarray):
            return loaded
        if name not in loaded and len(loaded) != 1:
            raise DataError(
                f"{text} has no array {name}",
                facts=[f"it has {_some(loaded) or 'none'}"],
                hint="correct the name, or save one array as .npy",
            )
        return np.asarray(loaded[name if name in loaded else next(iter(loaded))])


@contextmanager
def _open(path: str, suffix: str) -> Iterator[Any]:
    """A table, or what numpy.load makes of a file; whatever goes wrong in reading is a DataError."""
    try:
        if suffix == ".csv":
            yield table_of(Path(path).read_text(encoding="utf-8-sig"), path)
            return
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray) != (suffix == ".npy"):
                other = ".npz" if suffix == ".npy" else ".npy"
                raise DataError(
                    f"{path} is no {suffix} file", hint=f"rename it if it is an {other} file"
                )
            yield loaded
    except EinderivError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        facts = [str(error)]
        raise DataError(
            f"{path} is no text in UTF-8", facts=facts, hint="save it as UTF-8"
        ) from None
    except Exception as error:  # numpy has a dozen kinds for damaged files
        raise DataError(
            f"cannot read {path}",
            facts=[
                "it is damaged, of another format, or holds Python objects, which are never loaded"
            ],
            hint="save it again with numpy.savez or numpy.save, as an array of numbers",
        ) from error


@dataclass(frozen=True, slots=True)
class Table:
    """A .csv file: the header's names (none if its first line is all numbers), and rows of cells."""

    place: str
    names: list[str]
    rows: list[tuple[int, list[str]]]  # with line numbers

    def header(self) -> list[str]:
        """The names of the columns; refused if a column has none of its own."""
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice or not self.names:
            raise DataError(
                f"{self.place} names {min(twice)} twice"
                if twice
                else f"{self.place} has no header line to name its columns",
                hint="give each column its name in the first line, "
                f"or read the table as a matrix: --data X={self.place}",
            )
        return self.names

    def __getitem__(self, name: str) -> Array:
        return self._numbers(self.names.index(name))

    def array(self) -> Array:
        """All cells as a matrix; a table of one column as a vector."""
        width = len(self.rows[0][1]) if self.rows else len(self.names)
        columns = [self._numbers(k) for k in range(width)]
        return columns[0] if width == 1 else np.column_stack(columns)

    def _numbers(self, k: int) -> Array:
        numbers = [_number(cells[k]) for _, cells in self.rows]
        if None in numbers:
            line, cells = self.rows[numbers.index(None)]
            column = f"column {self.names[k]}" if self.names else f"column {k + 1}"
            raise DataError(
                f"{self.place}, line {line}, {column}: {cells[k]!r} is no number",
                hint="write a number such as 2.5 (or nan), separate cells by commas",
            )
        return np.array(numbers, float)


def table_of(text: str, place: str) -> Table:
    """The table that a text in .csv format holds; `place` is its name in messages.

    >>> table_of("# two columns\\nx, y\\n1, 2\\n3, 4", "here").array().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                (cells,) = csv.reader([line], skipinitialspace=True)
            except csv.Error as error:
                raise DataError(f"{place}, line {number}: {error}") from None
            rows.append((number, [cell.strip() for cell in cells]))
            if len(cells) != len(rows[0][1]):
                raise DataError(
                    f"{place}, line {number} has {len(cells)} cells, "
                    f"line {rows[0][0]} has {len(rows[0][1])}",
                    hint="give every line the same number of commas",
                )
    if not rows:
        raise DataError(f"{place} is empty", hint="write a header line and rows of numbers")
    first, cells = rows[0]
    numbers = [_number(cell) is not None for cell in cells]
    if any(numbers) and not all(numbers):
        raise DataError(
            f"{place}, line {first} is neither a header nor numbers",
            facts=[f"it reads {', '.join(cells)}"],
            hint="write names only, or numbers only",
        )
    return Table(place, [], rows) if all(numbers) else Table(place, cells, rows[1:])


def _number(text: str) -> float | None:
    """The number a text is.

    >>> _number(" 1e3 "), _number("1_000"), _number("x")
    (1000.0, None, None)
    """
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def write_array(path: str, array: Array, comment: str = "") -> None:
    """The array in a file; what was there is replaced at once, by a whole file.

    .npy; .npz under the name `value`; .csv with up to two axes: a scalar, a column or a table of all
    digits, after `comment` in lines that start with #. Raises DataError.
    """
    suffix = format_of(path, "write")
    if suffix == ".csv" and (array.ndim > 2 or array.dtype.kind == "c"):
        what = "complex numbers" if array.ndim <= 2 else f"{array.ndim} axes"
        raise DataError(f"a .csv file cannot hold {what}", hint="write .npy or .npz instead")
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with open(draft, "xb") as file:
                if suffix == ".npy":
                    np.save(file, array, allow_pickle=False)
                elif suffix == ".npz":
                    np.savez(file, value=array)
                else:
                    lines = [f"# {line}" for line in comment.splitlines()]
                    table = array if array.ndim == 2 else array.reshape(-1, 1)
                    lines += [",".join(map(repr, row)) for row in table.astype(float).tolist()]
                    text = "".join(f"{line}\n" for line in lines)
                    file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def format_of(path: str, verb: str) -> str:
    """The suffix that says in which format to `read` or `write`; DataError if it is none of these."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".npz", ".npy", ".csv"):
        raise DataError(
            f"cannot {verb} {path}: its suffix says no format",
            facts=[
                f"arrays are {'read from' if verb == 'read' else 'written to'} .npz, .npy and .csv"
            ],
            hint="--data takes file.npz, file.csv, X=file.npy, X=file.csv or n=16"
            if verb == "read"
            else "name it out.npz, out.npy or out.csv",
        )
    return suffix


def _some(names: Collection[str]) -> str:
    """The names, but no page full of them."""
    shown = ", ".join(list(names)[:12])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 12 else shown
