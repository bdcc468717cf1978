"""nimakit.culling.selection: a diverse best N, and stars."""

import numpy as np
import pytest

from nimakit.culling.selection import Keep, diverse, select, stars_by_rank
from plain_frames import frame, group, ranked


def _scenes(sizes: tuple[int, ...]) -> np.ndarray:
    """(N, D) float32 features of scenes: alike within a scene, unlike between scenes."""
    random = np.random.default_rng(0)
    centres = np.eye(16, dtype=np.float32)[: len(sizes)].repeat(sizes, axis=0)
    return centres + random.normal(size=centres.shape).astype(np.float32) / 10


def test_forty_keepers_are_not_forty_of_one_scene() -> None:
    """The best scene alone would fill all places by score; every scene has several of its best instead."""
    scene = np.arange(4).repeat(50)
    scores = np.random.default_rng(1).normal(size=200) / 2 + np.array([3.0, 1, 1, 1])[scene]
    features = _scenes((50,) * 4)
    by_score, _ = diverse(scores, features, 40, diversity=0)
    assert np.bincount(scene[by_score], minlength=4).tolist() == [40, 0, 0, 0]
    chosen, nearest = diverse(scores, features, 40)
    counts = np.bincount(scene[chosen], minlength=4)
    assert counts.min() >= 4
    assert counts.argmax() == 0
    assert len(set(chosen.tolist())) == 40
    assert (scene[nearest] == scene).all()
    for number in range(4):  # the best of each scene, apart from small differences in likeness
        own = scores[scene == number]
        assert scores[chosen[scene[chosen] == number]].max() == own.max()


def test_equal_scores_and_equal_pictures_are_chosen_in_order() -> None:
    """A folder of identical pictures has no best one, and nothing is divided by zero."""
    chosen, _ = diverse(np.ones(4), np.ones((4, 3), np.float32), 3)
    assert chosen.tolist() == [0, 1, 2]


def test_stars_follow_quotas_and_equal_scores_have_equal_stars() -> None:
    """Of 20 pictures one has five stars; a single picture is average; ties share their middle."""
    stars = stars_by_rank(np.arange(20.0), (5, 15, 30, 30, 20))
    assert np.bincount(stars, minlength=6).tolist() == [0, 4, 6, 6, 3, 1]
    assert stars[-1] == 5
    assert stars_by_rank(np.array([7.0]), (5, 15, 30, 30, 20)).tolist() == [3]
    assert stars_by_rank(np.array([7.0, 7.0, 7.0]), (5, 15, 30, 30, 20)).tolist() == [3, 3, 3]


def test_without_a_number_the_best_of_every_group_is_kept() -> None:
    """A burst keeps its best frame, a bracket all frames; only what is kept has stars."""
    frames = [frame("a", 5), frame("b", 6), frame("c", 4), frame("d", 7), frame("e", 7)]
    groups = [group(0, 1), group(2), group(3, 4, kind="bracket")]
    found = select(frames, groups, [ranked(0, 1), ranked(2), ranked(4, 3)])
    assert set(found.kept) == {0, 2, 3, 4}
    assert found.stars == (4, None, 3, 5, 5)
    assert [choice.best for choice in found.choices] == [0, 2, 4]
    assert found.choices[2].frames == (4, 3)
    assert [choice.place for choice in found.choices] == [2, 3, 1]


def test_a_group_with_a_higher_score_gives_way_to_one_that_differs() -> None:
    """It says which kept picture it is like; one with a lower score needs no such reason."""
    frames = [
        frame("a", 9, (1, 0)),
        frame("b", 8.9, (1, 0.01)),
        frame("c", 8, (0, 1)),
        frame("d", 1, (-1, 0)),
    ]
    found = select(
        frames, [group(n) for n in range(4)], [ranked(n) for n in range(4)], keep=Keep(count=2), diversity=2
    )
    assert found.kept == (0, 2)
    assert [choice.like for choice in found.choices] == [None, 0, None, None]


@pytest.mark.parametrize("keep", [Keep(count=1), Keep(share=0.25), Keep(share=0.01)])
def test_a_set_counts_as_one_and_is_kept_whole(keep: Keep) -> None:
    """One of four frames is kept, and the best is a panorama: all of its frames are."""
    frames = [frame("a", 5), frame("b", 9), frame("c", 8), frame("d", 4)]
    groups = [group(0), group(1, 2, kind="panorama"), group(3)]
    found = select(frames, groups, [ranked(0), ranked(1, 2), ranked(3)], keep=keep)
    assert found.kept == (1, 2)


def test_every_picture_has_stars_if_shares_are_given() -> None:
    """A frame that another of its group beats has one star, whatever its score; taste comes before score."""
    frames = [frame("a", 5), frame("b", 9), frame("c", 5, taste=9), frame("d", None)]
    groups = [group(0, 1), group(2), group(3)]
    found = select(
        frames, groups, [ranked(0, 1), ranked(2), ranked(3)], keep=Keep(count=1), star_shares=(34, 33, 33)
    )
    assert found.kept == (2,)
    assert found.stars == (3, 1, 5, 4)


def test_no_readable_picture_gives_nothing() -> None:
    """An empty shoot is not an error here: the command has listed what failed."""
    assert select([], [], []).kept == ()
