"""A model card: what a model is, what it learned from, how good it is, and what it must not be used for.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from collections.abc import Mapping

from nimakit.models.metadata import Metadata
from nimakit.scoring.metrics import Metrics
from nimakit.stats.correlation import format_figure

_FIGURES = {
    "images": "images",
    "srcc_mean": "SRCC of the mean scores",
    "lcc_mean": "LCC of the mean scores",
    "mae_mean": "MAE of the mean scores",
    "emd": "EMD, r = 1",
    "emd_r2": "EMD, r = 2",
    "accuracy": "accuracy at the middle of the scale",
    "srcc_sd": "SRCC of the standard deviations",
    "lcc_sd": "LCC of the standard deviations",
}
_FITS = {
    "squash": "squashed, whatever its shape",
    "pad": "shrunk to fit and padded with black",
    "crop": "cropped to the centre",
}

_LIMITS = """\
- A score is what the raters of the training set would have said. Other people, other times and other kinds of
  pictures may differ: measure on pictures of your own before relying on it (`nimakit evaluate`).
- It rates photographs. It is not for judging the people in them, and must not be used for that.
- What the training set has few of, the model knows little of; its scores there lean to the middle.
- A score does not say why. The model knows nothing of what a picture means, nor whether it is real."""
_HOW_TO_READ = """\
SRCC and LCC: 1 is perfect, 0 is chance. MAE: points of the scale. EMD: 0 is perfect. A dash: not defined."""


def render(*, metadata: Metadata, metrics: Mapping[str, Metrics], facts: Mapping[str, str]) -> str:
    """Write a model card.

    Args:
        metadata: What the model file says of itself.
        metrics: Name of the set ("validation", "test", "training") -> agreement with its labels.
        facts: What else is worth knowing of the training: name -> value.

    Returns:
        Markdown.
    """
    low, high = metadata.bins[0], metadata.bins[-1]
    prepared = metadata.preprocessing
    sections = [
        f"# {_text(metadata.name)}",
        f"Scores how good photographs look, from {low:g} to {high:g}, as the people did whose ratings it"
        f" learned from. Backbone: {_text(metadata.base_model)}.",
        "## Use",
        "```bash\nnimakit predict --model model.onnx --image-source PHOTOS\n```",
        "The file holds the network and everything needed to score with it; nothing else has to be set.",
        "## Training",
        _table(("", ""), [("trained on", metadata.trained_on), *facts.items()]),
        "## Agreement with people",
        _figures(metrics),
        "## Input",
        f"RGB, {prepared.width}x{prepared.height} pixels (width x height); a picture is"
        f" {_FITS[prepared.fit]}, resized by the {prepared.resize_filter} filter. `nimakit` does this by"
        " itself.",
        "## Limits",
        _LIMITS,
        "## Licence",
        "Unknown: ask whoever trained it before passing it on."
        if metadata.licence == "unknown"
        else f"{_text(metadata.licence)}. The pictures and ratings it learned from have their own.",
    ]
    return "\n\n".join(sections) + "\n"


def _figures(metrics: Mapping[str, Metrics]) -> str:
    if not metrics:
        return "Not measured."
    rows = [
        (label, *(_number(getattr(found, key), found.images) for found in metrics.values()))
        for key, label in _FIGURES.items()
    ]
    notes = [f"{name.capitalize()}: {note}" for name, found in metrics.items() for note in found.notes]
    return "\n\n".join([_table(("figure", *metrics), rows), _HOW_TO_READ, *notes])


def _number(value: float | None, images: int) -> str:
    return f"{value:,}" if isinstance(value, int) else format_figure(value, images, 3) or "-"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(value: str) -> str:
    """On one line, and no markup."""
    words = " ".join(value.split())
    for mark in "\\`*_[]<>|#":
        words = words.replace(mark, "\\" + mark)
    return words
