"""nimakit.labels.filtering: which images stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import UsageError
from nimakit.labels.filtering import Criteria, RatingRange, dropped, parse_range
from nimakit.labels.label_file import Labels
from nimakit.stats import histogram

COUNTS = np.array([[9.0, 0, 0], [0, 2, 0], [0, 0, 9], [3, 3, 3]])  # means 1, 2, 3, 2
LABELS = Labels(("a", "b", "c", "d"), histogram.normalise(COUNTS), COUNTS)
TAGS: tuple[set[str], ...] = ({"sky"}, {"sky", "sea"}, set(), {"sea"})


@pytest.mark.parametrize(
    ("criteria", "reasons"),
    [
        ({"keep": {"a", "x"}}, {"not_in_keep": "bcd"}),
        ({"drop": {"a", "x"}}, {"in_drop": "a"}),
        ({"drop": set()}, {"in_drop": ""}),
        ({"min_raters": 9}, {"too_few_raters": "b"}),
        ({"keep_ratings": [RatingRange(1, 1), RatingRange(2.5, 3)]}, {"not_in_keep_ratings": "bd"}),
        ({"drop_ratings": [RatingRange(2, 3)]}, {"in_drop_ratings": "bcd"}),
        ({"drop_ratings": [RatingRange(0, 0)], "bins": np.arange(3.0)}, {"in_drop_ratings": "a"}),
        ({"with_tags": ["sea"]}, {"without_tag": "ac"}),
        ({"without_tags": ["sea", "sky"]}, {"with_dropped_tag": "abd"}),
        (
            {"drop": {"a"}, "min_raters": 9, "without_tags": ["sky"]},
            {"in_drop": "a", "too_few_raters": "b", "with_dropped_tag": ""},
        ),
    ],
)
def test_says_why_each_image_goes(criteria: dict[str, Any], reasons: dict[str, str]) -> None:
    """Each image that goes has the first reason that drops it."""
    found = dropped(LABELS, Path("labels.json"), Criteria(tags=TAGS, **criteria))
    names = np.array(LABELS.image_ids)
    assert {reason: "".join(names[chosen]) for reason, chosen in found.items()} == reasons


@pytest.mark.parametrize("criteria", [{"min_raters": 2}, {"keep_ratings": [RatingRange(1, 2)]}])
def test_refuses_to_judge_labels_that_are_not_there(criteria: dict[str, Any]) -> None:
    """A file of names has no ratings."""
    with pytest.raises(UsageError, match=r"labels\.json, which only names images"):
        dropped(Labels(("a",), None), Path("labels.json"), Criteria(**criteria))


@pytest.mark.parametrize("text", ["5", "6:4", "a:b", "nan:1", "1:2:3", ""])
def test_refuses_a_text_that_is_no_span(text: str) -> None:
    """A span has a colon, and its ends in order."""
    with pytest.raises(UsageError, match="LOW:HIGH"):
        parse_range(text)
