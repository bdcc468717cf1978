"""Prometheus metrics of a server."""

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

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
        self.model_info = gauge(
            "nimakit_model_info",
            "1 for a model that is served, 0 for a broken one.",
            ["model", "base_models", "device"],
        )
        ProcessCollector(registry=self.registry)

    def describe(self, name: str, model: "Model | None") -> None:
        """Set the information about a model; None for a broken one."""
        if model is None:
            self.model_info.labels(name, "", "").set(0)
        else:
            base_models = dict.fromkeys(member.network.metadata.base_model for member in model.members)
            self.model_info.labels(name, ", ".join(base_models), model.device).set(1)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)
