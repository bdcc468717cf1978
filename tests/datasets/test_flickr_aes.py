"""nimakit.datasets.flickr_aes: ratings by worker and means, in their published forms."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.datasets.flickr_aes import (
    NO_RATINGS,
    read_means,
    read_worker_ratings,
    split,
    standard_test_workers,
    z_scores,
)
from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings
from nimakit.stats.histogram import mean

REAL = Path(__file__).parents[3] / "shared" / "data" / "flickr_aes"
GIVEN = [("W1", "a", 5), ("W1", "b", 1), ("W2", "a", 4), ("W3", "c", 2), ("W3", "b", 3)]
COMMAS = ["worker, imagePair, score", *(f"{worker},{image}.jpg,{r}" for worker, image, r in GIVEN)]
Z = [-1.8345680795008528, -0.925619262940729, -0.016670446380605487, 0.892278370179518, 1.8012271867396417]
"""The published z-scores of 1 to 5."""
SPACES = [
    'worker " imagePair" " score"',
    *(f"{row} {worker} {image}.jpg {Z[r - 1]}" for row, (worker, image, r) in enumerate(GIVEN, 3343)),
]


def _file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _ratings(path: Path, *lines: str) -> Ratings:
    return read_worker_ratings(_file(path, *lines), BadRows())


@pytest.mark.parametrize("lines", [COMMAS, COMMAS[1:], SPACES], ids=["commas", "no header", "z-scores"])
def test_reads_ratings_of_each_form(tmp_path: Path, lines: list[str]) -> None:
    """Commas or spaces, with row names or without, raw or z-scored: the ratings are from 1 to 5."""
    found = _ratings(tmp_path / "workers.csv", *lines)
    named = [
        (found.user_ids[user], found.image_ids[image], rating)
        for user, image, rating in zip(found.user, found.image, found.rating, strict=True)
    ]
    assert named == GIVEN


def test_reads_means_of_each_form(tmp_path: Path) -> None:
    """Raw, or as z-scores with a row name that repeats the image; the ends of the scale are reached."""
    raw = _file(tmp_path / "raw.txt", "a.jpg 2.8", "b.jpg 1", "c.jpg 4.666667")
    assert read_means(raw, BadRows()) == {"a": 2.8, "b": 1.0, "c": 4.666667}
    z = _file(
        tmp_path / "z.csv", '" imagePair" rating', f"a.jpg a.jpg {Z[0]}", f"b.jpg b.jpg {(Z[2] + Z[4]) / 2}"
    )
    assert read_means(z, BadRows()) == {"a": 1.0, "b": pytest.approx(4.0)}


def test_z_scores_are_the_published_ones() -> None:
    """What is written as z-scores is what the published files hold."""
    np.testing.assert_allclose(z_scores(np.arange(1.0, 6)), Z, rtol=1e-12)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("W4,a.jpg,good", "line 7: the last value must be a number; received 'good'"),
        ("a.jpg,4", "line 7: it has 2 values instead of 3 or more"),
        ("W1,a.jpg,4", "line 7: W1 a.jpg is repeated"),
        ("W1,e.jpg,4.5", "line 7: 4.5 is not on the scale of the others"),
        ("W1,e.jpg,6", "line 7: 6 is not on the scale of the others"),
        ("../W1,e.jpg,4", "line 7: a worker must be letters, digits, _ and -; received '../W1'"),
    ],
)
def test_refuses_a_bad_line_or_leaves_it_out(tmp_path: Path, line: str, problem: str) -> None:
    """The message has its number and what is wrong with it."""
    path = _file(tmp_path / "workers.csv", *COMMAS, line)
    with pytest.raises(LabelError) as caught:
        read_worker_ratings(path, BadRows())
    assert f"{path}, {problem}" in str(caught.value)
    assert len(read_worker_ratings(path, BadRows(skip=True))) == len(GIVEN)


def test_a_bad_first_line_is_no_header(tmp_path: Path) -> None:
    """Only a line with the words of a header is passed over."""
    with pytest.raises(LabelError, match="line 1: the last value must be a number"):
        _ratings(tmp_path / "workers.csv", "W1,a.jpg,", *COMMAS[2:])


def test_refuses_numbers_on_another_scale(tmp_path: Path) -> None:
    """Scores from 0 to 1 are neither ratings nor the published z-scores, though in the range of those."""
    path = _file(tmp_path / "FLICKR-AES_image_score.txt", "a.jpg 0.4513", "b.jpg 0.3172", "c.jpg 0.8811")
    with pytest.raises(LabelError, match="has its own scale: use the ratings by worker"):
        read_means(path, BadRows())


def test_refuses_a_file_without_a_good_line(tmp_path: Path) -> None:
    """A header alone is no data set."""
    with pytest.raises(LabelError, match="at least one good line"):
        _ratings(tmp_path / "workers.csv", COMMAS[0])


def test_no_image_of_a_test_worker_is_trained_with(tmp_path: Path) -> None:
    """What a test worker rated is for testing, with everybody's ratings of it; the rest for training."""
    parts = split(_ratings(tmp_path / "workers.csv", *COMMAS), {"a": 2.0, "d": 1.5}, ["W2"])
    assert parts.test_ids == ["a"]
    assert parts.test_labels.tolist() == [[0, 0, 0, 1, 1]]
    assert parts.train_ids == ["b", "c", "d"]
    assert parts.train_labels[:2].tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0]]
    assert float(mean(parts.train_labels[2], np.arange(1, 6))) == pytest.approx(1.5)
    assert (parts.test_ratings.user_ids, parts.test_ratings.image_ids) == (("W2",), ("a",))
    assert parts.train_ratings.image_ids == ("b", "c")
    assert len(parts.train_ratings) == 3


def test_means_alone_are_trained_with() -> None:
    """Without ratings by worker there is nothing to test with."""
    parts = split(NO_RATINGS, {"a": 1.0, "b": 5.0}, [])
    assert (parts.train_ids, parts.test_ids) == (["a", "b"], [])
    np.testing.assert_allclose(parts.train_labels, [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], atol=1e-12)


def _whole_set(counts: list[int]) -> Ratings:
    """Ratings by as many workers as there are counts, each of as many images."""
    user = np.repeat(np.arange(len(counts)), counts)
    image = np.arange(len(user))
    return Ratings(
        image_ids=tuple(map(str, image)),
        user_ids=tuple(f"W{number}" for number in range(len(counts))),
        image=image,
        user=user,
        rating=np.full(len(user), 3.0),
        time=np.full(len(user), np.nan),
    )


def test_finds_the_test_workers_of_the_whole_data_set() -> None:
    """They are the 37 who gave 112 to 180 ratings; another number of them is refused, not used."""
    others = [111, 181, 20, 1500]
    ratings = _whole_set([112, *[140] * 35, 180, *others])
    assert standard_test_workers(ratings) == [f"W{number}" for number in range(37)]
    with pytest.raises(LabelError, match=r"Received: 36 such workers\. Name them with --test-workers"):
        standard_test_workers(_whole_set([140] * 36 + others))


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/flickr_aes is not here")
def test_reads_the_published_files() -> None:
    """Every line of the excerpts is read, as whole ratings and as means of some."""
    ratings = read_worker_ratings(REAL / "test_workers.csv", BadRows())
    assert (len(ratings), len(ratings.user_ids)) == (599, 5)
    assert np.bincount(ratings.rating.astype(int)).tolist() == [0, 64, 75, 164, 155, 141]
    means = np.array([*read_means(REAL / "train_means.csv", BadRows()).values()])
    assert len(means) == 299
    assert 1 <= means.min() < means.max() <= 5
