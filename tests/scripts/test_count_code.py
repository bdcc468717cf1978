"""scripts/count_code.py: lines of code by package."""

import subprocess
import sys
from pathlib import Path

from launchers import ROOT

MODULE = '''\
"""A module.

With two paragraphs.
"""

# A comment.
SIZE = 3  # another
"""What a constant is."""


def first(text: str = """a
b""") -> str:
    """A docstring."""
    return text
'''


def test_counts_neither_blank_lines_nor_comments_nor_docstrings(tmp_path: Path) -> None:
    """A string that is a value counts with all of its lines; each package has a line, then the total."""
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "one.py").write_text(MODULE, "utf-8")
    (tmp_path / "tree" / "two.py").write_text("SIDE = 1\n", "utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "count_code.py"), str(tmp_path / "tree")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = [line.split()[:3] for line in done.stdout.splitlines()]
    assert rows == [["1", "1", "tree"], ["4", "1", "tree.inner"], ["5", "2", "total"]]
