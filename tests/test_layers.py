"""Rooms, and the imports between them: they run down the list, through each room's `__init__`.

`ROOMS` is the layout of the package; docs/architecture.md says what each room is for.
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

# From the top down. A room imports only from those below it.
ROOMS = (
    "cli",
    TOP,
    "checking",
    "expressions",
    "derivations",
    "printers",
    "equality",
    "programs",
    "calculus",
    "notations",
    "terms",
    "errors",
)

LONG = 900  # lines, beyond which a file's head gives the reason ("Long because ...")

# Where a third-party library may be imported, and whether only inside a function.
ANYWHERE = ("*",)
THIRD_PARTY = {
    #  library      modules                               inside a function only
    "numpy":       (ANYWHERE,                             False),
    "scipy":       (ANYWHERE,                             True),
    "lark":        (("notations.parser",),                False),
    "opt_einsum":  (("programs.compiler.order",),         True),
    "click":       (("cli.commands",),                    False),
    "mpmath":      (("equality.digits",),                 True),
    "matplotlib":  (("printers.pictures.drawing",),       True),
    "networkx":    (("printers.pictures.layout",),        True),
}  # fmt: skip

# It compiles programs from syntax trees over names minted by us; no text of a user's gets there.
MAY_EXECUTE = ("programs.backends.python_code",)


@cache
def sources() -> dict[str, ast.Module]:
    """Every module's syntax tree, by dotted name inside the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or TOP
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return trees


@cache
def is_package(name: str) -> bool:
    return name == TOP or Path(PACKAGE, *name.split(".")).is_dir()


def room(name: str) -> str:
    return "cli" if name == "__main__" else name.partition(".")[0]


def absolute(name: str, node: ast.ImportFrom) -> str:
    """The module an import names: `from ..terms import x` in notations.parser is einderiv.terms."""
    if not node.level:
        return node.module or ""
    path = [TOP] if name == TOP else [TOP, *name.split(".")]
    base = path[: len(path) - node.level + is_package(name)]
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


def own_imports(name: str) -> list[tuple[str, str, int]]:
    """Modules of this package that a module imports from, the name taken from each, and the line."""
    found = []
    for target, line in imported(name):
        base, _, what = target.rpartition(".")
        if base == TOP or base.startswith(f"{TOP}."):
            found.append((base.removeprefix(f"{TOP}.") or TOP, what, line))
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


def offered(name: str) -> list[str]:
    """`__all__` of a room."""
    for node in sources()[name].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


each_module = pytest.mark.parametrize("name", list(sources()))
each_room = pytest.mark.parametrize(
    "name", [name for name in ROOMS if name not in (TOP, "cli", "errors")]
)


def test_the_package_holds_the_rooms_and_nothing_else():
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert loose == {"__init__", "__main__", "errors"}
    assert folders == set(ROOMS) - {TOP, "errors"}


@each_module
def test_imports_run_down_and_through_the_face_of_a_room(name):
    own, wrong = ROOMS.index(room(name)), []
    for target, what, line in own_imports(name):
        if target == TOP and what in ROOMS:
            target, what = what, "itself"
        if room(target) == room(name) or (target, what) == (TOP, "__version__"):
            continue
        if ROOMS.index(room(target)) < own:
            wrong.append(f"line {line}: {name} imports {target}, which is above it")
        elif target != "errors" and what not in offered(target):
            wrong.append(
                f"line {line}: {name} imports {what} of {target}: "
                f"offer it in {room(target)}/__init__.py, or do without"
            )
    assert not wrong, "\n".join(wrong)


def test_no_cycle_of_imports():
    """A room comes before those above it; in a room, a module before those that import from it."""
    inside = {
        name: {
            f"{target}.{what}" if f"{target}.{what}" in sources() else target
            for target, what, _ in own_imports(name)
            if room(target) == room(name)
        }
        for name in sources()
    }
    TopologicalSorter(inside).prepare()


@each_room
def test_a_room_says_what_enters_what_leaves_and_what_it_offers(name):
    tree = sources()[name]
    head = ast.get_docstring(tree) or ""
    assert "In:" in head and "Out:" in head, f"{name}/__init__.py says neither In: nor Out:"
    rest = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    assert [type(node) for node in rest] == [ast.Expr, ast.Assign], "imports and __all__ only"
    assert len(offered(name)) == len(set(offered(name)))


@each_room
def test_what_a_room_offers_is_used_outside_it(name):
    taken = {
        what
        for module in sources()
        if room(module) != name
        for target, what, _ in own_imports(module)
        if target == name
    }
    assert sorted(set(offered(name)) - taken) == []


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
    """No eval, exec or unpickling but of syntax trees in the modules that are meant to."""
    wrong = []
    for node in ast.walk(sources()[name]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec", "__import__"):
            wrong.append(f"line {node.lineno}: {ast.unparse(node.func)}(")
    wrong += [f"line {line}: {x}" for x, line in imported(name) if x.partition(".")[0] == "pickle"]
    assert name in MAY_EXECUTE or not wrong, "\n".join(wrong)


@each_module
def test_a_long_file_gives_its_reason(name):
    path = Path(PACKAGE, *name.split(".")) if name != TOP else PACKAGE
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONG or "Long because" in (ast.get_docstring(sources()[name]) or "")


def test_import_loads_no_heavy_library():
    heavy = ("scipy", "opt_einsum", "lark", "click", "mpmath", "jax", "torch", "matplotlib")
    program = f"import einderiv, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_package_shows_its_public_names_only():
    program = (
        "import einderiv, sys; print(dir(einderiv)); einderiv.parse('x'); print(dir(einderiv))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    first, second = map(ast.literal_eval, done.stdout.splitlines())
    names = offered(TOP)
    assert first == second == names
