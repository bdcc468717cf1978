"""nimakit.scoring.items: images to score, and their labels."""

import os
from pathlib import Path
from typing import Any

import pytest

from faults import FAULTS, failing
from nimakit.errors import ImageError, UsageError
from nimakit.images.photo import Photo, prepare
from nimakit.labels.label_file import Labels
from nimakit.models.engine import Model, Scorer
from nimakit.models.score import Score
from nimakit.scoring.items import Item, list_items, score_items, to_record
from nimakit.stats.histogram import normalise
from samples import write_photo

LABELS = Labels(image_ids=("b", "none", "a"), histograms=normalise([[1, 2], [1, 1], [3, 1]]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a.jpg, b.png and sub/a.png."""
    (tmp_path / "sub").mkdir()
    for name, level in (("a.jpg", 200), ("b.png", 50), ("sub/a.png", 100)):
        write_photo(tmp_path / name, level)
    return tmp_path


def test_lists_a_folder_by_name(folder: Path) -> None:
    """Without labels every image of the folder is an item, without a path where names are enough."""
    assert list_items(folder) == [
        Item(image_id="a", path=folder / "a.jpg"),
        Item(image_id="b", path=folder / "b.png"),
    ]


def test_tells_repeated_names_apart_by_path(folder: Path) -> None:
    """As soon as one image_id repeats, every item has its path below the source."""
    assert [item.image for item in list_items(folder, recursive=True)] == ["a.jpg", "b.png", "sub/a.png"]


def test_paths_are_text(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is escaped in output, and the file can still be opened."""
    (tmp_path / "sub").mkdir()
    files = [
        Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/caf\xe9.jpg", b"/sub/caf\xe9.jpg")
    ]
    for file in files:
        file.touch()
    items = list_items(tmp_path, recursive=True)
    assert [(item.image_id, item.image, item.path) for item in items] == [
        ("caf%E9", "caf%E9.jpg", files[0]),
        ("caf%E9", "sub/caf%E9.jpg", files[1]),
    ]


def test_takes_the_images_and_the_order_of_the_labels(folder: Path) -> None:
    """Labels choose the images; one without a file stays, without a path."""
    items = list_items(folder, LABELS)
    assert [(item.image_id, item.path) for item in items] == [
        ("b", folder / "b.png"),
        ("none", None),
        ("a", folder / "a.jpg"),
    ]
    assert items[2].label is not None
    assert items[2].label.tolist() == [0.75, 0.25]


def test_takes_the_own_label_of_a_single_photo(folder: Path) -> None:
    """A single photo gets its own label, if it has one."""
    [item] = list_items(folder / "a.jpg", LABELS)
    assert item.label is not None
    assert item.label.tolist() == [0.75, 0.25]
    [item] = list_items(write_photo(folder / "other.jpg"), LABELS)
    assert (item.path, item.label) == (folder / "other.jpg", None)


def test_takes_labels_that_name_images_only(folder: Path) -> None:
    """A list of names chooses images and labels none."""
    [item] = list_items(folder, Labels(image_ids=("b",), histograms=None))
    assert (item.image_id, item.label) == ("b", None)


def test_rejects_a_missing_source(tmp_path: Path) -> None:
    """With and without labels a path that does not exist is refused."""
    for labels in (None, LABELS):
        with pytest.raises(UsageError, match="that exists"):
            list_items(tmp_path / "none.jpg", labels)


def test_scores_items_in_order_and_says_which_have_no_file(folder: Path, tiny: Model) -> None:
    """An image_id without a file gets an error."""
    results = list(score_items(Scorer(tiny), list_items(folder, LABELS)))
    assert [item.image_id for item, _ in results] == ["b", "none", "a"]
    dark, missing, bright = (result for _, result in results)
    assert isinstance(missing, ImageError)
    assert "no image with this image_id" in str(missing)
    assert isinstance(dark, Score)
    assert isinstance(bright, Score)
    assert dark.mean < bright.mean


def test_records_carry_the_path_only_where_names_repeat() -> None:
    """A record has an image_id, then its scores or its error."""
    item = Item(image_id="a", path=None, image="sub/a.jpg")
    assert to_record(item, ImageError("broken")) == {"image_id": "a", "image": "sub/a.jpg", "error": "broken"}
    record = to_record(Item(image_id="a", path=None), Score(5.0, None, None, None))
    assert list(record) == ["image_id", "mean_score_prediction", "sd_score_prediction", "predictions"]


@pytest.mark.parametrize("fault", ["memory", "disk"])
def test_a_batch_goes_on_where_the_machine_failed(folder: Path, tiny: Model, fault: str) -> None:
    """Each image says why it has no score, and has one the next time."""
    items = list_items(folder)
    with failing(fault):
        results = [result for _, result in score_items(Scorer(tiny), items)]
    assert all(isinstance(result, ImageError) and FAULTS[fault][1] in str(result) for result in results)
    assert all(isinstance(result, Score) for _, result in score_items(Scorer(tiny), items))


def test_an_image_whose_views_do_not_fit_into_memory_is_one_of_its_batch(
    folder: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other images are scored."""

    def fail(photo: Photo, *args: Any) -> Any:
        if photo.pixels.getpixel((0, 0)) == (50, 50, 50):
            raise MemoryError
        return prepare(photo, *args)

    monkeypatch.setattr("nimakit.models.preparation.prepare", fail)
    first, second = (result for _, result in score_items(Scorer(tiny), list_items(folder)))
    assert isinstance(first, Score)
    assert "not enough memory" in str(second)
