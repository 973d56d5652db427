"""Runs generated functions: in a namespace of their own, or in a process that has only their library."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

import einderiv as ed

Array = Any

WIDTH = 100  # columns of a line
ALLOWED = {  # what the code of a target may import
    "numpy": {"numpy", "scipy", "math", "itertools"},
    "torch": {"torch", "math", "itertools"},
    "jax": {"jax", "math", "itertools"},
}


def library(target: str) -> Any:
    """What makes an array of the target from a NumPy array; skips the test where it is not installed."""
    import pytest

    if target == "numpy":
        return np.asarray
    module = pytest.importorskip(target)
    if target == "torch":
        return lambda x: module.tensor(np.asarray(x))
    module.config.update("jax_enable_x64", True)
    return module.numpy.asarray


def function_of(text: str, name: str = "f") -> Any:
    """The function of a text, executed in an empty namespace."""
    space: dict[str, Any] = {}
    exec(compile(text, "<generated>", "exec"), space)
    return space[name]


def called(text: str, arrays: Mapping[str, Array], sizes: Mapping[str, int], make: Any) -> Any:
    """The value of a text's function; its parameters have the names of the arrays and extents."""
    f = function_of(text)
    names = inspect.signature(f).parameters
    return f(*(make(arrays[n]) if n in arrays else sizes[n] for n in names))


def sizes_of(e: ed.Expression, arrays: Mapping[str, Array]) -> dict[str, int]:
    """The extents that a program's arrays tell."""
    return {
        dim: size
        for name, shape in e.variables.items()
        for dim, size in zip(shape, np.shape(arrays[name]), strict=True)
        if isinstance(dim, str)
    }


def why_not_well_formed(text: str, target: str) -> str:
    """What is wrong with a text as code to paste, empty where nothing is."""
    tree = ast.parse(text)
    imported, bound, used = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            imported |= {str(n).partition(".")[0] for n in names}
            bound |= {a.asname or a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.Name):
            used.add(node.id)
    if not imported <= ALLOWED[target]:
        return f"imports {sorted(imported - ALLOWED[target])}"
    if not bound <= used:
        return f"does not use {sorted(bound - used)}"
    helpers = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} - {"f"}
    if not helpers <= used:
        return f"does not call {sorted(helpers - used)}"
    long = [line for line in text.splitlines() if len(line) > WIDTH]
    return f"has a line of {len(long[0])} columns: {long[0]}" if long else ""


BARE = """
import importlib.abc, json, sys

class Gate(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ("einderiv", "lark", "click") or top in sys.argv[1].split(","):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Gate())
import numpy as np
target = sys.argv[2]
if target == "torch":
    import torch
    make = lambda x: torch.tensor(x, dtype=torch.float64)
elif target == "jax":
    import jax
    jax.config.update("jax_enable_x64", True)
    make = lambda x: jax.numpy.asarray(x, dtype=float)
else:
    make = lambda x: np.asarray(x, dtype=float)
wrong = []
for name, text, given, shape, wanted in json.load(sys.stdin):
    space = {}
    exec(text, space)
    value = space["f"](*(make(x) if kind == "array" else x for kind, x in given))
    value, wanted = np.asarray(value), np.asarray(wanted, dtype=float).reshape(shape)
    scale = 1 + np.max(np.abs(wanted), initial=0)
    if value.shape != wanted.shape or not np.max(np.abs(value - wanted), initial=0) <= 1e-9 * scale:
        wrong.append(f"{name}: {value} is not {wanted}")
assert "einderiv" not in sys.modules
print(json.dumps(wrong))
"""


def wrong_in_a_bare_process(
    target: str, jobs: list[tuple[str, str, list[Any], Array]]
) -> list[str]:
    """Runs (name, text, arguments, wanted value) where nothing of ours can be imported; what is wrong."""
    told = [
        (
            name,
            text,
            [
                ("size", x) if isinstance(x, int) else ("array", np.asarray(x).tolist())
                for x in given
            ],
            np.shape(wanted),
            np.asarray(wanted, dtype=float).ravel().tolist(),
        )
        for name, text, given, wanted in jobs
    ]
    others = {"numpy": "torch,jax", "torch": "jax,scipy", "jax": "torch"}[target]
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", BARE, others, target],
        input=json.dumps(told),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wrong: list[str] = json.loads(done.stdout.splitlines()[-1])
    return wrong
