"""nimakit.culling.series: brackets, focus stacks and panoramas, which are never thinned."""

import numpy as np
import pytest
from PIL import Image

from made_frames import blurred, frame, picture
from nimakit.culling.frames import Frame
from nimakit.culling.groups import group_frames


def kinds(frames: list[Frame]) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and frames of each group."""
    return [(group.kind, group.frames) for group in group_frames(frames).groups]


def exposed(stops: float) -> Image.Image:
    """One scene, darker or brighter."""
    return picture(1).point([min(255, round(level * 2 ** (stops / 2.2))) for level in range(256)] * 3)


def test_brackets_in_a_row_are_told_apart() -> None:
    """Two of three exposures each, then a burst of equal ones."""
    biases = [0, -2, 2, 0, -2, 2, 0, 0]
    frames = [
        frame(exposed(bias), name=str(n), seconds=0.4 * n, exposure_bias=bias)
        for n, bias in enumerate(biases)
    ]
    assert kinds(frames) == [("bracket", (0, 1, 2)), ("bracket", (3, 4, 5)), ("burst", (6, 7))]


def test_a_bracket_in_manual_mode_is_known_by_its_settings() -> None:
    """Its compensation is 0 throughout, and the exposure time changes."""
    frames = [
        frame(
            exposed(n - 1), name=str(n), seconds=n, exposure_bias=0, aperture=8, iso=100, exposure_s=2**n / 60
        )
        for n in range(3)
    ]
    assert kinds(frames) == [("bracket", (0, 1, 2))]


@pytest.mark.parametrize(("is_bracketed", "kind"), [(True, "bracket"), (False, "burst")])
def test_two_exposures_are_a_bracket_if_the_camera_says_so(is_bracketed: bool, kind: str) -> None:
    """Otherwise the photographer has corrected the exposure, and one of the two is better."""
    frames = [
        frame(exposed(n), name=str(n), seconds=n, exposure_bias=float(n), is_bracketed=is_bracketed)
        for n in range(2)
    ]
    assert kinds(frames) == [(kind, (0, 1))]


def focused(at: float) -> Image.Image:
    """A scene that is sharp in a band at a height, and blurred elsewhere."""
    sharp, soft = (np.asarray(p, np.float32) for p in (picture(1), blurred(picture(1), 3)))
    height = np.linspace(0, 1, len(sharp))[:, None, None]
    share = (np.abs(height - at) * 4 - 0.5).clip(0, 1)
    return Image.fromarray(np.uint8(sharp * (1 - share) + soft * share))


def test_a_focus_stack_is_known_by_where_it_is_sharp() -> None:
    """The same frames out of focus altogether are a burst, of which one is best."""
    stack = [frame(focused(at), name=str(at), seconds=at) for at in (0.1, 0.5, 0.9)]
    assert kinds(stack) == [("focus stack", (0, 1, 2))]
    soft = [frame(blurred(picture(1), n), name=str(n), seconds=n) for n in range(3)]
    assert kinds(soft) == [("burst", (0, 1, 2))]


def test_a_focus_stack_is_known_by_its_distances() -> None:
    """Where the EXIF has them."""
    frames = [frame(1, name=str(n), seconds=n, focus_distance_m=1 + n / 10) for n in range(4)]
    assert kinds(frames) == [("focus stack", (0, 1, 2, 3))]


@pytest.mark.parametrize("seconds", [4.0, None])
def test_a_panorama_is_known_by_frames_that_overlap(seconds: float | None) -> None:
    """From left to right, in the order of times or of names; its frames need not look alike."""
    wide = picture(1, (480, 192))
    frames = [
        frame(
            wide.crop((left, 0, left + 192, 192)),
            name=str(left),
            seconds=None if seconds is None else n * seconds,
            likeness_to=n,
        )
        for n, left in enumerate((0, 90, 180, 270))
    ]
    assert kinds(frames) == [("panorama", (0, 1, 2, 3))]
    there_and_back = [frames[0], frames[1], frames[0]]
    assert "panorama" not in [kind for kind, _ in kinds(there_and_back)]
