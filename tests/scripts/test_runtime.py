"""Which runtime a launcher picks, its help, and the set-up of .venv."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from launchers import ROOT, RUN_CODE, Launcher, settle, without, write_json
from nimakit.cli import cli


def test_docker_is_chosen_where_an_engine_answers(predict: Launcher) -> None:
    """With an engine the container runs; its output and exit code come through, and one line names it."""
    result = predict("--image-source", "photos")
    assert result.runtime_lines == ["predict: runtime docker (image nima-light)"]
    assert result.container.image == "nima-light"
    assert (result.code, result.stdout) == (RUN_CODE, "[]\n")


def test_native_is_chosen_where_no_engine_answers(copied: Launcher) -> None:
    """Without an engine the .venv runs; one line names the runtime."""
    settle(copied)
    copied.stop_engine()
    result = copied("--image-source", "photos")
    assert result.stderr == "predict: runtime native (.venv)\n"
    assert result.stdout == "nimakit<predict --image-source photos>\n"
    assert result.asked("run") == []


def test_native_is_chosen_where_docker_is_not_installed(copied: Launcher, tmp_path: Path) -> None:
    """Without a docker command the launcher runs natively, without a warning."""
    settle(copied)
    result = copied("--image-source", "photos", env={"PATH": without(tmp_path, "docker")})
    assert result.stderr == "predict: runtime native (.venv)\n"


@pytest.mark.slow
def test_native_scores_as_the_command_does(predict: Launcher, public_model: Path) -> None:
    """Forced native, the real .venv gives the very output of `nimakit predict`, and docker is not asked."""
    cache = {"NIMAKIT_CACHE": str(public_model.parent)}
    real = replace(predict, repository=ROOT)
    result = real("--image-source", "photos", runtime="native", env=cache)
    direct = subprocess.run(
        [ROOT / ".venv" / "bin" / "nimakit", "predict", "--image-source", "photos"],
        cwd=predict.folder,
        env={**os.environ, **cache},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (result.code, result.stdout) == (0, direct.stdout)
    assert [record["image_id"] for record in json.loads(result.stdout)] == ["coffee"]
    assert (result.runtime_lines, result.calls) == (["predict: runtime native (.venv)"], [])


def test_docker_is_used_where_it_is_forced(predict: Launcher) -> None:
    """NIMAKIT_RUNTIME=docker runs the container."""
    result = predict("--image-source", "photos", runtime="docker")
    assert result.runtime_lines == ["predict: runtime docker (image nima-light)"]
    assert len(result.asked("run")) == 1


def test_forced_docker_is_refused_without_an_engine(predict: Launcher) -> None:
    """NIMAKIT_RUNTIME=docker without an engine exits with 1 and the remedy; nothing runs instead."""
    predict.stop_engine()
    result = predict("--image-source", "photos", runtime="docker")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr == (
        "predict: error: NIMAKIT_RUNTIME=docker needs a Docker engine, and none answers."
        " Start one, or unset it.\n"
    )


def test_an_unknown_runtime_is_refused(predict: Launcher) -> None:
    """Any other NIMAKIT_RUNTIME is refused with the two that exist."""
    result = predict("--image-source", "photos", runtime="podman")
    assert (result.code, result.stdout, result.calls) == (1, "", [])
    assert result.stderr == "predict: error: NIMAKIT_RUNTIME must be docker or native. Received: podman\n"


def test_help_needs_no_set_up_and_no_engine(copied: Launcher) -> None:
    """--help prints the options of the command, with neither .venv nor docker."""
    shutil.rmtree(copied.repository / ".venv")
    for arguments in (["-h"], ["--image-source", "photos", "--help"]):
        result = copied(*arguments, runtime="podman")
        assert (result.code, result.stderr, result.calls) == (0, "", [])
    assert result.stdout.startswith("Usage: ./predict [OPTIONS]\n")
    assert "\n    ./predict --image-source data/samples" in result.stdout
    assert len(cli.commands["predict"].params) > 10
    for option in cli.commands["predict"].params:
        assert f"  {option.opts[0]}" in result.stdout
    assert "```" not in result.stdout


def test_help_prints_one_section_of_the_reference(copied: Launcher) -> None:
    """--help ends where the section of the command ends, whatever stands around it."""
    page = copied.repository / "docs" / "cli.md"
    page.write_text(
        "# C\n\n## nimakit\n\n```text\nno\n```\n\n## nimakit predict\n\n```text\nUsage: nimakit predict\n\n"
        "  yes\n```\n\n## nimakit serve\n\n```text\nno\n```\n"
    )
    assert copied("--help").stdout == "Usage: ./predict\n\n  yes\n"


def test_native_installs_once_from_the_lock_file(copied: Launcher) -> None:
    """The first native run installs by hash, without dependencies of its own; the second installs nothing."""
    first = copied("--image-source", "my photos", runtime="native")
    assert first.stdout == "nimakit<predict --image-source my photos>\n"
    requirements, package = (line for line in first.stderr.splitlines() if line.startswith("python<"))
    assert requirements.endswith(f"--require-hashes -r {copied.repository}/requirements/light.txt>")
    assert "--no-deps --no-build-isolation -e" in package
    second = copied("--image-source", "my photos", runtime="native")
    assert (second.stdout, second.stderr) == (first.stdout, "predict: runtime native (.venv)\n")


def test_native_installs_tensorflow_only_for_what_needs_it(copied: Launcher) -> None:
    """Weights of MobileNet do not need it; those of another network do, and a config may name them."""
    weights = ["--image-source", "x", "--weights-file", "w.hdf5", "--base-model-name"]
    for arguments, lock in (
        ([*weights, "MobileNet"], "light"),
        ([*weights, "VGG16"], "cpu"),
        (["--image-source", "x", "--config-file", "c.json"], ""),
    ):
        stderr = copied(*arguments, runtime="native").stderr
        assert re.findall(r"installing the (\w+) requirements", stderr) == [lock] * bool(lock), arguments


def test_in_docker_an_image_with_tensorflow_is_used_only_for_what_needs_it(predict: Launcher) -> None:
    """A config names an image; weights of another network than MobileNet need nima-cpu."""
    write_json(predict.folder / "c.json", {"base_model_name": "MobileNet"})
    weights = ["--image-source", "photos", "--weights-file", "w.hdf5", "--base-model-name"]
    for arguments, image in (
        ([*weights, "MobileNet"], "nima-light"),
        ([*weights, "VGG16"], "nima-cpu"),
        (["--image-source", "photos", "--config-file", "c.json"], "nima-cpu"),
        (["--image-source", "photos", "--docker-image", "nima-gpu"], "nima-gpu"),
    ):
        assert predict(*arguments).container.image == image


RAY: tuple[tuple[str, ...], ...] = (
    ("--image-source", "photos", "--engine", "ray"),
    ("--image-source=s3://bucket/photos/",),
    ("--image-source", "list.parquet"),
    ("--image-source", "stored.csv"),
    ("--image-source", "photos", "--predictions-file", "scores.parquet"),
    ("--image-source", "photos", "--predictions-file", "scores/"),
    ("--image-source", "photos", "--predictions-file", "gs://bucket/scores.jsonl"),
)
NO_RAY: tuple[tuple[str, ...], ...] = (
    ("--image-source", "photos/*.jpg", "--predictions-file", "scores.jsonl", "--resume"),
    ("--image-source", "list.csv"),
)


def write_lists(folder: Path) -> None:
    """Manifests of photos in a store, and of photos here."""
    (folder / "stored.csv").write_text("image\ns3://bucket/a.jpg\n")
    (folder / "list.csv").write_text("image\nphotos/a.jpg\n")


def test_stores_parquet_and_ray_have_their_image(predict: Launcher) -> None:
    """What needs none of them stays with nima-light; nima-ray is built from a stage of its Dockerfile."""
    write_lists(predict.folder)
    for arguments in RAY:
        assert predict(*arguments).container.image == "nima-ray", arguments
    for arguments in NO_RAY:
        assert predict(*arguments).container.image == "nima-light", arguments


def test_native_adds_ray_only_for_what_needs_it(copied: Launcher) -> None:
    """Once, to what is installed."""
    write_lists(copied.folder)
    for arguments, installed in ((NO_RAY[1], ["light"]), (RAY[3], ["ray"]), (RAY[0], [])):
        stderr = copied(*arguments, runtime="native").stderr
        assert re.findall(r"installing the (\w+) requirements", stderr) == installed, arguments


def test_native_installs_anew_after_a_change(copied: Launcher) -> None:
    """A changed lock file or pyproject.toml leads to a new installation."""
    settle(copied)
    for name in ("requirements/light.txt", "pyproject.toml"):
        with (copied.repository / name).open("a") as file:
            file.write("# changed\n")
        assert "installing the light requirements" in copied("--image-source", "x", runtime="native").stderr


def test_nothing_is_installed_through_a_link(copied: Launcher, tmp_path: Path) -> None:
    """A .venv that leads to another environment is refused, and that environment is left as it is."""
    other = (copied.repository / ".venv").rename(tmp_path / "other")
    (copied.repository / ".venv").symlink_to(other)
    result = copied("--image-source", "photos", runtime="native")
    assert (result.code, result.stdout) == (1, "")
    assert f"Received: a link to {other}. Remove the link" in result.stderr
    assert [path.name for path in other.iterdir()] == ["bin"]


def test_a_failed_installation_is_not_taken_for_done(copied: Launcher) -> None:
    """Where pip fails, the launcher fails, and the next run installs again."""
    python = copied.repository / ".venv" / "bin" / "python"
    works = python.read_text()
    python.write_text("#!/usr/bin/env bash\n[[ $* == *install* ]] && exit 3\nexit 0\n")
    assert copied("--image-source", "photos", runtime="native").code == 3
    python.write_text(works)
    assert "installing" in copied("--image-source", "photos", runtime="native").stderr
