"""Draw the picture in docs/architecture.md: python scripts/architecture.py > docs/architecture.svg.

The flow of data is drawn by hand, below; the packages come from the import-linter contract in pyproject.toml.
"""

import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = {
    "cli": "the command line",
    "commands": "a module a command",
    "config": "training configs",
    "culling": "group a shoot, rank the frames of a group",
    "datasets": "import public datasets and rated posts",
    "enhance": "edit photos without TensorFlow",
    "errors": "one tree of errors",
    "heads": "heads fitted to features, joined with their encoders",
    "explain": "what raises and lowers a score",
    "features": "feature vectors, computed once and kept",
    "images": "find, decode and save photos",
    "io": "files, tables, arrays, threads",
    "jobs": "training job folders",
    "labels": "ratings and label files",
    "models": "model files and the engine that scores",
    "nn": "TensorFlow: train, export, gradients, edit",
    "personal": "one person's taste",
    "progress": "bars and messages",
    "reports": "pages, plots, contact sheets",
    "scoring": "score images, evaluate models",
    "serving": "scores over HTTP",
    "sources": "folders, manifests, tars, object stores",
    "stats": "statistics of plain arrays",
    "training": "prepare and run jobs",
    "web": "the rating app",
    "wording": "phrases with counts",
}
"""Package, or module of the root -> its contents."""


_WIDTH, _EDGE, _GAP, _PAD = 960, 24, 6, 8
_CHIP = 26
_LETTER, _SMALL_LETTER = 8.8, 6.6
"""Average widths in the widest of the fonts named below, so that text stays in its box."""

_TOP = 360
_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"\
 font-family="system-ui, 'DejaVu Sans', Arial, sans-serif" font-size="13">
  <defs>
    <marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"\
 orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#2f6f8f"/></marker>
    <style>
      .box{{fill:#fff;stroke:#c4c6cc}}.nn{{fill:#f3ede2;stroke:#c9b78f}}.file{{fill:#e3f0f5;stroke:#2f6f8f}}
      .row{{fill:#f0f0ed}}.t{{fill:#1c1d20;font-weight:600}}.s{{fill:#5d6068;font-size:11px}}
      .h{{fill:#5d6068;font-weight:600}}.flow{{stroke:#2f6f8f;stroke-width:2;fill:none;marker-end:url(#tip)}}
    </style>
  </defs>
  <rect width="{width}" height="{height}" fill="#fafaf8"/>
  <text x="24" y="32" class="h">THE WAY OF THE DATA</text>
"""

_BOXES = (
    (24, 52, 120, "box", "photographs", "a file, a folder"),
    (180, 52, 110, "box", "files", "which there are"),
    (326, 52, 140, "box", "images", "decode, upright, fit"),
    (502, 52, 120, "box", "network", "ONNX Runtime"),
    (658, 52, 120, "box", "taste", "one person's, if any"),
    (814, 52, 122, "box", "score, records", "JSON, CSV, a sheet"),
    (24, 200, 130, "box", "ratings", "tables, pairs, posts"),
    (190, 200, 126, "file", "label files", "split, checked"),
    (352, 200, 120, "nn", "nn", "train, convert"),
    (502, 200, 120, "file", "model.onnx", "graph + metadata"),
    (658, 200, 120, "box", "web", "the rating app"),
    (814, 200, 122, "box", "serving", "scores over HTTP"),
)
"""Left, top, width, kind, name, description."""

_BOX_HEIGHT = 56
_FLOWS = (
    "M144 80H178",
    "M290 80H324",
    "M466 80H500",
    "M622 80H656",
    "M778 80H812",
    "M154 228H188",
    "M316 228H350",
    "M472 228H500",
    "M562 200V110",
    "M875 108V198",
    "M845 108V154H718V198",
    "M718 256V288H253V258",
    "M690 200V110",
)
_NOTES = (
    (326, 140, "engine: one pool of threads for both"),
    (728, 172, "scores to correct"),
    (290, 306, "what people say: the next round of ratings"),
    (700, 134, "their own ratings"),
)


def picture() -> str:
    """The whole picture, SVG."""
    rows = []
    top = _TOP
    for layer in _layers():
        row, height = _row(sorted(layer), top)
        rows += row
        top += height + _GAP
    head = _HEAD.format(width=_WIDTH, height=top + _EDGE - _GAP)
    return "\n".join([head.rstrip(), *_way(), *rows, "</svg>", ""])


def _layers() -> list[list[str]]:
    """The layers from the top, each a list of packages."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    return [layer.split(" | ") for layer in contract["layers"]]


def _way() -> Iterator[str]:
    for left, top, width, kind, name, what in _BOXES:
        middle = left + width / 2
        yield (
            f'  <rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{_BOX_HEIGHT}" rx="8"/>'
            f'<text x="{middle:g}" y="{top + 25}" text-anchor="middle" class="t">{name}</text>'
            f'<text x="{middle:g}" y="{top + 43}" text-anchor="middle" class="s">{what}</text>'
        )
    for line in _FLOWS:
        yield f'  <path class="flow" d="{line}"/>'
    yield '  <path d="M326 118v6h296v-6" stroke="#8a8d94" fill="none"/>'
    for left, top, text in _NOTES:
        yield f'  <text x="{left}" y="{top}" class="s">{text}</text>'
    title = "THE PACKAGES: each imports only from rows below it"
    yield f'  <text x="{_EDGE}" y="{_TOP - 16}" class="h">{title}</text>'


def _row(names: Sequence[str], top: int) -> tuple[list[str], int]:
    """The packages of one layer, in as many lines as they need, and the height."""
    chips = []
    left, line = _EDGE + _PAD, 0
    for name in names:
        what = PACKAGES[name]
        width = round(_LETTER * len(name) + (_SMALL_LETTER * len(what) + 8 if what else 0) + 20)
        if left + width > _WIDTH - _EDGE - _PAD:
            left, line = _EDGE + _PAD, line + 1
        y = top + _PAD + line * (_CHIP + _GAP)
        kind = "nn" if name == "nn" else "file" if what else "box"
        small = f'<tspan class="s" dx="8">{what}</tspan>' if what else ""
        chips.append(
            f'  <rect class="{kind}" x="{left}" y="{y}" width="{width}" height="{_CHIP}" rx="6"/>'
            f'<text x="{left + width / 2:g}" y="{y + 17}" text-anchor="middle">'
            f'<tspan class="t">{name}</tspan>{small}</text>'
        )
        left += width + _GAP
    height = 2 * _PAD + (line + 1) * (_CHIP + _GAP) - _GAP
    back = (
        f'  <rect class="row" x="{_EDGE}" y="{top}" width="{_WIDTH - 2 * _EDGE}" height="{height}" rx="8"/>'
    )
    return [back, *chips], height


if __name__ == "__main__":
    sys.stdout.write(picture())
