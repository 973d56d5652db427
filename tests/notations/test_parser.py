"""Texts in index notation become the surface tree that they say, whatever their size and depth."""

from __future__ import annotations

import gc
import logging
import random
import sys
from fractions import Fraction
from threading import Thread

import pytest

from einderiv.errors import EinderivError, NotationError
from einderiv.notations import index as index_tree
from einderiv.notations import parser
from einderiv.notations.index import parse_index
from einderiv.notations.parser import grammar_text
from einderiv.notations.syntax import (
    Access,
    Call,
    Comparison,
    Declaration,
    Definition,
    Group,
    Index,
    Name,
    Negative,
    Node,
    Number,
    Power,
    Product,
    Sum,
    Text,
)


def expression(text: str) -> Node:
    """The tree of the last statement's right side."""
    last = parse_index(text).statements[-1]
    assert isinstance(last, Definition)
    return last.expression


def shown(tree: Node | Index | str | int) -> str:
    """The tree with every bracket that it has as a structure: `(+ a (* b c))`."""
    match tree:
        case Number():
            return str(tree.value)
        case Name():
            return tree.name
        case Index():
            return tree.name if tree.extent is None else f"{tree.name}:{tree.extent}"
        case Access():
            return f"{tree.name}[{','.join(map(shown, tree.indices))}]"
        case Call():
            kept = "" if tree.kept is None else f"[{','.join(map(shown, tree.kept))}]"
            behind = "" if tree.subscript is None else f"[{','.join(map(shown, tree.subscript))}]"
            return f"{tree.function}{kept}({', '.join(map(shown, tree.arguments))}){behind}"
        case Comparison():
            return f"({tree.operator} {shown(tree.left)} {shown(tree.right)})"
        case Negative():
            return f"(neg {shown(tree.operand)})"
        case Power():
            return f"(^ {shown(tree.base)} {shown(tree.exponent)})"
        case Product():
            return f"(* {' '.join(('/' if d else '') + shown(f) for d, f in tree.factors)})"
        case Sum():
            return f"(+ {' '.join(('-' if m else '') + shown(t) for m, t in tree.terms)})"
        case Group():
            return f"(group {shown(tree.inner)})"
    return str(tree)


TREES = [  # text, tree
    ("2", "2"),
    ("0.5", "1/2"),
    (".25", "1/4"),
    ("2.", "2"),
    ("1e-3", "1/1000"),
    ("1.5E+2", "150"),
    ("x", "x"),
    ("θ_1", "θ_1"),
    ("_", "_"),
    ("A[i,j]", "A[i,j]"),
    ("A[ i:n , j:3 ]", "A[i:n,j:3]"),
    ("a + b - c", "(+ a b -c)"),
    ("-a + b", "(+ -a b)"),
    ("-a*b - c", "(+ -(* a b) -c)"),
    ("+a", "a"),
    ("a - -b", "(+ a -(neg b))"),
    ("--a", "(neg (neg a))"),
    ("a/b*c", "(* a /b c)"),
    ("2*-x*y", "(* 2 (neg x) y)"),
    ("a/-b^2", "(* a /(neg (^ b 2)))"),
    ("-x^2", "(neg (^ x 2))"),
    ("2^-1", "(^ 2 (neg 1))"),
    ("2^-x^y", "(^ 2 (neg (^ x y)))"),
    ("a^b^c", "(^ a (^ b c))"),
    ("a**b**c", "(^ a (^ b c))"),
    ("a^b*c", "(* (^ a b) c)"),
    ("a·b×c⋅d−e", "(+ (* a b c d) -e)"),
    ("(a + b)*c", "(* (group (+ a b)) c)"),
    ("a + (b + c)", "(+ a (group (+ b c)))"),
    ("(((a)))", "(group a)"),
    ("((a)*(b))", "(group (* (group a) (group b)))"),
    ("f(a, b)", "f(a, b)"),
    ("sum[i,j:n](A[i,j])", "sum[i,j:n](A[i,j])"),
    ("inv(A)[p,q]", "inv(A)[p,q]"),
    ("inv[i,j](A[i,j] + B[i,j])[p,q]", "inv[i,j]((+ A[i,j] B[i,j]))[p,q]"),
    ("f (a) [i]", "f(a)[i]"),
    ("where(a<=b, -c, 2)", "where((<= a b), (neg c), 2)"),
    ("where(a + 1 != b*c, 1, 0)", "where((!= (+ a 1) (* b c)), 1, 0)"),
    ("(a\n + b\n)", "(group (+ a b))"),
    ("A[i,\n  j]  # an entry", "A[i,j]"),
    ("a\t+\u00a0b\r\n", "(+ a b)"),
]


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_text_has_the_tree(text: str, tree: str) -> None:
    assert shown(expression(text)) == tree


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_every_comparison_is_an_argument(operator: str) -> None:
    assert shown(expression(f"step(a{operator}b)")) == f"step(({operator} a b))"


