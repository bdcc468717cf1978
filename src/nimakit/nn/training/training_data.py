"""The data of a job: decoded photos, frozen features and targets, in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from nimakit.config import TrainConfig
from nimakit.errors import ImageError
from nimakit.images.photo import Preprocessing
from nimakit.io.threads import cores
from nimakit.nn.training import frozen_features
from nimakit.nn.training.batches import Batches, Crops, Examples, Features, balanced_probabilities
from nimakit.nn.training.pixels import PixelCache
from nimakit.stats.histogram import Float32Array, FloatArray, mean

_VALIDATION_SHARE = 0.25
"""Share of cache_memory_mb and cache_disk_mb for the photos of the validation set."""
_FEATURE_BATCH = 32
_MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledPhotos:
    """Labelled photos, split into a training and a validation set.

    Attributes:
        paths: N image files.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
        training: Indices of the training set.
        validation: Indices of the validation set; may be empty.
    """

    paths: Sequence[Path]
    labels: FloatArray
    bins: FloatArray
    training: Sequence[int]
    validation: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Subset:
    """The training or the validation set.

    Attributes:
        name: "training" or "validation".
        paths: n files.
        targets: (n, ...) float32.
        pixels: The pixels of all n photos, at one size.
        rows: Indices of the photos that could be decoded.
    """

    name: str
    paths: Sequence[Path]
    targets: Float32Array
    pixels: PixelCache
    rows: list[int]


class TrainingData:
    """Batches for both phases of a job.

    Args:
        photographs: The photos of the job.
        config: Crops, flips, balance, memory.
        preprocessing: The preprocessing of the model.
        preprocess: The preprocessing of its backbone, for batches of pixels.
        scratch: Folder for what does not fit into memory.
        allow_missing: Whether to leave out photos that cannot be decoded instead of raising.
        notify: Called with a message about photos that are left out.

    Raises:
        ImageError: Photos cannot be decoded; the error lists them.
    """

    def __init__(
        self,
        photographs: LabelledPhotos,
        config: TrainConfig,
        preprocessing: Preprocessing,
        preprocess: Callable[[Any], Any],
        *,
        scratch: Path,
        allow_missing: bool,
        notify: Callable[[str], None],
    ) -> None:
        self._preprocess = preprocess
        self._photographs = photographs
        self._config = config
        self._preprocessing = preprocessing
        self._scratch = scratch
        self._ratings = mean(photographs.labels, photographs.bins)
        share = _VALIDATION_SHARE if photographs.validation else 0.0
        self._subsets = [self._open("training", photographs.training, self._stored_size(), 1 - share)]
        if photographs.validation:
            self._subsets.append(self._open("validation", photographs.validation, preprocessing, share))
        self._refuse_damaged(allow_missing, notify)

    def crop_batches(self) -> tuple[Batches, Batches | None]:
        """Random crops to train the whole network with, and whole photos to validate it with, if any."""
        size, flip = self._preprocessing, self._config.random_flip
        batches = []
        for subset in self._subsets:
            crops = Crops(pixels=subset.pixels, height=size.height, width=size.width, flip=flip)
            batches.append(self._batches(subset, crops, subset.targets, subset.rows))
        return batches[0], batches[1] if len(batches) > 1 else None

    def feature_batches(self, backbone: keras.Model) -> tuple[Batches, Batches | None, Features]:
        """Features of whole photos and of their mirror images, as batches; and those of the training set."""
        batches, features = [], []
        for subset in self._subsets:
            features.append(Features(self._features(subset, backbone)))
            targets = subset.targets[subset.rows]
            batches.append(self._batches(subset, features[-1], targets, range(len(subset.rows))))
        return batches[0], batches[1] if len(batches) > 1 else None, features[0]

    def targets(self) -> Float32Array:
        """(n, ...) float32 targets of the training set, in the order of its features."""
        subset = self._subsets[0]
        return subset.targets[subset.rows]

    def close(self) -> None:
        """Release threads and files."""
        for subset in self._subsets:
            subset.pixels.close()

    def _stored_size(self) -> Preprocessing:
        """The size training photos are cached at: larger than the input if crops are taken from them."""
        size, crop = self._preprocessing, self._config.random_crop
        if not self._config.epochs_train_all:
            return size
        return replace(size, height=round(size.height / crop), width=round(size.width / crop))

    def _open(self, name: str, indices: Sequence[int], size: Preprocessing, share: float) -> _Subset:
        labels = self._photographs.labels[list(indices)]
        if self._config.head == "regression":
            labels = self._ratings[list(indices)][:, None]
        paths = [self._photographs.paths[index] for index in indices]
        pixels = PixelCache(
            paths,
            size,
            self._scratch / f"{name}.pixels",
            memory_mb=self._config.cache_memory_mb * share,
            disk_mb=self._config.cache_disk_mb * share,
            workers=cores(),
        )
        return _Subset(name, paths, labels.astype(np.float32), pixels, list(range(len(paths))))

    def _refuse_damaged(self, allow_missing: bool, notify: Callable[[str], None]) -> None:
        messages = []
        for subset in self._subsets:
            damaged = subset.pixels.decode_all(f"decoding the {subset.name} photographs")
            messages += [str(error) for error in damaged.values()]
            subset.rows[:] = [row for row in subset.rows if row not in damaged]
        if not messages:
            return
        listed = "; ".join(messages[:_MAX_LISTED]) + ("; and others" if len(messages) > _MAX_LISTED else "")
        if not allow_missing or not self._subsets[0].rows:
            raise ImageError(
                f"{len(messages)} photographs cannot be decoded: {listed}."
                " Replace them, or leave them out with --allow-missing; then continue with --resume."
            )
        notify(f"left out {len(messages)} photographs that cannot be decoded: {listed}")

    def _features(self, subset: _Subset, backbone: keras.Model) -> Float32Array:
        pixels, size = subset.pixels, self._preprocessing
        if pixels.preprocessing != size:
            pixels = PixelCache(subset.paths, size, self._scratch, memory_mb=0, disk_mb=0, workers=cores())
        crops = Crops(pixels=pixels, height=size.height, width=size.width, flip=False)
        batches = Batches(crops, subset.targets, subset.rows, batch_size=_FEATURE_BATCH, seed=0)
        try:
            return frozen_features.compute(
                backbone,
                batches.validation(self._preprocess),
                len(subset.rows),
                mirrored=self._config.random_flip and subset.name == "training",
                scratch=self._scratch / f"{subset.name}.features",
            )
        finally:
            if pixels is not subset.pixels:
                pixels.close()

    def _batches(
        self, subset: _Subset, examples: Examples, targets: Float32Array, rows: Sequence[int]
    ) -> Batches:
        probabilities = None
        if self._config.balance_ratings and subset.name == "training":
            indices = np.asarray(self._photographs.training)[subset.rows]
            probabilities = balanced_probabilities(self._ratings[indices])
        size, seed = self._config.batch_size, self._config.seed
        return Batches(examples, targets, rows, batch_size=size, seed=seed, probabilities=probabilities)
