"""NumPy's own einsum tests, held by `einsum`.

They come from the installed NumPy: their module is loaded once more with a `numpy` in which `einsum` is
ours and all else, `einsum_path` too, is NumPy's. All of them are run; no deviation is known.
"""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import numpy.testing  # before numpy is replaced, so that it is bound to the real one
import pytest

from einderiv.programs import einsums as numpy_einsum

SPEC = importlib.util.find_spec("numpy._core.tests.test_einsum")
if SPEC is None:
    pytest.skip("this NumPy was installed without its tests", allow_module_level=True)


class NumPyWithOurEinsum(ModuleType):
    """numpy, with `einsum` ours."""

    calls = 0

    def __getattr__(self, name):
        return getattr(np, name)

    def einsum(self, *operands, **settings):
        self.calls += 1
        return numpy_einsum.einsum(*operands, **settings)


def loaded(numpy):
    """NumPy's test module, importing `numpy` as numpy."""
    module = importlib.util.module_from_spec(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numpy", numpy)
        SPEC.loader.exec_module(module)
    return module


numpy_with_ours = NumPyWithOurEinsum("numpy")
theirs = loaded(numpy_with_ours)
for name, value in vars(theirs).items():
    if name.startswith(("Test", "test_")):
        globals()[name] = value


def test_the_tests_above_call_our_einsum():
    case = theirs.TestEinsum()
    before = numpy_with_ours.calls
    case.test_einsum_views()
    case.check_einsum_sums("f8", do_opt=True)
    assert numpy_with_ours.calls - before > 150
    assert theirs.np.einsum_path is np.einsum_path


def test_a_wrong_einsum_fails_the_tests_above(monkeypatch):
    def doubled(*operands, **settings):
        return np.einsum(*operands, **settings) * 2

    monkeypatch.setattr(numpy_einsum, "einsum", doubled)
    for test in ("test_overlap", "test_einsum_chunking_precision"):
        with pytest.raises(AssertionError):
            getattr(theirs, test)()
    with pytest.raises(AssertionError):
        theirs.TestEinsum().test_einsum_views()
