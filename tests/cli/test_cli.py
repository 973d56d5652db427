"""The command line: what it prints, what it reads and writes, and how it refuses."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import einderiv as ed
from einderiv.cli import commands as cli

ROOT = Path(__file__).resolve().parents[2]
QUADRATIC = "x[i]*Q[i,j]*x[j]"
REGRESSION = "J = (X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n"
DOT = "x[i]*y[i]"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """A command line run in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            binary = io.BytesIO(stdin.encode())
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(binary, encoding="ascii"))
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def out(run):
    """Standard output of a command line that must succeed."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        code, output, error = run(*arguments, stdin=stdin)
        assert (code, error) == (0, "")
        return output

    return call


@pytest.fixture
def refusal(run):
    """The message of a command line that must be refused, with nothing on standard output."""

    def call(*arguments: str, stdin: str | None = None) -> str:
        code, output, error = run(*arguments, stdin=stdin)
        assert (code, output) == (2, "")
        assert "Traceback" not in error and "InternalError" not in error
        return error

    return call


def process(*arguments: str, **more) -> subprocess.CompletedProcess:
    """A command line in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("environment", {})}
    command = [sys.executable, "-m", "einderiv", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, **more)


def shown(e: ed.Expression, layout: str | None = None) -> str:
    """What `diff` prints: the index form, and the matrix form as a comment."""
    try:
        return f"{e}\n# matrix: {'; '.join(e.matrix(layout).splitlines())}\n"
    except ed.NotMatrixFormError as error:
        return f"{e}\n# {error.hint}\n"


# ------------------------------------------------------------ derivatives


def test_bare_form_prints_the_derivative(out):
    assert out(QUADRATIC, "--wrt", "x[d]") == shown(ed.parse(QUADRATIC).diff("x[d]"))
    assert out(QUADRATIC, "--wrt", "x[d]") == "(Q[d,i] + Q[i,d])*x[i]\n# matrix: (Q + Q')*x\n"


