"""compose.yaml, the proxy, Swarm's stack and the Kubernetes manifests agree with the server they run."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nimakit.commands.predict import predict
from nimakit.commands.rate import rate
from nimakit.models.names import ModelSource
from nimakit.serving.app import create_app
from nimakit.serving.settings import ENVIRONMENT_PREFIX, RULES, Settings
from nimakit.web.settings import PASSWORD_VARIABLE

ROOT = Path(__file__).parent.parent
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
PROXY = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()
DOCKERFILE = (ROOT / "Dockerfile.serve").read_text()
DOCKERFILES = sorted({*ROOT.glob("Dockerfile.*"), *ROOT.glob("deploy/*/Dockerfile")})
RATING = ("rate", "postgres")  # services of compose.yaml that start when asked for


def read(path: Path) -> dict[str, Any]:
    """A YAML file with one document."""
    yaml = importlib.import_module("yaml")  # it publishes no types
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def services() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and description of each service of compose.yaml and of Swarm's stack."""
    for path in (ROOT / "compose.yaml", ROOT / "deploy" / "swarm" / "stack.yaml"):
        yield from read(path)["services"].items()


def manifest(name: str) -> dict[str, Any]:
    """A Kubernetes manifest."""
    return read(ROOT / "deploy" / "kubernetes" / f"{name}.yaml")


