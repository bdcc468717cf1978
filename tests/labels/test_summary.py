"""nimakit.labels.summary: what there is to know of ratings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels import summary as data_summary
from nimakit.labels.label_file import Labels
from nimakit.labels.ratings import read_ratings, to_counts
from nimakit.labels.summary import Summary
from nimakit.stats.histogram import normalise
from nimakit.stats.sample_size import Goals
from rating_samples import make_ratings, simulated

ROOMS = Path(__file__).parents[3] / "shared" / "data" / "rooms" / "ratings.csv"
with_rooms = pytest.mark.skipif(not ROOMS.is_file(), reason="../shared/data/rooms/ratings.csv is not here")
SCALE = np.arange(1.0, 8)


def _strict(summary: Summary) -> str:
    return json.dumps(summary.to_dict(), allow_nan=False)


def test_sums_up_ratings() -> None:
    """Numbers, means and classes are those of the ratings, counted another way."""
    ratings = simulated()
    found = data_summary.of_ratings(ratings).to_dict()
    groups = [ratings.rating[ratings.image == i] for i in range(40)]
    means = np.array([group.mean() for group in groups])
    assert (found["images"], found["people"], found["ratings"]) == (40, 30, len(ratings))
    assert found["scale"] == [1, 7]
    assert found["mean_rating"]["median"] == pytest.approx(np.median(means), abs=1e-6)
    assert found["standard_deviation"]["max"] == pytest.approx(max(g.std(ddof=1) for g in groups), abs=1e-6)
    assert found["ratings_per_image"]["min"] == min(map(len, groups))
    rounded = np.floor(means + 0.5).astype(int).tolist()
    assert found["classes"] == {str(value): rounded.count(value) for value in range(1, 8)}
    assert found["notes"] == []


def test_labels_say_what_ratings_say_but_not_who() -> None:
    """A label file of the same ratings gives the same figures, without those that need people."""
    ratings = simulated()
    counts = to_counts(ratings, SCALE)
    labels = Labels(ratings.image_ids, normalise(counts), counts)
    from_ratings, from_labels = (
        data_summary.of_ratings(ratings, SCALE).to_dict(),
        data_summary.of_labels(labels).to_dict(),
    )
    without_people = (
        "images",
        "ratings",
        "scale",
        "mean_rating",
        "standard_deviation",
        "standard_error",
        "classes",
    )
    for key in (*without_people, "ratings_per_image", "needs"):
        assert from_labels[key] == from_ratings[key], key
    for key in ("alpha_ordinal", "alpha_interval", "one_way", "within"):
        assert from_labels["agreement"][key] == pytest.approx(from_ratings["agreement"][key]), key
    assert from_labels["agreement"]["two_way"] is None
    assert from_labels["agreement"]["split_half"] is None
    assert from_labels["people"] is None
    assert "does not identify raters" in from_labels["notes"][0]


@pytest.mark.parametrize("counts", [None, np.array([[0.25, 0.75], [0.5, 0.5]])], ids=["histograms", "shares"])
def test_shares_say_nothing_of_agreement(counts: np.ndarray | None) -> None:
    """Means and spreads can be told, how many rated cannot."""
    histograms = np.array([[0.25, 0.75], [0.5, 0.5]])
    summary = data_summary.of_labels(Labels(("a", "b"), histograms, counts))
    found = summary.to_dict()
    assert summary.pictures.means.tolist() == [1.75, 1.5]
    assert found["standard_deviation"]["max"] == 0.5
    assert (found["ratings"], found["agreement"], found["needs"]) == (None, None, [])
    assert "shares" in found["notes"][0]


def test_labels_keep_to_the_bins_given() -> None:
    """Each bin stands for the value it is given; one value too many is refused, and so is a list of names."""
    labels = Labels(("a", "b"), normalise([[1, 1], [2, 0]]), np.array([[1.0, 1], [2, 0]]))
    assert data_summary.of_labels(labels, np.array([0.0, 100.0])).pictures.means.tolist() == [50, 0]
    with pytest.raises(LabelError, match="3 values, 2 bins"):
        data_summary.of_labels(labels, np.array([0.0, 50.0, 100.0]))
    with pytest.raises(LabelError, match="only names images"):
        data_summary.of_labels(Labels(("a",), None))


def test_of_repeated_ratings_the_latest_counts() -> None:
    """Times decide which is the latest, and the others show how far people agree with themselves."""
    rows = [("a", "x", 5.0), ("a", "x", 1.0), ("a", "y", 3.0), ("b", "x", 2.0), ("b", "y", 2.0)]
    summary = data_summary.of_ratings(make_ratings(rows, times=[20, 10, 0, 0, 0]), SCALE)
    found = summary.to_dict()
    assert summary.pictures.means.tolist() == [4, 2]
    assert found["ratings"] == 4
    assert found["repeats"] == {"ratings": 1, "same": 0.0, "difference": 4.0, "correlation": None}
    assert "1 of 5 ratings are left out" in found["notes"][0]


def test_leaves_out_people_where_it_is_unknown_who_rated() -> None:
    """Ratings by nobody in particular are summed up as a label file of them would be."""
    ratings = simulated()
    found = data_summary.of_ratings(replace(ratings, anonymous=True)).to_dict()
    counts = to_counts(ratings, SCALE)
    from_labels = data_summary.of_labels(Labels(ratings.image_ids, normalise(counts), counts)).to_dict()
    assert found.pop("notes") == ["The raters are unknown: figures about them are left out."]
    assert found == {key: value for key, value in from_labels.items() if key != "notes"}


def test_names_who_is_unlike_the_rest() -> None:
    """The farthest comes first, with figures and reasons; the others are not listed."""
    ratings = simulated(images=60, people=40, bias=[-2.5, -3.5])
    found = data_summary.of_ratings(ratings).to_dict()["unlike_the_rest"]
    assert [person["user_id"] for person in found] == ["u1", "u0"]
    assert found[0]["reasons"] == ["level"]
    assert found[0]["bias"] < -2


def test_levels_do_not_matter_where_all_rated_all() -> None:
    """The reliability is then that of consistency, else the one-way ICC."""
    crossed, sparse = (data_summary.of_ratings(simulated(share=share)) for share in (1, 0.5))
    assert crossed.agreement
    assert crossed.agreement.two_way
    assert sparse.agreement
    assert crossed.agreement.reliability == crossed.agreement.two_way.consistency
    assert sparse.agreement.reliability == sparse.agreement.one_way


def test_takes_goals() -> None:
    """There is a need for each."""
    needs = data_summary.of_ratings(simulated(), goals=Goals((0.5,), (0.1, 1.0))).needs
    assert [need.wanted for need in needs] == [0.5, 0.1, 1.0]


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([("a", "x", 3.0)], "No picture has two ratings"),
        ([("a", "x", 3.0), ("b", "x", 4.0)], "No picture has two ratings"),
        ([("a", "x", 3.0), ("b", "y", 4.0)], "No picture has two ratings"),
        ([("a", "x", 3.0), ("a", "y", 4.0)], "There is only one picture"),
        ([(i, u, 3.0) for i in "ab" for u in "xyz"], "All ratings are the same"),
        ([(i, u, 0.1) for i in "ab" for u in "xyz"], "All ratings are the same"),
    ],
    ids=[
        "one rating",
        "one person",
        "nothing shared",
        "one picture",
        "all the same",
        "all the same fraction",
    ],
)
def test_says_why_agreement_cannot_be_told(rows: list[tuple[str, str, float]], note: str) -> None:
    """What is not defined is null, in strict JSON, and a note says why."""
    summary = data_summary.of_ratings(make_ratings(rows))
    found = json.loads(_strict(summary))
    assert any(note in text for text in found["notes"])
    for key in ("alpha_ordinal", "alpha_interval", "one_way", "two_way", "split_half"):
        assert found["agreement"][key] is None


def test_json_has_no_nan() -> None:
    """People without a correlation and pictures with one rating leave null, not NaN."""
    rows = [
        ("a", "x", 1.0),
        ("b", "x", 1.0),
        ("c", "x", 1.0),
        ("a", "y", 2.0),
        ("b", "y", 5.0),
        ("d", "z", 4.0),
    ]
    found = json.loads(_strict(data_summary.of_ratings(make_ratings(rows))))
    assert found["standard_deviation"]["min"] == pytest.approx(0.707107)
    assert found["people"] == 3


@with_rooms
def test_rooms_are_rated_by_all() -> None:
    """101 people rated all eight rooms; eight of them gave the same rating throughout."""
    summary = data_summary.of_ratings(read_ratings(ROOMS, image_column="image", rows=BadRows()))
    assert summary.agreement
    assert summary.agreement.complete
    apart = summary.to_dict()["unlike_the_rest"]
    assert [person["reasons"] for person in apart] == [["constant"]] * 8
