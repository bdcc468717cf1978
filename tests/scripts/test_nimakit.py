"""./nimakit: what it mounts, and which other launchers it calls."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from launchers import Launcher, run_functions, settle, write_json
from nimakit.culling.frames import LIKENESS_ENCODER


@pytest.fixture
def nimakit(predict: Launcher) -> Launcher:
    """The launcher of all commands."""
    return replace(predict, program="nimakit")


def modes(launcher: Launcher, *arguments: str | Path) -> dict[str, str]:
    """What is mounted: path from the working directory -> ro or rw."""
    mounts = launcher(*arguments).containers[-1].mounts
    assert all(target == source for target, (source, _) in mounts.items())
    return {os.path.relpath(target, launcher.folder): mode for target, (_, mode) in mounts.items()}


def test_options_are_mounted_by_their_kind(nimakit: Launcher, tmp_path: Path) -> None:
    """A file to read is mounted itself, ro; of a file to write the folder is, rw."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    for name in ("pairs.csv", "labels.json"):
        (nimakit.folder / name).touch()
    written = ("--output", "../a/o.json", "--scores-file=../b/s.csv", "--skip-bad", "--report", "../c/r.html")
    assert modes(nimakit, "data", "pairs", *written, "pairs.csv") == {
        "pairs.csv": "ro",
        **dict.fromkeys(["../a", "../b", "../c"], "rw"),
    }
    read = ("--recursive", "labels.json", "--image-dir=photos", "--keep-together", "pairs.csv")
    assert modes(nimakit, "data", "split", *read, "--output-dir", "../a") == {
        **dict.fromkeys(["labels.json", "photos", "pairs.csv"], "ro"),
        "../a": "rw",
    }


def test_a_photo_in_the_working_directory_can_be_replaced(nimakit: Launcher) -> None:
    """Only the folder is mounted: a file with a mount of its own cannot be replaced by a rename."""
    shutil.copy(nimakit.folder / "photos" / "coffee.jpg", nimakit.folder / "in.jpg")
    arguments = ("enhance", "--inputimage", "in.jpg", "--outputimage", "in.jpg", "--overwrite")
    assert modes(nimakit, *arguments) == {".": "rw"}


def test_a_link_out_of_a_writable_folder_keeps_its_mount(nimakit: Launcher, tmp_path: Path) -> None:
    """The link's target is not in the folder."""
    shutil.move(nimakit.folder / "photos", tmp_path / "elsewhere")
    (nimakit.folder / "photos").symlink_to(tmp_path / "elsewhere")
    mounts = nimakit("explain", "--image-source", "photos", "--output-dir", "explained").container.mounts
    assert mounts == {
        str(nimakit.folder): (str(nimakit.folder), "rw"),
        str(nimakit.folder / "photos"): (str(tmp_path / "elsewhere"), "ro"),
    }


def test_the_nearest_folder_above_a_new_one_is_mounted(nimakit: Launcher) -> None:
    """So that the command can make it."""
    names = ("new", "a/b/c", "./new", "new/", f"{nimakit.folder}/a/b")
    script = """for name; do
      forget_mounts
      mount_folder "$name"
      printf '%s\\0' "${!MOUNTS[@]}" "${MOUNTS[@]}"
    done"""
    assert run_functions(script, *names, folder=nimakit.folder) == [str(nimakit.folder), "rw"] * len(names)


def test_an_output_folder_that_exists_is_mounted_alone(nimakit: Launcher) -> None:
    """Only the output folder is writable, or its parent if the command makes the folder anew."""
    (nimakit.folder / "out" / "new").mkdir(parents=True)
    for command, place in (("enhance", "out/new"), ("data balance", "out")):
        option = "--outputimage" if command == "enhance" else "--output-dir"
        assert modes(nimakit, *command.split(), option, "out/new") == {place: "rw"}


def test_results_go_where_the_command_puts_them(nimakit: Launcher) -> None:
    """By default, parts of a label file go next to it, and imported data sets below data/."""
    (nimakit.folder / "l").mkdir()
    write_json(nimakit.folder / "l" / "labels.json", [])
    (nimakit.folder / "AVA.txt").touch()
    assert modes(nimakit, "data", "split", "--stratify", "l/labels.json") == {"l": "rw"}
    assert modes(nimakit, "data", "split", "l/labels.json", "--output-dir", "photos") == {
        "l/labels.json": "ro",
        "photos": "rw",
    }
    assert modes(nimakit, "data", "ava", "AVA.txt") == {".": "rw"}


def test_the_label_files_of_parts_are_mounted(nimakit: Launcher) -> None:
    """NAME=FILE names a file."""
    write_json(nimakit.folder / "train.json", [])
    (nimakit.folder / "out").mkdir()
    found = modes(nimakit, "data", "link", "--part", "t=train.json", "--output-dir", "out/new")
    assert found == {"train.json": "ro", "out": "rw"}


