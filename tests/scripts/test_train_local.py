"""./train-local: how it prepares a job, and what the containers get."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launchers import NEW, TRAINING, Launcher, both, write_json
from nimakit.cli import cli

# --- preparation ---------------------------------------------------------------------------------------


def test_a_job_is_prepared_and_then_trained(train: Launcher, job: Path) -> None:
    """One container checks and makes the job and is removed; a detached one trains it."""
    prepares, trains = both(train(*NEW))
    assert prepares.flags == {"--rm", "--init", "--read-only"}
    assert prepares.arguments == ["--prepare-only", "--docker-image", "nima-cpu", *NEW]
    assert prepares.options["--network"] == ["none"]
    assert trains.flags == {"--detach", "--init", "--read-only"}
    assert trains.arguments == ["--resume", str(job)]
    assert trains.options["--name"] == [TRAINING]
    assert trains.options["--label"] == [f"nimakit.job={job}"]
    assert trains.options["--stop-timeout"] == ["120"]
    assert trains.options["--shm-size"] == ["1g"]
    assert trains.options["--log-driver"] == ["local"]
    assert trains.options["--log-opt"] == ["max-size=10m", "max-file=3"]
    for container in (prepares, trains):
        assert container.image == "nima-cpu"
        assert container.options["--user"] == [f"{os.getuid()}:{os.getgid()}"]
        assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/train"]
        assert {"HOME=/run/nimakit", "TMPDIR=/run/nimakit"} <= set(container.options["--env"])
        assert "--gpus" not in container.options


def test_each_container_sees_what_it_needs(train: Launcher, job: Path) -> None:
    """Preparing sees the inputs and the jobs folder; training sees images, weights and its own job."""
    folder = train.folder
    (folder / "my weights.h5").touch()
    for config in (folder / "c.json", job / "config.json"):
        write_json(config, {"existing_weights": "my weights.h5"})
    write_json(folder / "test labels.json", [])
    prepares, trains = both(train(*NEW, "--test-samples-file=test labels.json"))
    inputs = ["c.json", "labels.json", "test labels.json", "photos", "my weights.h5"]
    assert {Path(target).name: mode for target, (_, mode) in prepares.mounts.items()} == {
        **dict.fromkeys(inputs, "ro"),
        "train_jobs": "rw",
    }
    assert trains.mounts == {
        str(job): (str(job), "rw"),
        str(folder / "photos"): (str(folder / "photos"), "ro"),
        str(folder / "my weights.h5"): (str(folder / "my weights.h5"), "ro"),
    }


def test_sub_folders_are_a_flag(train: Launcher, job: Path) -> None:
    """--recursive takes no value, and is only needed to prepare the job."""
    prepares, trains = both(train("--recursive", *NEW))
    assert prepares.arguments == ["--prepare-only", "--docker-image", "nima-cpu", "--recursive", *NEW]
    assert {Path(target).name for target in prepares.mounts} == {
        "c.json",
        "labels.json",
        "photos",
        "train_jobs",
    }
    assert trains.arguments == ["--resume", str(job)]


def test_a_refused_job_starts_nothing(train: Launcher, job: Path) -> None:
    """What the command refuses ends the launcher with its code, and leaves neither container nor folder."""
    (train.bin / "prepared").unlink()
    result = train(*NEW, "--jobs-dir", "my jobs")
    assert (result.code, result.stdout) == (1, "")
    (container,) = result.containers
    assert container.arguments[0] == "--prepare-only"
    assert not (train.folder / "my jobs").exists()
    assert train(*NEW).code == 1
    assert job.exists()


@pytest.mark.parametrize("jobs", ["deep/down", '-dash $(touch pwned) "hi", a:b'])
def test_the_jobs_folder_is_made_by_the_caller(train: Launcher, jobs: str) -> None:
    """A jobs folder that is missing is made before docker would, which would make it root's."""
    prepares, _ = both(train(*NEW, f"--jobs-dir={jobs}"))
    path = str(train.folder / jobs)
    assert prepares.mounts[path] == (path, "rw")
    assert Path(path).stat().st_uid == os.getuid()
    assert not (train.folder / "pwned").exists()


def test_a_jobs_folder_that_cannot_be_made_is_refused(train: Launcher) -> None:
    """A file in the place of the jobs folder is refused before anything runs."""
    result = train(*NEW, "--jobs-dir", "c.json")
    assert (result.code, result.containers) == (1, [])
    assert (
        "The jobs folder must be writable. Received: c.json; choose another by --jobs-dir." in result.stderr
    )


