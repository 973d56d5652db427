"""The command line reads every notation and prints derivatives of einsum strings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import einderiv as ed
from einderiv.cli import commands as cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code, standard output and standard error of a command line."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        output, error = capsys.readouterr()
        return code, output, error

    return call


def test_matrix_notation_is_answered_in_matrix_notation(run: Run) -> None:
    command = ("norm2(X*w - y)^2", "--notation", "matrix", "--wrt", "w")
    assert run(*command) == (
        0,
        "2*X'*(X*w - y)\n# index: 2*X[i,j]*(X[i,k]*w[k] - y[i])\n",
        "",
    )
    assert run(*command, "--layout", "numerator")[1].startswith("2*(X*w - y)'*X\n")


def test_einsum_string_with_named_operands(run: Run) -> None:
    code, output, _ = run("i,ij,j->", "--notation", "einsum", "--operands", "x, Q, x", "--wrt", "x")
    assert (code, output) == (0, "(Q[i,j] + Q[j,i])*x[j]\n# matrix: (Q + Q')*x\n")


def test_derivative_as_an_einsum_string(run: Run) -> None:
    assert run("a[i]*X[i,j]*b[j]", "--wrt", "X", "--to", "einsum")[1] == 'einsum("i,j->ij", a, b)\n'
    code, output, error = run("x[i]*Q[i,j]*x[j]", "--wrt", "x", "--to", "einsum")
    assert (code, output) == (2, "")
    assert "Q[i,j] + Q[j,i]" in error


def test_json_tells_the_matrix_form(run: Run) -> None:
    facts = json.loads(run("x'*Q*x", "--notation", "matrix", "--wrt", "x", "--json")[1])
    assert facts["matrix"] == "(Q + Q')*x"
    assert facts["index"] == "(Q[i,j] + Q[j,i])*x[j]"


def test_rules_of_one_operand(run: Run) -> None:
    assert run("einsum", "ij,jk->ik", "--wrt", "0") == (0, ed_report("ij,jk->ik", 0) + "\n", "")


def ed_report(subscripts: str, operand: int) -> str:
    """What the command prints, from the rules themselves."""
    vjp, jacobian = ed.einsum_vjp(subscripts, operand), ed.einsum_jacobian(subscripts, operand)
    return "\n".join(
        [
            f"value     {subscripts}",
            "          out[i,k] = A[i,j]*B[j,k]",
            f"vjp       {vjp}",
            f"          {vjp.index}",
            f"jacobian  {jacobian}",
            f"          {jacobian.index}",
            'NumPy     dA = np.einsum("ik,jk->ij", g, B)',
            '          J_A = np.einsum("ip,qk->ikpq", np.eye(A.shape[0]), B)',
        ]
    )


def test_rules_of_all_operands_where_none_is_named(run: Run) -> None:
    code, output, _ = run("einsum", "ij,jk,k->i")
    assert (code, output.count("vjp"), output.count("\n\n")) == (0, 3, 2)


def test_an_ellipsis_takes_shapes(run: Run) -> None:
    code, output, _ = run(
        "einsum", "...ij,...jk->...ik", "--wrt", "1", "--shapes", "(5,2,3) (5,3,4)"
    )
    assert code == 0
    assert "dB[a,j,k] = g[a,i,k]*A[a,i,j]" in output


def test_a_string_that_is_none_and_an_operand_that_is_not_there(run: Run) -> None:
    code, output, error = run("einsum", "ij,jk->iz", "--wrt", "0")
    assert (code, output) == (2, "")
    assert error.startswith(
        "NotationError: label z of the output is in no operand\n    ij,jk->iz\n"
    )
    assert run("einsum", "ij,jk", "--wrt", "5")[2].startswith("NotationError: no operand 5 in")
    assert "write one for each operand" in run("einsum", "ij->i", "--shapes", "2,3")[2]


def test_a_text_of_another_notation_is_told_so(run: Run) -> None:
    assert 'it reads as matrix notation: notation="matrix"' in run("x'*A", "--wrt", "x")[2]
    assert 'it reads as einsum notation: notation="einsum"' in run("ij,j->i")[2]
    assert (
        'it reads as index notation: notation="index"'
        in run("A[i,j]*x[j]", "--notation", "matrix")[2]
    )
