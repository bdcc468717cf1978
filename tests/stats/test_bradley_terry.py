"""nimakit.stats.bradley_terry: Bradley-Terry scores."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import choix
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels.comparisons import read_comparisons
from nimakit.stats.bradley_terry import Comparisons, Scores, _strong_components, fit, groups

likeliest = partial(fit, prior_sd=None)
REAL = Path(__file__).parents[3] / "shared" / "data" / "calista" / "pairs.csv"


def _comparisons(*chosen: str) -> Comparisons:
    """From words: "ab" is a chosen over b, "a=b" a tie; a is image 0."""
    pairs = [(word[0], word[-1], 0.5 if "=" in word else 1.0) for word in chosen]
    names = sorted({name for pair in pairs for name in pair[:2]})
    return Comparisons(
        image_ids=tuple(names),
        left=np.array([names.index(left) for left, _, _ in pairs]),
        right=np.array([names.index(right) for _, right, _ in pairs]),
        share=np.array([share for _, _, share in pairs]),
    )


def _simulated(scores: np.ndarray, count: int, seed: int) -> Comparisons:
    """Comparisons of random pairs, decided as the model has it."""
    random = np.random.default_rng(seed)
    left = random.integers(0, len(scores), count)
    right = (left + random.integers(1, len(scores), count)) % len(scores)
    chance = 1 / (1 + np.exp(scores[right] - scores[left]))
    return Comparisons(
        image_ids=tuple(map(str, range(len(scores)))),
        left=left,
        right=right,
        share=(random.random(count) < chance).astype(float),
    )


def _by_choix(comparisons: Comparisons) -> np.ndarray:
    """The same scores by another program, which knows no ties: each comparison is made twice."""
    data = []
    for left, right, share in zip(comparisons.left, comparisons.right, comparisons.share, strict=True):
        data += {1.0: [(left, right)] * 2, 0.0: [(right, left)] * 2, 0.5: [(left, right), (right, left)]}[
            share
        ]
    scores = choix.ilsr_pairwise(len(comparisons.image_ids), data, alpha=0, tol=1e-10)
    return np.asarray(scores - scores.mean())


def test_two_images_differ_by_the_log_odds() -> None:
    """Chosen three times of four: log 3, with the standard error of a binomial."""
    scores = likeliest(_comparisons("ab", "ab", "ab", "ba"))
    assert scores.score[0] - scores.score[1] == pytest.approx(np.log(3), abs=1e-5)
    np.testing.assert_allclose(scores.standard_error, 0.5 / np.sqrt(4 * 0.75 * 0.25), rtol=1e-5)
    np.testing.assert_allclose(scores.chance, [0.75, 0.25], atol=1e-6)
    assert scores.left_out == {}


def test_agrees_with_another_program() -> None:
    """Scores are the likeliest ones, ties counting half."""
    comparisons = _comparisons("ab", "ba", "bc", "cb", "cb", "c=a", "ad", "da", "d=c", "ab", "ac")
    np.testing.assert_allclose(likeliest(comparisons).score, _by_choix(comparisons), atol=1e-5)


def test_standard_errors_are_how_far_scores_are_off() -> None:
    """Over repeated experiments, deviations are as large as the errors say."""
    truth = np.linspace(-1, 1, 8)
    fits = [likeliest(_simulated(truth, 800, seed)) for seed in range(40)]
    deviations = np.array([(found.score - truth) / found.standard_error for found in fits])
    assert deviations.std() == pytest.approx(1, abs=0.12)
    assert abs(deviations.mean()) < 0.12


def test_chances_are_means_over_the_others() -> None:
    """The mean chance of being chosen over each of the others; one half over all."""
    scores = likeliest(_comparisons("ab", "ba", "bc", "cb", "cb", "ac"))
    expected = [
        np.mean([1 / (1 + np.exp(other - own)) for j, other in enumerate(scores.score) if j != i])
        for i, own in enumerate(scores.score)
    ]
    np.testing.assert_allclose(scores.chance, expected)
    assert scores.chance.mean() == pytest.approx(0.5)


def _left_out(scores: Scores) -> dict[str, list[int]]:
    return {reason.split(":")[0]: places.tolist() for reason, places in scores.left_out.items()}


def test_leaves_out_what_has_no_finite_score() -> None:
    """Images always or never chosen, alone or as a set, and images never compared with the rest."""
    core = ("ab", "ba", "bc", "cb", "ca")
    scores = likeliest(_comparisons(*core, "da", "de", "ae", "bf", "fg", "gf", "xy", "yx"))
    assert scores.images.tolist() == [0, 1, 2]
    assert _left_out(scores) == {
        "never compared with the others, not even through a third": [7, 8],
        "chosen in every comparison": [3],
        "chosen in no comparison": [4],
        "in a set that was always or never chosen over the others": [5, 6],
    }
    np.testing.assert_allclose(scores.score, likeliest(_comparisons(*core)).score, atol=1e-6)


def test_a_tie_makes_scores_finite() -> None:
    """One choice and one tie: three quarters."""
    assert likeliest(_comparisons("ab", "a=b")).chance[0] == pytest.approx(0.75, abs=1e-6)


def test_a_prior_gives_every_image_a_score() -> None:
    """It is the likeliest with the prior, which pulls to the middle; standard errors stay below its own."""
    comparisons = _comparisons("ab", "ab", "ba", "ca", "xy")
    scores = fit(comparisons, prior_sd=2.0)
    assert scores.images.tolist() == [0, 1, 2, 3, 4]
    assert scores.left_out == {}
    data = list(zip(comparisons.left, comparisons.right, strict=True))
    data = [(left, right) for left, right in data]
    np.testing.assert_allclose(scores.score, choix.opt_pairwise(5, data, alpha=1 / 8), atol=1e-4)
    assert (scores.standard_error < 2).all()
    wide = fit(comparisons, prior_sd=20.0)
    assert wide.score[2] > scores.score[2] > 0


def test_ranks_from_the_first_comparison() -> None:
    """The default prior ranks all images; intervals of ranks say that next to nothing is known."""
    scores = fit(_comparisons("ab", "cd"))
    assert scores.images.tolist() == [0, 1, 2, 3]
    assert scores.score[0] == pytest.approx(-scores.score[1]) == pytest.approx(scores.score[2])
    assert scores.score[0] > 0.5
    assert scores.rank_high.min() >= 3
    assert scores.rank_low.max() <= 2


def test_wins_losses_and_ties_are_counted_by_weight() -> None:
    """Of ranked images only; a tie is neither a win nor a loss."""
    given = _comparisons("ab", "ba", "a=b", "ca")
    given = replace(given, weight=np.array([2.0, 1, 1, 1]))
    scores = fit(given)
    table = np.stack([scores.won, scores.lost, scores.tied], axis=1)
    assert table.tolist() == [[2, 2, 1], [1, 2, 1], [1, 0, 0]]
    assert likeliest(given).lost.tolist() == [1, 2]


def test_refuses_comparisons_that_give_no_scores() -> None:
    """Where nobody was both chosen and not chosen, the message names the remedy."""
    with pytest.raises(LabelError, match="--prior-sd 2"):
        likeliest(_comparisons("ab", "bc", "ac"))


def test_groups_are_what_comparisons_connect() -> None:
    """The largest first, through others too; both ways, a chain of choices must lead back."""
    comparisons = _comparisons("xy", "ab", "bc", "cb")
    assert [group.tolist() for group in groups(comparisons)] == [[0, 1, 2], [3, 4]]
    largest, *others = groups(comparisons, both_ways=True)
    assert largest.tolist() == [1, 2]
    assert sorted(group.tolist() for group in others) == [[0], [3], [4]]


def _table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["left,right,chosen", *rows]) + "\n", encoding="utf-8")
    return path


def test_reads_choices_of_each_form(tmp_path: Path) -> None:
    """By the image's name, by its side, and ties; -1 and tie stand for those unless told otherwise."""
    path = _table(
        tmp_path / "p.csv", "a.jpg,b.jpg,b.jpg", "b.jpg,c.jpg,left", "a.jpg,c.jpg,tie", "c.jpg,a.jpg,-1"
    )
    found = read_comparisons(path, rows=BadRows())
    assert found.image_ids == ("a", "b", "c")
    assert found.left.tolist() == [0, 1, 0, 2]
    assert found.right.tolist() == [1, 2, 2, 0]
    assert found.share.tolist() == [0, 1, 0.5, 0.5]
    rows = BadRows(skip=True)
    assert len(read_comparisons(path, ties=["tie"], rows=rows).share) == 3
    assert "chosen must be 'c.jpg', 'a.jpg' or a tie; received '-1'" in rows.problems[0]


