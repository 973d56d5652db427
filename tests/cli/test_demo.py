"""The demo: certified digits, and texts to copy that really run.

Oracle: NIST's certified coefficients, which tests/cli/test_longley.py proves with exact fractions.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import einderiv as ed
from einderiv.cli import commands as cli
from einderiv.cli import demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def fit() -> demo.Fit:
    return demo.newton_fit()


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(demo.demo_text())


def test_every_coefficient_has_eight_certified_digits(fit):
    assert fit.digits().shape == (7,)
    assert fit.digits().min() >= 8  # 11.1 measured with OpenBLAS


def test_second_step_wins_digits_back(fit):
    assert fit.digits(1).min() > fit.digits(0).min() + 1  # 7.2, then 11.4 measured


def test_gradient_vanishes_at_the_result(fit):
    assert fit.gradient_norms[-1] < 1e-12 * fit.gradient_norms[0]  # 2.6e5, then 1e-9 measured


def test_table_says_what_was_computed(text, fit):
    rows = re.findall(r"^B(\d) +(\S+) +(\S+) +(\S+)$", text, flags=re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(range(7))
    assert np.allclose([float(row[1]) for row in rows], fit.coefficients[-1], rtol=1e-14, atol=0)
    assert np.allclose(
        [float(row[2]) for row in rows], demo.certified_coefficients(), rtol=1e-14, atol=0
    )
    assert all(float(row[3]) >= 8 for row in rows)


def test_derivatives_are_shown_in_index_notation_and_latex(text):
    J = ed.parse(demo.LEAST_SQUARES)
    for e in (J.diff("th[d]"), J.diff("th[d]", "th[e]")):
        assert f"\n  index  {e}\n" in text and f"\n  LaTeX  {e.latex()}\n" in text


def test_scaling_rounds_nothing():
    X, _ = demo.longley()
    scale = 2.0 ** np.ceil(np.log2(X.max(axis=0)))
    assert ((X / scale) * scale == X).all() and ((X / scale).max(axis=0) <= 1).all()


def test_snippet_and_command_line_run_as_printed(text, tmp_path, monkeypatch, capsys):
    code, command = printed(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shown = [float(word) for word in done.stdout.strip(" []\n").split()]
    assert np.allclose(
        shown, demo.certified_coefficients(), rtol=1e-7, atol=0
    )  # numpy prints 8 digits
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    assert program == "einderiv" and cli.main([*arguments, "--out", "gradient.npy"]) == 0
    assert capsys.readouterr().err == ""
    assert np.linalg.norm(np.load("gradient.npy")) < 1e-6  # of 2.6e5 at th = 0


def printed(text: str) -> tuple[str, str]:
    """What the demo prints to be copied: the Python code and the command line."""
    _, rest = text.split("In Python:\n")
    code, command = rest.split("\nand the gradient at the result, from a shell:\n")
    return tuple(re.sub(r"^ {4}", "", part, flags=re.MULTILINE) for part in (code, command))


def test_command_prints_the_demo(text, capsys):
    assert cli.main(["demo"]) == 0
    assert capsys.readouterr().out == f"{text}\n"
