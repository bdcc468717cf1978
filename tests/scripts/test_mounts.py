"""What a launcher mounts for a path."""

import os
import re
from pathlib import Path

import pytest

from launchers import Launcher, run_functions, settle

NAMES = [
    "with space",
    "it's",
    'say "hi"',
    "a,b",
    "a:b",
    "new\nline",
    "ends in newline\n",
    "-dash",
    "--model",
    "back\\slash",
    "[x]*?",
    "$(touch pwned)",
    "`touch pwned`",
    "a]=1;touch pwned",
    "größe",
]


@pytest.mark.parametrize("joined", [False, True], ids=["--option value", "--option=value"])
def test_any_folder_name_is_mounted_as_it_is(predict: Launcher, *, joined: bool) -> None:
    """Whatever a folder is called, it is mounted read-only under its own path, and its name passed on."""
    arguments = []
    for name in NAMES:
        (predict.folder / name).mkdir()
        arguments += [f"--image-source={name}"] if joined else ["--image-source", name]
    container = predict(*arguments).container
    expected = [str(predict.folder / name) for name in NAMES]
    assert container.mounts == {path: (path, "ro") for path in expected}
    assert container.arguments == arguments
    assert not (predict.folder / "pwned").exists()


def test_inputs_are_read_only_and_output_folders_writable(predict: Launcher) -> None:
    """Each file to read is mounted ro, and the folder of each file to write rw."""
    for name in ("a.onnx", "labels.json", "w.hdf5", "config.json"):
        (predict.folder / name).touch()
    for name in ("one", "two", "three"):
        (predict.folder / name).mkdir()
    container = predict(
        *("--image-source", "photos", "--model", "a.onnx", "--samples-file", "labels.json"),
        *("--weights-file", "w.hdf5", "--config-file", "config.json", "--predictions-file", "one/p.csv"),
        *("--metrics-file", "two/m.json", "--report", predict.folder / "three" / "r.html"),
    ).container
    modes = {Path(target).name: mode for target, (_, mode) in container.mounts.items()}
    assert modes == {
        **dict.fromkeys(["photos", "a.onnx", "labels.json", "w.hdf5", "config.json"], "ro"),
        **dict.fromkeys(["one", "two", "three"], "rw"),
    }
    assert all(target == source for target, (source, _) in container.mounts.items())


@pytest.mark.parametrize("swapped", [False, True])
def test_a_folder_of_both_kinds_is_mounted_once(predict: Launcher, *, swapped: bool) -> None:
    """A folder that is read from and written to is mounted once, rw, whichever option comes first."""
    options = [["--image-source", "photos/"], ["--report", "./photos/r.html"]]
    if swapped:
        options.reverse()
    container = predict(*options[0], *options[1]).container
    photos = str(predict.folder / "photos")
    assert container.mounts == {photos: (photos, "rw")}
    assert len(container.options["--mount"]) == 2  # and the cache


def test_an_output_in_the_working_directory_mounts_it(predict: Launcher) -> None:
    """A bare file name to write to means the working directory."""
    container = predict("--image-source", "photos", "--predictions-file", "p.json").container
    assert container.mounts[str(predict.folder)] == (str(predict.folder), "rw")
    assert container.options["--workdir"] == [str(predict.folder)]


def test_what_does_not_exist_is_not_mounted(predict: Launcher) -> None:
    """A missing file is left for the command to refuse: docker would make a folder in its place."""
    container = predict("--image-source", "missing", "--report", "nowhere/r.html").container
    assert container.mounts == {}
    assert not (predict.folder / "missing").exists()


def test_a_linked_folder_is_mounted_at_the_link(predict: Launcher) -> None:
    """A link to a folder is mounted under the link's path, from where it leads."""
    (predict.folder / "link").symlink_to("photos")
    container = predict("--image-source", "link").container
    assert container.mounts == {
        str(predict.folder / "link"): (str(predict.folder / "photos"), "ro"),
    }


def test_a_path_upwards_is_mounted_without_dots(predict: Launcher) -> None:
    """For a path that begins with .., only the target is mounted."""
    below = predict.folder / "below"
    below.mkdir()
    photos = str(predict.folder / "photos")
    container = predict("--image-source", ".././photos//", folder=below).container
    assert container.mounts == {photos: (photos, "ro")}


