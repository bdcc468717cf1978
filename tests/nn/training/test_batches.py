"""nimakit.nn.training.batches: the batches of an epoch, drawn the same way whenever it is run again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from nimakit.images.photo import Preprocessing
from nimakit.nn.training.batches import Batches, Crops, Features, balanced_probabilities
from nimakit.nn.training.pixels import PixelCache
from samples import random_pixels

COUNT = 10
HEIGHT, WIDTH = 12, 10


class Numbers:
    """Examples that are their own index, with a random part where they are drawn."""

    @property
    def spec(self) -> tf.TensorSpec:
        """(n, 2) float32."""
        return tf.TensorSpec((None, 2), tf.float32)

    def augmented(self, indices: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
        """(n, 2): index, and chance."""
        return np.stack([indices, rng.random(len(indices))], axis=1).astype(np.float32)

    def plain(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """(n, 2): index, and -1."""
        return np.stack([indices, np.full(len(indices), -1)], axis=1).astype(np.float32)


def _batches(
    *, indices: Any = range(COUNT), size: int = 4, seed: int = 0, probabilities: Any = None
) -> Batches:
    targets = np.arange(100, dtype=np.float32)[:, None] * 10
    examples: Any = Numbers()
    return Batches(examples, targets, indices, batch_size=size, seed=seed, probabilities=probabilities)


def _epoch(batches: Batches, epoch: int) -> list[tuple[Any, Any]]:
    batches.epoch = epoch
    return [(inputs.numpy(), targets.numpy()) for inputs, targets in batches.training(lambda inputs: inputs)]


def _inputs(batches: Batches, epoch: int) -> NDArray[Any]:
    return np.concatenate([inputs for inputs, _ in _epoch(batches, epoch)])


def test_the_same_epoch_gives_the_same_batches() -> None:
    """Order and augmentation depend only on seed and epoch."""
    first, second = _batches(), _batches()
    _epoch(second, 1)
    np.testing.assert_array_equal(_inputs(first, 2), _inputs(second, 2))


def test_another_epoch_or_seed_gives_other_batches() -> None:
    """Both the order and the augmentation differ."""
    known = _inputs(_batches(), 1)
    for other in (_inputs(_batches(), 2), _inputs(_batches(seed=1), 1)):
        assert (other[:, 0] != known[:, 0]).any()
        assert (np.sort(other[:, 1]) != np.sort(known[:, 1])).any()


def test_training_gives_each_example_once_beside_its_target() -> None:
    """Only the given indices are used, and the last batch contains the rest."""
    indices = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23]
    batches = _batches(indices=indices)
    epoch = _epoch(batches, 1)
    assert [len(inputs) for inputs, _ in epoch] == [4, 4, 2]
    assert len(batches) == 3
    assert sorted(np.concatenate([inputs[:, 0] for inputs, _ in epoch])) == indices
    for inputs, targets in epoch:
        np.testing.assert_array_equal(targets[:, 0], inputs[:, 0] * 10)


def test_validation_gives_whole_inputs_in_order() -> None:
    """Each once, in any epoch, without chance."""
    batches = _batches(indices=[4, 2, 9])
    found = list(batches.validation(lambda inputs: inputs * 2))
    assert [len(inputs) for inputs, _ in found] == [3]
    np.testing.assert_array_equal(found[0][0].numpy(), [[8, -2], [4, -2], [18, -2]])
    np.testing.assert_array_equal(found[0][1].numpy(), [[40], [20], [90]])


def test_draws_by_shares_with_replacement() -> None:
    """The epoch keeps its length, and the probabilities determine how often each example is drawn."""
    shares = np.array([0.9, *[0.1 / 9] * 9])
    batches = _batches(
        indices=np.tile(np.arange(COUNT), 50), probabilities=np.tile(shares / 50, 50), size=100
    )
    drawn = _inputs(batches, 1)[:, 0]
    assert len(drawn) == 50 * COUNT
    assert (drawn == 0).mean() == pytest.approx(0.9, abs=0.05)


def test_balanced_probabilities_even_out_the_ratings() -> None:
    """Each tenth of the range with any photo is drawn equally often."""
    ratings = np.array([1.0, *[5.0] * 7, 9.0, 9.1])
    shares = balanced_probabilities(ratings)
    assert shares.sum() == pytest.approx(1)
    for group in ([0], list(range(1, 8)), [8, 9]):
        assert shares[group].sum() == pytest.approx(1 / 3)


def test_balanced_probabilities_of_equal_ratings_are_equal() -> None:
    """A set without a range is drawn evenly."""
    np.testing.assert_allclose(balanced_probabilities(np.full(4, 3.0)), 0.25)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[PixelCache]:
    """Three pictures of noise, decoded."""
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    for index, path in enumerate(paths):
        Image.fromarray(random_pixels(HEIGHT, WIDTH, index)).save(path)
    size = Preprocessing(height=HEIGHT, width=WIDTH, resize_filter="nearest", fit="squash")
    pixels = PixelCache(paths, size, tmp_path / "scratch", memory_mb=1, disk_mb=0, workers=1)
    pixels.decode_all("decoding")
    yield pixels
    pixels.close()


def _crops(picture: NDArray[Any], height: int, width: int) -> dict[bytes, tuple[int, int]]:
    return {
        picture[top : top + height, left : left + width].tobytes(): (top, left)
        for top in range(HEIGHT - height + 1)
        for left in range(WIDTH - width + 1)
    }


def test_crops_and_mirror_images_lie_inside_the_picture(kept: PixelCache) -> None:
    """Every view is a crop of its picture, at any place; half of them are mirrored."""
    views = Crops(pixels=kept, height=9, width=8, flip=True)
    assert views.spec.shape == (None, 9, 8, 3)
    rng = np.random.default_rng(0)
    indices = np.array([2, 0] * 150)
    seen: dict[bool, set[tuple[int, int]]] = {False: set(), True: set()}
    mirrored = 0
    places = {index: _crops(kept.take([index])[0], 9, 8) for index in (0, 2)}
    for index, view in zip(indices, views.augmented(indices, rng), strict=True):
        is_mirrored = view.tobytes() not in places[index]
        straight = view[:, ::-1] if is_mirrored else view
        seen[is_mirrored].add(places[index][straight.tobytes()])
        mirrored += is_mirrored
    assert seen[False] == seen[True] == {(top, left) for top in range(4) for left in range(3)}
    assert 0.4 < mirrored / len(indices) < 0.6


def test_neither_crops_nor_mirrors_where_not_asked_to(kept: PixelCache) -> None:
    """A crop of the whole size without mirroring is the picture itself, and so is a whole view."""
    views = Crops(pixels=kept, height=HEIGHT, width=WIDTH, flip=False)
    indices = np.array([1, 2, 0] * 5)
    expected = kept.take(indices.tolist())
    np.testing.assert_array_equal(views.augmented(indices, np.random.default_rng(0)), expected)
    np.testing.assert_array_equal(views.plain(indices), expected)


def test_features_are_drawn_from_any_view() -> None:
    """A drawn example is the whole picture or its mirror image; a whole one never the latter."""
    values = np.arange(3 * 2 * 4, dtype=np.float32).reshape(3, 2, 4)
    features = Features(values)
    indices = np.array([2] * 200)
    drawn = features.augmented(indices, np.random.default_rng(0))
    views = [(drawn == values[2, view]).all(axis=1).sum() for view in range(2)]
    assert sum(views) == 200
    assert min(views) > 60
    np.testing.assert_array_equal(features.plain(np.array([1])), values[[1], 0])
