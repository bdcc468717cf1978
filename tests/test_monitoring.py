"""deploy/monitoring: the alerts in a real Prometheus, and every metric that alerts and dashboard name."""

import importlib
import json
import os
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clients import client, form, noise, service

FOLDER = Path(__file__).parent.parent / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
PROMETHEUS_LABELS = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""

REQUIRED_VARIABLE = "NIMAKIT_REQUIRE_PROMETHEUS"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and not os.environ.get(REQUIRED_VARIABLE),
    reason="promtool (Debian's package prometheus) is not installed",
)


def read(name: str) -> Any:
    """A YAML file."""
    return importlib.import_module("yaml").safe_load((FOLDER / name).read_text())


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    found: list[dict[str, Any]] = [rule for group in read("alerts.yaml")["groups"] for rule in group["rules"]]
    return found


@pytest.fixture(scope="module")
def served(tiny_file: Path) -> dict[str, set[str]]:
    """Each metric of a server that has scored, refused and failed, with its labels."""
    web = client(tiny_file, queue_size=1, rate_limit="3 per minute")
    for content in (noise(), b"broken", noise(), noise()):
        web.post("/predict", data=form(("a.png", content)))
    found: dict[str, set[str]] = {"up": set()}  # Prometheus makes this one
    for family in text_string_to_metric_families(web.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    service(web).close()
    return found


def run(*arguments: object) -> str:
    """What promtool prints; it must succeed."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_names(query: str, served: dict[str, set[str]]) -> None:
    """Every metric of a query is served, and has the labels that the query selects or keeps."""
    metrics = set(re.findall(r"\b(?:nimakit_|process_)\w+|\bup\b", query))
    assert metrics, query
    assert metrics <= served.keys(), query
    labels = set(re.findall(r"(\w+)=?[=~!]~?\"", query))
    for kept in re.findall(r"\bby \(([^)]*)\)", query):
        labels |= set(re.split(r"[, ]+", kept))
    known = PROMETHEUS_LABELS.union(*(served[metric] for metric in metrics))
    assert labels <= known, query


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in rules())])
def test_queries_name_metrics_and_labels_that_are_served(query: str, served: dict[str, set[str]]) -> None:
    """A metric or label that is renamed leaves no panel empty and no alert silent."""
    check_names(query, served)


@pytest.mark.parametrize("query", ["sum(nimakit_made_up)", "sum by (made_up) (nimakit_drift)"])
def test_unknown_names_are_noticed(query: str, served: dict[str, set[str]]) -> None:
    """The check above can fail."""
    with pytest.raises(AssertionError):
        check_names(query, served)


def test_routes_in_queries_are_those_that_score(tiny_file: Path) -> None:
    """Latency is that of every route with POST, and of no other."""
    [pattern] = set(
        re.findall(r'route=~"([^"]*)"', " ".join([*QUERIES, *(rule["expr"] for rule in rules())]))
    )
    web = client(tiny_file)
    routes = list(web.application.url_map.iter_rules())
    service(web).close()
    scoring = {route.rule for route in routes if "POST" in (route.methods or ())}
    assert {route.rule for route in routes if re.fullmatch(pattern, route.rule)} == scoring


def test_the_dashboard_is_whole() -> None:
    """Panels have ids of their own, lie apart within 24 columns, and use variables that are defined."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    used = re.findall(r"\$\{?(\w+)", json.dumps(panels))
    assert set(used) <= variables
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        lies_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert lies_beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    topics = ["request_seconds", "rejected", '5.."', "queue_depth", "drift"]
    assert all(any(topic in query for query in QUERIES) for topic in topics)


def test_every_alert_is_tried() -> None:
    """Each alert is tried when it must fire and when it must not, and the scrape config reads the alerts."""
    tries = [one for test in read("alerts-test.yaml")["tests"] for one in test["alert_rule_test"]]
    for rule in rules():
        fired = {bool(one.get("exp_alerts")) for one in tries if one["alertname"] == rule["alert"]}
        assert fired == {True, False}, rule["alert"]
    config = read("prometheus.yaml")
    assert config["rule_files"] == ["alerts.yaml"]
    [job] = {scrape["job_name"] for scrape in config["scrape_configs"]}
    assert all(f'job="{job}"' in rule["expr"] for rule in rules() if "up{" in rule["expr"])


@pytest.mark.slow
@needs_promtool
def test_prometheus_accepts_and_passes_the_alerts() -> None:
    """Rules and scrape config are valid, and the rules pass their own tests."""
    assert f"{len(rules())} rules found" in run("check", "rules", FOLDER / "alerts.yaml")
    assert "valid" in run("check", "config", FOLDER / "prometheus.yaml")
    assert "SUCCESS" in run("test", "rules", FOLDER / "alerts-test.yaml")


@pytest.mark.slow
@needs_promtool
def test_prometheus_accepts_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    """Each is valid once Grafana has put in its variables."""
    records = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "panels.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": records}]}))
    assert f"{len(QUERIES)} rules found" in run("check", "rules", tmp_path / "panels.yaml")
