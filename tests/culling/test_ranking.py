"""nimakit.culling.ranking: the best frame of a group, and why."""

import numpy as np
import pytest
from PIL import Image

from made_frames import blurred, frame, picture
from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group
from nimakit.culling.ranking import DEFAULT_WEIGHTS, Weights, fit_weights, rank_group
from nimakit.stats.pairwise import Pairs


def ranked(*frames: Frame, weights: Weights = DEFAULT_WEIGHTS) -> list[tuple[int, tuple[str, ...]]]:
    """Frames best first, with their reasons."""
    group = Group(kind="burst", frames=tuple(range(len(frames))), scene=0)
    return [(one.frame, one.reasons) for one in rank_group(group, frames, weights)]


def noisy(found: Image.Image, sd: float) -> Image.Image:
    """The picture with independent noise."""
    pixels = np.asarray(found, np.float32) + np.random.default_rng(0).normal(
        0, sd, (found.height, found.width, 1)
    )
    return Image.fromarray(np.uint8(pixels.clip(0, 255)))


def test_the_clean_frame_is_best_and_the_reasons_say_what_is_wrong_with_the_others() -> None:
    """Noise does not count as sharpness, and a brighter picture is not better for being brighter."""
    clean = picture(1)
    bright = clean.point([min(255, round(1.5 * level)) for level in range(256)] * 3)
    found = ranked(frame(blurred(clean)), frame(noisy(clean, 14)), frame(clean), frame(bright))
    assert found[0] == (
        2,
        ("sharper than 2 others", "highlights clipped in 1 other", "less noise than 1 other"),
    )
    faults = dict(found[1:])
    assert faults[0] == ("less sharp than the best",)
    assert faults[1] == ("less sharp than the best", "more noise than the best")
    assert faults[3] == ("highlights clipped",)


def test_equal_frames_keep_their_order_without_reasons() -> None:
    """Whatever rounding does."""
    assert ranked(*[frame(1)] * 3) == [(0, ()), (1, ()), (2, ())]


def test_a_person_s_taste_counts_and_an_unknown_score_does_not() -> None:
    """A frame without a score is neither better nor worse for it."""
    found = ranked(frame(1, taste=4.0), frame(1, taste=5.0), frame(1, taste=4.0))
    assert found[0] == (1, ("more to your taste than 2 others",))
    assert ranked(frame(1, score=None), frame(1, score=5.0)) == [(0, ()), (1, ())]


def _chosen_first(times: int) -> Pairs:
    """The first of two frames was chosen so many times."""
    left, right = np.zeros(times, np.intp), np.ones(times, np.intp)
    return Pairs.count(left, right, np.ones(times), np.ones(times), 2)


def test_weights_follow_comparisons_and_stay_at_the_defaults_without() -> None:
    """A photographer who prefers the softer frame of each pair, and accepts any score."""
    sharp, soft = frame(1), frame(blurred(picture(1)))
    none, one, many = (fit_weights([soft, sharp], _chosen_first(count)) for count in (0, 1, 60))
    assert none == DEFAULT_WEIGHTS
    assert many.sharpness < 0 < one.sharpness < DEFAULT_WEIGHTS.sharpness
    assert many.taste == pytest.approx(DEFAULT_WEIGHTS.taste)
    assert ranked(sharp, soft, weights=many)[0][0] == 1
