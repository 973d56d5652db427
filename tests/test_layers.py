"""Imports run downwards only, and each third-party library stays in its place.

The table below is the layout of the package. A new module is placed here first.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "einderiv"
TOP = "einderiv"  # einderiv/__init__.py

# Rows from the bottom to the top; `name.*` stands for all modules of a sub-package.
LAYERS = (
    ("errors", "functions", "containers", "fingerprints", "digits"),
    ("datafiles", "expr", "notation.syntax", "notation.grammar"),
    (
        "explainer.records",
        "program",
        "walk",
        "labelling",
        "structure",
        "notation.complaints",
        "notation.equations",
        "notation.matrix_words",
        "notation.matrix_complaints",
        "notation.latex_complaints",
        "notation.matrix_layouts",
        "notation.dimensions",
        "notation.trees",
    ),
    (
        "canonical",
        "arrays",
        "notation.parser",
        "notation.tree_builder",
        "notation.latex_tree",
        "notation.latex_formulas",
        "notation.index_tree",
        "notation.matrix_tree",
        "notation.matrix_ranks",
        "notation.subscripts",
        "notation.ranks",
        "backends.*",
    ),
    (
        "rebuilding",
        "notation.scopes",
        "notation.calls",
        "notation.elaborator",
        "notation.einsum",
        "notation.latex",
        "notation.latex_matrices",
        "notation.latex_names",
        "notation.latex_scripts",
        "notation.matrix",
        "notation.matrix_calls",
        "notation.matrix_kron",
        "notation.matrix_operators",
        "notation.matrix_places",
        "notation.matrix_refusals",
        "notation.matrix_terms",
        "printers.*",
        "flat",
        "reference",
    ),
    ("rules", "algebra", "factoring", "substitution", "properties", "evaluating"),
    ("differentiator", "simplifier", "compiler.*"),
    ("uniting", "structured_terms", "generic_extents"),
    ("structured_forms", "structured_solve", "points"),
    ("structured",),
    ("running", "limits", "planning", "pictures.*"),
    ("assumptions", "context", "executable", "reading"),
    ("explainer.*",),
    (
        "notation.python",
        "notation.python_axes",
        "notation.python_functions",
        "notation.python_indexed",
        "notation.python_indexing",
        "notation.python_joined",
        "notation.python_operands",
        "notation.python_products",
        "notation.python_refusals",
        "notation.python_ufuncs",
    ),
    ("einsum_forms", "einsum_programs"),
    ("einsum_plans", "numpy_einsum"),
    ("einsum_rules",),
    ("differentiable",),
    ("expression",),
    ("tensors", "tracing"),
    ("transforms",),
    ("functional",),
    ("equality", "claims", "verdicts"),
    ("difference_quotients", "counterexamples", "kinks"),
    ("deciding",),
    ("mistakes",),
    ("checker",),
    (TOP,),
    # what a user of the package could have written, like the command line
    ("demo", "cli_check", "cli_code", "cli_draw", "cli_explain"),
    ("cli",),
    ("__main__",),
)
# Modules of one layer may import each other within these; the graph as a whole has no cycle.
FAMILIES = ("notation", "backends", "printers", "compiler", "pictures", "explainer")

MAX_LINES = 500  # beyond, a module does more than one thing

# Where a third-party library may be imported, and whether only inside a function.
ANYWHERE = ("*",)
THIRD_PARTY = {
    #  library      modules                  deferred only
    "numpy":       (ANYWHERE,                False),
    "scipy":       (ANYWHERE,                True),
    "lark":        (("notation.parser",),    False),
    "opt_einsum":  (("compiler.order",),     False),
    "click":       (("cli", "cli_check", "cli_draw", "cli_explain"), False),
    "matplotlib":  (("pictures.drawing",),   True),
    "networkx":    (("pictures.springs",),   True),
    "jax":         (("backends.jax",),       True),
    "torch":       (("backends.torch",),     True),
    "dask":        (("backends.dask",),      True),
}  # fmt: skip

# Compiles programs from syntax trees over names minted by us; no text of a user's gets there.
MAY_EXECUTE = ("backends.numpy", "backends.scalars")


@cache
def sources() -> dict[str, ast.Module]:
    """Every module's syntax tree, by dotted name inside the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or TOP
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return trees


