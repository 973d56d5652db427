"""The archives hold what a user needs, and the installed package works far from its checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GRAMMARS = sorted(path.name for path in (ROOT / "grammar").glob("*.lark"))
DATA = sorted(path.name for path in (ROOT / "einderiv" / "cli" / "data").glob("*.csv"))
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "einderiv").rglob("*.py"))


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Standard output of a command that sees `path` and the virtual environment, not the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)  # stands before an editable installation
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that `build` makes from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def sdist(archives) -> set[str]:
    (file,) = archives.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def wheel(archives) -> zipfile.ZipFile:
    (file,) = archives.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


@pytest.fixture(scope="module")
def site(archives, tmp_path_factory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    (file,) = archives.glob("*.whl")
    target = tmp_path_factory.mktemp("site")
    options = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", *options, "--target", target, file, cwd=target)
    return target


def test_sdist_holds_sources_grammars_tests_and_texts(sdist):
    wanted = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "einderiv/py.typed"}
    wanted |= {"tests/test_packaging.py", ".ci/run", *MODULES}
    wanted |= {f"grammar/{name}" for name in GRAMMARS} | {
        f"einderiv/cli/data/{name}" for name in DATA
    }
    assert GRAMMARS and DATA
    assert not wanted - sdist


def test_wheel_holds_the_package_its_grammars_and_its_data(wheel):
    names = set(wheel.namelist())
    wanted = {"einderiv/py.typed", *MODULES}
    wanted |= {f"einderiv/grammar/{name}" for name in GRAMMARS}
    wanted |= {f"einderiv/cli/data/{name}" for name in DATA}
    assert not wanted - names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_beside_the_package(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"einderiv"}


def test_wheel_names_the_command(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "einderiv = einderiv.cli:main" in wheel.read(name).decode()


def test_installed_wheel_parses_and_differentiates(site, tmp_path):
    program = (
        "import einderiv as ed\n"
        "print(ed.__file__)\n"
        "print(ed.parse('x[i]*Q[i,j]*x[j]').diff('x[d]'))\n"
    )
    place, derivative = run(sys.executable, "-c", program, cwd=tmp_path, path=site).splitlines()
    assert Path(place).samefile(site / "einderiv" / "__init__.py")
    assert derivative == "(Q[d,i] + Q[i,d])*x[i]"


def test_installed_grammar_is_the_one_in_the_package(site, tmp_path):
    """No other folder named grammar is near, so what is read can only be the installed copy."""
    program = (
        "from einderiv.notations.parser import grammar_text\n"
        "print(grammar_text('index.lark'), end='')\n"
    )
    installed = site / "einderiv" / "grammar" / "index.lark"
    assert not (site / "grammar").exists() and not (tmp_path / "grammar").exists()
    assert run(sys.executable, "-c", program, cwd=tmp_path, path=site) == installed.read_text(
        encoding="utf-8"
    )


def test_installed_command_runs_its_demo(site, tmp_path):
    assert run(site / "bin" / "einderiv", "demo", cwd=tmp_path, path=site).strip()
