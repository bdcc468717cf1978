"""Count lines of code of the package, by package: python scripts/count_code.py [FOLDER].

A line counts if it contains code: blank lines, comments and docstrings do not count.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

_PACKAGE = Path(__file__).parents[1] / "src" / "nimakit"
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def count(source: str) -> int:
    """Lines of code of a module."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(source))


def _docstring_lines(source: str) -> set[int]:
    """Lines of strings that are statements: docstrings, and descriptions below constants."""
    return {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def main() -> None:
    """Print a line for each package, then the total."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else _PACKAGE
    packages: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    for path in sorted(root.rglob("*.py")):
        package = ".".join((root.name, *path.relative_to(root).parts[:-1]))
        packages[package] += count(path.read_text("utf-8"))
        modules[package] += 1
    for package, lines in sorted(packages.items()):
        print(f"{lines:7,} {modules[package]:4} {package}")
    print(f"{packages.total():7,} {modules.total():4} total (lines of code, modules)")


if __name__ == "__main__":
    main()
