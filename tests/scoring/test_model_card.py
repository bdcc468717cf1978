"""nimakit.scoring.model_card: model cards in Markdown."""

import dataclasses

import numpy as np

from nimakit.scoring import model_card
from nimakit.scoring.metrics import Metrics, compare
from nimakit.stats.histogram import default_bins
from samples import metadata

SETS = ("training", "validation", "test")


def _metrics(**changes: object) -> Metrics:
    labels = np.eye(10)
    found = compare(
        labels=labels,
        label_bins=default_bins(10),
        means=np.arange(1.0, 11),
        sds=None,
        histograms=labels,
        bins=default_bins(10),
    )
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def test_says_what_people_must_know() -> None:
    """Use, training, agreement, input, limits and licence each have a section."""
    card = model_card.render(
        metadata=metadata(name="mine"), metrics={"test": _metrics()}, facts={"seed": "7"}
    )
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == [
        "# mine",
        "## Use",
        "## Training",
        "## Agreement with people",
        "## Input",
        "## Limits",
        "## Licence",
    ]
    for text in ("nimakit predict --model", "| seed | 7 |", "from 1 to 10", "8x8 pixels", "nearest filter"):
        assert text in card
    assert "not for judging the people in them" in card
    assert "what the raters of the training set would have given" in card


def test_has_a_column_a_set() -> None:
    """Figures that are not defined are a dash."""
    sets = {"validation": _metrics(images=1234), "test": _metrics(emd=None)}
    card = model_card.render(metadata=metadata(), metrics=sets, facts={})
    assert "| figure | validation | test |" in card
    assert "| images | 1,234 | 10 |" in card
    assert "| EMD, r = 1 | 0.000 | - |" in card
    assert "| SRCC of the mean scores | 1.000 | 1.00 |" in card
    assert "Test: These figures are a rough guide, from only 10 images" in card
    assert "Validation: Figures" not in card
    assert "| SRCC of the standard deviations | - | - |" in card


def test_warns_about_metrics_of_training_images() -> None:
    """Metrics of training images have a warning."""
    cards = {
        name: model_card.render(
            metadata=metadata(),
            metrics={name: _metrics(training_images=10 if name == "training" else 0)},
            facts={},
        )
        for name in SETS
    }
    assert [name for name, card in cards.items() if "expect lower figures on other images" in card] == [
        "training"
    ]


def test_says_that_nothing_was_measured() -> None:
    """Without metrics there is no empty table."""
    assert "Not measured." in model_card.render(metadata=metadata(), metrics={}, facts={})


def test_says_whether_the_licence_is_known() -> None:
    """An unknown licence is no permission."""
    about = metadata()
    assert "ask the person who trained it" in model_card.render(metadata=about, metrics={}, facts={})
    free = dataclasses.replace(about, licence="Apache-2.0")
    assert "Apache-2.0." in model_card.render(metadata=free, metrics={}, facts={})


def test_keeps_names_out_of_the_markup() -> None:
    """Bars, tags and line breaks in names or facts are escaped."""
    card = model_card.render(metadata=metadata(name="a\n# <b>"), metrics={}, facts={"k|": "x\n| y"})
    assert r"# a \# \<b\>" in card.splitlines()
    assert r"| k\| | x \| y |" in card.splitlines()
