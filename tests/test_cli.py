"""nimakit.cli: the `nimakit` command."""

import csv
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from nimakit import __version__
from nimakit.cli import cli
from nimakit.commands.sections import Sections
from nimakit.io.delimited import unescape_formula
from nimakit.progress import PrintableRecord
from nimakit.stats.histogram import normalise
from samples import metadata, png_header, write_endless_model, write_model, write_photo
from terminal import Command

SCORED = ["image_id", "mean_score_prediction", "sd_score_prediction", "predictions", "percentile"]


@pytest.fixture
def predict(nimakit: Command, tiny_file: Path) -> Command:
    """Runs `nimakit predict` with the small model."""
    return lambda *arguments: nimakit("predict", "--model", tiny_file, *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos a, b and c, from dark to bright."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, level in (("a", 20), ("b", 120), ("c", 240)):
        write_photo(folder / f"{name}.png", level)
    return folder


def _write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def _command(model: Path, source: Path) -> list[str]:
    start = [sys.executable, "-m", "nimakit", "predict"]
    return [*start, "--model", str(model), "--image-source", str(source)]


# What comes out


def test_writes_only_json_to_stdout_and_messages_to_stderr(predict: Command, folder: Path) -> None:
    """Exit code 0, with a record per image in order."""
    result = predict("--image-source", folder)
    assert result.code == 0
    assert [record["image_id"] for record in result.records] == ["a", "b", "c"]
    assert all(list(record) == SCORED for record in result.records)
    assert "nimakit: scored 3 of 3 images with tiny on the CPU in " in result.err


def test_scores_a_single_photo(predict: Command, folder: Path) -> None:
    """A photo gives an array of one."""
    [record] = predict("--image-source", folder / "b.png").records
    assert record == predict("--image-source", folder).records[1]


def test_ends_with_2_where_some_images_could_not_be_scored(predict: Command, folder: Path) -> None:
    """Failures are reported on stderr and in their records; all others are scored."""
    (folder / "gone.jpg").symlink_to(folder / "nothing.jpg")
    (folder / "bomb.png").write_bytes(png_header(50_000, 50_000))
    result = predict("--image-source", folder)
    assert result.code == 2
    errors = {record["image_id"]: record["error"] for record in result.records if "error" in record}
    assert list(errors) == ["bomb", "gone"]
    assert "at most 89478485 pixels" in errors["bomb"]
    assert "the link points to nothing" in errors["gone"]
    assert f"nimakit: gone: {errors['gone']}" in result.err
    assert "scored 3 of 5 images" in result.err


@pytest.mark.parametrize(
    "arguments",
    [["--image-source", "nowhere"], ["--image-source", "."], [], ["--image-source", ".", "--top", "0"]],
    ids=["missing path", "empty folder", "no source", "none of the best"],
)
def test_ends_with_1_on_a_usage_error(
    predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Stdout is empty, and one line on stderr gives the error."""
    monkeypatch.chdir(tmp_path)
    result = predict(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("nimakit: error: ")
    assert "Traceback" not in result.err


@pytest.mark.parametrize("name", ["corrupt.onnx", "bare.onnx", "none.onnx", "beauty"])
def test_ends_with_1_on_a_model_error(nimakit: Command, folder: Path, tmp_path: Path, name: str) -> None:
    """Models that are corrupt, without metadata, missing or unknown are named in the error."""
    (tmp_path / "corrupt.onnx").write_bytes(b"no model")
    write_model(tmp_path / "bare.onnx", written=None)
    model = tmp_path / name if name.endswith(".onnx") else name
    result = nimakit("predict", "--image-source", folder, "--model", model)
    assert (result.code, result.out) == (1, "")
    assert name in result.err


def test_says_how_to_go_on_without_a_network(nimakit: Command, folder: Path, empty_cache: Path) -> None:
    """At the first use of the public model, offline, the error names --weights-file."""
    result = nimakit("predict", "--image-source", folder)
    assert (result.code, result.out) == (1, "")
    assert "--weights-file" in result.err


# Options


def test_top_gives_the_best_first(predict: Command, folder: Path) -> None:
    """--top 2 gives the two best in falling order."""
    records = predict("--image-source", folder, "--top", 2).records
    assert [record["image_id"] for record in records] == ["c", "b"]


def test_normalize_adds_scores_from_0_to_1(predict: Command, folder: Path) -> None:
    """--normalize minmax stretches the means of the set."""
    records = predict("--normalize", "minmax", "--image-source", folder).records
    low, middle, high = (record["normalized_score"] for record in records)
    assert (low, high) == (0, 1)
    assert 0 < middle < 1


@pytest.fixture
def slope(tmp_path: Path) -> Path:
    """A photo that brightens to the right, which its mirror image does not."""
    path = tmp_path / "slope.png"
    Image.linear_gradient("L").rotate(90).convert("RGB").save(path)
    return path


def test_tta_without_a_value_means_flips(predict: Command, slope: Path) -> None:
    """--tta needs no value, not even with another option behind it."""
    plain = predict("--image-source", slope).records
    flips = predict("--image-source", slope, "--tta", "flips").records
    assert flips != plain
    assert predict("--tta", "--image-source", slope).records == flips
    assert predict("--image-source", slope, "--tta").records == flips
    assert predict("--image-source", slope, "--tta", "none").records == plain
    assert predict("--image-source", slope, "--tta", "crops").records not in (plain, flips)


def test_averages_models_given_several_times(
    nimakit: Command, slope: Path, tmp_path: Path, tiny_file: Path
) -> None:
    """Several models are averaged with equal weights."""
    other = write_model(tmp_path / "other.onnx", metadata(name="other"), gain=-1.0)
    source = ("predict", "--image-source", slope)
    means = [
        nimakit(*source, *models).records[0]["mean_score_prediction"]
        for models in (["--model", tiny_file], ["--model", other], ["--model", tiny_file, "--model", other])
    ]
    assert means[2] == pytest.approx((means[0] + means[1]) / 2, abs=1e-5)


def test_recursive_tells_repeated_names_apart(predict: Command, folder: Path) -> None:
    """If two files share an image_id, every record has the path relative to the source."""
    (folder / "sub").mkdir()
    write_photo(folder / "sub" / "a.jpg", 60)
    records = predict("--image-source", folder, "--recursive").records
    assert [record["image"] for record in records] == ["a.png", "b.png", "c.png", "sub/a.jpg"]
    assert [record["image_id"] for record in records] == ["a", "b", "c", "a"]
    assert "image" not in predict("--image-source", folder).records[0]


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_writes_the_records_to_a_file_too(
    predict: Command, folder: Path, tmp_path: Path, suffix: str
) -> None:
    """The file has the records of stdout, in the format of its suffix."""
    path = tmp_path / f"out{suffix}"
    records = predict("--image-source", folder, "--predictions-file", path).records
    text = path.read_text(encoding="utf-8")
    if suffix == ".json":
        assert json.loads(text) == records
    elif suffix == ".jsonl":
        assert [json.loads(line) for line in text.splitlines()] == records
    else:
        rows = list(csv.DictReader(text.splitlines()))
        assert [float(row["mean_score_prediction"]) for row in rows] == [
            record["mean_score_prediction"] for record in records
        ]


def test_compares_with_labels(predict: Command, folder: Path, tmp_path: Path) -> None:
    """--samples-file chooses the images and their order; metrics go to stderr and the file."""
    labels: list[dict[str, Any]] = [
        {"image_id": "c", "label": [0, 0, 0, 0, 0, 0, 0, 0, 1, 9]},
        {"image_id": "none", "label": [1] * 10},
        {"image_id": "a", "label": [9, 1, 0, 0, 0, 0, 0, 0, 0, 0]},
    ]
    result = predict(
        *("--image-source", folder, "--samples-file", _write(tmp_path / "labels.json", labels)),
        *("--metrics-file", tmp_path / "m.json"),
    )
    assert result.code == 2
    assert [record["image_id"] for record in result.records] == ["c", "none", "a"]
    assert "nimakit: 2 labelled images: EMD 0." in result.err
    metrics = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert (metrics["images"], metrics["srcc_mean"]) == (2, pytest.approx(1))
    assert "nimakit: These figures are a rough guide, from only 2 images" in result.err
    distances = [
        abs(normalise(entry["label"]).cumsum() - normalise(record["predictions"]).cumsum()).mean()
        for entry, record in zip(labels[::2], result.records[::2], strict=True)
    ]
    assert metrics["emd"] == pytest.approx(sum(distances) / 2, abs=1e-5)


def test_draws_a_report(predict: Command, folder: Path, tmp_path: Path) -> None:
    """--report writes one HTML file that contains the pictures, best first."""
    result = predict("--image-source", folder, "--report", tmp_path / "sheet.html")
    assert result.err.endswith(f"nimakit: report: {tmp_path / 'sheet.html'}\n")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert [record["image_id"] for record in result.records] == ["a", "b", "c"]
    assert page.index('alt="c.png"') < page.index('alt="b.png"') < page.index('alt="a.png"')
    assert page.count("data:image/jpeg;base64,") == 3


def test_max_pixels_refuses_larger_photos(predict: Command, folder: Path) -> None:
    """--max-pixels applies to every image."""
    result = predict("--image-source", folder, "--max-pixels", 12 * 9 - 1)
    assert result.code == 2
    assert all("Received: 12x9 = 108" in record["error"] for record in result.records)


def test_models_side_by_side_keep_their_scores_apart(
    nimakit: Command, folder: Path, tiny_file: Path, score_file: Path, tmp_path: Path
) -> None:
    """All outputs have each model's scores under its name; the first model decides the order."""
    labels = [{"image_id": name, "label": [1] * 10} for name in ("a", "b", "c")]
    models = ("--model", f"aesthetic={tiny_file}", "--model", score_file)
    result = nimakit(
        "predict",
        *("--image-source", folder, *models, "--side-by-side", "--top", 2, "--normalize", "minmax"),
        *("--samples-file", _write(tmp_path / "labels.json", labels), "--metrics-file", tmp_path / "m.json"),
        *("--predictions-file", tmp_path / "p.csv", "--report", tmp_path / "r.html"),
    )
    assert result.code == 0, result.err
    alone = {
        name: {
            record["image_id"]: record
            for record in nimakit("predict", "--image-source", folder, "--model", file).records
        }
        for name, file in (("aesthetic", tiny_file), ("score", score_file))
    }
    assert [record["image_id"] for record in result.records] == ["c", "b"]
    for record in result.records:
        assert list(record) == ["image_id", "aesthetic", "score"]
        for name, records in alone.items():
            assert 0 <= record[name].pop("normalized_score") <= 1
            assert {"image_id": record["image_id"], **record[name]} == records[record["image_id"]]
    assert list(json.loads((tmp_path / "m.json").read_text("utf-8"))) == ["aesthetic", "score"]
    assert "nimakit: aesthetic: 3 labelled images" in result.err
    assert "with aesthetic, score side by side" in result.err
    assert "score.mean_score_prediction" in (tmp_path / "p.csv").read_text("utf-8").splitlines()[0]
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Also scored by <b>score</b>" in page
    assert page.count("<b>aesthetic</b>") == 3  # in the heading and on both cards


# Options that contradict one another


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "a.onnx", "--weights-file", "w.h5"], "Received: --model, --weights-file"),
        (["--model", "a.onnx", "--base-model-name", "MobileNet"], "Received: --model, --base-model-name"),
        (["--config-file", "c.json", "--model", "a.onnx"], "Received: --model, --config-file"),
        (["--weights-file", "w.h5"], "--weights-file needs --base-model-name"),
        (["--base-model-name", "MobileNet"], "--base-model-name needs --weights-file"),
        (["--side-by-side"], "--side-by-side needs two or more --model"),
        (["--side-by-side", *2 * ["--model", "a.onnx"]], "a more than once"),
        (["--side-by-side", *2 * ["--model", "a.onnx"], "--user", "u.taste"], "come from one model"),
        (["--metrics-file", "m.json"], "--metrics-file needs a --samples-file with labels"),
        (["--tta", "rotations"], "'rotations' is not one of 'none', 'flips', 'crops'"),
        (["--normalize"], "'--normalize' requires an argument"),
        (["--max-pixels", "0"], "'--max-pixels'"),
        (["--quiet"], "No such option"),
        (["--predictions-file", "out.xml"], "end in .json, .jsonl, .csv"),
        (["--predictions-file", "none/out.json"], "must exist and be writable"),
        (["--report", "out.pdf"], "end in .html"),
    ],
)
def test_rejects_contradictory_and_wrong_options(
    nimakit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Contradictory options are refused before any work, with a remedy."""
    monkeypatch.chdir(folder)
    result = nimakit("predict", "--image-source", folder, *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err


def test_rejects_metrics_without_labels(predict: Command, folder: Path, tmp_path: Path) -> None:
    """A list of names has no labels to compare with."""
    names = _write(tmp_path / "names.json", [{"image_id": "a"}])
    result = predict("--image-source", folder, "--samples-file", names, "--metrics-file", tmp_path / "m.json")
    assert result.code == 1
    assert not (tmp_path / "m.json").exists()


def test_rejects_a_broken_config_with_all_its_errors(nimakit: Command, folder: Path, tmp_path: Path) -> None:
    """--config-file is checked, and all broken rules are listed."""
    config = _write(tmp_path / "config.json", {"base_model": "MobileNet", "batch_size": 0})
    result = nimakit("predict", "--image-source", folder, "--config-file", config)
    assert (result.code, result.out) == (1, "")
    assert "breaks 3 rule(s)" in result.err


# Names


@pytest.mark.parametrize(
    "name",
    ["with space", 'it\'s "quoted"', "-dash", "--tta", "naïve café 写真", "a\nb", "$(touch x);&|", "100%"],
)
def test_takes_any_name(predict: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Spaces, quotes, dashes and other scripts in names work, for a photo and in a folder."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    write_photo(folder / f"{name}.png")
    output = folder / f"{name}.csv"
    [record] = predict("--image-source", name, "--predictions-file", output).records
    assert record["image_id"] == name
    with output.open(encoding="utf-8", newline="") as stream:
        assert [unescape_formula(row["image_id"]) for row in csv.DictReader(stream)] == [name]
    monkeypatch.chdir(folder)
    assert predict("--image-source", f"{name}.png").records[0]["image_id"] == name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_takes_names_that_are_no_text(tiny_file: Path, tmp_path: Path) -> None:
    """Names that are not UTF-8 work in arguments and messages; all output is UTF-8."""
    good, bad = (os.fsencode(tmp_path) + b"/" + name for name in (b"caf\xe9.png", b"cut\xff.jpg"))
    write_photo(tmp_path / "x.png").rename(Path(os.fsdecode(good)))
    Path(os.fsdecode(bad)).touch()
    command = _command(tiny_file, tmp_path)
    command += ["--predictions-file", str(tmp_path / "out.csv"), "--report", str(tmp_path / "out.html")]
    result = subprocess.run(command, capture_output=True, check=False)
    assert result.returncode == 2
    first, second = json.loads(result.stdout)
    assert [first["image_id"], second["image_id"]] == ["caf%E9", "cut%FF"]
    assert "caf%E9," in (tmp_path / "out.csv").read_text("utf-8")
    assert "caf%E9" in (tmp_path / "out.html").read_text("utf-8")
    assert "cut%FF" in result.stderr.decode()


def test_names_do_not_steer_the_terminal(predict: Command, tmp_path: Path) -> None:
    """Control characters in names are escaped in errors and logs."""
    (tmp_path / "a\x1b]0;b\x07.png").touch()
    result = predict("--image-source", tmp_path)
    assert result.code == 2
    assert r"a\x1b]0;b\x07" in result.err
    assert not set(result.err) & {"\x1b", "\x07"}
    assert logging.getLogRecordFactory() is PrintableRecord


# Where the output ends


def test_a_failure_keeps_the_old_file(
    predict: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk gives exit code 1; the old predictions remain, and no partial new ones."""
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = predict("--image-source", folder, "--predictions-file", path)
    assert result.code == 1
    assert "out.json could not be written: No space left on device" in result.err
    assert path.read_text(encoding="utf-8") == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out.json", "photos"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_stdout_is_an_error(tiny_file: Path, folder: Path) -> None:
    """A full disk behind stdout is an error."""
    command = _command(tiny_file, folder)
    with Path("/dev/full").open("wb") as stdout:
        result = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, check=False, text=True)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_ends_quietly_if_stdout_is_closed(tiny_file: Path, folder: Path) -> None:
    """`nimakit predict | head -0` gives no traceback."""
    command = _command(tiny_file, folder)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, text=True)
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


