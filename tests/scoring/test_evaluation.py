"""nimakit.scoring.evaluation: a model's scores against people's ratings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import ImageError, UsageError
from nimakit.labels.label_file import Labels
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.models.score import Score
from nimakit.scoring.evaluation import Agreement, bins_of_labels, evaluate
from nimakit.scoring.items import Item, list_items
from nimakit.stats.histogram import default_bins, normalise
from samples import write_photo

ROW = [1.0, 2, 3, 4, 5, 4, 3, 2, 1, 1]


def _item(name: str, row: list[float] | None = None) -> Item:
    return Item(image_id=name, path=Path(name), label=None if row is None else normalise(row))


def _score(row: list[float]) -> Score:
    shares = normalise(row)
    return Score(float(shares @ np.arange(1, len(row) + 1)), 1.0, shares, None)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """A dark and a bright photo, and a label without a photo between them."""
    write_photo(tmp_path / "dark.png", 20)
    write_photo(tmp_path / "bright.png", 240)
    rows = normalise([[9, 1] + [0] * 8, [1] * 10, [0] * 8 + [1, 9]])
    return list_items(tmp_path, Labels(image_ids=("dark", "none", "bright"), histograms=rows))


def test_agreement_counts_only_labelled_scores(tiny: Model) -> None:
    """Unlabelled images are ignored, errors are listed, and without a labelled score it is None."""
    agreement = Agreement(tiny)
    agreement.add(_item("a"), _score(ROW))
    agreement.add(_item("b"), ImageError("unlabelled"))
    agreement.add(_item("c", ROW), ImageError("broken"))
    assert agreement.evaluation() is None
    assert agreement.failures == ["c: broken"]
    agreement.add(_item("d", ROW), _score(ROW))
    evaluation = agreement.evaluation()
    assert evaluation is not None
    assert (evaluation.metrics.images, evaluation.metrics.emd) == (1, 0)
    assert evaluation.image_ids == ("d",)


def test_agreement_compares_other_scales_without_distances(tiny: Model) -> None:
    """With different bins, EMD is undefined, but accuracy is not."""
    agreement = Agreement(tiny)
    agreement.add(_item("a", [0, 0, 0, 0, 0, 1, 1]), _score([0, 0, 0, 0, 0, 0, 0, 1, 1, 1]))
    evaluation = agreement.evaluation()
    assert evaluation is not None
    assert evaluation.label_bins.tolist() == [1, 2, 3, 4, 5, 6, 7]
    metrics = evaluation.metrics
    assert (metrics.emd, metrics.mae_mean, metrics.cut, metrics.accuracy) == (None, None, 4, 1)


def test_labels_have_the_bins_of_the_model_where_there_are_as_many() -> None:
    """Labels with as many bins as the model are on its scale."""
    assert bins_of_labels(np.arange(5.0), 5).tolist() == [0, 1, 2, 3, 4]
    assert bins_of_labels(np.arange(5.0), 3).tolist() == [1, 2, 3]


def test_evaluates_what_can_be_scored(tiny: Model, items: list[Item]) -> None:
    """Scores, labels and files match; each failure is listed with its reason."""
    evaluation = evaluate(tiny, items)
    assert evaluation.image_ids == ("dark", "bright")
    assert [path.name for path in evaluation.paths] == ["dark.png", "bright.png"]
    assert (evaluation.labels.shape, evaluation.means.shape) == ((2, 10), (2,))
    assert evaluation.sds is not None
    assert evaluation.histograms is not None
    assert evaluation.histograms @ default_bins(10) == pytest.approx(evaluation.means)
    assert evaluation.metrics.srcc_mean == pytest.approx(1)
    assert evaluation.failures == ["none: The image source has no image with this image_id."]


def test_evaluates_a_model_without_distributions(score_file: Path, items: list[Item]) -> None:
    """A regression head only has means."""
    evaluation = evaluate(Model([Member(Network(score_file))]), items)
    assert (evaluation.sds, evaluation.histograms, evaluation.metrics.emd) == (None, None, None)
    assert evaluation.metrics.mae_mean is not None


def test_hands_out_the_record_of_every_image(tiny: Model, items: list[Item]) -> None:
    """Records come in order, with the mean of the label, and with the error of what failed."""
    records: list[dict[str, Any]] = []
    evaluation = evaluate(tiny, items, on_record=records.append)
    assert [record["image_id"] for record in records] == ["dark", "none", "bright"]
    assert [record["mean_score_label"] for record in records] == [1.1, 5.5, 9.9]
    assert records[0]["mean_score_prediction"] == pytest.approx(evaluation.means[0], abs=1e-6)
    assert "error" in records[1]


@pytest.mark.parametrize("label", [True, False])
def test_rejects_a_set_of_which_nothing_can_be_compared(tiny: Model, tmp_path: Path, *, label: bool) -> None:
    """The message gives the first reason."""
    item = Item(image_id="a", path=None, label=normalise(ROW) if label else None)
    reason = "no image with this image_id" if label else "none with a label"
    with pytest.raises(UsageError, match=f"Received: 1 images, none of them usable.*{reason}"):
        evaluate(tiny, [item])
