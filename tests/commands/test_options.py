"""Options of all commands: none is removed, and --recursive is advised where it exists."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import pytest

import nimakit as package
from nimakit.cli import cli
from nimakit.errors import UsageError
from samples import write_photo
from small_jobs import write_config, write_labels
from terminal import Command

IMAGE_FOLDERS = {"--image-dir", "--image-source", "--inputimage"}
TAKES_FOLDERS = {
    "predict": ("--image-source", "PHOTOS", "--model", "MODEL"),
    "evaluate": (
        "--image-dir",
        "PHOTOS",
        "--samples-file",
        "LABELS",
        "--model",
        "MODEL",
        "--output-dir",
        "OUT",
    ),
    "features": ("--image-source", "PHOTOS", "--encoder", "MODEL"),
    "group": ("--image-source", "PHOTOS", "--model", "MODEL", "--encoder", "MODEL"),
    "compare": ("--model", "MODEL", "--samples-file", "LABELS", "--image-source", "PHOTOS"),
    "cull": ("--image-source", "PHOTOS", "--model", "MODEL", "--encoder", "MODEL"),
    "explain": ("--image-source", "PHOTOS", "--output-dir", "OUT"),
    "enhance": ("--inputimage", "PHOTOS", "--outputimage", "OUT"),
    "train": ("--image-dir", "PHOTOS", "--samples-file", "LABELS", "--config-file", "CONFIG"),
    "personalise": (
        "--image-dir",
        "PHOTOS",
        "--ratings",
        "RATINGS",
        "--model",
        "MODEL",
        "--output",
        "a.taste",
    ),
    "learn-factors": (
        "--image-dir",
        "PHOTOS",
        "--ratings",
        "RATINGS",
        "--model",
        "MODEL",
        "--output",
        "a.npz",
    ),
    "data balance": ("LABELS", "--image-dir", "PHOTOS", "--output-dir", "OUT"),
    "data check": ("LABELS", "--image-dir", "PHOTOS"),
    "data link": ("--part", "train=LABELS", "--image-dir", "PHOTOS", "--output-dir", "OUT"),
    "data split": (
        "LABELS",
        "--image-dir",
        "PHOTOS",
        "--part",
        "a=rest",
        "--part",
        "b=0.5",
        "--output-dir",
        "OUT",
    ),
    "data report": ("RATINGS", "--image-dir", "PHOTOS", "--output", "report.html"),
}
"""Command -> its least arguments."""


def _given(places: Mapping[str, object], words: Sequence[str]) -> list[str]:
    """Arguments with their places filled in."""
    return [re.sub("[A-Z]{3,}", lambda found: str(places[found[0]]), word) for word in words]


def _leaves(command: click.Command, *names: str) -> Iterator[tuple[str, set[str]]]:
    """Each command by its name, with its options."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _leaves(inner, *names, name)
    else:
        yield " ".join(names), {text for item in command.params for text in item.opts}


OPTIONS = dict(_leaves(cli))


@pytest.fixture
def places(tmp_path: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the words in capitals stand for: PHOTOS has a photograph in a sub-folder alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "session1").mkdir(parents=True)
    write_photo(tmp_path / "photos" / "session1" / "a.jpg")
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("image_id,rating,user_id\na,1,ann\nb,10,ann\n", encoding="utf-8")
    return {
        "PHOTOS": tmp_path / "photos",
        "LABELS": write_labels(tmp_path / "labels.json", ["a", "b"]),
        "RATINGS": ratings,
        "CONFIG": write_config(tmp_path / "config.json"),
        "MODEL": tiny_file,
        "OUT": tmp_path / "out",
    }


def test_every_option_there_ever_was_is_still_taken() -> None:
    """Other people's scripts go on working: a new name of an option leaves the old one as an alias."""
    known = (Path(__file__).parents[1] / "data" / "options.txt").read_text("utf-8").splitlines()
    assert len(known) > 100
    assert set(known) <= set(_every_option(click.Context(cli, info_name="nimakit", **cli.context_settings)))


