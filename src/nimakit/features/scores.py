"""Scores of photographs by a model, from the store where it knows what the model's networks gave for them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from nimakit.errors import ImageError
from nimakit.features.extraction import VIEWS, Admit, Extracted, stream
from nimakit.images.photo import MAX_PIXELS, PixelArray
from nimakit.models.engine import Model, Result, Scorer, Scoring
from nimakit.models.network import Network, Outputs
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Score
from nimakit.models.session import Stop
from nimakit.stats.histogram import Float32Array

_Result_co = TypeVar("_Result_co", covariant=True)

_COMPUTED_AT_ONCE, _KNOWN_AT_ONCE = 8, 256
"""Photographs for which a head is run at once: few if they arrive slowly, because all of them wait."""


class ScoringOutputs(Scoring[_Result_co], Protocol[_Result_co]):
    """A `nimakit.models.engine.Model`, or several side by side."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that are run."""

    def score_outputs(self, outputs: Sequence[Outputs], views: int = 1) -> Sequence[_Result_co]:
        """Score images by what the networks gave for them; see `Model.score_outputs`."""


class KeptScorer(Generic[Result]):
    """As a `Scorer` of files, except that no network is run for photographs that the store knows.

    What a network gives for any other photograph is kept: of a joined file the features by its encoders,
    which other heads on these encoders find too; of any other file its outputs.

    Args:
        model: The model, or several side by side.
        tta: Test-time augmentation.
        max_pixels: Largest width times height of an image that is decoded.
        admit: Makes what a thread enters before it decodes a photograph, and leaves afterwards.

    Attributes:
        known: Number of photographs that were scored without a run of a network so far.
    """

    def __init__(
        self,
        model: ScoringOutputs[Result],
        *,
        tta: Literal["none", "flips"] = "none",
        max_pixels: int = MAX_PIXELS,
        admit: Admit = nullcontext,
    ) -> None:
        self._model = model
        self._networks = [_KeptNetwork(network) for network in model.networks]
        self._views = VIEWS if tta == "flips" else VIEWS[:1]
        self._max_pixels = max_pixels
        self._admit = admit
        self.known = 0

    def score(self, paths: Iterable[Path | ImageError]) -> Iterator[Result | ImageError]:
        """Score files.

        Args:
            paths: Image files; errors are passed through in their places.

        Yields:
            For each file, in order, its score, or the error.

        Raises:
            ModelError: The model fails, or its output is not a score.
        """
        waiting: list[Extracted] = []
        given = [*paths]
        files = [path for path in given if not isinstance(path, ImageError)]
        results = stream(
            self._networks, files, views=self._views, max_pixels=self._max_pixels, admit=self._admit
        )
        with closing(results):
            for path in given:
                if isinstance(path, ImageError):
                    result = Extracted(Path(), path, is_computed=False)
                else:
                    result = next(results)
                waiting.append(result)
                if len(waiting) >= (_COMPUTED_AT_ONCE if result.is_computed else _KNOWN_AT_ONCE):
                    yield from self._score(waiting)
                    waiting = []
        yield from self._score(waiting)

    def _score(self, results: Sequence[Extracted]) -> Iterator[Result | ImageError]:
        """Scores of photographs by their vectors; errors are passed through in their places."""
        rows = [result.blocks for result in results if not isinstance(result.blocks, ImageError)]
        scores: Iterator[Result] = iter(())
        if rows:
            vectors = iter([np.concatenate(column) for column in zip(*rows, strict=True)])
            outputs = [
                network.outputs([next(vectors) for _ in network.identities]) for network in self._networks
            ]
            scores = iter(self._model.score_outputs(outputs, len(self._views)))
        for result in results:
            if isinstance(result.blocks, ImageError):
                yield result.blocks
            else:
                self.known += not result.is_computed
                yield next(scores)


def make_scorer(
    model: ScoringOutputs[Result],
    *,
    tta: Augmentation = "none",
    measures: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Scorer[Result] | KeptScorer[Result]:
    """A scorer that uses the store if the model has a head on encoders, whose features are worth keeping.

    With crops, which are not kept, and with measures, for which every photograph is decoded, it does not.

    Args:
        model: As for `Scorer`.
        tta: As for `Scorer`.
        measures: As for `Scorer`.
        max_pixels: As for `Scorer`.
    """
    if tta != "crops" and not measures and any(network.joined for network in model.networks):
        return KeptScorer(model, tta=tta, max_pixels=max_pixels)
    return Scorer(model, tta=tta, measures=measures, max_pixels=max_pixels)


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
    yield from KeptScorer(model, max_pixels=max_pixels).score(paths)


class _KeptNetwork:
    """A model's network, as encoders: those of a joined file; else one that gives outputs and features."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._n_values = 1 if network.is_regression else len(network.metadata.bins)
        self.preprocessing = network.metadata.preprocessing
        self.identities = network.joined.identities if network.joined else (network.identity,)
        self.device = "CPU" if network.provider == "CPUExecutionProvider" else "GPU"

    def encode_parts(self, pixels: PixelArray, stop: Stop | None = None) -> list[Float32Array]:
        if self._network.joined:
            return self._network.encode_parts(pixels, stop)
        found = self._network.run(pixels, stop)
        return [np.concatenate([found.values, found.features], axis=1)]

    def outputs(self, vectors: Sequence[Float32Array]) -> Outputs:
        if self._network.joined:
            return self._network.score_parts(vectors)
        [rows] = vectors
        return Outputs(values=rows[:, : self._n_values], features=rows[:, self._n_values :])