def test_a_comparison_may_count_more_or_less(tmp_path: Path) -> None:
    """By the column weight; 1 without a value. A weight of 0, or one that is no number, is a bad row."""
    path = tmp_path / "p.csv"
    path.write_text("left,right,chosen,weight\na,b,a,0.25\na,c,c,\na,d,a,0\nb,d,b,x\n", encoding="utf-8")
    rows = BadRows(skip=True)
    found = read_comparisons(path, rows=rows)
    assert found.weight is not None
    assert found.weight.tolist() == [0.25, 1]
    assert found.image_ids[:3] == ("a", "b", "c")
    assert "weight must be above 0; received '0'" in rows.problems[0]
    assert "weight must be a number" in rows.problems[1]


def test_an_image_may_be_called_like_a_tie_or_a_side(tmp_path: Path) -> None:
    """The names of the two images come before all else."""
    path = _table(tmp_path / "p.csv", "-1,right,-1", "left,right,left", "right,left,left")
    assert read_comparisons(path, rows=BadRows()).share.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.jpg,b.jpg,c.jpg", "received 'c.jpg'"),
        ("a.jpg,a.jpg,left", "it compares 'a.jpg' with itself"),
        ("a.jpg,b.jpg,", "chosen must not be empty"),
        ("a.jpg,p/a.jpg,left", "it compares 'a' with itself"),
        ("2026,2026.0,left", "it compares '2026' with itself"),
        ("a.png,b.jpg,left", "'a.png' and 'a.jpg' would both be the image_id 'a'"),
    ],
)
def test_refuses_a_bad_row_or_leaves_it_out(tmp_path: Path, row: str, problem: str) -> None:
    """The message has its line and what is wrong with it."""
    path = _table(tmp_path / "p.csv", "a.jpg,b.jpg,left", row)
    with pytest.raises(LabelError, match=f"line 3: .*{problem}"):
        read_comparisons(path, rows=BadRows())
    assert len(read_comparisons(path, rows=BadRows(skip=True)).share) == 1