def test_a_job_can_be_prepared_alone(train: Launcher, job: Path) -> None:
    """--prepare-only prints the job folder, and starts nothing."""
    result = train(*NEW, "--prepare-only")
    assert (result.code, result.stdout) == (0, f"{job}\n")
    assert len(result.containers) == 1


# --- image, network, uploads ---------------------------------------------------------------------------


def test_the_config_chooses_the_image(train: Launcher) -> None:
    """docker_image of the config is run for both steps, --docker-image wins; a GPU image gets the GPUs."""
    write_json(train.folder / "c.json", {"docker_image": "nima-gpu"})
    for container in train(*NEW).containers:
        assert (container.image, container.options["--gpus"]) == ("nima-gpu", ["all"])
    for container in train(*NEW, "--docker-image", "team/nima:2").containers:
        assert container.image == "team/nima:2"


def test_the_job_of_a_head_runs_without_tensorflow(train: Launcher, tmp_path: Path) -> None:
    """In nima-light, unless the config names another image; it sees the config's encoders and ratings."""
    head = {"head_only": True, "encoders": [{"name": "e.onnx"}, {"name": "efficientnet-lite0"}]}
    for name in ("e.onnx", "r.csv", "secret.txt"):
        (train.folder / name).touch()
    write_json(train.folder / "c.json", {**head, "ratings_file": "r.csv"})
    first, *others = train(*NEW).containers
    assert {container.image for container in (first, *others)} == {"nima-light"}
    assert {str(train.folder / name) for name in ("e.onnx", "r.csv")} <= set(first.mounts)
    write_json(train.folder / "c.json", {**head, "docker_image": "nima-gpu", "ratings_file": "secret.txt"})
    container = train(*NEW).containers[0]
    assert container.image == "nima-gpu"
    assert str(train.folder / "secret.txt") not in container.mounts


def test_a_student_is_trained_with_tensorflow(train: Launcher, job: Path) -> None:
    """In nima-cpu, although the head's config names nima-light; with a network and both folders of images."""
    head = {"head_only": True, "encoders": [{"name": "labels.json"}], "docker_image": "nima-light"}
    (train.folder / "more photos").mkdir()
    for config in (train.folder / "c.json", job / "config.json"):
        write_json(config, head)
    prepares = train(*NEW, "--student", "MobileNet", "--student-images", "more photos").containers[0]
    assert prepares.image == "nima-cpu"
    assert str(train.folder / "more photos") in prepares.mounts
    write_json(job / "student.json", {})
    folders = {"image_dir": "photos", "student_images": "more photos"}
    run = {name: str(train.folder / folder) for name, folder in folders.items()}
    write_json(job / "run.json", {"docker_image": "nima-cpu", **run})
    trains = train("--resume", job).container
    assert (trains.image, trains.options.get("--network")) == ("nima-cpu", None)
    assert {*run.values()} <= set(trains.mounts)


def test_a_job_goes_on_in_its_image(train: Launcher, job: Path) -> None:
    """A resumed job runs in the image chosen at its start, else in the one its config names."""
    write_json(job / "config.json", {"docker_image": "team/nima:2", "existing_weights": "random"})
    refused = train("--resume", job)
    assert (refused.code, refused.containers) == (1, [])
    assert f"Received: team/nima:2, in {job}/config.json. Add --trust-image team/nima:2" in refused.stderr
    trusted = train("--resume", job, "--trust-image", "team/nima:2", "--detach")
    assert {c.image for c in trusted.containers} == {"team/nima:2"}
    assert f"--resume {job} --trust-image team/nima:2\n" in trusted.stderr
    chosen = train("--resume", job, "--docker-image", "team/nima:3", "--detach")
    assert f"--resume {job} --trust-image team/nima:3\n" in chosen.stderr
    write_json(job / "run.json", {"docker_image": "nima-gpu", "image_dir": str(train.folder / "photos")})
    assert {c.image for c in train("--resume", job).containers} == {"nima-gpu"}
    assert {c.image for c in train("--resume", job, "--docker-image=x").containers} == {"x"}


@pytest.mark.parametrize(
    ("config", "network"),
    [
        ({"existing_weights": "random"}, ["none"]),
        ({"existing_weights": "labels.json"}, ["none"]),
        ({"existing_weights": "aesthetic"}, []),
        ({}, []),
        ({"existing_weights": "random", "s3_bucket": "bucket"}, []),
        ({"head_only": True, "encoders": [{"name": "labels.json"}]}, ["none"]),
        ({"head_only": True, "encoders": [{"name": "labels.json"}, {"name": "efficientnet-lite0"}]}, []),
    ],
)
def test_training_has_a_network_where_it_needs_one(
    train: Launcher, job: Path, config: Mapping[str, Any], network: list[str]
) -> None:
    """Only weights to download or a bucket to upload to open the network, and only to training."""
    write_json(job / "config.json", config)
    assert train("--resume", job).container.options.get("--network", []) == network


