"""nimakit.nn.weights: Keras weight files, read for their numbers alone."""

import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.histogram import default_bins
from nimakit.nn import backbones, heads, weights

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


def _rated(bins: int = BINS, *, dropout_rate: float = 0.0, seed: int = 0, channels: int = 4) -> keras.Model:
    """A small model laid out as `nimakit.nn.heads` does."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(channels, 3, use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(3)(x))
    x = keras.layers.Dropout(dropout_rate)(x)
    return keras.Model(image, keras.layers.Dense(bins, activation="softmax", name=f"head_{seed}")(x))


def _trunk(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, model.layers[-2].input)


def _same(first: keras.Model, second: keras.Model) -> bool:
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def _save_any(model: keras.Model, path: Path) -> Path:
    """In the format the suffix stands for, the legacy ones as Keras 2 wrote them."""
    if path.name.endswith((".weights.h5", ".keras")):
        return _save(model, path)
    group_name = "model_weights" if path.suffix == ".h5" else "/"
    with h5py.File(path, "w") as file:
        group = file.require_group(group_name)
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            inner = group.create_group(layer.name)
            names = [f"{layer.name}/{index}:0" for index in range(len(layer.weights))]
            for name, value in zip(names, layer.get_weights(), strict=True):
                inner[name] = value
            inner.attrs["weight_names"] = [name.encode() for name in names]
    return path


FORMATS = pytest.mark.parametrize("name", ["w.weights.h5", "w.keras", "w.hdf5", "w.h5"])


@FORMATS
def test_starts_from_a_model_with_the_same_head(tmp_path: Path, name: str) -> None:
    """All weights are loaded, silently, whatever the dropout and the layers' names."""
    trained = _rated(seed=1)
    fresh = _rated(dropout_rate=0.5, seed=2)
    said: list[str] = []
    weights.load_pretrained(fresh, _save_any(trained, tmp_path / name), notify=said.append)
    assert _same(fresh, trained)
    assert not said


@FORMATS
def test_a_backbone_may_have_dense_layers_too(tmp_path: Path, name: str) -> None:
    """ConvNeXt's pointwise convolutions are dense layers; the head is what the backbone has not."""

    def model(bins: int, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        image = keras.Input((8, 8, 3))
        x = keras.layers.Dense(6)(keras.layers.Conv2D(4, 3)(image))
        x = keras.layers.Dropout(0.0)(keras.layers.GlobalAveragePooling2D()(x))
        return keras.Model(image, keras.layers.Dense(bins, activation="softmax")(x))

    trained, fresh, other = model(5, 1), model(5, 2), model(7, 3)
    path = _save_any(trained, tmp_path / name)
    assert weights.load_pretrained(fresh, path)
    assert _same(fresh, trained)
    assert not weights.load_pretrained(other, path)
    assert _same(_trunk(other), _trunk(trained))


@FORMATS
@pytest.mark.parametrize(
    ("bins", "held"), [(10, "a head of 10 outputs"), (1, "a head of 1 outputs"), (0, "no head")]
)
def test_starts_from_the_backbone_of_another_model(tmp_path: Path, name: str, bins: int, held: str) -> None:
    """The head stays as it was, which is said; with other bins, a score, or no head at all in the file."""
    trained = _rated(bins or BINS, seed=1)
    saved = trained if bins else _trunk(trained)
    fresh = _rated(dropout_rate=0.5, seed=2)
    head = [values.copy() for values in fresh.layers[-1].get_weights()]
    said: list[str] = []
    weights.load_pretrained(fresh, _save_any(saved, tmp_path / name), notify=said.append)
    assert _same(_trunk(fresh), _trunk(trained))
    assert all(np.array_equal(a, b) for a, b in zip(head, fresh.layers[-1].get_weights(), strict=True))
    [sentence] = said
    assert f"has {held}: its backbone is used, and the head of 7 starts anew" in sentence


@FORMATS
def test_starts_from_no_other_network(tmp_path: Path, name: str) -> None:
    """Other widths and other depths are refused, whatever the head."""
    image = keras.Input((8, 8, 3))
    shallow = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    others = (_rated(seed=1, channels=5), keras.Model(image, keras.layers.Dense(BINS)(shallow)))
    for number, other in enumerate(others):
        path = _save_any(other, tmp_path / f"{number}{name}")
        with pytest.raises(WeightsError, match=r"must be of the base model. Received: .*trained with\."):
            weights.load_pretrained(_rated(), path)


def test_starts_from_the_public_model(public_weights: Path) -> None:
    """The published file has ten bins and the names of Keras 2: its backbone starts a model of seven."""
    backbone = backbones.get("MobileNet")
    seven = heads.add_head(backbone.build(), default_bins(BINS))
    ten = heads.add_head(backbone.build(), default_bins(10))
    weights.load(ten, public_weights)
    said: list[str] = []
    weights.load_pretrained(seven, "aesthetic", notify=said.append)
    assert _same(_trunk(seven), _trunk(ten))
    assert said == ["aesthetic has a head of 10 outputs: its backbone is used, and the head of 7 starts anew"]
    fresh = heads.add_head(backbone.build(), default_bins(10), dropout_rate=0.75)
    weights.load_pretrained(fresh, public_weights)
    assert _same(fresh, ten)


def test_starts_from_a_pytorch_file(imagenet_weights: Path) -> None:
    """A state dict gives the backbone it belongs to its weights, and no other."""
    name = "EfficientNetLite0" if "lite0" in imagenet_weights.name else "EfficientNetLite2"
    model = heads.add_head(backbones.get(name).build(input_size=(64, 64)), default_bins(BINS))
    said: list[str] = []
    weights.load_pretrained(model, imagenet_weights, notify=said.append)
    assert _same(_trunk(model), backbones.get(name).build("imagenet", input_size=(64, 64)))
    assert "has no head: its backbone is used" in said[0]
    with pytest.raises(WeightsError, match="must be of the base model"):
        weights.load_pretrained(_rated(), imagenet_weights)
