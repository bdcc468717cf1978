"""Prometheus metrics of a server."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from nimakit.errors import ImageError
from nimakit.models.score import Score, Scores
from nimakit.serving.drift import FEWEST, WINDOW, Drift

if TYPE_CHECKING:
    from nimakit.models.engine import Model

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry, buckets=_SECONDS)
        self.requests = counter("nimakit_requests", "Requests answered.", ["route", "method", "status"])
        self.request_seconds = histogram(
            "nimakit_request_seconds", "Time from the last byte of a request to its response.", ["route"]
        )
        self.stage_seconds = histogram(
            "nimakit_stage_seconds",
            "Longest time an image of a request waited (queue), was decoded, or was scored (inference).",
            ["stage"],
        )
        self.images = counter(
            "nimakit_images", "Images scored, and images that could not be.", ["model", "result"]
        )
        self.batch_images = histogram("nimakit_batch_images", "Images scored in one batch.", buckets=_BATCHES)
        self.queue_depth = gauge("nimakit_queue_depth", "Images waiting to be decoded or scored.")
        self.queue_size = gauge("nimakit_queue_size", "Images that may wait; more are refused.")
        self.rejected = counter(
            "nimakit_rejected",
            "Requests refused: no room or time (busy), no key (unauthorised), too many (rate), received too"
            " slowly (slow), or invalid HTTP (malformed).",
            ["reason"],
        )
        for reason in ("busy", "unauthorised", "rate", "slow", "malformed"):
            self.rejected.labels(reason)  # 0 from the start, so that a rate counts the first refusal
        self.model_info = gauge(
            "nimakit_model_info",
            "1 for a model that is served, 0 for a broken one.",
            ["model", "base_models", "device"],
        )
        self.drift = gauge(
            "nimakit_drift",
            f"Kolmogorov-Smirnov distance, 0 to 1, of the last {WINDOW} scores from the model's reference;"
            f" NaN of fewer than {FEWEST}.",
            ["model"],
        )
        self._drifts: dict[str, Drift] = {}
        ProcessCollector(registry=self.registry)

    def describe(self, name: str, model: "Model | None") -> None:
        """Set the information about a model; None for a broken one."""
        if model is None:
            self.model_info.labels(name, "", "").set(0)
        else:
            base_models = dict.fromkeys(member.network.metadata.base_model for member in model.members)
            self.model_info.labels(name, ", ".join(base_models), model.device).set(1)
            if model.reference_quantiles is not None:
                self._drifts[name] = Drift(model.reference_quantiles)
                self.drift.labels(name).set_function(self._drifts[name].distance)

    def note_scores(
        self, models: Sequence[str], results: Sequence[Score | Scores | ImageError], *, are_general: bool
    ) -> None:
        """Count the images of a request, and add their scores to the models' drift.

        Args:
            models: The model, or several whose scores are side by side.
            results: A result for each image.
            are_general: Whether they are the models' own scores; those of one user are not compared.
        """
        scored = [result for result in results if not isinstance(result, ImageError)]
        for model in models:
            self.images.labels(model, "scored").inc(len(scored))
            self.images.labels(model, "failed").inc(len(results) - len(scored))
            if are_general and model in self._drifts:
                scores = (score if isinstance(score, Score) else score[model] for score in scored)
                self._drifts[model].add(score.mean for score in scores)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)
