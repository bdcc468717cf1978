"""nimakit.serving.traces: spans as a collector of OpenTelemetry receives them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from clients import client, form, noise, service
from nimakit.errors import ConfigError, MissingExtraError
from nimakit.serving.http.request_reader import BEGAN
from nimakit.serving.timing import Times
from nimakit.serving.traces import Traces, switch
from servers import running

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STAGES = ["receive", "queue", "decode", "inference"]


@contextmanager
def collecting() -> Iterator[tuple[str, list[Any]]]:
    """A collector on this machine: its address, and the spans it has received."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """No output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", spans
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The spans received by a collector that the environment names."""
    with collecting() as (address, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        yield spans


def values(span: Any) -> dict[str, Any]:
    """Attributes of a span."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_has_spans_of_its_stages(collector: list[Any], tiny_file: Path) -> None:
    """They continue the caller's trace, in the order of time, under the request's id; probes have none."""
    web = client(tiny_file)
    began = time.monotonic() - 0.01
    answer = web.post(
        "/predict",
        data=form(("a.png", noise()), ("b.png", noise(1))),
        headers={"traceparent": PARENT},
        environ_overrides={BEGAN: began},
    )
    for path in ("/v2/health/ready", "/metrics"):
        assert web.get(path).status_code == 200
    service(web).close()
    assert sorted(span.name for span in collector) == sorted(["POST /predict", *STAGES])
    found = {span.name: span for span in collector}
    request = found["POST /predict"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert values(request)["nimakit.request_id"] == answer.headers["X-Request-ID"]
    stages = [found[name] for name in STAGES]
    assert all(span.parent_span_id == request.span_id for span in stages)
    assert stages[0].end_time_unix_nano == request.start_time_unix_nano
    assert stages[0].end_time_unix_nano - stages[0].start_time_unix_nano >= 9e6
    starts = [span.start_time_unix_nano for span in stages]
    assert starts == sorted(starts)
    assert stages[-1].end_time_unix_nano <= request.end_time_unix_nano
    assert values(stages[-1])["nimakit.images"] == 2


def test_an_image_that_is_not_scored_has_no_span_of_its_inference(
    collector: list[Any], tiny_file: Path
) -> None:
    """A failed request is traced, too."""
    web = client(tiny_file)
    web.post("/predict", data=form(("a.png", b"broken")))
    service(web).close()
    assert sorted(span.name for span in collector) == ["POST /predict", "decode", "queue"]
    [request] = [span for span in collector if span.name == "POST /predict"]
    assert values(request)["http.status_code"] == 422


def test_stages_last_from_the_first_image_to_the_last(collector: list[Any]) -> None:
    """Also if images were not scored, or the request was given up; a stage that never began has no span."""
    traces, now = Traces(Flask("stages")), time.monotonic()
    ended = [Times(now - 9, now - 8, now - 6, now - 5, now - 3), Times(now - 9, now - 7, now - 4)]
    for times in (ended, [Times(now - 2)]):
        job: Any = SimpleNamespace(tasks=[SimpleNamespace(times=one) for one in times])
        with traces._tracer.start_as_current_span("request"):
            traces.record(job, ["tiny"])
    traces.close()
    lasted = [
        (span.name, round((span.end_time_unix_nano - span.start_time_unix_nano) / 1e9))
        for span in collector
        if span.name != "request"
    ]
    assert lasted == [("queue", 2), ("decode", 4), ("inference", 2), ("queue", 2)]


def test_a_collector_that_is_down_delays_no_stop(monkeypatch: pytest.MonkeyPatch, tiny_file: Path) -> None:
    """The server answers as ever, and waits for the last export only so long."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setattr("nimakit.serving.traces._CLOSING_S", 0.05)
    web = client(tiny_file)
    assert web.post("/predict", data=form(("a.png", noise()))).status_code == 200
    started = time.monotonic()
    service(web).close()
    assert time.monotonic() - started < 0.9


def test_without_variables_nothing_is_needed(monkeypatch: pytest.MonkeyPatch, tiny_file: Path) -> None:
    """A server needs the libraries only if the environment turns traces on, and says how to get them."""
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.flask", None)
    web = client(tiny_file)
    assert web.post("/predict", data=form(("a.png", noise()))).status_code == 200
    service(web).close()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    with pytest.raises(MissingExtraError, match=r"OTEL_TRACES_EXPORTER .*pip install 'nimakit\[traces\]'"):
        client(tiny_file)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, r"console, otlp_proto_http\. Received: zipkin"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}, r"Received: otlp over carrier pigeon\. Use http"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, r"OTEL_\.\.\..*Received: max_queue_size must be a positive"),
    ],
)
def test_variables_without_a_meaning_are_refused(
    environment: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch, tiny_file: Path
) -> None:
    """The message names the exporters that are installed, or the value."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=shown):
        client(tiny_file)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ""),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ""),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "True"}, ""),
    ],
)
def test_variables_of_opentelemetry_turn_traces_on(environment: dict[str, str], expected: str) -> None:
    """An exporter that is named, or an endpoint; unless they turn traces or everything off."""
    assert switch(environment) == expected


@pytest.mark.slow
def test_a_server_exports_from_its_worker(collector: list[Any], tiny_file: Path, tmp_path: Path) -> None:
    """The exporter's thread runs in the forked process, and stopping exports the rest."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        status, _, _ = server.ask("POST", "/predict", noise(), {"Content-Type": "image/png"})
        assert (status, server.stop()) == (200, 0)
    assert sorted(span.name for span in collector) == sorted(["POST /predict", *STAGES])
