"""nimakit.nn.weights: Keras weight files, read for their numbers alone."""

import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.nn import weights

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

BINS = 7


def _model(seed: int = 0, bins: int = BINS) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(16, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(bins, activation="softmax")(hidden))


def _trained() -> keras.Model:
    model = _model(1)
    model.compile("adam", "mse")
    model.fit(np.ones((2, 4)), np.ones((2, BINS)) / BINS, verbose=0)
    return model


def _answers(model: keras.Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(model(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)))


def _save(model: keras.Model, path: Path) -> Path:
    (model.save if path.suffix == ".keras" else model.save_weights)(path)
    return path


@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras"])
def test_loads_what_keras_saved(tmp_path: Path, name: str) -> None:
    """Weights come back from weight files and from clean archives, optimizer or not."""
    trained = _trained()
    path = _save(trained, tmp_path / name)
    fresh = _model(2)
    assert np.abs(_answers(fresh) - _answers(trained)).max() > 1e-3
    weights.load(fresh, path)
    np.testing.assert_allclose(_answers(fresh), _answers(trained), atol=1e-6)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras"])
def test_counts_the_bins_of_the_head(tmp_path: Path, name: str) -> None:
    """The narrowest dense layer is the head; the optimizer's copies do not count."""
    assert weights.count_bins(_save(_trained(), tmp_path / name)) == BINS


def test_rejects_an_archive_with_a_lambda_layer(tmp_path: Path) -> None:
    """A Lambda holds code: the archive is refused, and the message says what to give instead."""
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(BINS)(keras.layers.Lambda(lambda x: x + 1)(inputs))
    path = _save(keras.Model(inputs, outputs), tmp_path / "code.keras")
    for read in (weights.count_bins, lambda path: weights.load(_model(), path)):
        with pytest.raises(WeightsError, match=r"must hold no code.*Lambda.*save_weights"):
            read(path)


def test_rejects_an_archive_with_a_class_of_its_own(tmp_path: Path) -> None:
    """A layer from elsewhere would need its code, and is named."""

    class Shift(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: object) -> object:
            return x

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(BINS)(Shift()(inputs)))
    with pytest.raises(WeightsError, match=r"must hold no code.*Shift"):
        weights.count_bins(_save(model, tmp_path / "own.keras"))


@pytest.mark.parametrize("name", ["w.hdf5", "w.h5", "w.weights.h5"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n"])
def test_rejects_a_damaged_weights_file(tmp_path: Path, name: str, content: bytes) -> None:
    """What is no HDF5 is refused by name."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"are an HDF5 file. Received: .*{name}"):
        weights.count_bins(path)


def test_rejects_a_truncated_weights_file(tmp_path: Path) -> None:
    """A download that stopped halfway is told as damaged."""
    path = _save(_model(), tmp_path / "w.weights.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="the file is damaged"):
        weights.load(_model(), path)


def test_rejects_a_damaged_archive(tmp_path: Path) -> None:
    """Neither a text named .keras nor a zip without a model is one."""
    text = tmp_path / "text.keras"
    text.write_text("no archive", encoding="utf-8")
    empty = tmp_path / "empty.keras"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for path in (text, empty):
        with pytest.raises(WeightsError, match=r"is a Keras 3 archive. Received: .*\.keras"):
            weights.count_bins(path)


@pytest.mark.parametrize("name", ["w.pkl", "w.pt", "saved_model.pb", "w"])
def test_never_opens_what_can_run_code(tmp_path: Path, name: str) -> None:
    """Pickles and saved models are refused by suffix, before a byte of them is read."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="never loaded"):
        weights.count_bins(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    """A path without a file is refused by name."""
    with pytest.raises(WeightsError, match=r"must exist. Received: .*none\.h5"):
        weights.load(_model(), tmp_path / "none.h5")


def test_rejects_weights_of_another_network(tmp_path: Path) -> None:
    """Weights that do not fit are refused, and the model is told to be another."""
    path = _save(_model(bins=5), tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match=r"must fit the base model and its head \(3 layers\)"):
        weights.load(_model(), path)


def test_rejects_a_file_without_a_head(tmp_path: Path) -> None:
    """HDF5 without any dense layer holds no rating head."""
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["bias"] = np.zeros(3)
    with pytest.raises(WeightsError, match="must hold a dense head"):
        weights.count_bins(path)
