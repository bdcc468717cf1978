"""How a launcher builds our images and confines its containers."""

import re
from pathlib import Path

import pytest

from launchers import Launcher, write_fake_docker


def test_the_container_is_confined(predict: Launcher) -> None:
    """It runs as the calling user, without network and rights, with a read-only root and a scratch folder."""
    identity = predict.bin / "id"  # so that this holds for root's tests too
    identity.write_text("#!/usr/bin/env bash\ncase $1 in -u) echo 4321 ;; -g) echo 8765 ;; esac\n")
    identity.chmod(0o755)
    container = predict("--image-source", "photos").container
    assert container.flags == {"--rm", "--init", "--read-only"}
    assert container.options["--user"] == ["4321:8765"]
    assert container.options["--network"] == ["none"]
    assert container.options["--cap-drop"] == ["ALL"]
    assert container.options["--security-opt"] == ["no-new-privileges"]
    assert container.options["--pids-limit"] == ["4096"]
    assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/predict"]
    (writable,) = container.options["--tmpfs"]
    assert {"HOME=/run/nimakit", "TMPDIR=/run/nimakit"} <= set(container.options["--env"])
    assert writable.startswith("/run/nimakit:")
    assert "--gpus" not in container.options


def test_a_gpu_image_gets_the_gpus(predict: Launcher) -> None:
    """An image with gpu in its name is run with all GPUs."""
    image = "registry.example:5000/team/gpu-nima@sha256"
    container = predict("--docker-image", image).container
    assert (container.image, container.options["--gpus"]) == (image, ["all"])


def test_the_cache_is_kept_between_containers(predict: Launcher, tmp_path: Path) -> None:
    """The cache folder is made, mounted rw, and named to the container; relative to the working directory."""
    for cache in (str(tmp_path / "my nimakit-cache"), "nimakit-cache"):
        path = predict.folder / cache
        container = predict("--image-source", "photos", env={"NIMAKIT_CACHE": cache}).container
        assert path.is_dir()
        assert f'type=bind,"source={path}","target={path}"' in container.options["--mount"]
        assert f"NIMAKIT_CACHE={path}" in [
            value.replace("=nimakit-cache", f"={path}") for value in container.options["--env"]
        ]


def test_a_cache_that_cannot_be_made_is_done_without(predict: Launcher) -> None:
    """Where no cache folder can be made, the container runs without one."""
    container = predict("--image-source", "photos", env={"NIMAKIT_CACHE": "/proc/no/cache"}).container
    assert list(container.mounts) == [str(predict.folder / "photos")]
    assert not any(value.startswith("NIMAKIT_CACHE=") for value in container.options["--env"])


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_our_image_is_built_once(predict: Launcher, kind: str) -> None:
    """A missing image is built from its Dockerfile, off stdout; with its label on, it is not built again."""
    first = predict("--docker-image", f"nima-{kind}")
    (build,) = first.asked("build")
    assert build[1:5] == ["--file", str(predict.repository / f"Dockerfile.{kind}"), "--tag", f"nima-{kind}"]
    assert build[5] == "--label"
    assert re.fullmatch(r"nimakit\.sources=[0-9a-f]{64}", build[6])
    assert build[7:] == [str(predict.repository)]
    assert first.stdout == "[]\n"
    assert "Step 1/13" in first.stderr
    second = predict("--docker-image", f"nima-{kind}")
    assert second.asked("build") == []
    assert second.stderr == f"predict: runtime docker (image nima-{kind})\n"


@pytest.mark.parametrize(("options", "target"), [((), "light"), (("--engine", "ray"), "ray")])
def test_one_file_has_both_images_without_tensorflow(
    predict: Launcher, options: tuple[str, ...], target: str
) -> None:
    """Each is a stage of it."""
    (build,) = predict("--image-source", "photos", *options).asked("build")
    assert build[1:5] == [
        *("--file", str(predict.repository / "Dockerfile.light"), "--tag", f"nima-{target}"),
    ]
    assert build[-3:-1] == ["--target", target]


def test_only_stores_have_a_network_and_credentials(predict: Launcher) -> None:
    """Secrets go by name, not where every user sees them; files that settings name are mounted."""
    key = predict.folder / "key.json"
    key.touch()
    env = {
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "AZURE_STORAGE_ACCOUNT_KEY": "hidden",
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
    }
    stored = predict("--image-source", "s3://bucket/list.csv", env=env).container
    assert "--network" not in stored.options
    assert set(env) <= set(stored.options["--env"])
    assert not any("hidden" in value for value in stored.options["--env"])
    assert stored.mounts == {str(key): (str(key), "ro")}
    local = predict("--image-source", "photos", env=env).container
    assert local.options["--network"] == ["none"]
    assert not set(env) & set(local.options["--env"])


def test_ray_has_room_for_its_files(predict: Launcher) -> None:
    """In shared memory, and in the folder that it may write to."""
    container = predict("--image-source", "photos", "--engine", "ray").container
    assert container.options["--shm-size"] == ["1g"]
    assert "RAY_TMPDIR=/run/nimakit" in container.options["--env"]


def test_the_base_image_can_be_chosen(predict: Launcher) -> None:
    """NIMAKIT_BASE_IMAGE goes to the build."""
    (build,) = predict("--image-source", "photos", env={"NIMAKIT_BASE_IMAGE": "mirror/python"}).asked("build")
    assert build[-3:-1] == ["--build-arg", "BASE_IMAGE=mirror/python"]


def test_our_image_is_built_anew_after_a_change(copied: Launcher) -> None:
    """A changed or renamed source of the image leads to a new build."""
    copied("--image-source", "photos")
    for change in ("src/nimakit/cli.py", "Dockerfile.light", "requirements/light.txt", "entrypoints/predict"):
        with (copied.repository / change).open("a") as file:
            file.write("# changed\n")
        assert len(copied("--image-source", "photos").asked("build")) == 1, change
    source = copied.repository / "src" / "nimakit"
    (source / "cli.py").rename(source / "renamed.py")
    assert len(copied("--image-source", "photos").asked("build")) == 1


def test_our_image_is_not_built_for_what_is_not_in_it(copied: Launcher) -> None:
    """Compiled files, docs and the other image's requirements lead to no new build."""
    copied("--image-source", "photos")
    compiled = copied.repository / "src" / "nimakit" / "__pycache__"
    compiled.mkdir()
    (compiled / "x.pyc").touch()
    (copied.repository / "docs" / "more.md").touch()
    (copied.repository / "requirements" / "gpu.txt").write_text("")
    assert copied("--image-source", "photos").asked("build") == []


@pytest.mark.parametrize("image", ["nima-cpu:old", "team/nima-cpu"])
def test_other_images_are_used_as_they_are(predict: Launcher, image: str) -> None:
    """An image that is not ours is neither looked into nor built."""
    result = predict("--docker-image", image)
    assert result.container.image == image
    assert (result.asked("build"), result.asked("image")) == ([], [])


def test_a_failed_build_ends_the_launcher(predict: Launcher) -> None:
    """Where the build fails, nothing is run."""
    write_fake_docker(predict.bin, builds="exit 7")
    result = predict("--image-source", "photos")
    assert (result.code, result.asked("run")) == (7, [])