def test_an_upload_is_given_the_credentials(train: Launcher, job: Path, tmp_path: Path) -> None:
    """With a bucket, AWS_ variables are passed by name, and the files they name and ~/.aws mounted."""
    write_json(job / "config.json", {"existing_weights": "random", "s3_bucket": "bucket"})
    home = tmp_path / "my home"
    (home / ".aws").mkdir(parents=True)
    credentials = tmp_path / "credentials"
    credentials.touch()
    env = {
        "HOME": str(home),
        "AWS_SECRET_ACCESS_KEY": "very secret",
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    prepares, trains = both(train(*NEW, env=env))
    assert {"AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE"} <= set(trains.options["--env"])
    assert trains.mounts["/run/nimakit/.aws"] == (str(home / ".aws"), "ro")
    assert trains.mounts[str(credentials)] == (str(credentials), "ro")
    assert str(credentials) not in prepares.mounts
    assert "very secret" not in str(trains)
    write_json(job / "config.json", {"existing_weights": "random"})
    _, without_bucket = both(train(*NEW, env=env))
    assert "AWS_SECRET_ACCESS_KEY" not in without_bucket.options["--env"]
    assert "/run/nimakit/.aws" not in without_bucket.mounts


def test_the_credentials_go_to_our_images_alone(train: Launcher, job: Path) -> None:
    """With a bucket an image that is not ours is refused, trusted or not, before or after the check."""
    write_json(train.folder / "c.json", {"s3_bucket": "bucket"})
    early = train(*NEW, "--docker-image", "team/nima:2")
    assert (early.code, early.containers) == (1, [])
    write_json(train.folder / "c.json", {})
    write_json(job / "config.json", {"s3_bucket": "bucket"})  # as such an image could have prepared it
    late = train(*NEW, "--docker-image", "team/nima:2")
    assert (late.code, [c.arguments[0] for c in late.containers]) == (1, ["--prepare-only"])
    write_json(job / "run.json", {"docker_image": "team/nima:2"})
    resumed = train("--resume", job, "--trust-image", "team/nima:2")
    assert (resumed.code, resumed.containers) == (1, [])
    for result in (early, late, resumed):
        assert "only ones given your keys. Received: team/nima:2, with s3_bucket in " in result.stderr


@pytest.mark.parametrize("value", ["--privileged $(touch pwned)", "`touch pwned`; touch pwned\n"])
def test_a_config_value_is_never_run(train: Launcher, job: Path, value: str) -> None:
    """Shell code in a config or in run.json is the name of a file, and nothing else."""
    path = train.folder / f"{value}.h5"
    path.touch()
    for config in (train.folder / "c.json", job / "config.json"):
        write_json(config, {"existing_weights": path.name, "s3_bucket": value})
    photos = train.folder / f"photos {value}"
    photos.mkdir()
    write_json(job / "run.json", {"image_dir": str(photos)})
    prepares, trains = both(train(*NEW))
    assert prepares.mounts[str(path)] == trains.mounts[str(path)] == (str(path), "ro")
    assert trains.mounts[str(photos)] == (str(photos), "ro")
    assert not any(value in container.arguments for container in (prepares, trains))
    assert not (train.folder / "pwned").exists()


def test_an_image_name_that_is_none_is_refused(train: Launcher) -> None:
    """Shell code for an image is refused, and nothing runs."""
    value = "x; touch pwned"
    write_json(train.folder / "c.json", {"docker_image": value})
    result = train(*NEW)
    assert (result.code, result.containers) == (1, [])
    assert f"A Docker image has a name such as nima-cpu. Received: {value}\n" in result.stderr
    assert not (train.folder / "pwned").exists()


# --- the launcher and the command ----------------------------------------------------------------------


def test_help_is_that_of_the_command(train: Launcher) -> None:
    """--help prints the options of `nimakit train`, and needs nothing."""
    result = train(*NEW, "--help")
    assert (result.code, result.stderr, result.calls) == (0, "", [])
    assert result.stdout.startswith("Usage: ./train-local [OPTIONS]\n")
    for option in cli.commands["train"].params:
        assert f"  {option.opts[0]}" in result.stdout
