"""Pictures: what a graph says is what the expression means; texts are escaped; layouts do not overlap.

Oracles: networks read back as `np.einsum` calls, the cost of programs, an XML and an HTML parser, Graphviz.
Drawn ones are skipped where matplotlib or networkx is missing.
"""

import io
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from fractions import Fraction
from html.parser import HTMLParser
from itertools import combinations, pairwise

import numpy as np
import pytest

import einderiv as ed
from einderiv.cli import commands as cli
from einderiv.printers.pictures.graph import Graph, Node, quote, to_dot
from einderiv.printers.pictures.layout import layer_places

SIZES = {"i": 2, "j": 3, "k": 4, "l": 5, "a": 3, "b": 2, "c": 2, "d": 2, "r": 3, "p": 4, "q": 3}
NETWORKS = (
    "A[i,j]*x[j]",
    "Y[j] = A[i,j]*x[i]",
    "A[i,j]*B[j,k]*C[k,i]",
    "a[i]*X[i,j]*b[j]",
    "A[i,j]*B[i,j]",
    "2*A[i,j]*B[i,j]/3",
    "Y[i] = x[i]*y[i]*z[i]",
    "T[i,j,k,l] = A[i,a]*B[a,j,b]*C[b,k,c]*D[c,l]",
    "T[i,j,k] = A[i,r]*B[j,r]*C[k,r]",
    "H[i,p,j,q] = delta[i,j]*C[p,q]",
    "Y[i,j] = delta[i,j]*x[i]",
    "sum[i,j](A[i,j])",
    "A[i,i]",
    "Y[i] = A[i,j]*u[j]*A[i,l]*v[l]*w[i]",
    "Q[d,i]*x[i] + Q[i,d]*x[i]",
    "x[i]*(A[i,j]*(B[j,k]*y[k]))",
)
LOSS = "J = (X[a,b]*th[b] - Y[a])*(X[a,c]*th[c] - Y[a])/n"


def deep(count: int) -> ed.Expression:
    text = "x[i]"
    for _ in range(count):
        text = f"sin({text})"
    return ed.parse(text)


# ---------------------------------------------------------------- networks


def value_of_network(
    graph: Graph, arrays: dict[str, np.ndarray], sizes: dict[str, int]
) -> np.ndarray:
    """The picture read back: nodes are tensors, lines indices, legs the axes in alphabetical order."""
    total: np.ndarray | float = 0.0
    groups = sorted({node.group for node in graph.nodes})
    sign = 1
    for group in groups:
        members = [k for k, node in enumerate(graph.nodes) if node.group == group]
        signs = [graph.nodes[k].label for k in members if graph.nodes[k].kind == "sign"]
        if signs:
            sign = -1 if signs[0] == "−" else 1
            continue
        line_of: dict[int, int] = {}  # a dot is one index, whatever number of lines meets in it
        axes: dict[int, dict[int, int]] = {}
        legs: list[tuple[str, int]] = []
        for number, edge in enumerate(e for e in graph.edges if e.source in members):
            dots = [k for k in (edge.source, edge.target) if graph.nodes[k].kind == "dot"]
            line = line_of.setdefault(dots[0], number) if dots else number
            for end, mark in zip((edge.source, edge.target), edge.ends, strict=True):
                node = graph.nodes[end]
                if node.kind == "tensor":
                    axes.setdefault(end, {})[int(mark or 1)] = line
                elif node.kind == "open":
                    legs.append((node.label.partition(":")[0], line))
        term: np.ndarray | float = 1.0
        operands: list = []
        for k in members:
            node = graph.nodes[k]
            if node.kind == "scalar":
                term *= float(Fraction(node.label))
            elif node.kind == "tensor":
                operands += [arrays[node.label], [axes[k][a] for a in sorted(axes[k])]]
        names = [name for name, _ in sorted(legs)]
        lines = [line for _, line in sorted(legs)]
        fresh = 30
        for place, line in enumerate(
            lines
        ):  # einsum repeats no label of a result: ties by identities
            size = sizes[names[place]]
            operands += [np.eye(size), [line, fresh + place]]
        total = total + sign * term * np.einsum(*operands, [fresh + k for k in range(len(lines))])
    return np.asarray(total)


