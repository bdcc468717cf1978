"""A single .onnx model file: checked on loading, then run on pixels for scores or histograms."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nimakit.errors import ModelError
from nimakit.images.photo import PixelArray
from nimakit.models.session import Session, Stop
from nimakit.stats.histogram import Float32Array

if TYPE_CHECKING:
    import onnx

    from nimakit.models.joined import Joined

BLOCK = "encoder_{}/features"
"""Output of a joined file with the features of an encoder, by its number."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of one run.

    Attributes:
        values: (N, bins) float32, rows sum to 1; from a regression head (N, 1) float32, scores on the scale
            of the bins.
        features: (N, D) float32.
    """

    values: Float32Array
    features: Float32Array


class Network:
    """A loaded model file, safe to run from several threads at once.

    Args:
        path: The .onnx file, or its content.
        threads: As for `nimakit.models.session.Session`.

    Attributes:
        metadata: The metadata in the file.
        known_errors: Its errors, from which scores get intervals; None if the file has none.
        provider: The execution provider in use (``CUDAExecutionProvider`` if available).
        is_regression: Whether the head gives a score instead of a histogram.
        outputs: Names of the outputs: that of the head, and "features".
        adapters: Arrays for optional inputs of the graph, by name; empty without a person's adapters.

    Raises:
        ModelError: Not an ONNX model, without nimakit metadata, with references to files that are not its
            own, or with inputs and outputs other than those of docs/models.md.
    """

    def __init__(self, path: str | os.PathLike[str] | bytes, *, threads: int = 1) -> None:
        name = "a model without a file of its own" if isinstance(path, bytes) else os.fspath(path)
        self._session = Session(path, name=name, threads=threads)
        self.provider = self._session.provider
        self.metadata = self._session.metadata
        self.known_errors = self._session.known_errors
        head = self._check_outputs(name)
        self.is_regression = head == "score"
        self.outputs = [head, "features"]
        self.adapters: dict[str, Float32Array] = {}

    @property
    def identity(self) -> str:
        """Everything on which the outputs for a photograph depend, other than its content: JSON."""
        adapters = hashlib.sha256()
        for name, array in sorted(self.adapters.items()):
            adapters.update(f"{name} {array.shape}".encode() + array.tobytes())
        parts = {"model": self._session.sha256, "adapters": adapters.hexdigest() if self.adapters else ""}
        return json.dumps({**parts, **asdict(self.metadata.preprocessing)}, sort_keys=True)

    def __reduce__(self) -> "tuple[Callable[..., Network], tuple[bytes, dict[str, Float32Array]]]":
        """Pickled with the content of the file, which other machines do not have."""
        return _unpickle, (self._session.content(), self.adapters)

    @cached_property
    def joined(self) -> "Joined | None":
        """The encoders and the head of a joined file; None for any other."""
        names = [BLOCK.format(number) for number in range(len(self._session.outputs))]
        blocks = [name for name in names if name in self._session.outputs]
        if not blocks:
            return None
        from nimakit.models.joined import Joined  # not at import: onnx takes a while

        try:
            return Joined(self._session.graph(), blocks, self.outputs[0], self.metadata.preprocessing)
        except ValueError:
            return None

    def encode_parts(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> list[Float32Array]:
        """Compute the features of prepared images by each encoder of a joined file.

        Args:
            pixels: As for `run`.
            stop: As for `run`.

        Returns:
            (N, D) float32 for each of `Joined.identities`.

        Raises:
            ModelError: As for `run`; or the file is no joined one.
        """
        blocks = self._parts().blocks
        found = [array.astype(np.float32, copy=False) for array in self._session.run(blocks, pixels, stop)]
        if not all(array.ndim == 2 and np.isfinite(array).all() for array in found):
            raise ModelError(
                "The encoders of a model must give (N, D) finite numbers. Received from"
                f" {self.metadata.name}: {', '.join(str(array.shape) for array in found)}"
            )
        return found

    def score_parts(self, blocks: Sequence[Float32Array]) -> Outputs:
        """What `run` gives for images, from the features that `encode_parts` gave for them.

        Raises:
            ModelError: As for `encode_parts`.
        """
        return self._checked(self._parts().values(blocks), np.concatenate(blocks, axis=1))

    def run(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> Outputs:
        """Score prepared images.

        Args:
            pixels: (N, height, width, 3), RGB, 0-255, preprocessed as in `Metadata.preprocessing`.
            stop: Ends this run, and others it was passed to, when it is set.

        Raises:
            ModelError: The graph fails, takes more than 30 seconds per image, or its output is not a score.
        """
        values, features = (
            output.reshape(len(pixels), -1)
            for output in self._session.run(self.outputs, pixels, stop, self.adapters)
        )
        return self._checked(values, features)

    def _parts(self) -> "Joined":
        if self.joined is None:
            raise ModelError(
                f"Only a file with the outputs of its encoders has parts. Received: {self.metadata.name}"
            )
        return self.joined

    def _checked(self, values: Float32Array, features: Float32Array) -> Outputs:
        if not np.isfinite(values).all() or (self.is_regression and values.shape[1] != 1):
            shape, name = values.shape, self.metadata.name
            raise ModelError(
                f"A model must give finite numbers, one score per image. Received from {name}: {shape}"
            )
        return Outputs(values=values, features=features)

    def graph(self) -> "onnx.ModelProto":
        """The graph, with metadata and all weights in it."""
        return self._session.graph()

    def with_adapters(self, adapters: Mapping[str, Float32Array]) -> "Network":
        """A copy with one person's adapters; both share one session and its memory.

        Args:
            adapters: Arrays for optional inputs of the graph, by name.

        Raises:
            ModelError: The graph has no such inputs, or with other shapes.
        """
        known = self._session.optional_inputs()
        wanted = {name: array.shape for name, array in adapters.items()}
        if not wanted.items() <= known.items():
            raise ModelError(
                "A person's adapters need the model file made for adapters, which nimakit personalise"
                " printed: usually adaptable.onnx next to the model.onnx. Received:"
                f" {self.metadata.name}, which takes {len(known)} arrays, and {len(wanted)} others"
            )
        twin = object.__new__(type(self))  # copy.copy would pickle, and so load the file again
        twin.__dict__.update(self.__dict__)
        twin.adapters = dict(adapters)
        return twin

    def _check_outputs(self, path: str) -> str:
        outputs = self._session.outputs
        if not self.metadata.bins:
            raise ModelError(
                f"A model must give ratings. Received: {path}, which is an encoder: it only gives features,"
                " from which nimakit train learns ratings."
            )
        heads = [name for name in ("histogram", "score") if name in outputs]
        if len(heads) != 1 or "features" not in outputs:
            raise ModelError(
                "A model must have the outputs 'histogram' or 'score', and 'features'."
                f" Received: {path} with {', '.join(outputs)}"
            )
        width = outputs["histogram"][-1] if heads == ["histogram"] else None
        if isinstance(width, int) and width != len(self.metadata.bins):
            raise ModelError(
                f"The histogram must have as many columns as the metadata has bins"
                f" ({len(self.metadata.bins)}). Received: {path} with {width}"
            )
        return heads[0]


def _unpickle(content: bytes, adapters: dict[str, Float32Array]) -> Network:
    network = Network(content)
    return network.with_adapters(adapters) if adapters else network
