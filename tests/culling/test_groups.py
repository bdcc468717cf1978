"""nimakit.culling.groups: what belongs together, with EXIF and without."""

import numpy as np
import pytest

from made_frames import blurred, frame, picture
from nimakit.culling.groups import Grouping, group_frames


def members(grouping: Grouping) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and frames of each group."""
    return [(group.kind, group.frames) for group in grouping.groups]


def test_a_burst_is_found_by_likeness_where_there_is_no_exif() -> None:
    """Frames of one picture moved a little, in any order among others; and the basis says so."""
    shoot = picture(1, (200, 200))
    frames = [
        frame(shoot.crop((0, 0, 192, 192)), likeness_to=1),
        frame(2),
        frame(blurred(shoot).crop((8, 5, 200, 197)), likeness_to=1),
        frame(3),
    ]
    grouping = group_frames(frames)
    assert members(grouping) == [("burst", (0, 2)), ("single", (1,)), ("single", (3,))]
    assert grouping.basis == "likeness only: no photograph has a time"


def test_a_burst_is_in_the_order_of_its_times_and_scenes_contain_groups() -> None:
    """A moving subject leaves little to align, and the time decides; an hour later it is another scene."""
    frames = [frame(n, seconds=s, likeness_to=1) for n, s in ((1, 0.6), (2, 0.0), (3, 0.3))]
    frames += [frame(4, seconds=3600, likeness_to=4)]
    grouping = group_frames(frames)
    assert members(grouping) == [("burst", (1, 2, 0)), ("single", (3,))]
    assert grouping.scenes == ((0,), (1,))
    assert grouping.basis == "times and likeness"


def test_a_hundred_frames_of_one_second_are_grouped_by_what_they_show() -> None:
    """Without sub-seconds all have the same time."""
    grouping = group_frames([frame(1, seconds=0), frame(2, seconds=0)] * 50)
    assert [len(group.frames) for group in grouping.groups] == [50, 50]
    assert grouping.groups[0].frames == tuple(range(0, 100, 2))


def test_a_clock_that_jumps_does_not_split_a_burst() -> None:
    """Frames that are nearly equal belong together whatever the clock says."""
    frames = [frame(1, seconds=s, name=str(s)) for s in (0.0, 0.5, -86_400.0, -86_399.5)]
    assert members(group_frames(frames)) == [("burst", (2, 3, 0, 1))]


def test_frames_of_two_cameras_at_once_are_no_burst() -> None:
    """Two photographers at one event; alike enough for one burst of one camera."""
    frames = [frame(n, seconds=0, likeness_to=1, model=f"M{n}") for n in (1, 2)]
    mixed = frames[1].features.copy()
    mixed[::3] = frame(9).features[::3]
    frames[1] = frame(2, seconds=0, model="M2")
    object.__setattr__(frames[1], "features", mixed)
    assert [group.kind for group in group_frames(frames).groups] == ["single", "single"]
    object.__setattr__(frames[1], "shot", frames[0].shot)
    assert [group.kind for group in group_frames(frames).groups] == ["burst"]


@pytest.mark.parametrize("count", [0, 1, 60])
def test_equal_files_are_duplicates(count: int) -> None:
    """However many; one is single, and an empty folder has no group."""
    [one] = [frame(1)]
    grouping = group_frames([one] * count)
    kinds = {0: [], 1: ["single"], 60: ["duplicates"]}
    assert [group.kind for group in grouping.groups] == kinds[count]
    assert sum(len(group.frames) for group in grouping.groups) == count


def test_copies_are_listed_within_a_burst() -> None:
    """A burst of which one frame was copied is still a burst."""
    frames = [frame(1, seconds=0), frame(1, seconds=1, name="b"), frame(1, seconds=0)]
    [group] = group_frames(frames).groups
    assert (group.kind, group.frames, group.copies) == ("burst", (0, 2, 1), ((0, 2),))


def test_a_chain_of_similar_frames_is_not_one_scene() -> None:
    """Each is like its neighbours, and the ends are not like each other."""
    frames = [frame(n) for n in range(12)]
    for n, one in enumerate(frames):
        object.__setattr__(one, "features", (np.arange(n, n + 15) % 15 < 4).astype(np.float32))
    assert 1 < len(group_frames(frames).scenes) < 12