# The rest


def test_fetch_prints_where_the_model_is(nimakit: Command, public_model: Path) -> None:
    """`nimakit fetch` prints only the path on stdout."""
    result = nimakit("fetch")
    assert (result.code, result.out) == (0, f"{public_model}\n")


def test_says_its_version(nimakit: Command) -> None:
    """--version is that of the package."""
    assert nimakit("--version").out == f"nimakit, version {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_a_group_without_a_command_prints_its_help(nimakit: Command, arguments: list[str]) -> None:
    """Without a command, the help is printed with exit code 0."""
    alone, asked = nimakit(*arguments), nimakit(*arguments, "--help")
    assert alone == asked
    assert (alone.code, alone.err) == (0, "")


@pytest.mark.parametrize("group", [cli, cli.commands["data"], cli.commands["rate"]])
def test_every_command_is_in_one_section_with_its_whole_summary(group: Sections) -> None:
    """The help lists each command once, in sections, with full sentences."""
    text = group.get_help(click.Context(group, info_name="x", terminal_width=200))
    for name, command in group.commands.items():
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1
        summary = " ".join((command.help or "").split()).split(". ")[0].removesuffix(".")
        assert summary in re.sub(r"\s+", " ", text)
    assert "..." not in text.replace("[ARGS]...", "")


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "-h"], ["fetch", "--help"]])
def test_helps(nimakit: Command, arguments: list[str]) -> None:
    """Help goes to stdout with exit code 0."""
    result = nimakit(*arguments)
    assert (result.code, result.err) == (0, "")
    assert "Usage: nimakit" in result.out


def test_ends_with_130_when_interrupted(
    predict: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C gives no traceback."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nimakit.scoring.run.Run.score", interrupt)
    result = predict("--image-source", folder)
    assert result.code == 130
    assert "nimakit: interrupted" in result.err


_ANNOUNCED = """
import sys
from nimakit import cli
from nimakit.models import network

run = network.Network.run

def announced(*arguments):
    print("running", file=sys.stderr, flush=True)
    return run(*arguments)

network.Network.run = announced
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(("how", "options"), [(signal.SIGTERM, []), (signal.SIGINT, ["--top", "1"])])
def test_predict_ends_while_its_model_still_runs(
    tmp_path: Path, folder: Path, how: signal.Signals, options: list[str]
) -> None:
    """Ctrl-C ends even a model that never finishes; nothing is written."""
    written = tmp_path / "scores.json"
    model = write_endless_model(tmp_path / "endless.onnx")
    command = ["predict", "--image-source", str(folder), "--model", str(model), *options]
    process = subprocess.Popen(
        [sys.executable, "-c", _ANNOUNCED, *command, "--predictions-file", str(written)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        while "running" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(how)
        _, said = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.rstrip().endswith("interrupted")
    assert not written.exists()
