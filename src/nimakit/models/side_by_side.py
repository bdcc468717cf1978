"""Several models that each score the same images."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from nimakit.errors import UsageError
from nimakit.images.photo import Preprocessing
from nimakit.models.engine import Model
from nimakit.models.network import Network, Outputs
from nimakit.models.preparation import Views
from nimakit.models.score import RECORD_KEYS, Score
from nimakit.models.session import Stop


class SideBySide:
    """Models side by side: a `Scorer` decodes each image once, and every model scores it.

    Args:
        models: Name -> model, at least two; in a score record, the name is the key of the model's scores.

    Attributes:
        models: As given.
        name: Display name.

    Raises:
        UsageError: Fewer than two models, or a name that is a key of score records.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        if len(models) < 2:
            raise UsageError(
                f"Side by side there must be two or more models. Received: {', '.join(models) or 'none'}"
            )
        taken = sorted(RECORD_KEYS & models.keys())
        if taken:
            raise UsageError(
                "Side by side, a model's name must not be a key of score records. Received:"
                f" {', '.join(taken)}; give it another: NAME=MODEL"
            )
        self.models = dict(models)
        self.name = f"{', '.join(models)} side by side"

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The distinct preprocessings of all models."""
        return tuple(dict.fromkeys(p for model in self.models.values() for p in model.preprocessings))

    @property
    def device(self) -> str:
        """Either "GPU", if any model runs on one, or "CPU"."""
        return "GPU" if "GPU" in {model.device for model in self.models.values()} else "CPU"

    @property
    def sha256(self) -> str:
        """SHA-256 of everything on which scores depend, other than the photograph."""
        hashes = [f"{name} {model.sha256}" for name, model in self.models.items()]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks of all models, in their order."""
        return tuple(network for model in self.models.values() for network in model.networks)

    @property
    def has_intervals(self) -> bool:
        """Whether any model's scores have intervals."""
        return any(model.has_intervals for model in self.models.values())

    def with_intervals(self, coverage: float) -> "SideBySide":
        """The same models, each with intervals; see `Model.with_intervals`."""
        return SideBySide({name: model.with_intervals(coverage) for name, model in self.models.items()})

    def score_prepared(
        self, prepared: Views, views: int = 1, stop: Stop | None = None
    ) -> list[dict[str, Score]]:
        """Score images that are already cropped and resized.

        Args:
            prepared: As for `Model.score_prepared`, for `preprocessings`.
            views: As for `Model.score_prepared`.
            stop: As for `Model.score_prepared`.

        Returns:
            For each of the N images, name -> score.

        Raises:
            ModelError: As for `Model.score_prepared`.
        """
        return self._by_name(model.score_prepared(prepared, views, stop) for model in self.models.values())

    def score_outputs(self, outputs: Sequence[Outputs], views: int = 1) -> list[dict[str, Score]]:
        """As `Model.score_outputs`, for the outputs of `networks`."""
        left = iter(outputs)
        return self._by_name(
            model.score_outputs([*islice(left, len(model.networks))], views) for model in self.models.values()
        )

    def _by_name(self, scores: Iterable[Sequence[Score]]) -> list[dict[str, Score]]:
        """For each image, name -> score, from the scores by each model."""
        return [dict(zip(self.models, row, strict=True)) for row in zip(*scores, strict=True)]
