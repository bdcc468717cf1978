"""nimakit.nn.training.training_data: what a job learns from, made ready."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_backbone
from nimakit.config import TrainConfig
from nimakit.errors import ImageError
from nimakit.images.photo import Preprocessing, open_photo, prepare
from nimakit.nn.training.batches import Batches
from nimakit.nn.training.training_data import LabelledPhotos, TrainingData
from nimakit.stats.histogram import default_bins, normalise
from samples import random_pixels

HEIGHT, WIDTH = 32, 40
SIZE = Preprocessing(height=HEIGHT, width=WIDTH, resize_filter="nearest", fit="squash")
TRAINING, VALIDATION = [1, 2, 4, 5, 7, 8], [0, 3, 6]
COUNT = 9
CONFIG = TrainConfig(base_model_name="Small", batch_size=4, random_crop=0.8, dropout_rate=0)

Make = Callable[..., TrainingData]


def _preprocess(pixels: Any) -> Any:
    return pixels / 255


@pytest.fixture
def photographs(tmp_path: Path) -> LabelledPhotos:
    """Nine pictures of noise, six to learn from and three to validate with."""
    paths = [tmp_path / f"{index}.png" for index in range(COUNT)]
    for index, path in enumerate(paths):
        Image.fromarray(random_pixels(60, 70, index)).save(path)
    labels = normalise(np.random.default_rng(0).random((COUNT, 5)) ** 2)
    return LabelledPhotos(
        paths=paths, labels=labels, bins=default_bins(5), training=TRAINING, validation=VALIDATION
    )


@pytest.fixture
def make(photographs: LabelledPhotos, tmp_path: Path) -> Iterator[Make]:
    """Makes the photographs ready; keys of the config may be changed."""
    made: list[TrainingData] = []
    (tmp_path / "scratch").mkdir()

    def ready(
        *, allow_missing: bool = False, messages: list[str] | None = None, given: Any = None, **changes: Any
    ) -> TrainingData:
        made.append(
            TrainingData(
                given or photographs,
                dataclasses.replace(CONFIG, **changes),
                SIZE,
                _preprocess,
                scratch=tmp_path / "scratch",
                allow_missing=allow_missing,
                notify=([] if messages is None else messages).append,
            )
        )
        return made[-1]

    yield ready
    for material in made:
        material.close()


def _all(batches: Batches, material: TrainingData, *, training: bool) -> tuple[np.ndarray[Any, Any], ...]:
    """Inputs and targets of an epoch, one after the other."""
    data = batches.training(_preprocess) if training else batches.validation(_preprocess)
    inputs, targets = zip(*((x.numpy(), y.numpy()) for x, y in data), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


def _prepared(photographs: LabelledPhotos, indices: list[int], size: Preprocessing = SIZE) -> Any:
    return np.stack([prepare(open_photo(photographs.paths[index]), size) for index in indices]) / 255


def test_crops_lie_in_larger_pictures_and_keep_their_labels(make: Make, photographs: LabelledPhotos) -> None:
    """Training pictures are kept as much larger as the crop asks for; each view has its own label."""
    material = make(random_flip=False)
    training, _ = material.crop_batches()
    inputs, targets = _all(training, material, training=True)
    assert (inputs.shape, len(training)) == ((6, HEIGHT, WIDTH, 3), 2)
    larger = _prepared(photographs, TRAINING, dataclasses.replace(SIZE, height=40, width=50))
    for view, target in zip(inputs, targets, strict=True):
        [place] = [p for p, i in enumerate(TRAINING) if np.allclose(photographs.labels[i], target)]
        windows = np.lib.stride_tricks.sliding_window_view(larger[place], view.shape)
        assert np.isclose(windows, view, atol=1e-6).all(axis=(-3, -2, -1)).any()


def test_validates_with_whole_pictures(make: Make, photographs: LabelledPhotos) -> None:
    """What validation sees is what scoring sees."""
    material = make()
    _, validation = material.crop_batches()
    assert validation is not None
    inputs, targets = _all(validation, material, training=False)
    np.testing.assert_allclose(inputs, _prepared(photographs, VALIDATION), atol=1e-6)
    np.testing.assert_allclose(targets, photographs.labels[VALIDATION], rtol=1e-6)


def test_nothing_is_validated_where_nothing_is_kept_back(make: Make, photographs: LabelledPhotos) -> None:
    """There are no batches for it."""
    given = dataclasses.replace(photographs, training=range(COUNT), validation=[])
    material = make(given=given, epochs_train_all=0)
    assert material.crop_batches()[1] is None
    assert len(material.targets()) == COUNT


def test_features_are_of_whole_pictures_and_mirror_images(make: Make, photographs: LabelledPhotos) -> None:
    """Those to learn from have both views, those to validate with one; crops to come change nothing."""
    backbone = small_backbone.construct(input_shape=(HEIGHT, WIDTH, 3))
    pictures = _prepared(photographs, TRAINING).astype(np.float32)
    cases: list[tuple[dict[str, Any], int]] = [({}, 2), ({"epochs_train_all": 0, "random_flip": False}, 1)]
    for changes, views in cases:
        material = make(**changes)
        _, validation, known = material.feature_batches(backbone)
        assert known.values.shape == (6, views, 16)
        np.testing.assert_allclose(known.values[:, 0], np.asarray(backbone(pictures)), atol=1e-5)
        if views == 2:
            mirrored = np.asarray(backbone(pictures[:, :, ::-1]))
            np.testing.assert_allclose(known.values[:, 1], mirrored, atol=1e-5)
        assert validation is not None
        expected = np.asarray(backbone(_prepared(photographs, VALIDATION).astype(np.float32)))
        found = np.concatenate([x.numpy() for x, _ in validation.validation(lambda inputs: inputs)])
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_score_is_learned_from_mean_ratings(make: Make, photographs: LabelledPhotos) -> None:
    """A regression head's target is one number on the scale of the bins."""
    targets = make(head="regression").targets()
    expected = photographs.labels[TRAINING] @ np.arange(1, 6)
    np.testing.assert_allclose(targets, expected[:, None], rtol=1e-6)