@pytest.mark.parametrize("text", NETWORKS)
def test_a_network_read_back_is_the_expression(text):
    e = ed.parse(text)
    rng = np.random.default_rng(5)
    arrays = {
        name: rng.integers(-3, 4, [SIZES[dim] for dim in shape]).astype(float)
        for name, shape in e.variables.items()
    }
    value = e(arrays, sizes={dim: SIZES[dim] for dim in e.shape})
    expected = np.transpose(value, np.argsort(e.indices)) if e.indices else value
    sizes = {name: SIZES[dim] for name, dim in zip(e.indices, e.shape, strict=True)}
    read = value_of_network(e.draw("network").graph, arrays, sizes)
    assert np.allclose(read, expected, rtol=1e-13)  # integers but for a factor 2/3


def test_extents_with_names_of_their_own_stand_on_the_lines():
    e = ed.parse("A[i,j]*x[j]", shapes={"A": ("m", 3)})
    graph = e.draw().graph
    assert [edge.label for edge in graph.edges if edge.label] == ["j: 3"]
    assert [node.label for node in graph.nodes if node.kind == "open"] == ["i: m"]


def test_axes_of_symmetric_tensors_have_no_numbers():
    plain = ed.parse("x[i]*Q[i,j]*y[j]").draw().dot
    symmetric = ed.parse("x[i]*Q[i,j]*y[j]", assume={"Q": "symmetric"}).draw().dot
    assert "taillabel" in plain + plain and "headlabel" not in symmetric
    assert "taillabel" not in symmetric


def test_a_delta_is_a_dot():
    kinds = [node.kind for node in ed.parse("x[i]*x[i]").hessian("x").draw().graph.nodes]
    assert sorted(kinds) == ["dot", "open", "open", "scalar"]


def test_products_are_networks_and_larger_expressions_graphs():
    kinds = {
        text: ed.parse(text).draw().graph.kind
        for text in ("A[i,j]*x[j]", LOSS, "log(sum[k](exp(X[i,k]*w[k])))", "x[i]", "exp(x[i])")
    }
    assert list(kinds.values()) == ["network", "network", "graph", "network", "graph"]


# ---------------------------------------------------------------- graphs


def test_what_is_shared_is_drawn_once():
    e = ed.parse("Y[i] = exp(A[i,j]*x[j])*sin(A[i,j]*x[j]) + cos(A[i,j]*x[j])")
    labels = [node.label for node in e.draw("graph").graph.nodes]
    assert sum(label.startswith("Σ") for label in labels) == 1
    assert labels.count("A") == labels.count("x") == 1


def test_operands_stand_before_results_and_edges_lead_there():
    graph = ed.parse(LOSS).grad("th").draw("graph").graph
    assert all(edge.source < edge.target for edge in graph.edges)
    assert graph.nodes[-1].kind == "result"


def test_edges_of_a_graph_tell_how_a_product_reads_its_operands():
    graph = ed.parse("Y[i,k] = A[i,j]*B[j,k]").draw("graph").graph
    told = {graph.nodes[edge.source].label: edge.label for edge in graph.edges}
    assert told == {"A": "[i,j]", "B": "[j,k]"}
    assert graph.nodes[-1].label == "Y = Σ j → [i,k]"


def test_the_text_of_a_deep_expression_is_linear_and_needs_no_recursion():
    one, two = deep(3000).draw(), deep(6000).draw()
    assert len(one.graph.nodes) == 3001 and len(two.graph.nodes) == 6001
    assert len(two.dot) < 2.1 * len(one.dot)


def test_what_is_too_large_to_read_is_refused_as_a_picture():
    with pytest.raises(ed.ResourceLimitError, match=r"301 nodes is too large(.|\n)*\.dot"):
        deep(300).draw().png()
    assert deep(300).draw()._repr_svg_() is None


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ed.NotationError, match=r"'pie'(.|\n)*network or graph"):
        ed.parse("x[i]").draw("pie")


# ---------------------------------------------------------------- plans


def test_a_plan_shows_every_step_with_its_operations():
    J = ed.parse(LOSS)
    p = ed.compile({"value": J, "grad": J.grad("th"), "hess": J.hessian("th")})
    graph = p.draw().graph
    notes = " ".join(node.note for node in graph.nodes)
    shown = sum(int(n.replace(",", "")) for n in re.findall(r"([\d,]+) flops", notes))
    assert shown == p.cost(a=64, b=64).flops
    results = [node.label.split(" = ")[0] for node in graph.nodes if node.kind == "result"]
    assert sorted(results) == ["grad", "hess", "value"]
    assert [n.label for n in graph.nodes if n.kind == "input"] == ["n", "X", "th", "Y"]


def test_a_plan_takes_the_sizes_of_its_program():
    e = ed.parse("A[i,j]*x[j]")
    graph = ed.compile(e, shapes={"A": (1000, 10)}).draw().graph
    assert graph.caption == "for i = 1000, j = 10"
    assert "20,000 flops" in graph.nodes[-1].note