def layer(name: str) -> int | None:
    """The row of LAYERS that names the module, or its sub-package."""
    family = f"{name.partition('.')[0]}.*"
    return next((k for k, row in enumerate(LAYERS) if name in row or family in row), None)


def absolute(name: str, node: ast.ImportFrom) -> str:
    """The module an import names: `from ..expr import x` in notation.parser is einderiv.expr."""
    if not node.level:
        return node.module or ""
    is_package = name == TOP or name in FAMILIES
    path = [TOP] if name == TOP else [TOP, *name.split(".")]
    base = path[: len(path) - node.level + is_package]
    return ".".join([*base, node.module] if node.module else base)


def imported(name: str) -> list[tuple[str, int]]:
    """Dotted names of all that a module imports, anywhere in it, with the line."""
    found = []
    for node in ast.walk(sources()[name]):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(name, node)
            found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return found


def own_imports(name: str) -> dict[str, int]:
    """Modules of this package that a module imports, with the line."""
    found = {}
    for target, line in imported(name):
        top, _, inner = target.partition(".")
        if top == TOP:
            parts = inner.split(".")
            known = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
            found[next((part for part in known if part in sources()), TOP)] = line
    return found


def libraries(nodes: Iterable[ast.AST], name: str) -> set[str]:
    """Third-party libraries named by the imports among the nodes."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(absolute(name, node).partition(".")[0])
    return found - sys.stdlib_module_names - {TOP}


def module_level(tree: ast.AST) -> list[ast.AST]:
    """All nodes that run when a module is imported: those outside functions."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


each_module = pytest.mark.parametrize("name", list(sources()))


@each_module
def test_module_has_its_place(name):
    assert layer(name) is not None or name in FAMILIES, (
        f"{name} stands in no layer: add it to a row of LAYERS in tests/test_layers.py, "
        f"above everything it imports: {', '.join(own_imports(name)) or 'nothing'}"
    )


@each_module
def test_module_imports_only_from_below(name):
    own = layer(name)
    wrong = []
    for target, line in own_imports(name).items():
        below = layer(target)
        same_family = target.partition(".")[0] == name.partition(".")[0] in FAMILIES
        if own is None or below is None or below > own or (below == own and not same_family):
            wrong.append(f"line {line}: {name} (layer {own}) imports {target} (layer {below})")
    assert not wrong, "\n".join(wrong)


def test_no_cycle_of_imports():
    TopologicalSorter({name: own_imports(name) for name in sources()}).prepare()


@pytest.mark.parametrize("name", FAMILIES)
def test_sub_package_holds_its_docstring_only(name):
    """Else importing one module of it would load its neighbours, whatever their layer."""
    body = sources()[name].body if name in sources() else []
    assert [node for node in body if not isinstance(node, ast.Expr)] == []


@each_module
def test_third_party_library_stays_in_its_place(name):
    tree = sources()[name]
    at_import = libraries(module_level(tree), name)
    for library in sorted(libraries(ast.walk(tree), name)):
        assert library in THIRD_PARTY, f"{name} imports {library}, which has no row in THIRD_PARTY"
        modules, deferred = THIRD_PARTY[library]
        assert modules is ANYWHERE or name in modules, f"{name} imports {library}"
        assert not (deferred and library in at_import), (
            f"{name} imports {library} at its top: import it inside the function that needs it"
        )


@each_module
def test_nothing_executes_text(name):
    """No eval, exec or unpickling but of syntax trees in the one module that is meant to."""
    wrong = []
    for node in ast.walk(sources()[name]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec", "__import__"):
            wrong.append(f"line {node.lineno}: {ast.unparse(node.func)}(")
    wrong += [f"line {line}: {x}" for x, line in imported(name) if x.partition(".")[0] == "pickle"]
    assert name in MAY_EXECUTE or not wrong, "\n".join(wrong)


@each_module
def test_module_is_short(name):
    path = Path(PACKAGE, *name.split(".")) if name != TOP else PACKAGE
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


def test_import_loads_no_heavy_library():
    heavy = ("scipy", "opt_einsum", "click", "jax", "torch", "dask", "matplotlib")
    program = f"import einderiv, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