def test_rare_ratings_are_drawn_as_often_as_common_ones(make: Make, photographs: LabelledPhotos) -> None:
    """With balance_ratings, the one picture people liked is half of what is learned from."""
    labels = np.tile([0.0, 1, 0, 0, 0], (COUNT, 1))
    labels[TRAINING[2]] = [0, 0, 0, 0, 1]
    drawn = {}
    for balanced in (True, False):
        given = dataclasses.replace(photographs, labels=labels, training=TRAINING * 50)
        material = make(given=given, balance_ratings=balanced, batch_size=300)
        _, targets = _all(material.crop_batches()[0], material, training=True)
        drawn[balanced] = float(targets[:, 4].mean())
    assert drawn[True] == pytest.approx(0.5, abs=0.1)
    assert drawn[False] == pytest.approx(1 / 6)


@pytest.fixture
def damaged(photographs: LabelledPhotos) -> list[Path]:
    """Two pictures that end in the middle: one to learn from, one to validate with."""
    paths = [photographs.paths[TRAINING[1]], photographs.paths[VALIDATION[2]]]
    for path in paths:
        path.write_bytes(path.read_bytes()[:300])
    return paths


def test_refuses_damaged_pictures_all_by_name(make: Make, damaged: list[Path]) -> None:
    """Before anything is trained."""
    with pytest.raises(ImageError, match=r"^2 photographs cannot be decoded: .*--allow-missing") as caught:
        make()
    assert all(str(path) in str(caught.value) for path in damaged)


