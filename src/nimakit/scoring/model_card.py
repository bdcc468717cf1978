"""Model card in Markdown: what a model is, its training data, accuracy and limits.

After Mitchell et al., "Model Cards for Model Reporting", 2019. The text is in the template, model_card.md.
"""

from collections.abc import Mapping

from nimakit.models.metadata import Metadata
from nimakit.reports import html
from nimakit.scoring.metrics import Metrics
from nimakit.stats.correlation import format_figure


def render(*, metadata: Metadata, metrics: Mapping[str, Metrics], facts: Mapping[str, str]) -> str:
    """Write a model card.

    Args:
        metadata: The metadata of the model file.
        metrics: Name of the set ("validation", "test", "training") -> agreement with its labels.
        facts: Further facts about the training: name -> value.

    Returns:
        Markdown.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    return html.fill(
        "model_card.md", metadata=metadata, metrics=metrics, facts=facts, text=_text, figure=_figure
    )


def _figure(metrics: Metrics, key: str) -> str:
    value = getattr(metrics, key)
    return f"{value:,}" if key == "images" else format_figure(value, metrics.images, 3) or "-"


def _text(value: str) -> str:
    """Text on one line, with Markdown's special characters escaped."""
    words = " ".join(value.split())
    for mark in "\\`*_[]<>|#":
        words = words.replace(mark, "\\" + mark)
    return words