@pytest.mark.parametrize(
    ("options", "derivative"),
    [
        ((), lambda e: e.simplify()),
        (("--wrt", "x"), lambda e: e.diff("x")),
        (("--wrt", "x[p]"), lambda e: e.diff("x[p]")),
        (("--wrt", "x", "--order", "2"), lambda e: e.diff("x", order=2)),
        (("--wrt", "x", "--order", "0"), lambda e: e),
        (("--wrt", "x", "--wrt", "Q"), lambda e: e.diff("x", "Q")),
        (("--wrt", "x", "--wrt", "Q", "--layout", "numerator"), lambda e: e.diff("x", "Q")),
        (
            ("--wrt", "x", "--wrt", "Q", "--layout", "denominator"),
            lambda e: e.diff("x", "Q", layout="denominator"),
        ),
        (("--wrt", "x", "--notation", "index"), lambda e: e.diff("x")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("command", [(), ("diff",)], ids=["bare", "diff"])
def test_options_do_what_the_methods_do(command, options, derivative, out):
    layout = options[options.index("--layout") + 1] if "--layout" in options else None
    expected = derivative(ed.parse(QUADRATIC))
    assert out(*command, QUADRATIC, *options) == shown(expected, layout)
    assert out(*command, QUADRATIC, *options, "--to", "index") == f"{expected}\n"


def test_both_forms_read_back_as_the_derivative(out):
    text = out(QUADRATIC, "--wrt", "x")
    assert ed.parse(text) == ed.parse(QUADRATIC).grad("x")
    text = out("x'*Q*x", "--notation", "matrix", "--wrt", "x")
    assert text == "(Q + Q')*x\n# index: (Q[i,j] + Q[j,i])*x[j]\n"
    assert ed.parse(text, notation="matrix") == ed.parse("(Q[i,j] + Q[j,i])*x[j]")


def test_matrix_form_alone(out, refusal):
    assert out(QUADRATIC, "--wrt", "x", "--to", "matrix") == "(Q + Q')*x\n"
    row = out(QUADRATIC, "--wrt", "x", "--to", "matrix", "--layout", "numerator")
    assert row == "x'*(Q + Q')\n"
    assert refusal("Y[i,l] = A[i,j]*X[j,k]*B[k,l]", "--wrt", "X", "--to", "matrix") == (
        "NotMatrixFormError: no matrix form for Y[i,l,j,k] = A[i,j]*B[k,l], which has 4 axes\n"
        "  matrix notation has numbers, columns and matrices: 2 axes at most\n"
        "  nearest, with the columns of matrices stacked by vec: kron(B', A)\n"
    )


def test_options_may_stand_before_the_expression(out):
    assert out("--wrt", "x", QUADRATIC) == out(QUADRATIC, "--wrt", "x")


def test_latex(out):
    assert (
        out(QUADRATIC, "--to", "latex", "--wrt", "x")
        == f"{ed.parse(QUADRATIC).diff('x').latex()}\n"
    )


@pytest.mark.parametrize("option", [("--json",), ("--to", "json")], ids=" ".join)
def test_json_is_one_object_with_all_facts(option, out):
    text = out(
        "diff", QUADRATIC, "--wrt", "x[p]", "--wrt", "Q[q,r]", "--layout", "denominator", *option
    )
    e = ed.parse(QUADRATIC)
    d = e.diff("x[p]", "Q[q,r]", layout="denominator")
    assert json.loads(text) == {
        "expression": str(e),
        "wrt": ["x[p]", "Q[q,r]"],
        "order": 1,
        "layout": "denominator",
        "index": str(d),
        "latex": d.latex(),
        "matrix": None,
        "indices": ["q", "r", "p"],
        "shape": list(d.shape),
        "variables": {name: list(shape) for name, shape in d.variables.items()},
    }


def test_shapes_declare_tensors(out):
    facts = json.loads(out("X[i,j]*w[j]", "--wrt", "w", "--shapes", "X:(n, d) w:(d)", "--json"))
    assert facts["shape"] == ["n", "d"]
    assert facts["variables"] == {"X": ["n", "d"], "w": ["d"]}


def test_assumption_merges_a_matrix_and_its_transpose(out):
    e = ed.parse(QUADRATIC, assume={"Q": "symmetric"}).diff("x", order=2)
    assert out(QUADRATIC, "--wrt", "x", "--order", "2", "--assume", "Q symmetric") == shown(e)
    assert str(e) != str(ed.parse(QUADRATIC).diff("x", order=2))


def test_expression_from_standard_input(out):
    assert out("-", "--wrt", "θ", stdin="θ[i]*θ[i]\n") == "2*θ[i]\n# matrix: 2*θ\n"


def test_expression_from_a_file_with_definitions(out):
    Path("loss.txt").write_text("# loss\nr[a] = X[a,b]*th[b] - Y[a]\nJ = r[a]*r[a]/n\n", "utf-8")
    e = ed.parse(Path("loss.txt").read_text("utf-8")).diff("th[d]")
    assert out("@loss.txt", "--wrt", "th[d]") == shown(e)


def test_expression_that_begins_with_a_minus_stands_after_two(out, refusal):
    assert out("--wrt", "x", "--", "-x[i]*x[i]") == "-2*x[i]\n# matrix: -2*x\n"
    assert refusal("-x[i]*x[i]", "--wrt", "x") == (
        "UsageError: No such option '-x'.\n"
        "  see einderiv diff --help; an EXPR that begins with - stands after --\n"
    )


# ------------------------------------------------------------ arrays


@pytest.fixture
def arrays(tmp_path):
    """Arrays for the regression, in every format, in the folder where the command runs."""
    rng = np.random.default_rng(7)
    X, th, Y = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=5)
    np.savez(tmp_path / "all.npz", X=X, th=th, Y=Y, n=5, unused=np.zeros(2))
    np.savez(tmp_path / "one.npz", anything=th)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "th.npy", th)
    np.savetxt(tmp_path / "X.csv", X, delimiter=",", header="of no use", fmt="%.17g")
    lines = ["# a comment", "", "year,Y", *(f"{1950 + k}, {y!r}" for k, y in enumerate(Y.tolist()))]
    (tmp_path / "Y.csv").write_text("\n".join(lines), "utf-8")
    (tmp_path / "th.csv").write_text(
        "".join(f"{t!r}\n" for t in ["th", *th.tolist()]).replace("'", "")
    )
    return {"X": X, "th": th, "Y": Y, "n": 5}


@pytest.mark.parametrize(
    "data",
    [
        ("all.npz",),
        ("X=X.npy", "th=th.npy", "Y.csv", "n=5"),
        ("X=X.csv", "th=th.csv", "Y=all.npz", "n=5e0"),
        ("X=all.npz", "th=one.npz", "Y.csv", "n=all.npz"),
        ("X=X.csv", "th.csv", "Y.csv", "n=5"),
    ],
    ids=" ".join,
)
def test_run_reads_every_format(data, arrays, out):
    options = [word for item in data for word in ("--data", item)]
    facts = json.loads(out("run", REGRESSION, "--wrt", "th", "--json", *options))
    exact = ed.parse(REGRESSION).grad("th")(arrays)
    assert facts == {"shape": [3], "dtype": "float64", "value": exact.tolist()}


@pytest.mark.parametrize("name", ["out.npz", "out.npy", "out.csv"])
def test_output_file_reads_back_to_the_last_bit(name, arrays, out):
    assert out("run", REGRESSION, "--wrt", "th", "--data", "all.npz", "--out", name) == ""
    assert sorted(os.listdir()).count(name) == 1 and not [f for f in os.listdir() if "part" in f]
    value = out("run", "v[i]", "--data", f"v={name}", "--json")
    assert json.loads(value)["value"] == ed.parse(REGRESSION).grad("th")(arrays).tolist()


def test_matrix_goes_through_csv(out):
    Path("A.csv").write_text("1,2.5\n-3,4e300\n")
    out("run", "A[i,j]", "--data", "A=A.csv", "--out", "B.csv")
    assert Path("B.csv").read_text() == "# A[i,j]\n1.0,2.5\n-3.0,4e+300\n"
    assert np.loadtxt("B.csv", delimiter=",").tolist() == [[1.0, 2.5], [-3.0, 4e300]]


def test_npz_output_holds_the_array_as_value(arrays, out):
    out("run", "th[i]", "--data", "all.npz", "--out", "out.npz")
    with np.load("out.npz") as file:
        assert file.files == ["value"] and file["value"].tolist() == arrays["th"].tolist()


def test_failed_write_leaves_the_old_file(arrays, monkeypatch, refusal):
    Path("out.npy").write_bytes(b"old")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    message = refusal("run", "th[i]", "--data", "all.npz", "--out", "out.npy")
    assert message == "DataError: cannot write out.npy: No space left on device\n"
    assert Path("out.npy").read_bytes() == b"old" and not [f for f in os.listdir() if "part" in f]


def test_scalar_is_printed_with_all_digits(out):
    assert out("run", "x/3", "--data", "x=1") == f"{1 / 3!r}\n"


def test_array_is_printed_as_numpy_does(out):
    Path("x.csv").write_text("x\n1\n2\n")
    assert out("run", "2*x[i]", "--data", "x.csv") == "array([2., 4.])\n"


def test_mixed_second_derivative_runs(arrays, out):
    options = (
        "--wrt",
        "th",
        "--wrt",
        "Y",
        "--layout",
        "denominator",
        "--data",
        "all.npz",
        "--json",
    )
    value = json.loads(out("run", REGRESSION, *options))["value"]
    e = ed.parse(REGRESSION).diff("th", "Y", layout="denominator")
    assert value == e(arrays).tolist() and np.shape(value) == (5, 3)


def test_size_gives_an_extent_that_no_array_tells(out):
    assert json.loads(out("run", "delta[i:n,j]", "--size", "n=2", "--json"))["value"] == [
        [1, 0],
        [0, 1],
    ]


def test_json_has_texts_for_what_json_lacks(out):
    Path("x.csv").write_text("x\n0\n-1\n1\n")
    text = out("run", "log(x[i])", "--data", "x.csv", "--json")
    assert json.loads(text)["value"] == ["-inf", "nan", 0.0]


def test_complex_numbers_are_pairs_in_json(out):
    np.save("z.npy", np.array([1 + 2j, 3]))
    facts = json.loads(out("run", "2*z[i]", "--data", "z=z.npy", "--json"))
    assert facts == {"shape": [2], "dtype": "complex128", "value": [[2.0, 4.0], [6.0, 0.0]]}


def test_no_pickle_is_loaded(refusal):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (Path("exploded"),)

    np.save("x.npy", np.array([Bomb()]), allow_pickle=True)
    np.savez("x.npz", x=np.array([Bomb()]))
    Path("raw.npy").write_bytes(Path("x.npy").read_bytes()[128:])
    for item in ("x=x.npy", "x.npz", "x=x.npz", "x=raw.npy"):
        assert refusal("run", DOT, "--data", item, "--data", "y=1").startswith(
            "DataError: cannot read"
        )
    assert not Path("exploded").exists()


# ------------------------------------------------------------ refusals


def test_dimension_error_shows_both_places(refusal):
    assert refusal("X[i,j]*w[i,j]*X[i]", "--wrt", "w") == (
        "DimensionError: X has two ranks\n"
        "    X[i,j]*w[i,j]*X[i]\n"
        "    ^^^^^^        ^^^^\n"
        "  2 axes (X[i,j]), 1 axis (X[i])\n"
        "  give one of them another name, or the same number of indices\n"
    )


def test_notation_error_shows_its_place(refusal):
    assert refusal("X[i,j]*w[j] + X[i,j") == (
        "NotationError: the bracket [ is never closed\n"
        "    X[i,j]*w[j] + X[i,j\n"
        "                   ^\n"
        "  a line end inside brackets does not end a statement\n"
        "  close it with ]\n"
    )


def test_declaration_that_does_not_parse_shows_its_place(refusal):
    assert refusal(DOT, "--shapes", "x:(n) y:(n") == (
        "NotationError: --shapes cannot be read here\n"
        "    x:(n) y:(n\n"
        "          ^\n"
        "  write for example --shapes 'X:(n,d) th:(d)'\n"
    )


def test_table_with_a_word_names_line_and_column(refusal):
    Path("x.csv").write_text("# data\nx,y\n1,2\n3,four\n")
    assert refusal("run", DOT, "--data", "x.csv") == (
        "DataError: x.csv, line 4, column y: 'four' is no number\n"
        "  write a number such as 2.5 (or nan), separate cells by commas\n"
    )


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (("",), "NotationError: there is no expression"),
        (("@nope.txt",), "DataError: cannot read the expression from nope.txt: No such file"),
        (("@.",), "DataError: cannot read the expression from ."),
        (("@latin1.txt",), "DataError: latin1.txt is no text in UTF-8"),
        (("-",), "DataError: standard input is no text in UTF-8"),
        ((DOT, "--wrt", "z"), "DerivativeError: z does not occur"),
        ((DOT, "--wrt", "x["), "DerivativeError: "),
        ((DOT, "--wrt", "x", "--order", "-1"), "DerivativeError: the order -1"),
        ((DOT, "--wrt", "x", "--order", "two"), "UsageError: Invalid value for '--order'"),
        ((DOT, "--order", "2"), "UsageError: --order needs --wrt\n  see einderiv diff --help\n"),
        ((DOT, "--layout", "numerator"), "UsageError: --layout needs --wrt"),
        ((DOT, "--wrt", "x", "--layout", "both"), "UsageError: Invalid value for '--layout'"),
        ((DOT, "--to", "fortran"), "UsageError: Invalid value for '--to'"),
        ((DOT, "--notation", "runes"), "NotationError: unknown notation 'runes'"),
        ((DOT, "--shapes", "x:(n) x:(m)"), "NotationError: x is declared twice"),
        ((DOT, "--shapes", "x:(3) y:(4)"), "DimensionError: index i has two extents"),
        ((DOT, "--assume", "x"), "NotationError: --assume 'x' lacks"),
        ((DOT, "--assume", "x odd"), "NotationError: unknown assumption odd"),
        (("diff",), "UsageError: Missing argument 'EXPR'"),
        (("run",), "UsageError: Missing argument 'EXPR'"),
        ((DOT, "more"), "UsageError: Got unexpected extra argument (more)"),
        (("demo", "more"), "UsageError: Got unexpected extra argument (more)"),
        ((DOT, "--frobnicate"), "UsageError: No such option"),
        (("run", DOT), "DataError: no array for x, y"),
        (("run", DOT, "--data", "nope.npz"), "DataError: cannot read nope.npz: No such file"),
        (("run", DOT, "--data", "x=nope.npy"), "DataError: cannot read nope.npy: No such file"),
        (("run", DOT, "--data", "nope.csv"), "DataError: cannot read nope.csv: No such file"),
        (("run", DOT, "--data", "junk.npz"), "DataError: cannot read junk.npz\n"),
        (("run", DOT, "--data", "x=junk.npy"), "DataError: cannot read junk.npy\n"),
        (("run", DOT, "--data", "cut.npz"), "DataError: cannot read "),
        (("run", DOT, "--data", "really.npz"), "DataError: really.npz is no .npz file"),
        (("run", DOT, "--data", "x=really.npy"), "DataError: really.npy is no .npy file"),
        (("run", DOT, "--data", "latin1.csv"), "DataError: latin1.csv is no text in UTF-8"),
        (("run", DOT, "--data", "empty.csv"), "DataError: empty.csv is empty"),
        (("run", DOT, "--data", "ragged.csv"), "DataError: ragged.csv, line 3 has 1 cells"),
        (("run", DOT, "--data", "twice.csv"), "DataError: twice.csv names x twice"),
        (("run", DOT, "--data", "m.csv"), "DataError: m.csv has no header line"),
        (("run", DOT, "--data", "x=m.csv", "--data", "y=1"), "DimensionError: x has 1 axis"),
        (("run", DOT, "--data", "good.npz", "--data", "x=1"), "DataError: x is given twice"),
        (("run", DOT, "--data", "good.npz", "--data", "z=1"), "DataError: z: no such tensor"),
        (("run", "z", "--data", "good.npz"), "DataError: good.npz has no array that is needed"),
        (("run", "z", "--data", "z=good.npz"), "DataError: good.npz has no array z"),
        (("run", DOT, "--data", "x.npy"), "DataError: x.npy holds an array without a name"),
        (("run", DOT, "--data", "x.txt"), "DataError: cannot read x.txt: its suffix"),
        (("run", DOT, "--data", "text.npz"), "DataError: x has dtype <U1"),
        (("run", DOT, "--out", "out.txt"), "DataError: cannot write out.txt: its suffix"),
        (("run", "1", "--out", "no/out.npy"), "DataError: cannot write no/out.npy: No such file"),
        (
            ("run", "x[i]*y[j]*x[k]", "--data", "good.npz", "--out", "out.csv"),
            "DataError: a .csv file",
        ),
        (("run", "delta[i:n,j]"), "DimensionError: no given array tells the extent n"),
        (("run", "delta[i:n,j]", "--size", "n=many"), "DataError: --size 'n=many' gives no extent"),
        (("run", "A[i,j]", "--data", "A=1e400.csv"), "DataError: cannot read 1e400.csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_one_message_and_exit_code_two(
    arguments, start, refusal, tmp_path, monkeypatch
):
    x, y = np.ones(2), np.ones(2)
    np.savez(tmp_path / "good.npz", x=x, y=y)
    np.savez(tmp_path / "text.npz", x=np.array(["a", "b"]), y=y)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:150])
    np.save(tmp_path / "really.npy", x)
    (tmp_path / "really.npy").rename(tmp_path / "really.npz")
    (tmp_path / "really.npy").write_bytes((tmp_path / "good.npz").read_bytes())
    files = {
        "junk.npz": b"junk", "junk.npy": b"junk", "latin1.txt": b"\xe9", "latin1.csv": b"\xe9\n1",
        "empty.csv": b"\n# nothing\n", "ragged.csv": b"x,y\n1,2\n3\n", "twice.csv": b"x,x\n1,2\n",
        "m.csv": b"1,2\n3,4\n",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert refusal(*arguments).startswith(start)


def test_a_bug_is_one_message_too(run, monkeypatch):
    monkeypatch.setattr(cli, "parse", lambda *_, **__: 1 / 0)
    code, output, error = run(DOT)
    assert (code, output) == (2, "")
    assert error.startswith("InternalError: ZeroDivisionError: division by zero at ")
    assert "Traceback" not in error


def test_interrupt_is_quiet(run, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse", interrupted)
    assert run(DOT) == (130, "", "")


# ------------------------------------------------------------ processes


def test_broken_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "einderiv", "demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.BROKEN_PIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_full_device_is_one_message():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "einderiv", DOT]
        done = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == b"DataError: cannot write the output: No space left on device\n"


def test_unicode_on_an_ascii_terminal():
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = process(
        "-", "--wrt", "x", "--to", "index", input="θ*x".encode(), environment=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\u03b8\n", b"")


def test_unicode_passes_through():
    done = process("θ[i]*θ[i]", "--wrt", "θ", environment={"PYTHONUTF8": "1"})
    assert (done.returncode, done.stdout.decode()) == (0, "2*θ[i]\n# matrix: 2*θ\n")


def test_diff_loads_no_scipy():
    program = (
        "import sys; from einderiv.cli.commands import main; main(['diff', 'x[i]*x[i]', '--wrt', 'x'])\n"
        "print([name for name in ('scipy', 'opt_einsum', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "2*x[i]\n# matrix: 2*x\n[]\n", done.stderr


# ------------------------------------------------------------ help


def test_version(out):
    assert out("--version") == f"einderiv {ed.__version__}\n"


def test_nothing_at_all_prints_the_help(out):
    assert out() == out("--help") == out("-h")


@pytest.mark.parametrize("name", list(cli.commands.commands))
def test_help_of_each_command_has_an_example(name, out):
    assert f"\n  einderiv {name}" in out(name, "--help")


def test_help_names_every_command(out):
    text = out("--help")
    assert all(f"\n  {name} " in text for name in cli.commands.commands)


def test_every_option_has_a_help_text():
    for command in cli.commands.commands.values():
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, option.name


def test_commands_are_a_click_group_for_those_who_embed_them():
    result = CliRunner().invoke(cli.commands, [QUADRATIC, "--wrt", "x[d]"])
    assert (result.exit_code, result.output) == (0, shown(ed.parse(QUADRATIC).diff("x[d]")))


def test_a_first_line_of_names_and_numbers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "half.csv"
    path.write_text("1,a\n3,4\n", encoding="utf-8")
    assert cli.main(["run", "B[i,j]*B[i,j]", "--data", f"B={path}"]) == 2
    assert "neither a header nor numbers" in capsys.readouterr().err