def test_a_model_is_mounted_with_its_weights(nimakit: Launcher, job: Path) -> None:
    """By its folder or its file; personalise may add a model file there."""
    (job / "model.onnx").touch()
    name = str(job.relative_to(nimakit.folder))
    for given in (name, f"{name}/model.onnx"):
        assert modes(nimakit, "explain", "--model", given, "--image-source", "photos") == {
            name: "ro",
            "photos": "ro",
        }
        assert modes(nimakit, "enhance", "--network", given, "--judge", given) == {name: "ro"}
        assert modes(nimakit, "personalise", "--model", given) == {name: "rw"}


def test_encoders_are_mounted(nimakit: Launcher) -> None:
    """An exported network with its folder, which is writable if the encoder goes there; an encoder alone."""
    for name in ("clip", "out"):
        (nimakit.folder / name).mkdir()
    (nimakit.folder / "clip" / "m.onnx").touch()
    command = ("encoder", "import", "clip/m.onnx", "--size", "224", "--output", "out")
    assert modes(nimakit, *command) == {"clip": "rw"}
    elsewhere = {"clip": "ro", "clip/m.onnx": "ro", "out": "rw"}
    assert modes(nimakit, *command, "--encoder-file", "out/e.onnx") == elsewhere
    encoder = ("--encoder", "clip/m.onnx@64x64")
    mounted = {"clip/m.onnx": "ro", "photos": "ro"}
    assert modes(nimakit, "features", "--image-source", "photos", *encoder) == mounted


def test_weights_of_public_encoders_are_downloaded_first(nimakit: Launcher) -> None:
    """In a container of its own, because the one that sees the photos has no network."""
    encoders = ("--encoder=efficientnet-lite0@320x400", "--encoder", "efficientnet-lite0")
    fetches, runs = nimakit("features", "--image-source", "photos", *encoders).containers
    assert fetches.arguments == ["fetch", "efficientnet-lite0"]
    assert runs.arguments[0] == "features"


@pytest.mark.parametrize("command", ["cull", "group"])
def test_the_encoder_of_shoots_is_downloaded_first(nimakit: Launcher, command: str) -> None:
    """The encoder that the command uses by default, and not where another one is given."""
    (nimakit.folder / "e.onnx").touch()
    assert len(nimakit(command, "--images", "photos", "--encoder", "e.onnx").containers) == 1
    fetches, _ = nimakit(command, "--images", "photos").containers
    assert fetches.arguments == ["fetch", LIKENESS_ENCODER]


def test_the_members_of_an_ensemble_are_mounted(nimakit: Launcher) -> None:
    """As ./predict does."""
    (nimakit.folder / "a.onnx").touch()
    write_json(nimakit.folder / "e.json", {"members": [{"model": "a.onnx"}]})
    assert modes(nimakit, "evaluate", "--model", "e.json") == {"a.onnx": "ro", "e.json": "ro"}


def test_what_a_database_alone_knows_is_not_guessed(nimakit: Launcher) -> None:
    """The images of a collection cannot be mounted; the error says what to do instead."""
    for option in (["--data-dir", "photos"], ["--database=postgresql://ann@localhost/ratings"]):
        result = nimakit("personalise", *option)
        assert (result.code, result.asked("run")) == (1, [])
        assert "NIMAKIT_RUNTIME=native" in result.stderr


def test_models_are_listed_where_they_are_by_default(nimakit: Launcher, job: Path) -> None:
    """Without a folder, those of the working directory."""
    assert modes(nimakit, "models") == {"train_jobs": "ro"}
    assert job.is_dir()


def test_any_name_is_mounted_as_it_is(nimakit: Launcher) -> None:
    """No name is taken for code, and none is cut."""
    for name in ("a]=1;touch pwned", "x[0]", "ends in $(touch pwned)\n"):
        for folder in (nimakit.folder / name, nimakit.folder / name / name):
            folder.mkdir()
            (folder / "model.onnx").touch()
        arguments = (
            "--model",
            name,
            "--image-source",
            f"{name}/{name}",
            "--output-dir",
            f"{name}/{name}/out",
        )
        assert modes(nimakit, "explain", *arguments) == {name: "ro", f"{name}/{name}": "rw"}
    assert not (nimakit.folder / "pwned").exists()


def test_the_container_runs_the_command(nimakit: Launcher) -> None:
    """All arguments are passed on. Only a command that downloads gets a network."""
    arguments = ["explain", "--image-source", "photos", "--output-dir", "out"]
    container = nimakit(*arguments).container
    assert (container.image, container.arguments) == ("nima-cpu", arguments)
    assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/nimakit"]
    assert container.options["--network"] == ["none"]
    assert "--network" not in nimakit("fetch", "aesthetic").container.options


