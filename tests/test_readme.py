"""README.md and the checks that stand behind it say the same."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_readme_gives_the_test_command_that_ci_runs():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (command,) = re.findall(r"^test_command='(.*)'$", script, flags=re.MULTILINE)
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert command in [line.strip() for line in lines], f"README.md has no line: {command}"