def test_a_short_number_is_compared_with_itself_where_all_are_numbers(tmp_path: Path) -> None:
    """Next to other names 12.0 is a name, as everywhere."""
    numbers = _table(tmp_path / "numbers.csv", "12,13,left", "12,12.0,left")
    with pytest.raises(LabelError, match="line 3: it compares '12' with itself"):
        read_comparisons(numbers, rows=BadRows())
    names = _table(tmp_path / "names.csv", "a.jpg,12,left", "12,12.0,left")
    assert read_comparisons(names, rows=BadRows()).image_ids == ("a", "12", "12.0")


def test_refuses_a_table_without_a_good_row(tmp_path: Path) -> None:
    """A header alone compares nothing."""
    with pytest.raises(LabelError, match="at least one good row"):
        read_comparisons(_table(tmp_path / "p.csv"), rows=BadRows())


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data/calista is not here")
def test_scores_of_real_votes_agree_with_another_program() -> None:
    """8,267 votes between 100 pages, 219 of them ties."""
    comparisons = read_comparisons(REAL, rows=BadRows())
    assert (len(comparisons.share), (comparisons.share == 0.5).sum()) == (8267, 219)
    scores = likeliest(comparisons)
    assert len(scores.images) == 100
    np.testing.assert_allclose(scores.score, _by_choix(comparisons), atol=1e-5)


@pytest.mark.parametrize("edges", [0, 10, 40, 60, 200])
def test_components_agree_with_scipy(edges: int) -> None:
    """The same nodes together, in sparse graphs and in dense ones."""
    for seed in range(20):
        source, target = np.random.default_rng(seed).integers(0, 40, (2, edges))
        graph = coo_array((np.ones(edges), (source, target)), shape=(40, 40))
        count, expected = connected_components(graph, connection="strong")
        found = _strong_components(source, target, 40)
        assert len({*zip(found.tolist(), expected.tolist(), strict=True)}) == count
        assert sorted(set(found.tolist())) == list(range(count))


def test_long_chains_and_rings_need_no_stack() -> None:
    """A hundred thousand nodes in a row are that many components; closed to a ring they are one."""
    count = 100_000
    chain = np.arange(count)
    assert len(np.unique(_strong_components(chain[:-1], chain[1:], count))) == count
    assert len(np.unique(_strong_components(chain, np.roll(chain, -1), count))) == 1


def test_comparisons_are_told_apart_by_person(tmp_path: Path) -> None:
    """A table may say who chose; weights count as repetitions."""
    path = tmp_path / "p.csv"
    path.write_text("left,right,chosen,user_id\na,b,a,ann\nb,c,c,bob\na,c,tie,ann\n", encoding="utf-8")
    found = read_comparisons(path, rows=BadRows())
    assert found.user_ids == ("ann", "bob")
    own = found.by("ann")
    assert (own.left.tolist(), own.share.tolist()) == ([0, 0], [1.0, 0.5])
    path.write_text("left,right,chosen,user_id\na,b,a,\n", encoding="utf-8")
    with pytest.raises(LabelError, match="user_id must not be empty"):
        read_comparisons(path, rows=BadRows())
    once = _comparisons("ab", "ba")
    weighted = replace(once, weight=np.array([3.0, 1.0]))
    expected = likeliest(_comparisons("ab", "ab", "ab", "ba"))
    np.testing.assert_allclose(likeliest(weighted).score, expected.score, atol=1e-6)
