"""nimakit.serving.metrics: metrics as Prometheus reads them."""

import math
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from clients import Client, client, form, noise, service
from nimakit.errors import ImageError
from nimakit.models.score import Score


def test_metrics_are_read_by_a_prometheus_parser(web: Client) -> None:
    """Requests, latencies by stage, batches, queue, refusals, and models."""
    web.post("/predict", data=form(("a.png", noise()), ("b.png", b"broken")))
    web.get("/nowhere")
    response = web.get("/metrics")
    assert response.content_type.startswith("text/plain; version=")
    found = {family.name: family.samples for family in text_string_to_metric_families(response.text)}

    def value(family: str, name: str, **labels: str) -> float:
        [sample] = [s for s in found[family] if s.name == name and labels.items() <= s.labels.items()]
        return sample.value

    asked = {"route": "/predict", "method": "POST", "status": "200"}
    assert value("nimakit_requests", "nimakit_requests_total", **asked) == 1
    assert value("nimakit_requests", "nimakit_requests_total", status="404") == 1
    assert value("nimakit_request_seconds", "nimakit_request_seconds_count", route="/predict") == 1
    for stage in ("queue", "decode", "inference"):
        assert value("nimakit_stage_seconds", "nimakit_stage_seconds_count", stage=stage) == 1
    assert value("nimakit_images", "nimakit_images_total", model="tiny", result="scored") == 1
    assert value("nimakit_images", "nimakit_images_total", model="tiny", result="failed") == 1
    assert value("nimakit_batch_images", "nimakit_batch_images_sum") == 1
    assert value("nimakit_queue_depth", "nimakit_queue_depth") == 0
    assert value("nimakit_queue_size", "nimakit_queue_size") == 128
    assert (
        value("nimakit_model_info", "nimakit_model_info", model="tiny", base_models="Tiny", device="CPU") == 1
    )
    assert "nimakit_rejected" in found
    assert "process_resident_memory_bytes" in found


def test_metrics_do_not_grow_with_requested_paths(web: Client) -> None:
    """Unknown paths, models and methods share a label."""

    def count() -> int:
        return len(web.get("/metrics").text.splitlines())

    web.get("/x")
    web.open("/x", method="MADE_UP_0")
    web.get("/models/x")
    count()
    before = count()
    for number in range(20):
        web.get(f"/{number}")
        web.open("/x", method=f"MADE_UP_{number}")
        web.get(f"/models/{number}")
        web.post(f"/predict?model={number}")
    assert count() <= before + 20


def test_drift_compares_general_scores_with_the_reference(web: Client) -> None:
    """Every model with reference scores has a distance once there are enough; failed images add none."""

    def drifts() -> dict[str, float]:
        families = text_string_to_metric_families(web.get("/metrics").text)
        [samples] = [family.samples for family in families if family.name == "nimakit_drift"]
        return {sample.labels["model"]: sample.value for sample in samples}

    assert math.isnan(drifts()["tiny"])
    good, both = [Score(9.0, 1.0, None, None)] * 50, ("tiny", "score")
    metrics = service(web).metrics
    metrics.note_scores(["tiny"], [*good, *[ImageError("no image")] * 50], are_general=True)
    metrics.note_scores(["tiny"], good, are_general=False)
    assert math.isnan(drifts()["tiny"])
    metrics.note_scores(both, [dict.fromkeys(both, one) for one in good], are_general=True)
    assert drifts() == {"tiny": 1.0}


def test_two_servers_in_one_process_measure_apart(tiny_file: Path) -> None:
    """Nothing is global."""
    one, two = client(tiny_file), client(tiny_file)
    one.get("/models")
    assert 'route="/models"' not in two.get("/metrics").text
    for web in (one, two):
        service(web).close()
