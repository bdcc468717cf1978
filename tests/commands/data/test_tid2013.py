"""nimakit.commands.data.tid2013: `nimakit data tid2013`."""

import json
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels
from nimakit.stats.histogram import default_bins, mean
from terminal import Command


@pytest.fixture
def mos_file(tmp_path: Path) -> Path:
    """mos_with_names.txt of 25 references, in its published form, with simulated scores."""
    random = np.random.default_rng(0)
    names = [f"{'i' if ref == 25 else 'I'}{ref:02}_{kind:02}_{level}.bmp" for ref in range(1, 26)
             for kind in range(1, 25) for level in range(1, 6)]  # fmt: skip
    path = tmp_path / "mos_with_names.txt"
    path.write_text("\n".join(f"{random.uniform(0, 9):.5f} {name}" for name in names), encoding="utf-8")
    return path


def test_a_score_less_1_is_the_mos(nimakit: Command, mos_file: Path, tmp_path: Path) -> None:
    """A model that learned a label perfectly scores one more than the MOS, and the summary says so."""
    result = nimakit("data", "tid2013", mos_file, "--output-dir", tmp_path)
    assert result.code == 0, result.err
    assert json.loads(result.out)["rating_of_score"] == "score - 1"
    assert "subtract 1 to get the MOS" in result.err
    mos = {line.split()[1][:-4]: float(line.split()[0]) for line in mos_file.read_text("utf-8").splitlines()}
    found: dict[str, float] = {}
    for name in ("train", "test"):
        labels = read_labels(tmp_path / f"tid2013_labels_{name}.json")
        assert labels.histograms is not None
        scores = mean(labels.histograms, default_bins(10))
        found |= dict(zip(labels.image_ids, (scores - 1).tolist(), strict=True))
    assert found == pytest.approx(mos, abs=1e-4)


def test_no_reference_is_on_both_sides(nimakit: Command, mos_file: Path, tmp_path: Path) -> None:
    """Five of 25 references are tested with, and none of their pictures is trained with."""
    result = nimakit("data", "tid2013", mos_file, "--output-dir", tmp_path, "--seed", 5)
    train, test = (
        {name[:3].upper() for name in read_labels(tmp_path / f"tid2013_labels_{part}.json").image_ids}
        for part in ("train", "test")
    )
    assert (len(train), len(test), train & test) == (20, 5, set())
    summary = json.loads(result.out)
    assert summary["test_references"] == sorted(test)
    assert (summary["images"], summary["references"]) == (3000, 25)
    assert [*summary["files"].values()] == [2400, 600]


def test_ends_with_1_on_a_bad_line(nimakit: Command, tmp_path: Path) -> None:
    """Nothing is written; with --skip-bad the rest is."""
    path = tmp_path / "mos.txt"
    path.write_text("5 I01_01_1.bmp\n10 I02_01_1.bmp\n4 I03_01_1.bmp\n", encoding="utf-8")
    result = nimakit("data", "tid2013", path, "--output-dir", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "line 2: MOS must be a number from 0 to 9; received '10'" in result.err
    assert list(tmp_path.glob("*.json")) == []
    result = nimakit("data", "tid2013", path, "--output-dir", tmp_path, "--skip-bad")
    assert (result.code, len(json.loads(result.out)["bad_rows"])) == (0, 1)


def test_one_reference_cannot_be_split(nimakit: Command, tmp_path: Path) -> None:
    """The message says why."""
    path = tmp_path / "mos.txt"
    path.write_text("5 I01_01_1.bmp\n4 I01_01_2.bmp\n", encoding="utf-8")
    result = nimakit("data", "tid2013", path, "--output-dir", tmp_path)
    assert result.code == 1
    assert "two or more reference images. Received: only I01" in result.err
