"""nimakit.datasets.posts.rating_text: ratings in running text."""

import csv
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from nimakit.datasets.posts.rating_text import find_rating
from nimakit.errors import AmbiguousRatingError, UnratedError

POSTS = Path(__file__).parents[4] / "shared" / "data" / "room_rater" / "posts.csv"


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Depth. Love the chair. 8/10 @name", 8),
        ("Getting closer to the reveal...10/10", 10),
        ("Debuts with 10/10.@name", 10),
        ("Rough night? 0/10", 0),
        ("8.5/10", 8.5),
        ("8,5/10, almost", 8.5),
        ("only .5/10", 0.5),
        ("color.5/10", 5),
        ("8½/10", 8.5),
        ("8 / 10", 8),
        ("8⁄10, 8∕10", 8),  # noqa: RUF001
        ("８／１０", 8),  # noqa: RUF001
        ("8️⃣/🔟", 8),
        ("8\u200b/10\u2069", 8),
        ("8\u00a0/\u202f10", 8),
        ("8 out of 10", 8),
        ("I say 8 Out Of 10. Nice.", 8),
        ("11/10", 11),
        ("Light \N{EM DASH}8/10", 8),
        ("Pillows-8/10", 8),
        ("Pillows - 8/10", 8),
        ("10/10? Yes, 10/10!", 10),
        ("Shots in arms 24/7. 9/10", 9),
        ("April 2020/Feb 2021. Better. 9/10", 9),
        ("Born 10/10/1990. 7/10", 7),
        ("One of our original 10/10s. Still 9/10", 9),
        ("3-6 inches of snow but raise camera 18. 4/10", 4),
        ("Fix the glare so 9/10 but will go 10", 9),
        ("3/10 https://t.co/8/10", 3),
        ("#8/10", 8),
    ],
)
def test_finds_the_rating(text: str, rating: float) -> None:
    """Decimals, spaces, signs that look alike, and neighbours that are other numbers."""
    assert find_rating(text) == rating


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Happy Birthday, born on this day in 1964.",
        "Young. 0/07",
        "Digital backdrops get a 0/0",
        "7/20",
        "R/10",
        "24/7",
        "10/10/2021 and 2021/10/10",
        "We've lost count of the 10/10s",
        "8/100 and 8/10.5",
        "A8/10",
        "8/10th",
        "8 out of 10 people agree",
        "https://example.org/8/10",
    ],
)
def test_a_text_may_have_none(text: str) -> None:
    """Dates, other fractions, plurals and links are no ratings."""
    with pytest.raises(UnratedError, match="no rating out of 10 in the text") as caught:
        find_rating(text)
    assert not isinstance(caught.value, AmbiguousRatingError)


@pytest.mark.parametrize(
    "text",
    ["on 9/10", "Since 10/10 it is", "8-9/10", "8 – 9/10", "7/10-9/10", "9/10/Feb", "07/10", "so bad: -3/10"],  # noqa: RUF001
)
def test_a_rating_in_doubt_is_none(text: str) -> None:
    """What may be a date, a range or a negative number is not guessed at."""
    with pytest.raises(AmbiguousRatingError, match="may be a date, a range or a negative number"):
        find_rating(text)


def test_several_different_ratings_are_named() -> None:
    """Which of them is the picture's, nobody can tell."""
    with pytest.raises(AmbiguousRatingError, match=r"several ratings: 1/10, 10/10$"):
        find_rating("The room is 1/10 but the tee is 10/10. Yes, 10/10")


def test_says_what_it_saw_instead() -> None:
    """A fraction of something else is a likely slip, which its owner may mend."""
    with pytest.raises(UnratedError, match=r", but 9/0, 24/7$"):
        find_rating("Add vase. 9/0, 24/7")


def test_takes_another_scale() -> None:
    """Out of five, an 8/10 is no rating."""
    assert find_rating("4.5/5, or 9/10", out_of=5) == 4.5


@pytest.mark.skipif(not POSTS.is_file(), reason="../shared/data/room_rater is not here")
def test_reads_real_posts() -> None:
    """Of 1,058 posts, 917 hold n/10; 909 of these are one rating, two count ratings, six leave a doubt."""
    found = Counter[str]()
    with POSTS.open(encoding="utf-8", newline="") as file:
        for post in csv.DictReader(file):
            try:
                found[f"{find_rating(post['tweet_text']):g}"] += 1
            except UnratedError as error:
                found[type(error).__name__] += 1
    assert found == {
        **{
            "0": 27,
            "1": 3,
            "2": 9,
            "3": 13,
            "4": 16,
            "5": 9,
            "6": 24,
            "7": 70,
            "8": 176,
            "9": 202,
            "10": 360,
        },
        "UnratedError": 143,
        "AmbiguousRatingError": 6,
    }


@pytest.mark.parametrize("piece", ["1", "1.", "1/", "1 ", "1/10 ", "on 9/9 ", "/", "1 out of "])
def test_takes_no_longer_for_a_hostile_text(piece: str) -> None:
    """A text of a hundred thousand characters is read in one go, never again from each of its characters."""
    started = time.process_time()
    with suppress(UnratedError):
        find_rating(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