def test_leaves_damaged_pictures_out_where_allowed(
    make: Make, damaged: list[Path], photographs: LabelledPhotos
) -> None:
    """Neither crops nor features nor targets have them, and they are named."""
    messages: list[str] = []
    material = make(allow_missing=True, messages=messages)
    assert "left out 2 photographs that cannot be decoded" in messages[0]
    assert all(str(path) in messages[0] for path in damaged)
    left = [TRAINING[0], *TRAINING[2:]]
    np.testing.assert_allclose(material.targets(), photographs.labels[left], rtol=1e-6)
    backbone = small_backbone.construct(input_shape=(HEIGHT, WIDTH, 3))
    dense, validation, known = material.feature_batches(backbone)
    targets = np.concatenate([y.numpy() for _, y in dense.validation(lambda inputs: inputs)])
    np.testing.assert_allclose(targets, photographs.labels[left], rtol=1e-6)
    expected = np.asarray(backbone(_prepared(photographs, left).astype(np.float32)))
    np.testing.assert_allclose(known.values[:, 0], expected, atol=1e-5)
    training, _ = material.crop_batches()
    _, targets = _all(training, material, training=True)
    assert sorted(targets[:, 0]) == pytest.approx(sorted(photographs.labels[left, 0]))
    assert validation is not None
    assert len(validation) == 1


def test_refuses_a_job_all_of_whose_pictures_are_damaged(make: Make, photographs: LabelledPhotos) -> None:
    """Nothing to learn from is an error, whatever may be left out; twenty are named."""
    for index in range(COUNT):
        photographs.paths[index].write_bytes(b"")
    many = dataclasses.replace(photographs, training=[1] * 30, validation=[])
    with pytest.raises(ImageError, match=r"30 photographs cannot be decoded: .*; and others") as caught:
        make(given=many, allow_missing=True)
    assert str(caught.value).count(str(photographs.paths[1])) == 20


MEMORY = """
import json, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from nimakit.config import TrainConfig
from nimakit.images.photo import Preprocessing
from nimakit.nn.training import pixels
from nimakit.nn.training.training_data import LabelledPhotos, TrainingData
from nimakit.scoring import items as scoring_items
from nimakit.training.labelled_set import _available, split
from nimakit.stats.histogram import default_bins

folder = Path(sys.argv[1])

def peak():  # of this process: ru_maxrss would include the peak of its parent
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

# There are no files: of the pictures only how they are kept is of interest, and a black one stands for each.
scoring_items.match_images = lambda names, image_dir, **_: {name: image_dir / f"{name}.jpg" for name in names}
size = Preprocessing(height=224, width=224, resize_filter="nearest", fit="squash")
black = np.zeros((256, 256, 3), np.uint8)
pixels.PixelCache._decode = lambda self, index: black[: self.preprocessing.height, : self.preprocessing.width]
before = peak()
items = _available(folder / "labels.json", {"image_dir": str(folder), "allow_missing": False}, None)
parts = split(len(items), 0.05, 0)
photographs = LabelledPhotos(
    paths=[item.path for item in items],
    labels=np.stack([item.label for item in items]),
    bins=default_bins(10),
    **parts,
)
known = peak()
config = TrainConfig(base_model_name="Small", batch_size=8, cache_memory_mb=200, cache_disk_mb=100)
made = TrainingData(
    photographs, config, size, lambda x: x, scratch=folder, allow_missing=False, notify=print
)
training, validation = made.crop_batches()
for step, _ in zip(range(3), training.training(lambda x: x)):
    pass
json.dump({"count": len(items), "labels": known - before, "pixels": peak() - known}, sys.stdout)
made.close()
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_photographs(tmp_path: Path) -> None:
    """A quarter of a million need a few bytes of label each, and pictures what cache_memory_mb says."""
    count = 255_000
    label = [1, 2, 8, 20, 40, 30, 12, 5, 2, 1]
    entries = [{"image_id": str(index), "label": label} for index in range(count)]
    (tmp_path / "labels.json").write_text(json.dumps(entries), encoding="utf-8")
    found = json.loads(
        subprocess.run(
            [sys.executable, "-c", MEMORY, tmp_path, Path(__file__).parents[2]],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout
    )
    assert found["count"] == count
    assert found["labels"] < 350, found  # about 1 KB each
    assert 150 < found["pixels"] < 500, found  # 200 in memory, 100 mapped from disk, and batches
