"""How derivations look: a ladder of text, an aligned block of LaTeX, an HTML fragment, a command.

Oracles: whole ladders as text; an HTML parser that counts what is open; brackets of TeX counted by hand.
"""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import einderiv as ed
from einderiv.cli.commands import main
from einderiv.derivations.derivation import Derivation, to_aligned, to_html, to_ladder, words
from einderiv.derivations.records import Line, Step
from einderiv.printers.latex import matrix_latex
from einderiv.printers.text import break_line

NETWORK = "h[i] = tanh(W[i,j]*x[j]); o[i] = tanh(V[i,j]*h[j]); L = (o[i] - t[i])*(o[i] - t[i])"


def explained(text: str, wrt: str) -> Derivation:
    return ed.parse(text).explain(wrt)


# ------------------------------------------------------------ text


def test_ladder_has_the_rule_beside_each_line_or_above_it():
    assert str(explained("x[i]*Q[i,j]*x[j]", "x[d]")).split("\n") == [
        "f = Q[i,j]*x[i]*x[j]",
        "",
        "∂f/∂x[d] = ∂(Q[i,j]*x[i]*x[j])/∂x[d]",
        "         = Q[i,j]*(∂x[i]/∂x[d])*x[j] + Q[i,j]*x[i]*(∂x[j]/∂x[d])"
        "   product rule: ∂(u*v) = ∂u*v + u*∂v",
        "           (derivative of an entry: ∂x[i]/∂x[d] = delta[i,d]; ∂x[j]/∂x[d] = delta[j,d])",
        "         = Q[i,j]*delta[i,d]*x[j] + Q[i,j]*x[i]*delta[j,d]",
        "           (deltas contracted: delta[i,d]*u[i] = u[d]; delta[j,d]*u[j] = u[d])",
        "         = Q[d,j]*x[j] + Q[i,d]*x[i]",
        "           (dummy indices renamed: u[a]*v[a] = u[b]*v[b])",
        "         = Q[d,i]*x[i] + Q[i,d]*x[i]",
        "         = (Q[d,i] + Q[i,d])*x[i]                                 "
        " simplified: u*v + u*w = u*(v + w)",
        "           (matrix form: (A*B)[i,j] = A[i,k]*B[k,j], A'[i,j] = A[j,i])",
        "         = (Q + Q')*x",
        "",
        "[numerator layout: axes d of x]",
    ]


def test_ladder_keeps_within_the_width_of_a_terminal():
    lines = str(explained(NETWORK, "W")).split("\n")
    assert max(len(line) for line in lines if not line.lstrip().startswith("(")) <= 108


@pytest.mark.parametrize(
    ("line", "width", "parts"),
    [
        ("a + b", 10, ["a + b"]),
        ("aaaa + bbbb*(c - d) - eeee", 14, ["aaaa", "+ bbbb*(c - d)", "- eeee"]),
        ("aaaa*bbbb*cccc", 9, ["aaaa*bbbb", "*cccc"]),
        ("(aaaa + bbbb)/n", 8, ["(aaaa", "+ bbbb)/n"]),
        ("abcdefghij", 4, ["abcdefghij"]),
    ],
)
def test_long_line_is_cut_before_its_outermost_operators(line, width, parts):
    assert break_line(line, width) == parts


# ------------------------------------------------------------ LaTeX


def test_latex_is_one_aligned_block_with_rules_behind():
    assert explained("y[i] = A[i,j]*x[j]", "x[k]").latex().split("\n") == [
        r"\begin{aligned}",
        r"y_{i} &= A_{ij} x_{j} \\",
        r"\frac{\partial y_{i}}{\partial x_{k}} &= "
        r"\frac{\partial}{\partial x_{k}} \left(A_{ij} x_{j}\right) \\",
        r"&= A_{ij} \delta_{jk} && \text{constant factor, derivative of an entry: }"
        r"\frac{\partial x_{j}}{\partial x_{k}} = \delta_{jk} \\",
        r"&= A_{ik} && \text{deltas contracted: }\delta_{jk} u_{j} = u_{k} \\",
        r"&= A && \text{matrix form: }A = (A_{ij}) \\",
        r"&\phantom{=}\; \text{numerator layout: axes i of y, then k of x}",
        r"\end{aligned}",
    ]


def balanced(latex: str) -> bool:
    """Do braces, \\left and \\begin all close?"""
    bare = latex.replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for char in bare:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            return False
    left, right = (len(re.findall(rf"\\{word}(?![a-z])", bare)) for word in ("left", "right"))
    return depth == 0 and left == right and bare.count(r"\begin") == bare.count(r"\end")


@pytest.mark.parametrize(
    ("text", "wrt"),
    [
        (NETWORK, "W"),
        ("logdet[i,j](X[k,i]*X[k,j])", "X"),
        ("max[i](a_b[i]*θ[i])", "θ"),
        ("s[i] = softmax[i](W[i,j]*x[j])", "x"),
        ("sum[i](where(x[i] < 0, x[i]^2, exp(-x[i])))", "x"),
        ("1/sqrt(x[i]*x[i])", "x"),
    ],
)
def test_latex_is_balanced_ascii_math(text, wrt):
    latex = explained(text, wrt).latex()
    assert balanced(latex)
    assert re.sub(r"\\text\{.*?\}", "", latex).isascii()
    assert "$" not in re.sub(r"\\text\{[^\n]*", "", latex)


