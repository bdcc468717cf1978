"""nimakit.commands.data.pairs: `nimakit data pairs`."""

import csv
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels
from nimakit.stats.histogram import mean
from terminal import Command, Result

ROWS = ["a,b,a", "b,a,b", "a,b,a", "b,c,tie", "x,y,x", "y,x,y", "d,a,d"]


@pytest.fixture
def pairs(nimakit: Command, tmp_path: Path) -> Command:
    """Fits scores to seven comparisons; x and y are a group of their own, d is always chosen."""

    def run(*arguments: object, rows: list[str] = ROWS, table: Path | None = None) -> Result:
        (tmp_path / "pairs.csv").write_text("\n".join(["left,right,chosen", *rows]) + "\n", encoding="utf-8")
        output = ("--output", tmp_path / "labels.json", "--scores-file", tmp_path / "scores.csv")
        return nimakit("data", "pairs", table or tmp_path / "pairs.csv", *output, *arguments)

    return run


def _scores(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_writes_scores_and_labels(pairs: Command, tmp_path: Path) -> None:
    """The mean of a label lies as far up the scale as the chance of being chosen over another."""
    result = pairs("--prior-sd", 0)
    assert result.code == 0, result.err
    scores = {row["image_id"]: row for row in _scores(tmp_path)}
    labels = read_labels(tmp_path / "labels.json")
    assert labels.histograms is not None
    assert set(labels.image_ids) == {"a", "b", "c"}
    for name, score in zip(labels.image_ids, mean(labels.histograms, np.arange(1, 11)), strict=True):
        assert float(score) == pytest.approx(1 + 9 * float(scores[name]["chance"]), abs=1e-4)
        assert float(scores[name]["standard_error"]) > 0
    listed = [row["image_id"] for row in _scores(tmp_path)]
    assert (listed[0], sorted(listed[1:3]), listed[3:]) == ("a", ["b", "c"], ["x", "y", "d"])


def test_reports_what_has_no_score(pairs: Command, tmp_path: Path) -> None:
    """Each image left out is in the summary and the scores file, with the reason; stderr counts them."""
    result = pairs("--prior-sd", 0)
    summary = json.loads(result.out)
    assert (summary["comparisons"], summary["ties"], summary["images"], summary["scored"]) == (7, 1, 6, 3)
    assert summary["images_of_groups"] == [4, 2]
    never, chosen = summary["left_out"]
    assert (summary["left_out"][never], summary["left_out"][chosen]) == (["x", "y"], ["d"])
    assert f"left out ({never}): 2 of 6 images" in result.err
    assert {row["image_id"]: row["left_out"] for row in _scores(tmp_path) if row["left_out"]} == {
        "x": never,
        "y": never,
        "d": chosen,
    }


def test_a_prior_scores_everything(pairs: Command, tmp_path: Path) -> None:
    """All images have a score and an interval of ranks; the summary says how far the order is."""
    result = pairs()
    summary = json.loads(result.out)
    assert (summary["scored"], summary["left_out"]) == (6, {})
    assert "the comparisons form 2 separate groups" in result.err
    assert len(read_labels(tmp_path / "labels.json").image_ids) == 6
    rows = _scores(tmp_path)
    assert [int(row["rank"]) for row in rows] == [*range(1, 7)]
    assert all(int(row["rank_low"]) <= int(row["rank"]) <= int(row["rank_high"]) for row in rows)
    [b] = [row for row in rows if row["image_id"] == "b"]
    assert (b["won"], b["lost"], b["tied"]) == ("1", "2", "1")
    assert summary["reliability"] == 0
    assert 0.5 < summary["certainty_of_neighbours"] < 0.8
    assert f"about {summary['comparisons_needed']:,} more comparisons" in result.err
    assert summary["careless"] is None


def test_names_raters_who_choose_at_random(pairs: Command, tmp_path: Path) -> None:
    """Three people agree, the fourth says the opposite; the comparisons of all count."""
    names = "abcdefgh"
    table = ["left,right,chosen,user_id"]
    for left, right in combinations(names, 2):
        table += [f"{left},{right},left,u{user}" for user in range(3)] + [f"{left},{right},right,wrong"]
    (tmp_path / "more.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    result = pairs(table=tmp_path / "more.csv")
    summary = json.loads(result.out)
    assert summary["careless"] == ["wrong"]
    assert summary["comparisons"] == 4 * 28
    assert "1 of 4 raters agree with the ranking by the others no better than chance" in result.err


def test_labels_are_on_the_scale_asked_for(pairs: Command, tmp_path: Path) -> None:
    """--bins 1-5 gives five bins."""
    assert pairs("--bins", "1-5", "--prior-sd", 0).code == 0
    labels = read_labels(tmp_path / "labels.json")
    assert labels.histograms is not None
    assert labels.histograms.shape == (3, 5)


def test_refuses_to_overwrite_what_it_reads(pairs: Command, tmp_path: Path) -> None:
    """The table of comparisons is not taken for the scores file."""
    result = pairs("--scores-file", tmp_path / "pairs.csv")
    assert result.code == 1
    assert "An output file must not be an input" in result.err
    assert len((tmp_path / "pairs.csv").read_text("utf-8").splitlines()) == 1 + len(ROWS)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (["a,b,c"], [], "line 2: chosen must be 'a', 'b' or a tie; received 'c'"),
        (["a,b,a"], ["--prior-sd", "0"], "--prior-sd 2"),
        (ROWS, ["--left-column", "one"], "needs one column 'one'"),
        (ROWS, ["--prior-sd", "-1"], "'--prior-sd'"),
        (ROWS, ["--bins", "5-1"], "a rising list"),
        (ROWS, ["--output", "labels.csv"], "end in .json"),
        (ROWS, ["--scores-file", "scores.json"], "end in .csv"),
    ],
)
def test_ends_with_1_on_an_error(
    pairs: Command, tmp_path: Path, rows: list[str], arguments: list[str], message: str
) -> None:
    """Nothing is written or on stdout, and stderr says what is wrong."""
    result = pairs(*arguments, rows=rows)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]


def test_repeats_do_not_count(pairs: Command, tmp_path: Path) -> None:
    """Rows with 1 in the column repeat, as the rating app exports them, are left out and counted."""
    rows = ["left,right,chosen,repeat", "a,b,a,0", "b,a,a,1", "a,c,c,"]
    (tmp_path / "more.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = pairs(table=tmp_path / "more.csv")
    assert json.loads(result.out)["comparisons"] == 2
    assert "repeat = 1): 1 row" in result.err
