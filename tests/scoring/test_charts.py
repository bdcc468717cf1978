"""nimakit.scoring.charts: charts as SVG inside a page."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from nimakit.scoring import charts
from nimakit.scoring.calibration import calibrate
from nimakit.stats.histogram import FloatArray, default_bins, normalise

RANDOM = np.random.default_rng(0)
ONE = np.array([3.0])
SAME = np.full(5, 3.0)
MANY = 1 + 6 * RANDOM.random(2000)


def _all(real: FloatArray) -> list[str]:
    predicted = real[::-1] + 0.5
    rows = normalise(np.ones((len(real), 7)))
    epochs = list(range(1, len(real[:100]) + 1))
    return [
        charts.losses("losses", epochs, predicted[:100], real[:100], ["head only"] * len(epochs)),
        charts.agreement("agreement", real, predicted, "mean score"),
        charts.mean_scores("means", real, predicted),
        charts.distributions("ratings", rows, rows, default_bins(7)),
        charts.residuals("residuals", real, predicted - real),
        charts.residual_counts("errors", predicted - real),
        charts.calibration("calibration", calibrate(predicted, real), (1, 8)),
    ]


SCORES = {"one": ONE, "equal": SAME, "some": MANY[:100], "many": MANY}


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    """The charts of each of `SCORES`."""
    return {name: _all(real) for name, real in SCORES.items()}


@pytest.mark.parametrize("name", SCORES)
def test_draws_any_number_of_pictures(drawn: dict[str, list[str]], name: str) -> None:
    """One picture, equal scores and thousands give valid charts of bounded size, with real text."""
    for svg in drawn[name]:
        ElementTree.fromstring(svg.replace("xlink:", ""))  # noqa: S314 - our own
        assert svg.startswith('<svg role="img" aria-label="')
        assert "<text" in svg
        assert len(svg) < 200_000


@pytest.mark.slow
def test_gives_the_same_bytes_for_the_same_scores(drawn: dict[str, list[str]]) -> None:
    """Charts contain no time stamps or random ids, also where points are rasterised."""
    assert _all(MANY) == drawn["many"]


def test_takes_its_colours_from_the_page(drawn: dict[str, list[str]]) -> None:
    """All colours come from the page's style, none from Matplotlib."""
    text = "".join(drawn["some"])
    assert {"var(--ink)", "var(--bar)", "var(--people)"} <= set(re.findall(r"var\(--\w+\)", text))
    assert set(re.findall(r"#[0-9a-f]{6}\b", text)) <= {"#ffffff"}


def test_is_an_element_of_a_page(drawn: dict[str, list[str]]) -> None:
    """Nothing is loaded, no style reaches beyond the chart, and two charts share no id."""
    text = "".join(drawn["some"])
    assert not re.search(r"https?://|<style|<\?xml|<!DOCTYPE", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)


def test_marks_phases_and_the_best_epoch() -> None:
    """Each phase has its name above; without validation there is no line and no lowest point of it."""
    training, validation = np.array([3.0, 2.0, 1.0]), np.array([3.0, np.nan, 2.0])
    phases = ["head only", "head alone", "whole network"]
    svg = charts.losses("x", [1, 2, 3], training, validation, phases)
    for text in ("head only", "whole network", "lowest", "validation"):
        assert svg.count(f">{text}</text>") == 1
    svg = charts.losses("x", [1, 2, 3], training, np.full(3, np.nan), phases)
    assert "lowest" not in svg
    assert "validation" not in svg


@pytest.mark.slow
def test_draws_in_silence_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """In a container without a home folder, a chart prints nothing on stderr."""
    (tmp_path / "file").touch()
    code = "import numpy; from nimakit.scoring import charts; charts.residual_counts('x', numpy.ones(3))"
    environment = {"HOME": str(tmp_path / "file"), "MPLCONFIGDIR": str(tmp_path / "file" / "none")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