def test_decimals_are_exact() -> None:
    tree = expression("0.1")
    assert isinstance(tree, Number) and tree.value == Fraction(1, 10)


DECLARATIONS = [  # text, axes, assumptions
    ("X : ()", (), ()),
    ("X : (n,)", ("n",), ()),
    ("X:(n, 3)", ("n", 3), ()),
    ("X : (n, n,) symmetric", ("n", "n"), ("symmetric",)),
    ("X : (n, n) spd positive", ("n", "n"), ("spd", "positive")),
    ("X : (n,\n n) spd, nonnegative", ("n", "n"), ("spd", "nonnegative")),
]


@pytest.mark.parametrize(("text", "axes", "assumptions"), DECLARATIONS)
def test_declaration_holds_axes_and_assumptions(
    text: str, axes: tuple[str | int, ...], assumptions: tuple[str, ...]
) -> None:
    declared = parse_index(f"{text}\n1").statements[0]
    assert isinstance(declared, Declaration)
    assert (declared.name, declared.axes, declared.assumptions) == ("X", axes, assumptions)
    assert declared.span == (0, len(text)) and declared.name_span == (0, 1)


def test_statements_end_at_line_ends_and_semicolons() -> None:
    text = parse_index("# heads\n\nr[a] = x[a]; s = 2 ;\n\n J[] = r[a]*r[a] # J\n; s\n")
    heads = [(s.name, s.indices) for s in text.statements if isinstance(s, Definition)]
    assert [name for name, _ in heads] == ["r", "s", "J", None]
    assert [indices and shown(indices[0]) for _, indices in heads] == ["a", None, None, None]


def test_a_hash_hides_brackets_from_the_bracket_check() -> None:
    assert shown(expression("a # ((\n")) == "a"


SPANS = [  # text, the kind of node, the part of the text that it spans
    ("c = 2*A[i, j] + b", Access, "A[i, j]"),
    ("c = 2*A[i, j] + b", Product, "2*A[i, j]"),
    ("c = 2*A[i, j] + b", Sum, "2*A[i, j] + b"),
    ("c = -a*b + d", Sum, "-a*b + d"),
    ("2*((a + b))", Group, "((a + b))"),
    ("2*inv(A) [p,q] + 1", Call, "inv(A) [p,q]"),
    ("f(a <b)", Comparison, "a <b"),
    ("b*- a", Negative, "- a"),
    ("b*x^-2", Power, "x^-2"),
]


@pytest.mark.parametrize(("text", "kind", "part"), SPANS)
def test_spans_cover_the_text_of_a_node(text: str, kind: type[Node], part: str) -> None:
    found = [node for node in nodes(expression(text)) if type(node) is kind]
    assert [text[slice(*node.span)] for node in found] == [part]


