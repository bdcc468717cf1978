"""The launcher of any command: what its container sees, and which other launchers it leads to."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from launchers import Launcher, settle, write_json
from nimakit.cli import cli

OF_THEIR_OWN = {"predict", "serve", "rate", "train"}


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands without a launcher of their own, with the words that call them."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group) and name not in OF_THEIR_OWN:
            yield from commands(command, *before, name)
        elif name not in OF_THEIR_OWN:
            yield (*before, name), command


PATHS = [
    (words, parameter)
    for words, command in commands(cli)
    for parameter in command.params
    if isinstance(parameter.type, click.Path) and parameter.name != "data_dir"
]


@pytest.fixture
def nimakit(predict: Launcher) -> Launcher:
    """The launcher of this checkout."""
    return replace(predict, program="nimakit")


def modes(launcher: Launcher, *arguments: str | Path) -> dict[str, str]:
    """What is mounted: path from the working directory -> ro or rw."""
    mounts = launcher(*arguments).container.mounts
    assert all(target == source for target, (source, _) in mounts.items())
    return {os.path.relpath(target, launcher.folder): mode for target, (_, mode) in mounts.items()}


@pytest.mark.parametrize("joined", [False, True], ids=["--option value", "--option=value"])
@pytest.mark.parametrize(
    ("words", "parameter"), PATHS, ids=[f"{'-'.join(words)} {parameter.name}" for words, parameter in PATHS]
)
def test_every_path_of_every_command_is_mounted(
    nimakit: Launcher, tmp_path: Path, words: tuple[str, ...], parameter: click.Parameter, *, joined: bool
) -> None:
    """What is read is mounted as it is, ro; of what is written the folder, rw."""
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "file.csv"
    path.touch()
    given: list[str | Path] = [path]
    is_written = words == ("data", "split")  # parts go beside their labels
    if isinstance(parameter, click.Option):
        given = [f"{parameter.opts[0]}={path}"] if joined else [parameter.opts[0], path]
        text = parameter.help or ""
        is_written |= parameter.opts[0].startswith("--output") or "rite a" in text or "Also" in text
    found = modes(nimakit, *words, *given)
    found.pop(".", None)  # where results go that are told nowhere to go
    assert found == ({"../there": "rw"} if is_written else {"../there/file.csv": "ro"})


def test_a_photo_in_the_working_directory_can_be_replaced(nimakit: Launcher) -> None:
    """The folder is mounted alone: a file that is a mount of its own cannot be replaced by a rename."""
    shutil.copy(nimakit.folder / "photos" / "coffee.jpg", nimakit.folder / "in.jpg")
    arguments = ("enhance", "--inputimage", "in.jpg", "--outputimage", "in.jpg", "--overwrite")
    assert modes(nimakit, *arguments) == {".": "rw"}


def test_a_link_out_of_a_writable_folder_keeps_its_mount(nimakit: Launcher, tmp_path: Path) -> None:
    """What it leads to is elsewhere, where the folder does not reach."""
    shutil.move(nimakit.folder / "photos", tmp_path / "elsewhere")
    (nimakit.folder / "photos").symlink_to(tmp_path / "elsewhere")
    mounts = nimakit("explain", "--image-source", "photos", "--output-dir", "explained").container.mounts
    assert mounts == {
        str(nimakit.folder): (str(nimakit.folder), "rw"),
        str(nimakit.folder / "photos"): (str(tmp_path / "elsewhere"), "ro"),
    }


@pytest.mark.parametrize("output", ["new", "a/b/c", "./new", "new/"])
def test_a_folder_to_make_is_made_outside(nimakit: Launcher, output: str) -> None:
    """The first folder there is around it is mounted to be written to."""
    assert modes(nimakit, "explain", "--image-source", "photos", "--output-dir", output) == {".": "rw"}


def test_an_output_folder_that_exists_is_mounted_alone(nimakit: Launcher) -> None:
    """No more is writable than the results need; of a folder that appears whole, what is around it."""
    (nimakit.folder / "out" / "new").mkdir(parents=True)
    for command, place in (("enhance", "out/new"), ("data balance", "out")):
        option = "--outputimage" if command == "enhance" else "--output-dir"
        assert modes(nimakit, *command.split(), option, "out/new") == {place: "rw"}


def test_results_go_where_the_command_puts_them(nimakit: Launcher) -> None:
    """Without an option, parts of labels beside the labels, and imported data sets below data."""
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


def test_the_members_of_an_ensemble_are_mounted(nimakit: Launcher) -> None:
    """As ./predict does."""
    (nimakit.folder / "a.onnx").touch()
    write_json(nimakit.folder / "e.json", {"members": [{"model": "a.onnx"}]})
    assert modes(nimakit, "evaluate", "--model", "e.json") == {"a.onnx": "ro", "e.json": "ro"}


def test_what_a_database_alone_knows_is_not_guessed(nimakit: Launcher) -> None:
    """The images of a collection cannot be mounted: it says what to do instead."""
    for option in (["--data-dir", "photos"], ["--database=postgresql://ann@localhost/ratings"]):
        result = nimakit("personalise", *option)
        assert (result.code, result.asked("run")) == (1, [])
        assert "NIMAKIT_RUNTIME=native" in result.stderr


def test_models_are_listed_where_they_are_by_default(nimakit: Launcher, job: Path) -> None:
    """Without a folder, those of the working directory."""
    assert modes(nimakit, "models") == {"train_jobs": "ro"}
    assert job.is_dir()


@pytest.mark.parametrize(
    "name", ["a]=1;touch pwned", "$(touch pwned)", "x[0]", "new\nline", "ends in newline\n"]
)
def test_any_name_is_mounted_as_it_is(nimakit: Launcher, name: str) -> None:
    """No name is taken for code, and none is cut."""
    for folder in (nimakit.folder / name, nimakit.folder / name / name):
        folder.mkdir()
        (folder / "model.onnx").touch()
    arguments = ("--model", name, "--image-source", f"{name}/{name}", "--output-dir", f"{name}/{name}/out")
    assert modes(nimakit, "explain", *arguments) == {name: "ro", f"{name}/{name}": "rw"}
    assert not (nimakit.folder / "pwned").exists()


def test_the_container_runs_the_command(nimakit: Launcher) -> None:
    """All arguments are passed on, without a network but where something is to be fetched."""
    arguments = ["explain", "--image-source", "photos", "--output-dir", "out"]
    container = nimakit(*arguments).container
    assert (container.image, container.arguments) == ("nima-cpu", arguments)
    assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/nimakit"]
    assert container.options["--network"] == ["none"]
    assert "--network" not in nimakit("fetch", "aesthetic").container.options


def test_posts_come_from_anywhere(nimakit: Launcher, tmp_path: Path) -> None:
    """From a server of this machine too, or into a file of their own with a token that is no argument."""
    (tmp_path / "there").mkdir()
    arguments = ("data", "posts", tmp_path / "there" / "posts.jsonl", "--account", "a", "--output-dir", "out")
    result = nimakit(*arguments, env={"X_BEARER_TOKEN": "s3cret"})
    assert result.container.options["--network"] == ["host"]
    assert "X_BEARER_TOKEN" in result.container.options["--env"]
    assert "s3cret" not in str(result.calls)
    assert modes(nimakit, *arguments) == {".": "rw", "../there": "rw"}


@pytest.mark.parametrize(
    ("command", "program"), [("predict", "predict"), ("serve", "serve"), ("rate", "rate")]
)
def test_commands_with_a_launcher_of_their_own_go_there(
    nimakit: Launcher, command: str, program: str
) -> None:
    """./nimakit predict is ./predict."""
    assert nimakit(command, "--help").stdout.startswith(f"Usage: ./{program} [OPTIONS]")


def test_training_goes_to_its_launcher(nimakit: Launcher) -> None:
    """./nimakit train is ./train-local."""
    assert nimakit("train", "--help").stdout.startswith("Usage: ./train-local [OPTIONS]")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        ([], "./nimakit [OPTIONS] COMMAND"),
        (["--help"], "./nimakit [OPTIONS] COMMAND"),
        (["data"], "./nimakit data [OPTIONS] COMMAND"),
        (["data", "-h"], "./nimakit data [OPTIONS] COMMAND"),
        (["data", "split", "--help"], "./nimakit data split [OPTIONS] LABELS"),
        (["enhance", "--help"], "./nimakit enhance [OPTIONS]"),
    ],
)
def test_help_needs_no_set_up(nimakit: Launcher, arguments: list[str], usage: str) -> None:
    """It comes from the docs, of the command that is asked for."""
    result = nimakit(*arguments)
    assert (result.code, result.calls) == (0, [])
    assert result.stdout.startswith(f"Usage: {usage}")


def test_without_docker_it_runs_natively(copied: Launcher) -> None:
    """With the same arguments, in .venv."""
    settle(copied)
    result = replace(copied, program="nimakit")("data", "index", "photos", runtime="native")
    assert (result.code, result.stdout) == (0, "nimakit<data index photos>\n")
    assert result.stderr == "nimakit: runtime native (.venv)\n"
