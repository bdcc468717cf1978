"""nimakit.culling.shoot: from frames to decisions."""

from pathlib import Path

from made_frames import blurred, frame, picture
from nimakit.culling.frames import Reading
from nimakit.culling.marks import Mark
from nimakit.culling.selection import Keep
from nimakit.culling.shoot import Rules, cull


def test_a_bracket_is_kept_whole_and_a_burst_by_its_best_frame() -> None:
    """The frames of a bracket keep their order and have no reasons: none is better; all have its stars."""
    exposures = [
        picture(1).point([min(255, level * 2**n // 4) for level in range(256)] * 3) for n in range(3)
    ]
    frames = [
        frame(found, name=f"bracket{n}", seconds=n, exposure_bias=2.0 * n - 2, score=6 - n)
        for n, found in enumerate(exposures)
    ]
    burst = [blurred(picture(2)), picture(2)]
    frames += [
        frame(found, name=f"burst{n}", seconds=1000 + 0.2 * n, likeness_to=2) for n, found in enumerate(burst)
    ]
    rules = Rules(keep=Keep(count=2), rejects=True)
    culled = cull(Path(), Reading(frames=tuple(frames), failures={}), rules)
    assert [group.kind for group in culled.grouping.groups] == ["bracket", "burst"]
    assert [ranked.frame for ranked in culled.rankings[0]] == [0, 1, 2]
    assert not any(ranked.reasons for ranked in culled.rankings[0])
    assert [path.name for path in culled.kept] == [*(f"bracket{n}.jpg" for n in range(3)), "burst1.jpg"]
    assert culled.selection.stars == (4, 4, 4, None, 3)
    assert [mark for mark in culled.marks() if mark.rating == -1] == [
        Mark(path=Path("burst0.jpg"), rating=-1, pick=False)
    ]