def nodes(root: Node) -> list[Node]:
    """All nodes under and with `root`."""
    found: list[Node] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        match node:
            case Call():
                waiting += node.arguments
            case Comparison():
                waiting += [node.left, node.right]
            case Negative():
                waiting.append(node.operand)
            case Power():
                waiting += [node.base, node.exponent]
            case Product():
                waiting += [factor for _, factor in node.factors]
            case Sum():
                waiting += [term for _, term in node.terms]
            case Group():
                waiting.append(node.inner)
    return found


def test_an_index_with_its_extent_spans_both() -> None:
    tree = expression("A[i, j:n]")
    assert isinstance(tree, Access)
    assert [index.span for index in tree.indices] == [(2, 3), (5, 8)]
    assert tree.name_span == (0, 1)


def test_a_text_keeps_its_source() -> None:
    text = parse_index("a + b")
    assert isinstance(text, Text) and text.source == "a + b"


ERRORS = [  # found while building the tree
    """the brackets of A[] are empty
    2*A[] + 1
       ^^
  brackets hold one index for each axis, and a scalar has no axes
  write A for a scalar, A[i] for a vector""",
    """empty brackets stand at the function sum
    sum[](x)
       ^^
  brackets at a function name at least one index
  name the indices, as in sum[i](x[i]), or remove the brackets""",
    """the number 0 stands as an index
    A[i,0]
        ^
  an index is a name that runs over a whole axis
  cut the array beforehand, or multiply by a vector that picks the entry""",
    """the number 1e500 is out of range
    2*1e500
      ^^^^^
  powers of ten go from -400 to 400
  write a name for it, and give its value as an array""",
    """the number 1e-99999999999 is out of range
    1e-99999999999
    ^^^^^^^^^^^^^^
  powers of ten go from -400 to 400
  write a name for it, and give its value as an array""",
    """0 is not an extent
    X : (n, 0)
            ^
  an axis has a whole number of entries, one at least
  an extent is a name or a positive whole number, as in X : (n, 3)""",
    """1.5 is not an extent
    A[i:1.5]
        ^^^
  an axis has a whole number of entries, one at least
  an extent is a name or a positive whole number, as in X : (n, 3)""",
    """the left side of = is not a name
    f(x) = 3
    ^^^^
  a definition names a tensor and its indices
  write y[i] = ... for a tensor, c = ... for a scalar""",
]


@pytest.mark.parametrize("message", ERRORS, ids=lambda message: message.split("\n")[1].strip())
def test_error_shows_place_facts_and_way_out(message: str) -> None:
    text = message.split("\n")[1].strip()
    with pytest.raises(NotationError) as caught:
        parse_index(text)
    assert str(caught.value) == message
    assert caught.value.source == text


def test_a_number_longer_than_python_reads_is_refused() -> None:
    with pytest.raises(NotationError, match="at most 4000 characters, this one 5000"):
        parse_index("1" * 5000)


def test_an_error_does_not_hold_the_parser_alive() -> None:
    for text in ("((a + )", "(((a b)))", "(A[0])"):
        with pytest.raises(NotationError) as caught:
            parse_index(text)
        assert caught.value.__context__ is None and caught.value.__cause__ is None


