"""The page of worked examples is what the engine says today."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "worked_examples.py"


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worked_examples", SCRIPT)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["worked_examples"] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    return made


def test_the_page_of_worked_examples_is_not_stale() -> None:
    examples = module()
    assert examples.PAGE.read_text(encoding="utf-8") == examples.page(), (
        "run python docs/worked_examples.py"
    )


def test_there_are_ten_examples_from_machine_learning_and_those_of_the_notes() -> None:
    examples = module()
    assert len(examples.LEARNING) >= 10
    assert sum(bool(example.source) for example in examples.NOTES) >= 6
