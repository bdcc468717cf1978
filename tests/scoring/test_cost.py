"""nimakit.scoring.cost: the time of each step."""

from pathlib import Path

import pytest

from nimakit.images.photo import MAX_PIXELS, Preprocessing
from nimakit.models.preparation import Views
from nimakit.scoring import cost
from samples import write_photo

_WANTED = Preprocessing(height=8, width=8, resize_filter="bilinear", fit="squash")


def test_steps_are_timed_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the median, without the first run; an image that cannot be decoded is left out."""
    good, bad = write_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg"
    bad.write_bytes(b"broken")
    clock = [0.0]
    monkeypatch.setattr("nimakit.scoring.cost.time.perf_counter", lambda: clock[0])
    runs: list[float] = [5.0, 2.0, 3.0, 2.0]

    def features(views: Views) -> object:
        assert views[_WANTED].shape == (1, 8, 8, 3)
        clock[0] += runs.pop(0)
        return "features"

    def head(given: object) -> None:
        assert given == "features"
        clock[0] += 0.5

    steps = cost.Steps(preprocessings=(_WANTED,), features=features, head=head)
    [found] = cost.measure([steps], [good, bad, good, good], max_pixels=MAX_PIXELS)
    assert found == cost.Cost(preparation=0.0, features=2.0, head=0.5)
    assert found is not None
    assert found.total == 2.5
    assert cost.measure([steps], [bad], max_pixels=MAX_PIXELS) == [None]


def test_a_model_has_its_head_in_its_network(tmp_path: Path) -> None:
    """So the head has no time of its own."""
    photo = write_photo(tmp_path / "a.jpg")
    steps = cost.Steps(preprocessings=(_WANTED,), features=len)
    [found] = cost.measure([steps], [photo], max_pixels=MAX_PIXELS)
    assert found is not None
    assert found.head is None
    assert found.total == found.preparation + found.features
