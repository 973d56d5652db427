"""`einderiv check` prints a verdict; exit code 0 for a correct claim, 1 for others, 2 for bad input."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from einderiv.cli.commands import main

MSE = "J = (X[a,b]*th[b]-Y[a])*(X[a,c]*th[c]-Y[a])/n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([MSE, "--wrt", "th", "--claim", "2*X'*(X*th-Y)/n"], 0, "correct: this is the derivative"),
        ([MSE, "--wrt", "th", "--claim", "X'*(X*th-Y)/n"], 1, "a factor 2 is forgotten"),
        ([MSE, "--wrt", "th", "--claim", "2*X*(X*th-Y)/n"], 1, "wrong shape"),
        (["x'*A*x", "--wrt", "x", "--claim", "2*A*x"], 1, "right if A is symmetric"),
        (["x'*A*x", "--wrt", "x", "--claim", "2*A*x", "--assume", "A symmetric"], 0, "correct"),
        (["A*x", "--notation", "matrix", "--wrt", "x", "--claim", "A'"], 1, "correct up to layout"),
        (["a'*X*b", "--wrt", "X", "--claim", "b*a'", "--layout", "numerator"], 0, "correct"),
        (
            ["x[i]*x[i]", "--wrt", "x", "--claim", "2 x_i", "--claim-notation", "latex"],
            0,
            "correct",
        ),
        (["x[i]*x[i]", "--wrt", "x", "--order", "2", "--claim", "2*delta[i,j]"], 0, "correct"),
        (
            ["x[i]*x[i]", "--shapes", "x:(n)", "--wrt", "x", "--claim", "2*n*x[i]"],
            1,
            "divide it by n",
        ),
        (["x[i]*y[i]", "--wrt", "x", "--wrt", "y", "--claim", "delta[i,j]"], 0, "by x and y"),
    ],
)
def test_verdict_and_exit_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == code
    out, err = capsys.readouterr()
    assert words in out and not err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([MSE, "--wrt", "th", "--claim", "2*X'*("], "never closed"),
        ([MSE, "--wrt", "q", "--claim", "2*X"], "q does not occur"),
        ([MSE, "--wrt", "th", "--claim", "2*Z"], "names Z"),
        ([MSE, "--claim", "2*X"], "check needs --wrt"),
        ([MSE, "--wrt", "th"], "--claim"),
        ([MSE, "--wrt", "th", "--claim", "X", "--to", "pdf"], "pdf"),
        (["A*x", "--wrt", "x", "--claim", "A"], "two notations"),
        ([MSE, "--wrt", "th", "--claim", "X", "--claim-notation", "tex"], "unknown notation 'tex'"),
        ([MSE, "--wrt", "th", "--claim", "@/nowhere/at/all"], "cannot read"),
        (["x[i", "--wrt", "x", "--claim", "1"], "never closed"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out and words in err and "Traceback" not in err and "InternalError" not in err


def test_json_holds_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "x'*A*x", "--wrt", "x", "--claim", "A*x", "--to", "json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["correct"] is False and facts["kind"] == "missing term"
    assert facts["difference"] == "A[j,i]*x[j]" and facts["truth_matrix"] == "(A + A')*x"
    assert set(facts["counterexample"]["arrays"]) == {"A", "x"}


def test_claim_and_expression_may_come_from_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = tmp_path / "claim.txt"
    claim.write_text("2*X'*(X*th-Y)/n\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.StringIO(MSE))
    assert main(["check", "-", "--wrt", "th", "--claim", f"@{claim}"]) == 0
    assert "correct" in capsys.readouterr().out


def test_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "0 the claim is correct" in text and "2 bad input" in text
