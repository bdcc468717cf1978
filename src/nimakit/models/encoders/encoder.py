"""An encoder: an .onnx file that turns photographs into feature vectors."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nimakit.errors import ModelError
from nimakit.images.photo import Decode, Fit, PixelArray, Preprocessing, ResizeFilter
from nimakit.models.metadata import METADATA_KEY
from nimakit.models.session import Session, Stop
from nimakit.stats.histogram import Float32Array

if TYPE_CHECKING:
    import onnx

VECTOR, PATCHES = "features", "patches"
"""Names of the outputs: (N, D) float32, and optionally (N, rows, columns, D') float32."""

Size = tuple[int, int]
"""Height and width in pixels."""


class Encoder:
    """A loaded encoder, safe to run from several threads at once.

    Args:
        path: An .onnx file with the output ``features``: from `nimakit encoder import`, or a model file.

    Attributes:
        path: The file.
        metadata: The metadata in the file; without bins if it is no model.
        preprocessing: How images are prepared.
        input_size: The size that the network sees: that of the prepared images, unless the graph makes them
            smaller.

    Raises:
        ModelError: Not an ONNX model with nimakit's metadata and an output ``features``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._session = Session(self.path)
        self.metadata = self._session.metadata
        self.preprocessing = self.metadata.preprocessing
        self.input_size: Size = (self.preprocessing.height, self.preprocessing.width)
        if VECTOR not in self._session.outputs:
            raise ModelError(
                f"An encoder must have the output {VECTOR!r}. Received: {path} with"
                f" {', '.join(self._session.outputs)}; import it: nimakit encoder import {path}"
            )

    def __reduce__(self) -> "tuple[Callable[..., Encoder], tuple[bytes, dict[str, Any]]]":
        """For pickling: with the content of the file, so that it encodes where the file is not."""
        state = {name: value for name, value in self.__dict__.items() if name != "_session"}
        return _unpickle, (self._session.content(), state)

    def at(
        self,
        input_size: Size | None = None,
        *,
        source_size: Size | None = None,
        resize_filter: ResizeFilter | None = None,
        fit: Fit | None = None,
        decode: Decode | None = None,
    ) -> "Encoder":
        """The same encoder with another preprocessing; what is None stays.

        Args:
            input_size: (height, width) in pixels that the network sees.
            source_size: (height, width) in pixels that images are prepared at, from which the graph makes the
                input size, as several encoders in one file need it; by default the input size.
            resize_filter: One of `nimakit.images.photo.RESIZE_FILTERS`.
            fit: One of `nimakit.images.photo.FITS`.
            decode: One of `nimakit.images.photo.DECODES`.

        Raises:
            ModelError: Broken rules; or the graph takes only one input size, or cannot be extended.
        """
        twin = object.__new__(type(self))  # copy.copy would pickle, and so load the file again
        twin.__dict__.update(self.__dict__)
        for cached in ("_sample", "identity"):
            twin.__dict__.pop(cached, None)
        twin.input_size = input_size or self.input_size
        changes = {
            "input_size": list(source_size or twin.input_size),
            "resize_filter": resize_filter or self.preprocessing.resize_filter,
            "fit": fit or self.preprocessing.fit,
            "decode": decode or self.preprocessing.decode,
        }
        twin.preprocessing = self.metadata.changed(changes).preprocessing
        twin._session = Session(self.path) if self._is_extended else self._session
        twin._refuse_other_sizes()
        if twin._is_extended:
            twin._session = Session(twin.graph().SerializeToString(), name=str(self.path))
        return twin

    @property
    def name(self) -> str:
        """Display name."""
        return self.metadata.name

    @property
    def label(self) -> str:
        """Name and input size: ``efficientnet-lite0@224x224``, height before width."""
        return f"{self.name}@{self.input_size[0]}x{self.input_size[1]}"

    @property
    def device(self) -> str:
        """Either "GPU" or "CPU"."""
        return "CPU" if self._session.provider == "CPUExecutionProvider" else "GPU"

    @property
    def dimension(self) -> int:
        """D, the length of a feature vector."""
        known = (self._session.outputs[VECTOR] or [None])[-1]
        return known if isinstance(known, int) else self._sample[0].shape[1]

    @property
    def grid(self) -> tuple[int, int] | None:
        """(rows, columns) of the patch vectors; None if there are none."""
        rows_columns: tuple[int, int] | None = self._sample[1].shape[1:3] if self._has_patches else None
        return rows_columns

    @property
    def is_patch_mean(self) -> bool:
        """Whether the feature vector is the mean of the patch vectors.

        A linear score is then an exact sum over patches.
        """
        if not self._has_patches:
            return False
        vector, patches = self._sample
        mean = patches.mean(axis=(1, 2))
        return mean.shape == vector.shape and bool(np.allclose(mean, vector, rtol=1e-3, atol=1e-4))

    @cached_property
    def identity(self) -> str:
        """Everything on which the features of a photograph depend, other than its content: JSON."""
        from nimakit.models.graph import feature_identity  # not at import: onnx takes a while

        return feature_identity(self.graph(), VECTOR, self.preprocessing)

    @property
    def identities(self) -> tuple[str]:
        """That of the only part of a vector."""
        return (self.identity,)

    def encode(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> Float32Array:
        """Compute feature vectors.

        Args:
            pixels: (N, height, width, 3), RGB, 0-255, prepared as in `preprocessing`.
            stop: Ends this run, and others it was passed to, when it is set.

        Returns:
            (N, D) float32.

        Raises:
            ModelError: The graph fails, takes more than 30 seconds per image, or gives something else.
        """
        [vectors] = self._run([VECTOR], pixels, stop)
        return vectors

    def encode_parts(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> list[Float32Array]:
        """As `encode`, for each of `identities`."""
        return [self.encode(pixels, stop)]

    def patches(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> Float32Array:
        """Compute the vectors of the patches.

        Args:
            pixels: As for `encode`.
            stop: As for `encode`.

        Returns:
            (N, rows, columns, D') float32.

        Raises:
            ModelError: The encoder gives none; or as for `encode`.
        """
        if not self._has_patches:
            raise ModelError(f"An encoder must give patch vectors. Received: {self.path}, which has none.")
        [vectors] = self._run([PATCHES], pixels, stop)
        return vectors

    def graph(self) -> "onnx.ModelProto":
        """The graph, with metadata and all weights in it, for joining with others.

        Input ``image`` (N, height, width, 3), of the sizes in `preprocessing`; outputs ``features`` and, if
        there are any, ``patches``. Names of tensors do not depend on the sizes, so graphs of one encoder at
        several sizes can share their weights.

        Raises:
            ModelError: It cannot be extended by a resize.
        """
        import onnx  # not at import: it takes a while

        from nimakit.models.encoders.resizing import prepend_resize

        model = onnx.load(self.path)
        if self._is_extended:
            prepend_resize(model, self.preprocessing, self.input_size)
        metadata = replace(self.metadata, preprocessing=self.preprocessing)
        onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
        return model

    @property
    def _is_extended(self) -> bool:
        return self.input_size != (self.preprocessing.height, self.preprocessing.width)

    @property
    def _has_patches(self) -> bool:
        return PATCHES in self._session.outputs

    @cached_property
    def _sample(self) -> list[Float32Array]:
        """The outputs for noise: a network without patches or with free sizes does not tell their shapes."""
        height, width = self.preprocessing.height, self.preprocessing.width
        pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        return self._run([VECTOR, *([PATCHES] if self._has_patches else [])], pixels, None)

    def _run(
        self, outputs: Sequence[str], pixels: PixelArray | Float32Array, stop: Stop | None
    ) -> list[Float32Array]:
        arrays = self._session.run(outputs, pixels, stop)
        for name, array in zip(outputs, arrays, strict=True):
            if array.ndim != (2 if name == VECTOR else 4) or not np.isfinite(array).all():
                rule = "(N, D)" if name == VECTOR else "(N, rows, columns, D)"
                raise ModelError(
                    f"The output {name!r} of an encoder must be {rule} finite numbers. Received from"
                    f" {self.name}: {array.shape}"
                )
        return [array.astype(np.float32, copy=False) for array in arrays]

    def _refuse_other_sizes(self) -> None:
        height, width = self.input_size
        wanted: Preprocessing = replace(self.preprocessing, height=height, width=width)
        try:
            self._session.check_input(wanted)
        except ModelError:
            own = self.metadata.preprocessing
            raise ModelError(
                f"{self.name} takes images of {own.height}x{own.width} pixels only. Received:"
                f" {height}x{width}"
            ) from None


def _unpickle(content: bytes, state: dict[str, Any]) -> Encoder:
    encoder = object.__new__(Encoder)
    encoder.__dict__.update(state)
    encoder._session = Session(content, name=str(encoder.path))
    return encoder
