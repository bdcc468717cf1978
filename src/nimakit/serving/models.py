"""Served models: loaded and tested once, then found by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from nimakit.errors import ModelError, NimakitError, UnknownModelError, first_line
from nimakit.models import loading
from nimakit.models.engine import Model, Result, Scorer, Scoring
from nimakit.models.names import ModelSource
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Score
from nimakit.serving.settings import Settings
from nimakit.serving.users import Wanted

_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/\s:'\"]+/)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model and the name it is served under.

    Attributes:
        name: Its name in requests.
        model: The model; None if it cannot be used.
        problem: Why it cannot be used, without paths.
        scorers: One for each augmentation, with measures and without.
        sample: Score of a grey image, which shows the outputs that the model has.
    """

    name: str
    model: Model | None = None
    problem: str = ""
    scorers: dict[Wanted, Scorer[Score]] = field(default_factory=dict)
    sample: Score | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the model can score."""
        return self.model is not None

    def summary(self) -> dict[str, Any]:
        """The model's entry in a list of models."""
        summary: dict[str, Any] = {"name": self.name, "ready": self.is_ready}
        if self.model is None:
            return summary | {"problem": self.problem}
        return summary | {"bins": self.model.bins.tolist(), "device": self.model.device}

    def details(self) -> dict[str, Any]:
        """Summary, reference quantiles, and each member's metadata."""
        if self.model is None:
            return self.summary()
        quantiles = self.model.reference_quantiles
        return self.summary() | {
            "reference_quantiles": [] if quantiles is None else quantiles.tolist(),
            "reference": self.model.reference,
            "members": [
                {
                    **member.network.metadata.to_dict(),
                    "weight": member.weight,
                    "head": "score" if member.network.is_regression else "histogram",
                }
                for member in self.model.members
            ],
        }


class Models:
    """The models of a server, by name.

    Args:
        models: In the order of the settings; the first is the default.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models = {model.name: model for model in models}
        self.default = models[0].name

    def __iter__(self) -> Any:
        return iter(self._models.values())

    def find(self, name: str) -> ServedModel:
        """The model with this name, ready or not.

        Raises:
            UnknownModelError: There is none.
        """
        if name not in self._models:
            raise UnknownModelError(
                f"The model must be one of {', '.join(self._models)}. Received: {name[:200]!r}"
            )
        return self._models[name]

    @property
    def are_ready(self) -> bool:
        """Whether any model is ready."""
        return any(model.is_ready for model in self)


def load_models(settings: Settings, *, notify: Callable[[str], None]) -> Models:
    """Load every model and score once with it. A broken model is listed with the reason.

    Args:
        settings: The models, and the limits of the images they score.
        notify: Receives messages about slow or broken models.

    Raises:
        ModelError: None of the models can be used.
    """
    models = [_load(source, settings, notify) for source in settings.models]
    broken = [model for model in models if not model.is_ready]
    if len(broken) == len(models):
        listed = "; ".join(f"{model.name}: {model.problem}" for model in models)
        raise ModelError(f"A server needs at least one model that works. Received: {listed}")
    for model in broken:
        notify(f"model {model.name} is not served: {model.problem}")
    return Models(models)


def _load(source: ModelSource, settings: Settings, notify: Callable[[str], None]) -> ServedModel:
    try:
        model = loading.load_model(source.model, notify=notify)
        sample = _score_grey(model)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the other models are served
        problem = str(error) if isinstance(error, NimakitError) else f"It cannot be used: {first_line(error)}"
        return ServedModel(name=source.name, problem=_without_paths(problem, source))
    return ServedModel(name=source.name, model=model, scorers=make_scorers(model, settings), sample=sample)


def make_scorers(model: Scoring[Result], settings: Settings) -> dict[Wanted, Scorer[Result]]:
    """Scorers of a model, or of several side by side: for each augmentation, with measures and without."""
    return {
        (tta, measures): Scorer(
            model,
            tta=tta,
            measures=measures,
            max_pixels=settings.max_pixels,
            formats=settings.formats,
            batch_size=settings.batch_size,
        )
        for tta in get_args(Augmentation)
        for measures in (False, True)
    }


def _score_grey(model: Model) -> Score:
    """Score a grey image: a graph that loads may still fail to run, and its first run is the slowest."""
    grey = {
        wanted: np.full((1, wanted.height, wanted.width, 3), 128, np.uint8) for wanted in model.preprocessings
    }
    return model.score_prepared(grey)[0]


def _without_paths(text: str, source: ModelSource) -> str:
    """An error message with file names instead of paths."""
    try:
        files = loading.model_files(source.model)
    except NimakitError:
        files = [Path(source.model)]
    spellings = {str(spelling): path.name for path in files for spelling in (path, path.resolve())}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, spellings[spelling])
    return _FOLDERS.sub("", text)  # ONNX Runtime names its own source files