@pytest.mark.parametrize(
    ("matrix", "latex"),
    [
        ("2/n*X'*(X*th - Y)", r"\frac{2}{n} {X}^{\mathsf{T}} \left(X \mathrm{th} - Y\right)"),
        ("inv(A + B)'", r"{\left({\left(A + B\right)}^{-1}\right)}^{\mathsf{T}}"),
        ("x.*y./z", r"x \odot y \oslash z"),
        ("norm2(x)^2", r"{\left\lVert x \right\rVert_{2}}^{2}"),
    ],
)
def test_matrix_form_as_latex(matrix, latex):
    from einderiv.notations.matrix import parse_matrix

    shown = matrix_latex(parse_matrix(matrix).statements[-1].expression)
    assert shown == latex and balanced(shown)


# ------------------------------------------------------------ HTML


class Tags(HTMLParser):
    """Opened and closed tags in order, the text, and whether all close as they should."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_closes_what_it_opens_and_has_no_script():
    tags = Tags(explained(NETWORK, "W").html())
    assert not tags.open
    assert set(tags.seen) <= {
        "div", "style", "table", "tr", "td", "span", "code", "b", "p", "details", "summary",
    }  # fmt: skip


def test_html_folds_single_steps():
    tags = Tags(explained("x[i]*Q[i,j]*x[j]", "x[d]").html())
    assert tags.seen.count("details") == 1
    assert "2 steps" in tags.texts


def test_html_shows_each_side_as_index_notation():
    d = explained(NETWORK, "W")
    texts = Tags(d.html()).texts
    assert all(step.after.text in texts for step in d.steps)


HOSTILE = "<script>alert('x')</script>&\\)$\\href{javascript:1}{}\""


def hostile_derivation(note: str) -> Derivation:
    """A step all of whose texts are somebody's attack, without LaTeX of its own."""
    line = Line(HOSTILE)
    inner = Step(HOSTILE, HOSTILE, line, line)
    step = Step(HOSTILE, HOSTILE, line, line, folded=(inner,))
    d = explained("x^2", "x")
    return replace(d, steps=(step,), title=line, given=((line, line),), note=note)


def test_hostile_texts_are_escaped_in_html():
    html = to_html(hostile_derivation(HOSTILE))
    tags = Tags(html)
    assert "script" not in tags.seen and not tags.open
    assert HOSTILE in tags.texts  # shown as it is, nothing of it read as markup


def test_hostile_texts_are_escaped_in_latex():
    latex = to_aligned(hostile_derivation(HOSTILE))
    assert r"\href" not in latex
    assert balanced(latex)
    assert latex.count(r"\textbackslash{}href\{javascript:1\}\{\}") == 8


def test_hostile_texts_leave_a_ladder_of_text():
    assert HOSTILE in to_ladder(hostile_derivation(""))


def test_strange_names_are_shown_and_escaped():
    d = explained("a_b[i]*θ_1[i]*ж[i]", "ж")
    assert r"\mathrm{a\_b}_{" in d.latex()
    assert r"{u_{436}}_{" in d.latex()
    assert any("θ_1[" in text for text in Tags(d.html()).texts)


def test_words_escape_all_that_tex_reads():
    assert words("50% {a}_b^c~#&$\\") == (
        r"\text{50\% \{a\}\_b\char94 c\char126 \#\&\$\textbackslash{}}"
    )


# ------------------------------------------------------------ notebooks


def test_notebook_gets_text_latex_and_html():
    d = explained("x[i]*x[i]", "x[k]")
    bundle = d._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/latex", "text/html"}
    assert bundle["text/plain"] == str(d)
    assert bundle["text/latex"] == d._repr_latex_() == f"$\\displaystyle {d.latex()}$"
    assert bundle["text/html"] == d._repr_html_() == d.html()
    assert repr(d) == "<Derivation of ∂f/∂x[k] by the index method, 5 steps>"


# ------------------------------------------------------------ the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["explain", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("form", "method"), [("text", "__str__"), ("latex", "latex"), ("html", "html")]
)
def test_command_prints_a_derivation(capsys, form, method):
    d = ed.parse("x'*A*x", notation="matrix").explain("x[k]")
    code, out, err = run(capsys, "x'*A*x", "--notation", "matrix", "--wrt", "x[k]", "--to", form)
    assert (code, out, err) == (0, getattr(d, method)() + "\n", "")


@pytest.mark.parametrize(
    ("arguments", "words_of_error"),
    [
        (["x[i]*x[i]"], "explain needs --wrt once"),
        (["x[i]*x[i]", "--wrt", "x", "--wrt", "x"], "explain needs --wrt once"),
        (["x[i]*x[i]", "--wrt", "x", "--order", "2"], "takes no --order"),
        (["x[i]*x[i]", "--wrt", "z"], "z does not occur"),
        (["x[i]*x[i]", "--wrt", "x", "--method", "magic"], "--method"),
    ],
)
def test_command_refuses_what_it_cannot_explain(capsys, arguments, words_of_error):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and words_of_error in err


# ------------------------------------------------------------ the page


def test_examples_of_the_page_print_what_it_says():
    page = Path(__file__).parents[2] / "docs" / "explaining.md"
    outcome = doctest.testfile(str(page), module_relative=False)
    assert outcome.attempted > 5 and not outcome.failed
