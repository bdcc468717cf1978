"""nimakit.commands.data: what every importer writes is what training takes."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import small_jobs
from nimakit.jobs import Job
from nimakit.labels.label_file import read_labels
from picture_server import picture
from terminal import Command

LEVELS = np.linspace(0, 1, small_jobs.COUNT)
"""How far up its scale people find each image."""


class Source(NamedTuple):
    """What somebody has, and what an importer makes of it.

    Attributes:
        arguments: Of `nimakit data`.
        labels: The label file to train with.
        bins: How many it has.
        images: The folder of the images; those that are not there yet are made.
    """

    arguments: Sequence[object]
    labels: Path
    bins: int
    images: Path


def _file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _ratings(folder: Path) -> Source:
    rows = [
        f"p{place}.jpg,u{person},{1 + round(4 * level) - (person and 0.5) * (level > 0.5)}"
        for place, level in enumerate(LEVELS)
        for person in range(3)
    ]
    table = _file(folder / "ratings.csv", "image_id,user_id,rating", *rows)
    output = folder / "labels.json"
    return Source(("ratings", table, "--bins", "1-5", "--output", output), output, 5, folder / "photos")


def _pairs(folder: Path) -> Source:
    rows = [
        f"p{low},p{high},{chosen}"
        for low in range(small_jobs.COUNT - 1)
        for high in range(low + 1, min(low + 4, small_jobs.COUNT))
        for chosen in ("right", "right", "left")
    ]
    table, output = _file(folder / "pairs.csv", "left,right,chosen", *rows), folder / "labels.json"
    return Source(("pairs", table, "--output", output), output, 10, folder / "photos")


def _ava(folder: Path) -> Source:
    lines = []
    for place, level in enumerate(LEVELS):
        counts = np.bincount(
            (np.rint(9 * level) + np.array((-1, 0, 0, 1))).clip(0, 9).astype(int), minlength=10
        )
        lines.append(f"{place + 1} {950_000 + place} {' '.join(map(str, counts))} 14 0 1396")
    table = _file(folder / "AVA.txt", *lines)
    output = folder / "out" / "ava_labels_train_entire.json"
    return Source(("ava", table, "--output-dir", folder / "out"), output, 10, folder / "photos")


def _tid2013(folder: Path) -> Source:
    lines = [
        f"{9 * level:.5f} I{1 + place % 3:02d}_{1 + place // 15:02d}_{1 + place // 3 % 5}.bmp"
        for place, level in enumerate(LEVELS)
    ]
    table = _file(folder / "mos_with_names.txt", *lines)
    output = folder / "out" / "tid2013_labels_train.json"
    return Source(("tid2013", table, "--output-dir", folder / "out"), output, 10, folder / "photos")


def _flickr_aes(folder: Path) -> Source:
    lines = [
        f"{'AB'[place % 4 == 0]} farm{place}.jpg {1 + round(4 * level)}" for place, level in enumerate(LEVELS)
    ]
    table, workers = _file(folder / "workers.csv", *lines), _file(folder / "test.txt", "B")
    output = folder / "out" / "flickr_aes_labels_train.json"
    arguments = ("--workers-file", table, "--test-workers", workers, "--output-dir", folder / "out")
    return Source(("flickr-aes", *arguments), output, 5, folder / "photos")


def _posts(folder: Path) -> Source:
    (folder / "copies").mkdir()
    rows = []
    for place, level in enumerate(LEVELS):
        (folder / "copies" / f"{place}.jpg").write_bytes(picture(str(place)))
        rows.append(f"Nice. {round(10 * level)}/10,http://img.example/{place}.jpg")
    table, out = _file(folder / "posts.csv", "text,image_url", *rows), folder / "out"
    arguments = (table, "--images-from", folder / "copies", "--output-dir", out)
    return Source(("posts", *arguments), out / "labels.json", 11, out / "images")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("make", [_ratings, _pairs, _ava, _tid2013, _flickr_aes, _posts])
def test_what_an_importer_writes_is_taken_by_training(
    nimakit: Command, tmp_path: Path, make: Callable[[Path], Source]
) -> None:
    """A job is made of its labels, as they are, without loss of an image; one epoch leaves a model.

    One importer's labels are trained with, since jobs that are prepared have one form.
    """
    from small_backbone import NAME, registered

    source = make(tmp_path)
    imported = nimakit("data", *source.arguments)
    assert imported.code == 0, imported.err
    source.images.mkdir(exist_ok=True)
    names = read_labels(source.labels).image_ids
    random = np.random.default_rng(0)
    if not any(source.images.iterdir()):
        for name in names:
            pixels = random.integers(0, 256, (small_jobs.SIDE, small_jobs.SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(source.images / f"{name}.png")
    config = small_jobs.write_config(
        tmp_path / "config.json", base_model_name=NAME, n_classes=source.bins, epochs_train_all=0
    )
    with registered():
        result = nimakit(
            *("train", "--config-file", config, "--samples-file", source.labels),
            *("--image-dir", source.images, "--jobs-dir", tmp_path / "jobs"),
            *(["--prepare-only"] if make is not _posts else []),
        )
    assert result.code == 0, result.err
    job = Job.open(Path(result.out.strip()))
    if make is _posts:
        assert job.model_file.is_file()
        assert len(small_jobs.history(job)) == 1
    samples = json.loads((job.folder / "samples.json").read_text("utf-8"))
    assert sorted(re.findall(r'"image_id": "([^"]+)"', json.dumps(samples))) == sorted(names)