def _every_option(context: click.Context) -> Iterator[str]:
    """Each option by its command, `nimakit data check --similarity`."""
    command = context.command
    for item in command.get_params(context):
        if isinstance(item, click.Option) and item.name != "help":
            yield from (f"{context.command_path} {text}" for text in (*item.opts, *item.secondary_opts))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _every_option(click.Context(inner, parent=context, info_name=name))


def test_every_command_for_image_folders_takes_recursive() -> None:
    """A new command joins the table above, and so the tests below."""
    takes = {name for name, options in OPTIONS.items() if options & IMAGE_FOLDERS}
    assert takes == {name for name, options in OPTIONS.items() if "--recursive" in options}
    assert takes == set(TAKES_FOLDERS)


@pytest.mark.parametrize("name", TAKES_FOLDERS)
def test_advises_recursive_where_it_was_not_given(
    nimakit: Command, places: dict[str, object], name: str
) -> None:
    """A folder whose images are in sub-folders is refused with the option that looks there, once."""
    result = nimakit(*name.split(), *_given(places, TAKES_FOLDERS[name]))
    assert result.code == 1
    advice = "with none (left out: 1 sub-folder). Add --recursive to look into sub-folders."
    assert result.err.count(advice) == 1
    assert set(re.findall(r"--[a-z][a-z-]+", result.err)) <= OPTIONS[name]


@pytest.mark.parametrize("name", TAKES_FOLDERS)
def test_does_not_advise_what_was_given(nimakit: Command, places: dict[str, object], name: str) -> None:
    """With --recursive an empty folder is refused without the advice."""
    Path(str(places["PHOTOS"]), "session1", "a.jpg").unlink()
    result = nimakit(*name.split(), *_given(places, TAKES_FOLDERS[name]), "--recursive")
    assert result.code == 1
    assert ", with none." in result.err
    assert "--recursive" not in result.err


def test_the_advice_follows_a_list_of_problems(nimakit: Command, places: dict[str, object]) -> None:
    """A job with further problems lists them first: the advice belongs to none of the others."""
    config = write_config(Path("config.json"), n_classes=7)
    result = nimakit("train", *_given({**places, "CONFIG": config}, TAKES_FOLDERS["train"]))
    assert "The job has 2 problems" in result.err
    assert result.err.endswith("\nAdd --recursive to look into sub-folders.\n")


def test_no_other_command_and_no_function_advises_it(
    nimakit: Command, tmp_path: Path, tiny_file: Path
) -> None:
    """An index looks into sub-folders anyway, and a function has no options."""
    result = nimakit("data", "index", tmp_path, "--output", tmp_path / "index.csv")
    assert (result.code, "--" in result.err) == (1, False)
    with pytest.raises(UsageError, match=r"with none\.$"):
        package.predict(str(tmp_path), model=str(tiny_file))


@pytest.mark.parametrize("name", [name for name in TAKES_FOLDERS if "--model" in OPTIONS[name]])
@pytest.mark.parametrize("model", ["beauty", "nima.hdf5"])
def test_no_model_is_refused_with_options_a_command_lacks(
    nimakit: Command, places: dict[str, object], name: str, model: str
) -> None:
    """What makes a model file of Keras weights is a whole command, which runs as it is."""
    write_photo(Path(str(places["PHOTOS"]), "a.jpg"))
    words = [*TAKES_FOLDERS[name]]
    if "--model" in words:
        words[words.index("--model") : words.index("--model") + 2] = []
    result = nimakit(*name.split(), *_given(places, words), "--model", model)
    assert result.code == 1
    assert set(re.findall(r"--[a-z][a-z-]+", re.sub("nimakit export .*", "", result.err))) <= OPTIONS[name]


def test_a_job_in_sub_folders_is_prepared(nimakit: Command, places: dict[str, object]) -> None:
    """The job folder says that its images are there, for whenever it is resumed."""
    write_photo(Path(str(places["PHOTOS"]), "session1", "b.jpg"))
    words = _given(places, TAKES_FOLDERS["train"])
    result = nimakit("train", *words, "--recursive", "--prepare-only")
    assert result.code == 0
    assert json.loads(Path(result.out.strip(), "run.json").read_text("utf-8"))["recursive"] is True
