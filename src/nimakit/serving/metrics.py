"""What a server counts and measures, for Prometheus."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from nimakit.models.engine import Model

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The measurements of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nimakit_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "nimakit_request_seconds",
            "Time from a request's last byte to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "nimakit_stage_seconds",
            "Time a request's images spent waiting (queue), being decoded, and being scored (inference):"
            " of each request the longest.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.images = Counter(
            "nimakit_images",
            "Images scored, and images that could not be.",
            ["model", "result"],
            registry=self.registry,
        )
        self.batch_images = Histogram(
            "nimakit_batch_images", "Images scored in one run.", buckets=_BATCHES, registry=self.registry
        )
        self.queue_depth = Gauge(
            "nimakit_queue_depth", "Images waiting to be decoded or scored.", registry=self.registry
        )
        self.queue_size = Gauge(
            "nimakit_queue_size", "Images that may wait; more are refused.", registry=self.registry
        )
        self.rejected = Counter(
            "nimakit_rejected",
            "Requests refused for want of room or time (busy), a key (unauthorised) or by a rate limit"
            " (rate), too slow in coming (slow), or no requests at all (malformed).",
            ["reason"],
            registry=self.registry,
        )
        self.model_info = Gauge(
            "nimakit_model_info",
            "1 for a model that is served, 0 for one that is broken.",
            ["model", "base_models", "device"],
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def describe(self, name: str, model: "Model | None") -> None:
        """Say which models there are; None for one that is broken."""
        if model is None:
            self.model_info.labels(name, "", "").set(0)
        else:
            base_models = dict.fromkeys(member.network.metadata.base_model for member in model.members)
            self.model_info.labels(name, ", ".join(base_models), model.device).set(1)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