def test_bound_arrays_are_inputs_of_a_plan():
    p = ed.compile(ed.parse("A[i,j]*x[j]")).bind(A=np.eye(2))
    labels = [node.label for node in p.draw().graph.nodes if node.kind == "input"]
    assert labels == ["bound 0", "x"]


# ---------------------------------------------------------------- escapes


def test_texts_in_dot_are_quoted():
    nasty = 'a"];\nb -> c [label="\\N<b>&\x00'
    shown = quote(nasty)
    assert shown == '"a\\"];\\nb -> c [label=\\"\\\\N<b>&\N{REPLACEMENT CHARACTER}"'
    text = to_dot(Graph("graph", (Node("input", nasty),), ()))
    strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert '"' not in strings and "->" not in strings


class Texts(HTMLParser):
    """The texts of an HTML document, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.texts = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_html_of_an_expression_holds_its_texts_and_no_markup_of_them():
    e = ed.parse("where(x[i] < y[i], x[i], y[i])")
    parser = Texts()
    parser.feed(e._repr_html_())
    assert parser.tags == {"div", "pre"}
    assert str(e) in parser.texts and f"$\\displaystyle {e.latex()}$" in parser.texts


def test_html_of_a_program_is_its_table_escaped():
    p = ed.compile({"<script>": ed.parse("A[i,j]*x[j]")})
    parser = Texts()
    parser.feed(p._repr_html_())
    assert parser.tags == {"table", "tr", "th", "td", "div"}
    assert {"ab,b→a", "v0, v1", "8,192"} <= set(parser.texts)
    assert "v2: <script>; 8,192 flops; for i = 64, j = 64" in parser.texts
    assert '"<script> = ab,b→a' in p.draw().dot


def test_long_expressions_are_cut_in_a_notebook():
    html = deep(3000)._repr_html_()
    assert len(html) < 12_000 and "characters)" in html


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("text", [*NETWORKS, LOSS])
def test_graphviz_reads_the_text(text):
    e = ed.parse(text)
    for picture in (e.draw("network"), e.draw("graph"), ed.compile({'"\\': e}).draw()):
        done = subprocess.run(
            ["dot", "-Tcanon"], input=picture.dot.encode(), capture_output=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, b"")


# ---------------------------------------------------------------- drawn


@pytest.fixture
def plot():
    """matplotlib and networkx, or the test is skipped."""
    pytest.importorskip("networkx")
    return pytest.importorskip("matplotlib")


def overlaps(centres, sizes) -> list[tuple[int, int]]:
    return [
        (a, b)
        for a, b in combinations(range(len(sizes)), 2)
        if abs(centres[a][0] - centres[b][0]) < (sizes[a][0] + sizes[b][0]) / 2 - 1e-9
        and abs(centres[a][1] - centres[b][1]) < (sizes[a][1] + sizes[b][1]) / 2 - 1e-9
    ]


@pytest.mark.parametrize("seed", range(20))
def test_nodes_and_texts_of_layers_do_not_overlap_and_edges_lead_down(seed, plot):
    rng = np.random.default_rng(seed)
    print("seed", seed)
    count = int(rng.integers(2, 40))
    sizes = [(float(w), float(h)) for w, h in rng.uniform(8, 80, (count, 2))]
    edges = [(int(rng.integers(b)), b) for b in range(1, count) for _ in range(rng.integers(3))]
    texts = [(20.0, 9.0) if rng.random() < 0.5 else None for _ in edges]
    places = layer_places(sizes, edges, texts)
    shown = [size for size in texts if size]
    at = [point for point in places.texts if point]
    assert overlaps([*places.centres, *at], [*sizes, *shown]) == []
    for route in places.routes:
        assert all(y < z or y == pytest.approx(z) for (_, y), (_, z) in pairwise(route))
    assert layer_places(sizes, edges, texts) == places


@pytest.mark.parametrize("text", NETWORKS)
def test_nodes_and_texts_of_networks_do_not_overlap(text, plot):
    from einderiv.printers.pictures.drawing import _node_size, text_size
    from einderiv.printers.pictures.layout import network_places

    graph = ed.parse(text).draw("network").graph
    sizes = [_node_size(node) for node in graph.nodes]
    texts = [text_size(edge.label, 8.5) if edge.label else None for edge in graph.edges]
    ends = [(edge.source, edge.target) for edge in graph.edges]
    places = network_places(sizes, ends, texts, [node.group for node in graph.nodes])
    at = [point for point in places.texts if point]
    assert overlaps([*places.centres, *at], [*sizes, *(s for s in texts if s)]) == []


def pictures() -> dict[str, object]:
    J = ed.parse(LOSS)
    return {
        "network": J.draw("network"),
        "graph": J.grad("th").draw("graph"),
        "plan": ed.compile({"<&>": J, "$x$": J.grad("th")}).draw(),
        "spy": J.hessian("X").spy(),
        "greek": ed.parse("θ[i]*Ω[i,j]").draw(),
        "one node": ed.parse("x").draw("network"),
        "nothing": ed.parse("A[i,j]*x[j]").diff("x", "x").spy({"i": 0}),
    }


@pytest.mark.parametrize("name", pictures())
def test_a_picture_is_drawn_and_the_same_each_time(name, plot):
    picture = pictures()[name]
    svg = picture.svg()
    assert xml.etree.ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg == pictures()[name].svg() == picture._repr_svg_()
    image = plot.image.imread(io.BytesIO(picture.png(72)))
    assert picture.png() == pictures()[name].png() == picture._repr_png_()
    assert image[0, 0].tolist()[:3] == [1, 1, 1]  # white paper
    assert name == "nothing" or image[..., :3].min() < 0.4  # with something on it


def test_drawing_neither_follows_nor_changes_settings_of_matplotlib(plot):
    picture = ed.parse("A[i,j]*x[j]").draw()
    before = picture.svg()
    with plot.rc_context({"text.usetex": True, "font.size": 40, "savefig.dpi": 5}):
        settings = dict(plot.rcParams)
        assert picture.svg() == before
        assert dict(plot.rcParams) == settings


def test_a_file_is_of_the_kind_its_name_ends_in(plot, tmp_path):
    picture = ed.parse("A[i,j]*x[j]").draw()
    for name, head in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.dot", b"graph")):
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(head)
    with pytest.raises(ed.DataError, match="dot, svg or png"):
        picture.save(tmp_path / "a.jpeg")
    with pytest.raises(ed.DataError, match="cannot write"):
        picture.save(tmp_path / "nowhere" / "a.png")
    with pytest.raises(ed.DataError, match="resolution"):
        picture.png(dpi=0)


@pytest.mark.parametrize("library", ["matplotlib", "networkx"])
def test_without_a_library_the_text_is_there_and_the_error_says_what_to_install(
    library, monkeypatch, plot
):
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    picture = ed.parse("A[i,j]*x[j]").draw()
    assert picture.dot.startswith("graph")
    with pytest.raises(ed.BackendError, match=rf'{library}(.|\n)*pip install "einderiv\[plot\]"'):
        picture.svg()
    assert picture._repr_svg_() is None and picture._repr_png_() is None


# ---------------------------------------------------------------- command line


@pytest.fixture
def run(capfdbinary, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, bytes, str]:
        code = cli.main(arguments)
        sys.stdout.flush()
        out, error = capfdbinary.readouterr()
        return code, out, error.decode()

    return call


def test_the_command_draws_to_standard_output_and_to_files(run, plot, tmp_path):
    code, out, error = run("draw", "A[i,j]*x[j]")
    assert (code, error) == (0, "") and out.decode() == ed.parse("A[i,j]*x[j]").draw().dot
    assert run("diff", "x[i]*Q[i,j]*x[j]", "--wrt", "x", "--to", "dot")[1].startswith(b"graph")
    assert run("diff", "x[i]*Q[i,j]*x[j]", "--wrt", "x", "--to", "png")[1].startswith(b"\x89PNG")
    assert run("draw", LOSS, "--wrt", "th", "--what", "plan", "--out", "p.svg")[:2] == (0, b"")
    assert (tmp_path / "p.svg").read_bytes().startswith(b"<?xml")
    code, out, _ = run("draw", "x[i]*x[i]", "--wrt", "x", "--order", "2", "--what", "spy",
                       "--size", "i=2")  # fmt: skip
    assert out.decode().splitlines()[-2:] == ["x .", ". x"]


def test_the_command_refuses_what_it_cannot_draw(run):
    for arguments, words in (
        (("--to", "txt"), "dot, svg or png"),
        (("--out", "x.jpeg"), "x.jpeg"),
        (("--what", "graph", "--size", "i=2"), "--size needs --what spy"),
        (("--what", "spy", "--size", "z=2"), "no such extent"),
    ):
        code, out, error = run("draw", "x[i]*x[i]", *arguments)
        assert (code, out) == (2, b"") and words in error and "Traceback" not in error
