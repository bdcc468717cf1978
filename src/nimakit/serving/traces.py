"""OpenTelemetry traces of requests: the only module that imports OpenTelemetry, and only if they are on."""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import nimakit
from nimakit.errors import ConfigError, first_line, require_extra
from nimakit.serving.batcher import Job
from nimakit.serving.http.request_reader import BEGAN

if TYPE_CHECKING:
    from flask import Flask
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

_SWITCHES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = "opentelemetry_traces_exporter"
"""The group of entry points under which OpenTelemetry's packages register exporters."""

_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_UNTRACED = r"/v2/health/,/metrics$"
"""URLs without traces: probes and scrapes, unless OTEL_PYTHON_FLASK_EXCLUDED_URLS names others."""

_CLOSING_S = 2.0
"""Seconds that the last export may take when the server stops."""


def switch(environment: Mapping[str, str]) -> str:
    """The environment variable that turns traces on; empty if they are off.

    >>> switch({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    'OTEL_EXPORTER_OTLP_ENDPOINT'
    >>> switch({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"})
    ''
    """
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_disabled or environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return ""
    return next((name for name in _SWITCHES if environment.get(name, "").strip()), "")


class Traces:
    """Spans of requests, exported by a thread. Make it in the process that serves: threads do not fork.

    Each request has a span, from its last byte to its response, with spans of its stages: `receive` ends
    where it begins; `queue`, `decode` and `inference` last from the request's first image to its last.

    Args:
        app: The application, before any middleware.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
        ConfigError: The environment names an exporter that is not installed, or has an invalid value.
    """

    def __init__(self, app: "Flask") -> None:
        require_extra(
            "traces",
            f"{switch(os.environ)} turns on traces, which need more libraries;"
            " OTEL_SDK_DISABLED=true turns them off.",
            "opentelemetry.instrumentation.flask",
            "opentelemetry.sdk.trace",
        )
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        try:
            processors = [BatchSpanProcessor(exporter) for exporter in _make_exporters(os.environ)]
        except ValueError as error:
            raise ConfigError(
                "OpenTelemetry's environment variables (OTEL_...) must have valid values."
                f" Received: {first_line(error)}"
            ) from error
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("nimakit", nimakit.__version__)
        instrumentor: Any = FlaskInstrumentor()  # its methods have no types
        instrumentor.instrument_app(
            app,
            request_hook=self._begin,
            response_hook=_identify,
            tracer_provider=self._provider,
            excluded_urls=None if "OTEL_PYTHON_FLASK_EXCLUDED_URLS" in os.environ else _UNTRACED,
            enable_commenter=False,  # it leaves a context behind in the thread of each request
        )

    def record(self, job: Job[Any], models: Sequence[str]) -> None:
        """Add the stages of a job, finished or given up, to the span of the current request."""
        from opentelemetry import trace

        if not trace.get_current_span().is_recording():
            return
        times = [task.times for task in job.tasks]
        now = time.monotonic()
        stages = {
            "queue": [(one.submitted, one.decoding) for one in times],
            "decode": [(one.decoding, one.decoded) for one in times],
            "inference": [(one.scoring, one.scored) for one in times],
        }
        attributes: dict[str, Any] = {"nimakit.images": len(times), "nimakit.models": tuple(models)}
        for stage, both in stages.items():
            reached = [(begun, ended or now) for begun, ended in both if begun]
            if reached:
                start, end = (_nanoseconds(at) for at in (min(reached)[0], max(at for _, at in reached)))
                self._tracer.start_span(stage, attributes=attributes, start_time=start).end(end)

    def close(self) -> None:
        """Export what has been recorded, unless the collector does not take it in time."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)  # it has no time limit itself
        closing.start()
        closing.join(_CLOSING_S)

    def _begin(self, span: "Span", environ: Mapping[str, Any]) -> None:
        """Add the time in which a request was received; its span has just begun, and is not current yet."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import set_span_in_context

        if BEGAN in environ and isinstance(span, ReadableSpan):
            context, start = set_span_in_context(span), _nanoseconds(environ[BEGAN])
            self._tracer.start_span("receive", context, start_time=start).end(span.start_time)


def _nanoseconds(at: float) -> int:
    """A time of `time.monotonic` in nanoseconds since 1970."""
    return time.time_ns() - time.monotonic_ns() + int(1e9 * at)


def _identify(span: "Span", _status: str, headers: Sequence[tuple[str, str]]) -> None:
    """Name the request as its line in the log does."""
    if span is not None and span.is_recording():
        span.set_attribute("nimakit.request_id", dict(headers).get("X-Request-ID", ""))


def _resource() -> Any:
    """What the spans are of: nimakit, unless the environment has another name."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource

    ours = Resource({SERVICE_NAME: "nimakit", SERVICE_VERSION: nimakit.__version__})
    return Resource.create(dict(ours.merge(OTELResourceDetector().detect()).attributes))


def _make_exporters(environment: Mapping[str, str]) -> list["SpanExporter"]:
    names = [name.strip() for name in environment.get("OTEL_TRACES_EXPORTER", "").split(",")]
    return [_make_exporter(name or "otlp", environment) for name in names]


def _make_exporter(name: str, environment: Mapping[str, str]) -> "SpanExporter":
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    wanted = _PROTOCOLS.get(protocol.strip(), "") if name == "otlp" else name
    installed = {point.name: point for point in entry_points(group=_EXPORTERS)}
    if wanted not in installed:
        shown = f"otlp over {protocol}" if name == "otlp" else name
        raise ConfigError(
            "OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL must name an exporter that is installed:"
            f" {', '.join(sorted(installed))}. Received: {shown}. Use http/protobuf, or install the package"
            f" of that exporter (for grpc: opentelemetry-exporter-otlp-proto-grpc)"
        )
    made: SpanExporter = installed[wanted].load()()
    return made