def test_a_folder_left_by_dots_exists_inside_too(predict: Launcher) -> None:
    """A path through a folder and out again works inside: the folder on its way is mounted as well."""
    scripts, photos = predict.folder / "scripts", predict.folder / "photos"
    scripts.mkdir()
    container = predict("--image-source", f"{scripts}/../photos").container
    assert container.mounts == {
        str(photos): (str(photos), "ro"),
        str(scripts): (str(scripts), "ro"),
    }


def test_dots_after_a_link_lead_where_the_system_leads_them(predict: Launcher, tmp_path: Path) -> None:
    """After a linked folder, .. is the parent of the folder that the link leads to."""
    deep = tmp_path / "elsewhere" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "elsewhere" / "x.jpg").touch()
    (predict.folder / "link").symlink_to(deep)
    container = predict("--image-source", "link/../x.jpg").container
    assert container.mounts == {
        str(predict.folder / "x.jpg"): (str(tmp_path / "elsewhere" / "x.jpg"), "ro"),
        str(predict.folder / "link"): (str(deep), "ro"),
    }


def test_dots_out_of_a_linked_working_directory_lead_as_outside(predict: Launcher, tmp_path: Path) -> None:
    """In a linked working directory, a relative path with .. is mounted from where it really leads."""
    deep = tmp_path / "elsewhere" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "elsewhere" / "x.jpg").touch()
    link = predict.folder / "link"
    link.symlink_to(deep)
    container = predict("--image-source", "../x.jpg", folder=link, env={"PWD": str(link)}).container
    assert container.mounts == {
        str(predict.folder / "x.jpg"): (str(tmp_path / "elsewhere" / "x.jpg"), "ro"),
    }
    assert container.options["--workdir"] == [str(link)]


def test_a_system_folder_is_not_mounted(predict: Launcher) -> None:
    """A folder the container has of its own is refused with the way out, before anything runs."""
    upwards = str(predict.folder / "photos") + "/.." * len(predict.folder.parts)
    for arguments in (["--image-source", f"{upwards}/../usr/"], ["--report=/etc/r.html"]):
        result = predict(*arguments)
        assert result.code == 1
        assert re.search(r"A container cannot be given /\S+, which is its own\. Use another", result.stderr)
        assert result.asked("run") == []
    folders = ["/", "/etc", "/usr", "/usr/local", "/opt", "/proc", "/home", "/opt/photos"]
    script = 'for name; do if is_system_folder "$name"; then printf "%s\\0" "$name"; fi; done'
    assert run_functions(script, *folders) == folders[:-2]


def test_native_reads_system_folders_too(copied: Launcher) -> None:
    """System folders are refused only for containers."""
    settle(copied)
    result = copied("--image-source", "/usr/local", "--report", "/opt/r.html", runtime="native")
    assert result.code == 0
    assert result.stdout == "nimakit<predict --image-source /usr/local --report /opt/r.html>\n"


def test_a_pipe_is_refused(predict: Launcher) -> None:
    """A pipe, which cannot be mounted, is refused by name."""
    os.mkfifo(predict.folder / "pipe")
    result = predict("--image-source", "photos", "--samples-file", "pipe")
    assert result.code == 1
    assert "A container cannot read the pipe pipe. Use a file" in result.stderr


def test_sources_of_many_photos_are_mounted(predict: Launcher) -> None:
    """A manifest with its folder, where its rows count from; of a pattern the folder before any wildcard."""
    lists = predict.folder / "lists"
    lists.mkdir()
    for name in ("photos.txt", "a.tar"):
        (lists / name).write_text("a.jpg\n")
    for source, mounted in (
        ("lists/photos.txt", "lists"),
        ("lists/a.tar", "lists/a.tar"),
        ("lists/*.tar", "lists"),
        ("lists/a{0..9}.tar", "lists"),
        ("lists/../photos/**/c*.jpg", "photos"),
    ):
        mounts = predict("--image-source", source).container.mounts
        assert mounts[str(predict.folder / mounted)][1] == "ro", source
    assert predict("--image-source", "*.jpg").container.mounts == {
        str(predict.folder): (str(predict.folder), "ro")
    }


def test_a_folder_of_parts_is_writable(predict: Launcher) -> None:
    """Itself, or the folder that it is made in; a URL is no folder."""
    (predict.folder / "old").mkdir()
    for output, mounted in (("old/", "old"), ("new/", ""), ("s3://bucket/old/", None)):
        mounts = predict("--image-source", "photos", "--predictions-file", output).container.mounts
        writable = [target for target, (_, mode) in mounts.items() if mode == "rw"]
        assert writable == ([] if mounted is None else [str(predict.folder / mounted)]), output