def test_posts_come_from_anywhere(nimakit: Launcher, tmp_path: Path) -> None:
    """The container can reach servers on this machine; the token is not visible in the arguments."""
    (tmp_path / "there").mkdir()
    arguments = ("data", "posts", tmp_path / "there" / "posts.jsonl", "--account", "a", "--output-dir", "out")
    result = nimakit(*arguments, env={"X_BEARER_TOKEN": "s3cret"})
    assert result.container.options["--network"] == ["host"]
    assert "X_BEARER_TOKEN" in result.container.options["--env"]
    assert "s3cret" not in str(result.calls)
    assert modes(nimakit, *arguments) == {".": "rw", "../there": "rw"}


def test_help_needs_no_set_up(nimakit: Launcher) -> None:
    """It is that of the command, or of its launcher, and is read from the docs."""
    for words, usage in {
        "": "./nimakit [OPTIONS] COMMAND",
        "data": "./nimakit data [OPTIONS] COMMAND",
        "data split --help": "./nimakit data split [OPTIONS] LABELS",
        "predict -h": "./predict [OPTIONS]",
        "serve --help": "./serve [OPTIONS]",
        "rate --help": "./rate [OPTIONS]",
        "train --help": "./train-local [OPTIONS]",
    }.items():
        result = nimakit(*words.split())
        assert (result.code, result.calls) == (0, [])
        assert result.stdout.startswith(f"Usage: {usage}")


def test_without_docker_it_runs_natively(copied: Launcher) -> None:
    """With the same arguments, in .venv."""
    settle(copied)
    result = replace(copied, program="nimakit")("data", "index", "photos", runtime="native")
    assert (result.code, result.stdout) == (0, "nimakit<data index photos>\n")
    assert result.stderr == "nimakit: runtime native (.venv)\n"


def test_a_shoot_is_writable_only_where_cull_changes_it(nimakit: Launcher) -> None:
    """Without --apply photos are only read; copies and links leave them as they are."""
    cull = ("cull", "--images", "photos", "--keep", "40", "--stars")
    (nimakit.folder / "picks").mkdir()
    for reading in (("--xmp", "darktable", "--move-to", "picks"), ("--copy-to", "picks", "--apply")):
        assert modes(nimakit, *cull, *reading) == {"picks": "rw", "photos": "ro"}
    for changing in (("--xmp", "lightroom", "--link-to", "picks"), ("--move-to", "picks")):
        assert modes(nimakit, *cull, *changing, "--apply") == {"picks": "rw", "photos": "rw"}
    assert modes(nimakit, "cull", "--watch", "photos", "--list", "picks/a.txt") == {
        "photos": "ro",
        "picks": "rw",
    }


def test_undo_gets_the_folders_of_its_file(nimakit: Launcher, tmp_path: Path) -> None:
    """Whatever they are called; a folder that is gone is made again from the nearest above it."""
    elsewhere = tmp_path / "it's\nhere"
    elsewhere.mkdir()
    moved = {"source": f"{nimakit.folder}/photos/a.jpg", "target": f"{tmp_path}/b/c/a.jpg"}
    (tmp_path / "b").mkdir()
    changes = [{"path": f"{elsewhere}/a.xmp"}]
    write_json(nimakit.folder / "undo.json", {"changes": changes, "transfers": [moved]})
    assert modes(nimakit, "cull", "--undo", "undo.json") == {
        "undo.json": "ro",
        os.path.relpath(elsewhere, nimakit.folder): "rw",
        "photos": "rw",
        "../b": "rw",
    }


def test_stores_and_ray_have_the_image_with_their_packages(nimakit: Launcher) -> None:
    """Features of a store are computed in nima-ray, with a network; a manifest comes with its folder."""
    (nimakit.folder / "list.csv").write_text("image\nphotos/a.jpg\n")
    (nimakit.folder / "e.onnx").touch()
    features = ("features", "--encoder", "e.onnx", "--image-source")
    stored = nimakit(*features, "s3://bucket/list.csv", "--output", "s3://bucket/out/").container
    assert (stored.image, stored.arguments[0]) == ("nima-ray", "features")
    assert "--network" not in stored.options
    ray = nimakit(*features, "list.csv", "--output", "out/", "--engine", "ray").container
    assert (ray.image, ray.options["--shm-size"]) == ("nima-ray", ["1g"])
    assert modes(nimakit, *features, "list.csv", "--output", "f.npz") == {".": "rw"}
    assert nimakit(*features, "list.csv").container.image == "nima-cpu"


def test_photos_in_a_store_are_checked_without_docker(nimakit: Launcher, copied: Launcher) -> None:
    """No image has all packages for it; .venv gets them."""
    check = ("data", "check", "--image-source", "s3://bucket/list.parquet")
    refused = nimakit(*check)
    assert (refused.code, refused.asked("run")) == (1, [])
    assert "NIMAKIT_RUNTIME=native" in refused.stderr
    settle(copied)
    result = replace(copied, program="nimakit")(*check, runtime="native")
    assert "installing the ray requirements" in result.stderr
    assert modes(nimakit, "data", "check", "--images", "photos") == {"photos": "ro"}
