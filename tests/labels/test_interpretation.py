"""nimakit.labels.interpretation: figures in words."""

import numpy as np
import pytest

from nimakit.labels import interpretation
from nimakit.labels import summary as data_summary
from nimakit.labels.label_file import Labels
from nimakit.stats.histogram import normalise
from rating_samples import make_ratings, simulated


@pytest.mark.parametrize(
    ("reliability", "word"),
    [
        (-0.2, "poor"),
        (0.49, "poor"),
        (0.5, "moderate"),
        (0.75, "good"),
        (0.9, "excellent"),
        (1.0, "excellent"),
    ],
)
def test_grades_reliability(reliability: float, word: str) -> None:
    """As Koo and Li do: the lower bound belongs to the better grade."""
    assert interpretation.grade(reliability) == word


def test_says_the_main_things_first() -> None:
    """Reliability, what it rests on, what is missing, classes, people."""
    summary = data_summary.of_ratings(simulated(images=60, people=40, bias=[-3.0]))
    sentences = interpretation.in_short(summary)
    assert summary.agreement
    assert summary.agreement.one_way
    share = f"{100 * summary.agreement.one_way.single:.0f} %"
    assert sentences[0].startswith("The reliability of the mean ratings is excellent (0.9")
    assert sentences[1].startswith(f"{share} of the variation between single ratings comes from the pictures")
    assert sentences[2].startswith("For a reliability of 0.95 a picture needs ")
    assert "have a mean near 4" in sentences[3]
    assert sentences[4] == "1 of 40 people rate unlike the rest: see below."


def test_says_how_many_ratings_are_missing() -> None:
    """The first goal that is missed is named, with what it takes; goals that are met are not."""
    summary = data_summary.of_ratings(simulated(share=0.15))
    need = next(need for need in summary.needs if need.images_short)
    [sentence] = [text for text in interpretation.in_short(summary) if text.startswith("For a reliability")]
    assert sentence == (
        f"For a reliability of {need.wanted:g} a picture needs {need.ratings_per_image} ratings."
        f" {need.images_short} of {len(summary.pictures.means)} pictures have fewer;"
        f" {need.ratings_missing} more ratings are needed in total."
    )


def test_says_that_noise_is_noise() -> None:
    """Where pictures differ less than people do on one, there is no order to learn, and no number helps."""
    rows = [(i, u, 1.0 + (k + j) % 3) for j, i in enumerate("abc") for k, u in enumerate("xyz")]
    text = " ".join(interpretation.in_short(data_summary.of_ratings(make_ratings(rows))))
    assert "a model finds nothing to learn here" in text
    assert "needs" not in text


def test_advises_to_balance_only_what_is_unbalanced() -> None:
    """A class with less than a tenth of the largest is rare; even classes need no advice."""
    even = Labels(tuple("abcdef"), np.eye(3)[[0, 0, 1, 1, 2, 2]], None)
    uneven = Labels(tuple(f"p{i}" for i in range(30)), np.eye(3)[[0] * 29 + [2]], None)
    even_text, uneven_text = (
        " ".join(interpretation.in_short(data_summary.of_labels(one))) for one in (even, uneven)
    )
    assert "33 % of the pictures have a mean near 1." in even_text
    assert "data balance" not in even_text
    assert "97 % of the pictures have a mean near 1; none is near 2." in uneven_text
    assert "data balance" in uneven_text


def test_says_nothing_of_people_who_share_no_picture() -> None:
    """Nobody is called like or unlike the rest without a comparison."""
    rows = [(f"{user}{number}", user, 1.0 + number) for user in "xy" for number in range(6)]
    summary = data_summary.of_ratings(make_ratings(rows))
    assert not any("people rate" in text for text in interpretation.in_short(summary))
    assert interpretation.agreement_rows(summary) == []


def test_says_how_far_people_agree_with_themselves() -> None:
    """Repeated ratings are summed up in a sentence."""
    rows = [("a", "x", 5.0), ("a", "x", 4.0), ("b", "x", 2.0), ("b", "x", 2.0), ("a", "y", 3.0)]
    text = " ".join(interpretation.in_short(data_summary.of_ratings(make_ratings(rows))))
    assert "(2 times), people gave the same rating in 50 % of cases, and differed by 0.50 points" in text


def test_rows_have_the_figures_of_the_summary() -> None:
    """Each figure stands in its row with three digits; what is not defined is None."""
    summary = data_summary.of_ratings(simulated())
    found = summary.agreement
    assert found
    assert found.split_half
    assert found.one_way
    assert found.two_way
    assert summary.errors is not None
    rows = {row.name: row.value for row in interpretation.agreement_rows(summary)}
    assert rows == {
        "Reliability by split halves": f"{found.split_half.reliability:.3f}",
        "Split-half correlation": f"{found.split_half.correlation:.3f}",
        "ICC(1,k)": f"{found.one_way.average:.3f}",
        "ICC(1)": f"{found.one_way.single:.3f}",
        "ICC(A,k)": f"{found.two_way.agreement.average:.3f}",
        "ICC(C,k)": f"{found.two_way.consistency.average:.3f}",
        "Krippendorff's alpha, ordinal": f"{found.alpha_ordinal:.3f}",
        "Krippendorff's alpha, interval": f"{found.alpha_interval:.3f}",
        "Standard error of a mean": f"{np.median(summary.errors):.2f}",
    }


def test_rows_of_labels_leave_out_what_needs_people() -> None:
    """Neither split halves nor two-way ICCs are listed for a label file."""
    counts = np.random.default_rng(0).integers(1, 9, (20, 5)).astype(float)
    summary = data_summary.of_labels(Labels(tuple(map(str, range(20))), normalise(counts), counts))
    names = [row.name for row in interpretation.agreement_rows(summary)]
    assert not any("halves" in name or "ICC(A" in name or "ICC(C" in name for name in names)
    assert "ICC(1,k)" in names


def test_rows_without_differences_have_no_values() -> None:
    """Where all say the same, only the standard error has a value, which is 0."""
    summary = data_summary.of_ratings(make_ratings([(i, u, 3.0) for i in "abc" for u in "xyz"]))
    values = [row.value for row in interpretation.agreement_rows(summary)]
    assert values == [*[None] * (len(values) - 1), "0.00"]


def test_says_why_somebody_is_unlike_the_rest() -> None:
    """Kinder or harsher by the sign of the bias; every reason that holds."""
    people = data_summary.of_ratings(simulated(images=60, people=40, bias=[-3.0, 3.0])).people
    assert people
    said = {one["user_id"]: interpretation.why_unlike(one) for one in data_summary.unlike_the_rest(people)}
    assert said == {"u0": "far harsher", "u1": "far kinder"}
    both = {"reasons": ["taste", "constant"], "bias": None}
    assert interpretation.why_unlike(both) == "far less in agreement, always the same rating"
