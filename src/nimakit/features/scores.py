"""Scores of photographs by a model, from the store where it knows what the model's networks gave for them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError
from nimakit.features.extraction import stream
from nimakit.images.photo import MAX_PIXELS, PixelArray
from nimakit.models.engine import Model
from nimakit.models.network import Network, Outputs
from nimakit.models.score import Score
from nimakit.models.session import Stop
from nimakit.stats.histogram import Float32Array


def score_files(
    model: Model, paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS
) -> Iterator[Score | ImageError]:
    """Score photographs that are likely to be scored again by the same model, such as a person's ratings.

    Args:
        model: The model.
        paths: Image files.
        max_pixels: Largest width times height of an image.

    Yields:
        For each image, in order, its score, or the error.

    Raises:
        ModelError: The model fails, or its output is not a score.
    """
    networks = [_KeptNetwork(member.network) for member in model.members]
    for result in stream(networks, paths, max_pixels=max_pixels):
        if isinstance(result.blocks, ImageError):
            yield result.blocks
            continue
        outputs = [network.outputs(rows) for network, rows in zip(networks, result.blocks, strict=True)]
        yield from model.score_outputs(outputs)


class _KeptNetwork:
    """A model's network, as an encoder whose vector is its histogram or score, followed by its features."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._n_values = 1 if network.is_regression else len(network.metadata.bins)
        self.preprocessing = network.metadata.preprocessing
        self.identity = network.identity
        self.device = "CPU" if network.provider == "CPUExecutionProvider" else "GPU"

    @property
    def dimension(self) -> int:
        shape = (1, self.preprocessing.height, self.preprocessing.width, 3)
        return int(self.encode(np.zeros(shape, np.uint8)).shape[1])

    def encode(self, pixels: PixelArray, stop: Stop | None = None) -> Float32Array:
        found = self._network.run(pixels, stop)
        return np.concatenate([found.values, found.features], axis=1)

    def outputs(self, rows: Float32Array) -> Outputs:
        return Outputs(values=rows[:, : self._n_values], features=rows[:, self._n_values :])
