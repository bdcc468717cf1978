"""Agreement of predicted scores and distributions with people's ratings."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nimakit.stats import histogram
from nimakit.stats.correlation import FEW_IMAGES, format_figure, lcc, srcc
from nimakit.stats.histogram import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Agreement of predictions with labels over a set of images.

    A metric is None if it is not defined: fewer than two images, scores that are all equal, labels with
    other bins than the model (EMD) or on another scale (MAE), a model without distributions (EMD, LCC and
    SRCC of the standard deviations).

    Attributes:
        images: Number of images compared.
        emd: Mean earth mover's distance, r=1 (as the NIMA paper reports it).
        emd_r2: Mean earth mover's distance, r=2 (as NIMA is trained).
        lcc_mean: Pearson's linear correlation (LCC, PLCC) of the mean scores, -1 to 1.
        srcc_mean: Spearman's rank correlation (SRCC) of the mean scores, -1 to 1.
        lcc_sd: LCC of the standard deviations.
        srcc_sd: SRCC of the standard deviations.
        mae_mean: Mean absolute error (MAE) of the mean scores, on the scale of the labels.
        accuracy: Share of images on the same side of the cut by prediction and by label.
        cut: The lower middle bin of the labels: 5 for AVA.
        training_images: Number of images the model was trained on; None if unknown.
        validation_images: Number of images its training was validated with; None if unknown.
    """

    images: int
    emd: float | None
    emd_r2: float | None
    lcc_mean: float | None
    srcc_mean: float | None
    lcc_sd: float | None
    srcc_sd: float | None
    mae_mean: float | None
    accuracy: float
    cut: float
    training_images: int | None = None
    validation_images: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Name -> value, and ``notes``."""
        return asdict(self) | {"notes": self.notes}

    @property
    def notes(self) -> list[str]:
        """Warnings about how far the metrics can be relied on."""
        found = []
        if self.training_images:
            found.append(training_note("The model", self.training_images, self.images))
        if self.validation_images:
            found.append(
                f"{self.validation_images} of the {_images(self.images)} helped choose the model's best epoch"
                " (its validation set): figures may be lower on other images."
            )
        if self.images < FEW_IMAGES:
            found.append(
                f"These figures are a rough guide, from only {_images(self.images)}: other images can give"
                f" very different ones. Use {FEW_IMAGES} or more."
            )
        return found

    def lines(self) -> list[str]:
        """The metrics on one line, then the notes."""
        return [str(self), *self.notes]

    def __str__(self) -> str:
        def show(value: float | None) -> str:
            return format_figure(value, self.images, 4) or "undefined"

        return (
            f"{_images(self.images, 'labelled ')}: EMD {show(self.emd)}, mean LCC {show(self.lcc_mean)}"
            f" SRCC {show(self.srcc_mean)} MAE {show(self.mae_mean)},"
            f" sd LCC {show(self.lcc_sd)} SRCC {show(self.srcc_sd)},"
            f" accuracy at {self.cut:g} {show(self.accuracy)}"
        )


def compare(
    *,
    labels: FloatArray,
    label_bins: FloatArray,
    means: FloatArray,
    sds: FloatArray | None,
    histograms: FloatArray | None,
    bins: FloatArray,
) -> Metrics:
    """Compare predictions with labels.

    Args:
        labels: (N, label bins) float64, rows sum to 1; N at least 1.
        label_bins: (label bins,), their values.
        means: (N,) predicted means, on the scale of bins.
        sds: (N,) predicted standard deviations; None if the model predicts none.
        histograms: (N, bins), rows sum to 1; None if the model predicts none.
        bins: (bins,), values of the model's bins.
    """
    label_means = histogram.mean(labels, label_bins)
    label_sds = histogram.standard_deviation(labels, label_bins)
    same_bins = histograms is not None and np.array_equal(bins, label_bins)
    emd = emd_r2 = None
    if same_bins and histograms is not None:
        emd = float(histogram.emd(labels, histograms, r=1).mean())
        emd_r2 = float(histogram.emd(labels, histograms, r=2).mean())
    same_scale = on_same_scale(bins, label_bins)
    label_cut = middle_cut(label_bins)
    cut = label_cut if same_scale else middle_cut(bins)
    return Metrics(
        images=len(labels),
        emd=emd,
        emd_r2=emd_r2,
        lcc_mean=lcc(means, label_means),
        srcc_mean=srcc(means, label_means),
        lcc_sd=None if sds is None else lcc(sds, label_sds),
        srcc_sd=None if sds is None else srcc(sds, label_sds),
        mae_mean=float(np.abs(means - label_means).mean()) if same_scale else None,
        accuracy=float(((means > cut) == (label_means > label_cut)).mean()),
        cut=label_cut,
    )


def training_note(model: str, trained_on: int, images: int) -> str:
    """A warning that a model was trained on some of the images that it is judged by."""
    return (
        f"{model} was trained on {trained_on} of the {_images(images)}: expect lower figures on other images."
    )


def _images(count: int, kind: str = "") -> str:
    return f"{count} {kind}image{'' if count == 1 else 's'}"


def on_same_scale(first: FloatArray, second: FloatArray) -> bool:
    """Whether two arrays of bins have the same ends, which is all a regression head has."""
    return bool(first[0] == second[0] and first[-1] == second[-1])


def stretched(means: FloatArray, bins: FloatArray, label_bins: FloatArray) -> FloatArray:
    """(N,) predicted means moved from the scale of the model to that of the labels, ends to ends."""
    share = (means - bins[0]) / (bins[-1] - bins[0])
    return np.asarray(label_bins[0] + share * (label_bins[-1] - label_bins[0]))


def middle_cut(bins: FloatArray) -> float:
    """The lower middle bin, above which a picture counts as good: 5 for 1 to 10, 4 for 1 to 7."""
    return float(bins[(len(bins) - 1) // 2])
