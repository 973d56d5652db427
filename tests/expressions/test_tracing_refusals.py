"""What a plain function cannot do while it is traced is refused, with the file and the line that did it."""

import inspect

import numpy as np
import pytest

import einderiv as ed

x3 = np.array([0.5, -1.0, 2.0])


def branch(x):
    if x.sum() > 0:
        return x.sum()
    return -x.sum()


def loop_until(x):
    while x < 10:
        x = x * 2
    return x


def written(x):
    x[0] = 1.0
    return x.sum()


def row_written(x):
    x = x * 1.0
    x[:, 0] += 1.0
    return x.sum()


def buffer_filled(x):
    buffer = np.zeros(3)
    buffer[:] = x
    return buffer.sum()


def buffer_added(x):
    buffer = np.zeros(3)
    buffer += x
    return buffer.sum()


def data_written(x, data):
    if data[0] > 0:
        data[0] = 7.0
    return np.sum(data * x)


def in_a_helper(x):
    return branch(x) + 1


TRACED_REFUSALS = [
    (branch, branch, "if x.sum() > 0:", "a branch on the value of a symbol"),
    (loop_until, loop_until, "while x < 10:", "a branch on the value of a symbol"),
    (in_a_helper, branch, "if x.sum() > 0:", "a branch on the value of a symbol"),
    (written, written, "x[0] = 1.0", "an entry of a symbol is written"),
    (row_written, row_written, "x[:, 0] += 1.0", "an entry of a symbol"),
    (buffer_filled, buffer_filled, "buffer[:] = x", "a NumPy array needs the value"),
    (buffer_added, buffer_added, "buffer += x", "np.add writes into an array"),
]


@pytest.mark.parametrize("row", TRACED_REFUSALS, ids=[row[0].__name__ for row in TRACED_REFUSALS])
def test_what_cannot_be_traced_is_refused_with_the_line_that_did_it(row):
    function, guilty, line, message = row
    x = {loop_until: 1.0, row_written: np.ones((2, 3))}.get(function, x3)
    with pytest.raises(ed.NotationError) as caught:
        ed.grad(function)(x)
    text = str(caught.value)
    lines, first = inspect.getsourcelines(guilty)
    number = first + next(k for k, own in enumerate(lines) if line in own)
    assert text.splitlines()[0].startswith(message)
    assert text.splitlines()[1].strip() == line
    assert set(text.splitlines()[2].strip()) == {"^"}
    assert f"{__file__}, line {number}, in {guilty.__name__}" in text


def test_writing_into_data_is_refused_and_the_data_stay_as_they_are():
    data = np.ones(3)
    with pytest.raises(ed.NotationError) as caught:
        ed.grad(data_written)(x3, data)
    assert "written into\n    data[0] = 7.0\n" in str(caught.value)
    assert data.tolist() == [1.0, 1.0, 1.0]


OTHERS = [
    (lambda x: x[3] ** 2, "index 3 of an axis with 3 entries"),
    (lambda x: x[0, 1], "2 indices for 1 axes"),
    (lambda x: np.sum(x[x > 0]), "a symbol stands as an index"),
    (lambda x: np.sum(x[[0.5]]), "an object of type list stands as an index"),
    (lambda x: np.sum(x[np.array([True, False])]), "bools of shape (2,) as an index"),
    (lambda x: float(x.sum()), "float() needs the value"),
    (lambda x: np.asarray(x).sum(), "a NumPy array needs the value"),
    (lambda x: sum(x.tolist()), "item() needs the value"),
    (lambda x: sum(v**2 for v in x.sum()), "a loop over the entries"),
    (lambda x: np.kron(x, x).sum(), "np.kron has no meaning"),
    (lambda x: np.sort(x).sum(), "np.sort has no meaning"),
    (lambda x: x.reshape(3, 1, 1, 1).sum() + x.unknown, "symbols do not take part in this"),
    (lambda x: x.reshape(2, 2), "np.reshape of an array of shape (3,)"),
    (lambda x: np.concatenate([x, x[None]]), "np.concatenate of the shapes (3,), (1, 3)"),
    (lambda x: divmod(x, 2)[0].sum(), "symbols do not take part in this"),
    (lambda x: np.sum(x + np.ones(4)), "+: the extents 3 and 4 meet and differ"),
    (lambda x: "a" + x, "an object of type str meets a symbol"),
]


@pytest.mark.parametrize("function, message", OTHERS, ids=[message for _, message in OTHERS])
def test_other_things_that_cannot_be_traced_are_refused_with_their_line(function, message):
    with pytest.raises(ed.EinderivError) as caught:
        ed.grad(function)(x3)
    assert str(caught.value).startswith(message)
    assert f"{__file__}, line {inspect.getsourcelines(function)[1]}, in <lambda>" in str(
        caught.value
    )


def test_an_exception_of_the_function_is_its_own():
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ed.grad(fails)(x3)
    with pytest.raises(ZeroDivisionError):
        ed.grad(lambda x: 1 / 0)(x3)
    with pytest.raises(np.linalg.LinAlgError):
        ed.grad(lambda x: np.sum(x * np.linalg.inv(np.zeros((3, 3)))))(x3)
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        ed.grad(lambda x: np.sum(x))(x3, x3)


CALLS = [
    (lambda: ed.grad(lambda x: x)(x3), "DerivativeError", "the gradient of a function whose value"),
    (lambda: ed.hessian(lambda x: (x, x))("a"), "DataError", "differentiate by x: it is of type"),
    (lambda: ed.grad(lambda x: (x, x))(1.0), "DerivativeError", "that returns 2 values"),
    (lambda: ed.grad(lambda x: None)(1.0), "DerivativeError", "that returns nothing"),
    (lambda: ed.grad(np.sum, 1)(x3), "DerivativeError", "argnums=1 of a call with 1 positional"),
    (lambda: ed.grad(np.sum, "x")(x3), "DerivativeError", "'x' names no argument of a function"),
    (lambda: ed.grad(np.sum)(), "DerivativeError", "argnums=0 of a call with 0 positional"),
    (lambda: ed.grad(np.sum)(x3 + 1j), "DataError", "it is of dtype complex128"),
    (lambda: ed.grad(np.sum)(np.array(["a"])), "DataError", "dtype <U1"),
    (lambda: ed.grad(np.sum)(np.ma.array(x3)), "DataError", "a masked array"),
    (lambda: ed.grad(np.sum)(np.ones((2, 2)).view(np.matrix)), "DataError", "a numpy.matrix"),
    (lambda: ed.grad(np.sum)(object()), "DataError", "it is of type object"),
    (lambda: ed.grad(3), "NotationError", "an object of type int cannot be differentiated"),
    (lambda: ed.grad(np.linalg.inv)(np.eye(2)), "DerivativeError", "whose value has 2 axes"),
    (lambda: ed.jacobian(np.linalg.inv)(np.zeros((2, 2))), "DataError", "is singular"),
]


@pytest.mark.parametrize("call, kind, message", CALLS, ids=[message for *_, message in CALLS])
def test_a_call_that_has_no_meaning_says_why(call, kind, message):
    with pytest.raises(ed.EinderivError) as caught:
        call()
    assert isinstance(caught.value, getattr(ed, kind)) and message in str(caught.value)
