"""nimakit.culling.alignment: how two photographs overlap."""

import pytest

from made_frames import blurred, frame, picture
from nimakit.culling.alignment import Overlaps


@pytest.mark.parametrize(("left", "top"), [(0, 0), (48, 0), (12, 96), (96, 24)])
def test_the_shift_of_the_view_is_found(left: int, top: int) -> None:
    """Also if one of the two is darker and out of focus."""
    wide = picture(5, (288, 288))
    first = frame(wide.crop((0, 0, 192, 192)))
    darker = blurred(wide, 1).point([level // 2 for level in range(256)] * 3)
    second = frame(darker.crop((left, top, left + 192, top + 192)))
    found = Overlaps([one.appearance.thumbnail for one in (first, second)]).between(0, 1)
    assert (found.right, found.down) == pytest.approx((left / 192, top / 192), abs=0.011)
    assert found.agreement > 0.8


def test_different_pictures_do_not_agree_and_even_ones_agree_with_nothing() -> None:
    """A clear sky is no proof of anything."""
    grey = picture(1).point([128] * 768)
    shoot = [frame(1), frame(2), frame(grey), frame(grey)]
    overlaps = Overlaps([one.appearance.thumbnail for one in shoot])
    assert overlaps.between(0, 1).agreement < 0.5
    assert overlaps.between(2, 3).agreement == pytest.approx(0, abs=0.01)