DEPTH = 100_000
DEEP = {
    "parentheses": "(" * DEPTH + "x" + ")" * DEPTH,
    "calls": "sin(" * DEPTH + "x" + ")" * DEPTH,
    "minus signs": "-" * DEPTH + "x",
    "powers": "x^" * DEPTH + "x",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_depth_needs_no_recursion(text: str) -> None:
    limit = sys.getrecursionlimit()
    found = len(nodes(expression(text)))
    gc.collect()  # the tree is gone: dropping it does not recurse either
    assert sys.getrecursionlimit() == limit
    assert found == 2 if text.startswith("((") else found > DEPTH


def test_a_mistake_at_depth_needs_no_recursion() -> None:
    with pytest.raises(NotationError) as caught:
        parse_index("(" * DEPTH + "+" + ")" * DEPTH)
    assert caught.value.spans == ((DEPTH + 1, DEPTH + 2),)


@pytest.mark.parametrize(("kind", "operator"), [(Sum, "+"), (Product, "*")])
def test_a_long_chain_is_one_node(kind: type[Sum | Product], operator: str) -> None:
    tree = expression(operator.join(["A[i,j]"] * 20_000))
    assert isinstance(tree, kind)
    assert len(tree.terms if isinstance(tree, Sum) else tree.factors) == 20_000


def calls_while_parsing(terms: int) -> int:
    """Python functions that one sum of `terms` terms takes: a count, not a time."""
    text = " + ".join(["A[i,j]*x[j]"] * terms)
    parse_index("1")
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        parse_index(text)
    finally:
        sys.setprofile(None)
    return count


def test_calls_grow_linearly_with_the_text() -> None:
    per_term = calls_while_parsing(400) / 400
    assert calls_while_parsing(1600) / 1600 == pytest.approx(
        per_term,
        rel=0.02,  # what is done once, whatever the number of terms
    )


def test_the_grammar_has_no_conflicts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_tree._PARSER, "_lark", None)
    logger = logging.getLogger("lark")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "propagate", True)
    logger.addHandler(caplog.handler)
    try:
        parse_index("a")
    finally:
        logger.removeHandler(caplog.handler)
    assert [r.getMessage() for r in caplog.records if "onflict" in r.getMessage()] == []


def test_threads_share_one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    whole = parser.Lark

    def counted(*arguments: object, **options: object) -> object:
        built.append(arguments)
        return whole(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(parser, "Lark", counted)
    monkeypatch.setattr(index_tree._PARSER, "_lark", None)
    results: list[str] = []
    threads = [
        Thread(target=lambda: results.append(shown(expression("a + b*c")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["(+ a (* b c))"] * 8
    assert len(built) == 1


def test_a_missing_grammar_says_to_reinstall() -> None:
    with pytest.raises(EinderivError, match="reinstall einderiv") as caught:
        grammar_text("absent.lark")
    assert caught.value.message == "the grammar file absent.lark is missing from the installation"


PIECES = (
    "a X θ sum i n 1 0 2.5 1e-3 1e999 .5 + - * / ^ ** ( ) [ ] , : ; # = == < != symmetric spd"
    " ' @ . · − ² { !"
).split(" ")
PIECES += ["\n", " ", "\t"]
PROGRAMS = [
    "X : (n, d) symmetric\nr[a] = X[a,b]*th[b] - Y[a]\nJ = r[a]*r[a] / n",
    "Y[i,j] = exp(X[i,j])/sum[k:3](exp(X[i,k]))",
    "inv[i,j](A[i,j] + X[i,k]*B[k,j])[p,q] + inv(A)[p,q]",
    "c : (); d : (3,) positive, spd\nwhere(a<b, -x^2^-1, max(a,b)) # c\n",
]


def spoiled(program: str, rng: random.Random) -> str:
    characters = list(program)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(characters) + 1)
        if rng.random() < 0.5:
            del characters[place : place + rng.randrange(1, 4)]
        else:
            characters.insert(place, rng.choice(PIECES))
    return "".join(characters)


def random_text(rng: random.Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return "".join(rng.choices(PIECES, k=rng.randrange(25)))
    if kind == 1:
        return "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(12)))
    return spoiled(rng.choice(PROGRAMS), rng)


def test_nothing_but_a_notation_error_leaves() -> None:
    seed = 20240611
    rng = random.Random(seed)
    accepted = 0
    for _ in range(5_000):
        text = random_text(rng)
        try:
            parse_index(text)
            accepted += 1
        except NotationError as error:
            assert error.source == text, (seed, text)
            assert error.hint and str(error), (seed, text)
            places = [0 <= a < b <= len(text) + 1 for a, b in error.spans]
            assert all(places), (seed, text, error.spans)
    assert accepted > 100, (seed, accepted)  # else the test tries only nonsense
