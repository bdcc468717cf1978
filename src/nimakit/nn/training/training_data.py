"""What a job learns from, made ready: decoded photographs, frozen features, targets, batches of them."""

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
from nimakit.nn.training.batches import Batches, Examples, Features, Views, balanced_shares
from nimakit.nn.training.pixels import Pixels
from nimakit.stats.histogram import Float32Array, FloatArray, mean

_VALIDATION_MEMORY = 0.25
"""Most of the memory for decoded images that those of the validation set get."""
_FEATURE_BATCH = 32
_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Photographs:
    """Labelled photographs.

    Attributes:
        paths: N image files.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
        training: Indices to learn from.
        validation: Indices to choose the best epoch by; may be empty.
    """

    paths: Sequence[Path]
    labels: FloatArray
    bins: FloatArray
    training: Sequence[int]
    validation: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Part:
    """The photographs to learn from, or those to validate with.

    Attributes:
        name: "training" or "validation".
        paths: n files.
        targets: (n, ...) float32.
        pixels: Of all of them, at one size.
        rows: Which of them could be decoded.
    """

    name: str
    paths: Sequence[Path]
    targets: Float32Array
    pixels: Pixels
    rows: list[int]


class Material:
    """Batches for both phases of a job, from its photographs.

    Args:
        photographs: What to learn from.
        config: Crops, flips, balance, memory.
        preprocessing: What the model wants its input to be like.
        preprocess: Of its backbone, for batches of pixels.
        scratch: Folder for what does not fit into memory.
        allow_missing: Whether photographs that cannot be decoded are left out rather than refused.
        notify: Told what was left out.

    Raises:
        ImageError: Photographs that cannot be decoded; all that were found.
    """

    def __init__(
        self,
        photographs: Photographs,
        config: TrainConfig,
        preprocessing: Preprocessing,
        preprocess: Callable[[Any], Any],
        *,
        scratch: Path,
        allow_missing: bool,
        notify: Callable[[str], None],
    ) -> None:
        self.preprocess = preprocess
        self._photographs = photographs
        self._config = config
        self._preprocessing = preprocessing
        self._scratch = scratch
        self._ratings = mean(photographs.labels, photographs.bins)
        share = _VALIDATION_MEMORY if photographs.validation else 0.0
        self._parts = [self._open("training", photographs.training, self._stored_size(), 1 - share)]
        if photographs.validation:
            self._parts.append(self._open("validation", photographs.validation, preprocessing, share))
        self._refuse_damaged(allow_missing, notify)

    @property
    def batches_an_epoch(self) -> int:
        """Training steps an epoch."""
        return len(self.crops()[0])

    def crops(self) -> tuple[Batches, Batches | None]:
        """Random crops to train the whole network with, and whole photographs to validate it with."""
        size = self._preprocessing
        batches = []
        for part in self._parts:
            flip = self._config.random_flip
            views = Views(pixels=part.pixels, height=size.height, width=size.width, flip=flip)
            batches.append(self._batches(part, views, part.targets, part.rows))
        return batches[0], batches[1] if len(batches) > 1 else None

    def frozen(self, backbone: keras.Model) -> tuple[Batches, Batches | None, Features]:
        """Features of whole photographs and of their mirror images, as batches; and those to learn from."""
        batches, kept = [], []
        for part in self._parts:
            values = self._features(part, backbone)
            kept.append(Features(values))
            batches.append(self._batches(part, kept[-1], part.targets[part.rows], range(len(part.rows))))
        return batches[0], batches[1] if len(batches) > 1 else None, kept[0]

    def targets(self) -> Float32Array:
        """(n, ...) float32, of the photographs to learn from, in the order of their features."""
        part = self._parts[0]
        return part.targets[part.rows]

    def close(self) -> None:
        """Let go of threads and files."""
        for part in self._parts:
            part.pixels.close()

    def _stored_size(self) -> Preprocessing:
        """What training photographs are kept at: large enough to take crops from, where any are taken."""
        size, crop = self._preprocessing, self._config.random_crop
        if not self._config.epochs_train_all:
            return size
        return replace(size, height=round(size.height / crop), width=round(size.width / crop))

    def _open(self, name: str, indices: Sequence[int], size: Preprocessing, share: float) -> _Part:
        labels = self._photographs.labels[list(indices)]
        if self._config.head == "regression":
            labels = self._ratings[list(indices)][:, None]
        paths = [self._photographs.paths[index] for index in indices]
        pixels = Pixels(
            paths,
            size,
            self._scratch / f"{name}.pixels",
            memory_mb=self._config.cache_memory_mb * share,
            disk_mb=self._config.cache_disk_mb * share,
            workers=cores(),
        )
        return _Part(name, paths, labels.astype(np.float32), pixels, list(range(len(paths))))

    def _refuse_damaged(self, allow_missing: bool, notify: Callable[[str], None]) -> None:
        messages = []
        for part in self._parts:
            damaged = part.pixels.fill(f"decoding the {part.name} photographs")
            messages += [str(error) for error in damaged.values()]
            part.rows[:] = [row for row in part.rows if row not in damaged]
        if not messages:
            return
        listed = "; ".join(messages[:_LISTED]) + ("; and others" if len(messages) > _LISTED else "")
        if not allow_missing or not self._parts[0].rows:
            raise ImageError(
                f"{len(messages)} photographs cannot be decoded: {listed}."
                " Replace them, or leave them out with --allow-missing; either way, go on with --resume."
            )
        notify(f"left out {len(messages)} photographs that cannot be decoded: {listed}")

    def _features(self, part: _Part, backbone: keras.Model) -> Float32Array:
        whole, size = part.pixels, self._preprocessing
        if whole.preprocessing != size:
            whole = Pixels(part.paths, size, self._scratch, memory_mb=0, disk_mb=0, workers=cores())
        views = Views(pixels=whole, height=size.height, width=size.width, flip=False)
        batches = Batches(views, part.targets, part.rows, batch_size=_FEATURE_BATCH, seed=0)
        try:
            return frozen_features.compute(
                backbone,
                batches.validation(self.preprocess),
                len(part.rows),
                mirrored=self._config.random_flip and part.name == "training",
                scratch=self._scratch / f"{part.name}.features",
            )
        finally:
            if whole is not part.pixels:
                whole.close()

    def _batches(
        self, part: _Part, examples: Examples, targets: Float32Array, rows: Sequence[int]
    ) -> Batches:
        shares = None
        if self._config.balance_ratings and part.name == "training":
            indices = np.asarray(self._photographs.training)[part.rows]
            shares = balanced_shares(self._ratings[indices])
        return Batches(
            examples,
            targets,
            rows,
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            shares=shares,
        )