def pod() -> dict[str, Any]:
    """What a replica is in Kubernetes."""
    spec: dict[str, Any] = manifest("deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def app(tiny_file: Path) -> Iterator[Any]:
    """A server's application."""
    app = create_app(Settings(models=(ModelSource(name="tiny", model=str(tiny_file)),)))
    yield app
    app.extensions["nimakit"].close()


def seconds(text: str) -> int:
    """A duration as compose writes it."""
    return int(text.removesuffix("s"))


def test_kustomization_names_every_manifest() -> None:
    """All that is in the folder is applied, but for the values of another chart."""
    named = {*manifest("kustomization")["resources"], "kustomization.yaml", "prometheus-adapter.yaml"}
    assert named == {path.name for path in MANIFESTS}


def test_probes_ask_what_the_server_answers(app: Any) -> None:
    """Every probe, and the checks of both images, ask for a path that a ready server answers with 200."""
    [container] = pod()["containers"]
    paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    for dockerfile in (DOCKERFILE, (ROOT / "deploy" / "proxy" / "Dockerfile").read_text()):
        paths += re.findall(r"GET (/\S+) HTTP", dockerfile)
    assert len(paths) == 5
    for path in paths:
        assert app.test_client().get(path).status_code == 200, path


def test_ports_meet() -> None:
    """Image, pod, service, policy and proxy mean the same port."""
    port = int(re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)[0])
    assert f"NIMAKIT_SERVE_PORT={port}" in DOCKERFILE
    [container] = pod()["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert manifest("service")["spec"]["ports"][0]["targetPort"] == "http"
    assert manifest("network-policy")["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]
    assert f"http://api:{port};" in PROXY


def test_selectors_find_the_pods() -> None:
    """Service, budget, policy and spread mean the deployment's pods, and the autoscaler the deployment."""
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("deployment")["spec"]["selector"] == {"matchLabels": labels}
    assert manifest("service")["spec"]["selector"] == labels
    assert manifest("disruption-budget")["spec"]["selector"] == {"matchLabels": labels}
    assert manifest("network-policy")["spec"]["podSelector"] == {"matchLabels": labels}
    assert pod()["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": labels}
    target = manifest("autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("deployment")["metadata"]["name"])


def test_the_autoscaler_reads_a_metric_there_is(app: Any) -> None:
    """The autoscaler gets the queue's depth from /metrics, with a target below the queue's capacity."""
    [metric] = manifest("autoscaler")["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    [rule] = manifest("prometheus-adapter")["rules"]["custom"]
    assert rule["seriesQuery"].startswith(f"{name}{{")
    assert rule["name"]["as"] == name
    assert f"\n{name} 0.0\n" in app.test_client().get("/metrics").text
    assert 0 < int(metric["pods"]["target"]["averageValue"]) < Settings().queue_size


def test_a_stop_has_the_time_it_needs() -> None:
    """Whoever stops a server gives it longer than its requests may take to be finished."""
    drain = Settings().drain_timeout_s
    for _, service in services():
        assert seconds(service["stop_grace_period"]) > drain
    [container] = pod()["containers"]
    _, waits = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod()["terminationGracePeriodSeconds"] > drain + int(waits)


def test_swarm_and_compose_run_the_same() -> None:
    """Both name api and proxy, with the same images and settings; each replica is found by name."""
    composed = {
        name: one for name, one in read(ROOT / "compose.yaml")["services"].items() if name not in RATING
    }
    stack = read(ROOT / "deploy" / "swarm" / "stack.yaml")["services"]
    assert composed.keys() == stack.keys() == {"api", "proxy"}
    for name, service in composed.items():
        assert stack[name]["image"].endswith(f":-{service['image']}}}")
        assert stack[name].get("environment") == service.get("environment")
    assert stack["api"]["deploy"]["endpoint_mode"] == "dnsrr"


def test_the_proxy_has_the_limits_of_the_server() -> None:
    """Bodies are as large as the server takes them, and an answer may take as long as it may."""
    assert f"client_max_body_size {Settings().max_body_bytes};" in PROXY
    [wait] = re.findall(r"proxy_read_timeout (\d+)s;", PROXY)
    assert int(wait) > Settings().request_timeout_s


def test_replicas_are_confined() -> None:
    """Neither runs as root, writes to its root file system, or keeps a capability."""
    [container] = pod()["containers"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"].keys() == {"requests", "limits"}
    for _, service in services():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    for service in read(ROOT / "compose.yaml")["services"].values():
        assert (service["security_opt"], service["pids_limit"]) == (["no-new-privileges:true"], 512)
    for service in read(ROOT / "deploy" / "swarm" / "stack.yaml")["services"].values():
        assert service["deploy"]["resources"]["limits"]["pids"] == 512


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_images_keep_nothing_that_only_a_build_needs(path: Path) -> None:
    """The last step as root is one script, which also removes pip unless the image fetches weights."""
    last = path.read_text().rpartition("\nFROM ")[2]
    fetches = path.name in {"Dockerfile.cpu", "Dockerfile.gpu"}
    clean = last.index(f"COPY scripts/slim-image /opt/\nRUN /opt/slim-image{'' if fetches else ' pip'} \\\n")
    assert clean < last.index("\nUSER ")
    assert last[clean:].count("RUN") == 1


def test_images_are_built_from_what_docker_is_sent() -> None:
    """The repository is the context of every image, and .dockerignore lets through all that is copied."""
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in DOCKERFILES:
        for copied in re.findall(r"^COPY (?!--)(.+) \S+$", path.read_text(), re.MULTILINE):
            for name in copied.split():
                assert any(Path(name).match(pattern) for pattern in sent), f"{path}: {name}"
    builds = [one["build"] for one in read(ROOT / "compose.yaml")["services"].values() if "build" in one]
    assert {build["context"] for build in builds} == {"."}
    assert all((ROOT / build["dockerfile"]).is_file() for build in builds)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_base_image_can_be_one_by_its_digest(path: Path) -> None:
    """Every stage is built on BASE_IMAGE or on another stage, and the build prints which Python that has."""
    text = path.read_text()
    assert text.count("ARG BASE_IMAGE=python:3.11-slim-bookworm\n") == 1
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    named = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert set(stages) - set(named) == {"${BASE_IMAGE}"}
    assert "&& python3 --version\n" in text


def test_the_environment_holds_settings() -> None:
    """The server reads every variable that compose, Swarm, Kubernetes and the image set."""
    [container] = pod()["containers"]
    names = [variable["name"] for variable in container["env"]]
    for name, service in services():
        if name == "api":
            names += service["environment"]
    names += re.findall(rf"\b({ENVIRONMENT_PREFIX}\w+)=", DOCKERFILE)
    assert len(names) >= 6
    assert {name.removeprefix(ENVIRONMENT_PREFIX).lower() for name in names} <= RULES.keys()


def test_the_rating_app_starts_when_asked_for() -> None:
    """Each has its own profile; without a profile, compose.yaml runs the scoring server."""
    composed = read(ROOT / "compose.yaml")["services"]
    profiles = {name: one.get("profiles") for name, one in composed.items()}
    assert profiles == {"api": None, "proxy": None, "rate": ["rate"], "postgres": ["postgres"]}


def test_the_rating_app_in_compose_is_the_one_of_the_command_line() -> None:
    """Its image is the scoring server's; there is its entrypoint, and the command has its options."""
    service = read(ROOT / "compose.yaml")["services"]["rate"]
    assert service["image"] == read(ROOT / "compose.yaml")["services"]["api"]["image"]
    assert (ROOT / service["entrypoint"].removeprefix("/opt/nimakit/")).is_file()
    options = {option for parameter in rate.params for option in parameter.opts}
    assert set(re.findall(r"--\w[\w-]*", service["command"])) <= options
    assert PASSWORD_VARIABLE in service["environment"]
    assert rate_database_variable() in service["environment"]


def rate_database_variable() -> str:
    """What names the database where no option does."""
    [option] = [parameter for parameter in rate.params if parameter.name == "database"]
    assert isinstance(option.envvar, str)
    return option.envvar


def test_compose_keeps_what_people_said() -> None:
    """Ratings and database are in volumes, photographs read-only; only the app reaches the database."""
    composed = read(ROOT / "compose.yaml")
    app, database = (composed["services"][name] for name in RATING)
    assert [volume.split(":")[-1] for volume in app["volumes"]] == ["ro", "/ratings"]
    kept = {volume.split(":")[0] for volume in (app["volumes"][1], *database["volumes"])}
    assert kept == composed["volumes"].keys()
    assert "install --directory --owner nima /ratings" in DOCKERFILE
    assert [name for name, one in composed["services"].items() if "ratings" in one.get("networks", ())] == [
        *RATING
    ]
    assert composed["networks"]["ratings"] == {"internal": True}


def test_the_health_of_the_rating_app_is_asked_where_it_answers() -> None:
    """On the port that is published."""
    service = read(ROOT / "compose.yaml")["services"]["rate"]
    [port] = {mapping.rsplit(":", 1)[1] for mapping in service["ports"]}
    assert f"/dev/tcp/127.0.0.1/{port}" in service["healthcheck"]["test"][-1]
    [given] = [parameter.default for parameter in rate.params if parameter.name == "port"]
    assert str(given) == port


def ray_containers() -> dict[str, dict[str, Any]]:
    """The containers of the Ray cluster on Kubernetes, by their group."""
    cluster = read(ROOT / "deploy" / "ray" / "rayjob.yaml")["spec"]["rayClusterSpec"]
    groups = {"head": cluster["headGroupSpec"], **{g["groupName"]: g for g in cluster["workerGroupSpecs"]}}
    found = {}
    for name, group in groups.items():
        spec = group["template"]["spec"]
        [found[name]] = spec["containers"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in found[name]["volumeMounts"]} <= volumes
    return found


def test_ray_runs_the_image_that_is_built() -> None:
    """Compose and Kubernetes name the image of the Dockerfile's stage, with the Ray of its lock file."""
    composed = read(ROOT / "deploy" / "ray" / "compose.yaml")["services"]
    assert "\nFROM packages AS ray\n" in (ROOT / "Dockerfile.light").read_text()
    for service in composed.values():
        assert (service["image"], service["build"]["target"]) == ("nima-ray", "ray")
        assert (
            ROOT / "deploy" / "ray" / service["build"]["context"] / service["build"]["dockerfile"]
        ).is_file()
    job = read(ROOT / "deploy" / "ray" / "rayjob.yaml")["spec"]
    assert {container["image"] for container in ray_containers().values()} == {"nima-ray"}
    version = job["rayClusterSpec"]["rayVersion"]
    assert f"\nray=={version} " in (ROOT / "requirements" / "ray.txt").read_text().replace(
        "ray[data,default]", "ray"
    )


def test_ray_runs_the_command_line_there_is() -> None:
    """The job of Kubernetes has predict's options, and resumes; the head runs no actor."""
    job = read(ROOT / "deploy" / "ray" / "rayjob.yaml")["spec"]
    options = {option for parameter in predict.params for option in parameter.opts}
    assert job["entrypoint"].startswith("nimakit predict ")
    assert (
        {"--engine", "--ray-address", "--resume"}
        <= set(re.findall(r"--[\w-]+", job["entrypoint"]))
        <= options
    )
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    head = read(ROOT / "deploy" / "ray" / "compose.yaml")["services"]["head"]
    assert "--num-cpus=0" in head["entrypoint"]
    for group in job["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_ray_nodes_are_confined() -> None:
    """Neither runs as root or keeps a capability."""
    for container in ray_containers().values():
        context = container["securityContext"]
        assert (context["runAsNonRoot"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"].keys() == {"requests", "limits"}
    for service in read(ROOT / "deploy" / "ray" / "compose.yaml")["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "ports" not in service
