"""The labelled photographs of a job, split into a training and a validation set."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.config import HeadConfig, TrainConfig
from nimakit.errors import UsageError, first_few
from nimakit.images.photo import Preprocessing
from nimakit.io.atomic import atomic_writer
from nimakit.jobs import Job
from nimakit.labels.label_file import Labels, read_labels
from nimakit.models.metadata import Metadata
from nimakit.scoring.items import Item, list_items
from nimakit.stats import histogram
from nimakit.training.stored_features import StoredFeatures

_QUANTILES = 101
_LISTED = 20


class JobData:
    """The labelled photos of a job, split.

    Args:
        job: The job.
        config: Its config.
        run: The contents of run.json.

    Attributes:
        allow_missing: Whether photos that are missing or cannot be decoded are left out.
        features: Where the features are that take the place of the photos; None if they are computed.
        items: N photos that exist, or that have features.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,) float64.
        parts: "training" and "validation" -> indices.
        test: The photos of the test set; may be empty.
    """

    def __init__(self, job: Job, config: TrainConfig | HeadConfig, run: Mapping[str, Any]) -> None:
        self.allow_missing = bool(run["allow_missing"])
        self.features = StoredFeatures(run["features"]) if run.get("features") else None
        self.items = _available(job.samples_file, run, self.features)
        self.test: list[Item] = []
        if job.test_samples_file.is_file():
            self.test = _available(job.test_samples_file, run, self.features)
        self.labels = np.stack([item.label for item in self.items if item.label is not None])
        self.bins = histogram.default_bins(self.labels.shape[1])
        self.parts = self._split_once(job, config)

    def _split_once(self, job: Job, config: TrainConfig | HeadConfig) -> dict[str, list[int]]:
        """The split of the first start, even if images went missing since."""
        if job.split_file.is_file():
            rows = {item.image_id: row for row, item in enumerate(self.items)}
            return {
                part: sorted(rows[name] for name in ids if name in rows) for part, ids in job.split().items()
            }
        parts = split(len(self.items), config.validation_split, config.seed)
        with atomic_writer(job.split_file) as stream:
            json.dump(
                {part: [self.items[row].image_id for row in rows] for part, rows in parts.items()}, stream
            )
        return parts

    def metadata(
        self, job: Job, base_model: str, preprocessing: Preprocessing, licence: str = "unknown"
    ) -> Metadata:
        """The metadata of the trained model; its percentiles are those of the ratings it was trained on."""
        learned = self.labels[self.parts["training"]]
        quantiles = np.quantile(histogram.mean(learned, self.bins), np.linspace(0, 1, _QUANTILES))
        return Metadata(
            name=f"{base_model}-{job.name}",
            base_model=base_model,
            licence=licence,
            bins=tuple(self.bins.tolist()),
            preprocessing=preprocessing,
            trained_on=f"{len(learned)} photographs with ratings from {self.bins[0]:g} to {self.bins[-1]:g}",
            reference_quantiles=tuple(quantiles.round(6).tolist()),
            reference=f"mean ratings people gave the {len(learned)} photographs it learned from",
        )


def _available(samples_file: Path, run: Mapping[str, Any], features: StoredFeatures | None) -> list[Item]:
    """The photos of a label file that exist, or that have features, if others may be missing."""
    labels = read_labels(samples_file)
    if features:
        where, what = features.place, "features"
        items, found = _with_features(labels, features)
    else:
        image_dir = Path(run["image_dir"])
        where, what = str(image_dir), "images"
        # Jobs of earlier versions, which lack the key, looked into one folder only.
        items = list_items(image_dir, labels, recursive=run.get("recursive", False))
        found = {item.image_id for item in items if item.path is not None}
    absent = [item.image_id for item in items if item.image_id not in found]
    if absent and not run["allow_missing"]:
        listed = first_few(absent, _LISTED) if features else absent
        raise UsageError(
            f"The {what} of a job must stay where they are. Received: {where}, without {len(absent)} of"
            f" them: {', '.join(listed)}; restore them, or leave them out: --resume with"
            " --allow-missing"
        )
    present = [item for item in items if item.image_id in found]
    if not present:
        raise UsageError(f"The {what} of a job must stay where they are. Received: {where}, without any.")
    return present


def _with_features(labels: Labels, features: StoredFeatures) -> tuple[list[Item], set[str]]:
    """The entries of a label file, and the image_ids of those that have features."""
    unknown = [None] * len(labels.image_ids)
    histograms = unknown if labels.histograms is None else [*labels.histograms]
    counts = unknown if labels.ratings is None else labels.ratings.tolist()
    items = [
        Item(image_id=name, path=None, label=label, ratings=count)
        for name, label, count in zip(labels.image_ids, histograms, counts, strict=True)
    ]
    return items, features.find(labels.image_ids)[0]


def split(count: int, share: float, seed: int) -> dict[str, list[int]]:
    """Sorted indices of the training and the validation set: at least one of each if the share is above 0."""
    n_validation = min(count - 1, max(1, round(count * share))) if share else 0
    order = np.random.default_rng(seed).permutation(count)
    return {
        "training": sorted(order[n_validation:].tolist()),
        "validation": sorted(order[:n_validation].tolist()),
    }
