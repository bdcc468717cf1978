"""nimakit.nn.networks.weights: Keras weight files and PyTorch state dicts, loaded into models."""

import functools
import pickle
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from nimakit.config import TrainConfig
from nimakit.errors import WeightsError
from nimakit.nn.networks import backbones, heads, weights
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import default_bins
from state_dicts import ARRAYS, Array, pretend_torch, write_archive

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

BINS = 7
CONFIG = TrainConfig(base_model_name="MobileNet")


def _model(seed: int = 0, bins: int = BINS) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(16, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(bins, activation="softmax")(hidden))


@functools.cache
def _trained() -> keras.Model:
    """A model whose file has an optimiser too."""
    model = _model(1)
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(np.ones((2, 4)), np.ones((2, BINS)) / BINS)
    return model


def _bins(path: Path) -> int:
    """The bins of a file, whose backbone is that of `_model`."""
    model = _model()
    return weights.count_bins(keras.Model(model.input, model.layers[-1].input), path)


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
    """What is not of the backbone is the head; the optimizer's copies do not count."""
    assert _bins(_save(_trained(), tmp_path / name)) == BINS


def test_rejects_an_archive_with_a_lambda_layer(tmp_path: Path) -> None:
    """A Lambda layer contains code: the archive is refused, and the message names an alternative."""
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(BINS)(keras.layers.Lambda(lambda x: x + 1)(inputs))
    path = _save(keras.Model(inputs, outputs), tmp_path / "code.keras")
    for read in (_bins, lambda path: weights.load(_model(), path)):
        with pytest.raises(WeightsError, match=r"must not contain code.*Lambda.*save_weights"):
            read(path)


def test_rejects_an_archive_with_a_class_of_its_own(tmp_path: Path) -> None:
    """A layer from elsewhere would need its code, and is named."""

    class Shift(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: object) -> object:
            return x

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(BINS)(Shift()(inputs)))
    with pytest.raises(WeightsError, match=r"must not contain code.*Shift"):
        _bins(_save(model, tmp_path / "own.keras"))


@pytest.mark.parametrize("name", ["w.hdf5", "w.h5", "w.weights.h5"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"\x89HDF\r\n\x1a\n"])
def test_rejects_a_damaged_weights_file(tmp_path: Path, name: str, content: bytes) -> None:
    """What is no HDF5 is refused by name."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"must be an HDF5 file. Received: .*{name}"):
        _bins(path)


def test_rejects_a_truncated_weights_file(tmp_path: Path) -> None:
    """An incomplete download is reported as damaged."""
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
        with pytest.raises(WeightsError, match=r"must be a Keras 3 archive. Received: .*\.keras"):
            _bins(path)


@pytest.mark.parametrize("name", ["w.pkl", "w.pt", "saved_model.pb", "w"])
def test_never_opens_what_can_run_code(tmp_path: Path, name: str) -> None:
    """Pickles and saved models are refused by suffix, before a byte of them is read."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="never loaded"):
        _bins(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    """A path without a file is refused by name."""
    with pytest.raises(WeightsError, match=r"must exist. Received: .*none\.h5"):
        weights.load(_model(), tmp_path / "none.h5")


def test_rejects_weights_of_another_network(tmp_path: Path) -> None:
    """Weights that do not fit are refused, and the message suggests another base model."""
    path = _save(_model(bins=5), tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match=r"must fit the base model and its head \(3 layers\)"):
        weights.load(_model(), path)


def test_rejects_a_file_without_a_head(tmp_path: Path) -> None:
    """The weights of a backbone have no rating head."""
    model = _model()
    path = _save(keras.Model(model.input, model.layers[-1].input), tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match="must contain a dense head"):
        _bins(path)


def _rated(bins: int = BINS, *, dropout_rate: float = 0.0, seed: int = 0, channels: int = 4) -> keras.Model:
    """A small model laid out as `nimakit.nn.networks.heads` does."""
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


FORMAT_NAMES = ("w.weights.h5", "w.keras", "w.hdf5", "w.h5")


def _afresh(*models: keras.Model) -> Callable[[], None]:
    """Sets the weights of models back to what they are now: models take longer to build than to load."""
    kept = [model.get_weights() for model in models]

    def reset() -> None:
        for model, values in zip(models, kept, strict=True):
            model.set_weights(values)

    return reset


def test_starts_from_a_model_with_the_same_head(tmp_path: Path) -> None:
    """All weights are loaded, without a message, whatever the dropout and the layers' names."""
    trained = _rated(seed=1)
    fresh = _rated(dropout_rate=0.5, seed=2)
    reset = _afresh(fresh)
    for name in FORMAT_NAMES:
        reset()
        messages: list[str] = []
        weights.load_pretrained(fresh, _save_any(trained, tmp_path / name), notify=messages.append)
        assert _same(fresh, trained), name
        assert not messages


def test_a_backbone_may_have_dense_layers_too(tmp_path: Path) -> None:
    """ConvNeXt's pointwise convolutions are dense layers, and are not taken for the head."""

    def model(bins: int, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        image = keras.Input((8, 8, 3))
        x = keras.layers.Dense(6)(keras.layers.Conv2D(4, 3)(image))
        x = keras.layers.Dropout(0.0)(keras.layers.GlobalAveragePooling2D()(x))
        return keras.Model(image, keras.layers.Dense(bins, activation="softmax")(x))

    trained, fresh, other = model(5, 1), model(5, 2), model(7, 3)
    reset = _afresh(fresh, other)
    for name in FORMAT_NAMES:
        reset()
        path = _save_any(trained, tmp_path / name)
        assert weights.load_pretrained(fresh, path)
        assert _same(fresh, trained), name
        assert not weights.load_pretrained(other, path)
        assert _same(_trunk(other), _trunk(trained)), name


def test_a_layer_of_the_backbone_may_be_a_model(tmp_path: Path) -> None:
    """ConvNeXt begins with a Sequential of a convolution and a normalisation."""

    def model(bins: int, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        image = keras.Input((8, 8, 3))
        normalization = keras.layers.LayerNormalization(name="stem_norm")
        stem = keras.Sequential([keras.layers.Conv2D(4, 3, name="stem_conv"), normalization], name="stem")
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3, name="conv")(stem(image)))
        x = keras.layers.Dropout(0.0)(x)
        return keras.Model(image, keras.layers.Dense(bins, activation="softmax", name="head")(x))

    trained, fresh, other = model(5, 1), model(5, 2), model(7, 3)
    reset = _afresh(fresh, other)
    for name in ("w.weights.h5", "w.keras", "w.h5"):
        reset()
        path = tmp_path / name
        trained.save_weights(path) if name == "w.weights.h5" else trained.save(path)
        assert weights.load_pretrained(fresh, path)
        assert _same(fresh, trained), name
        assert not weights.load_pretrained(other, path)
        assert _same(_trunk(other), _trunk(trained)), name


@pytest.mark.parametrize(
    ("bins", "found"), [(10, "a head of 10 outputs"), (1, "a head of 1 outputs"), (0, "no head")]
)
def test_starts_from_the_backbone_of_another_model(tmp_path: Path, bins: int, found: str) -> None:
    """The head is not loaded, which is reported, if the file has other bins, a score or no head."""
    trained = _rated(bins or BINS, seed=1)
    saved = trained if bins else _trunk(trained)
    fresh = _rated(dropout_rate=0.5, seed=2)
    head = [values.copy() for values in fresh.layers[-1].get_weights()]
    reset = _afresh(fresh)
    for name in FORMAT_NAMES:
        reset()
        messages: list[str] = []
        weights.load_pretrained(fresh, _save_any(saved, tmp_path / name), notify=messages.append)
        assert _same(_trunk(fresh), _trunk(trained)), name
        assert all(np.array_equal(a, b) for a, b in zip(head, fresh.layers[-1].get_weights(), strict=True))
        [sentence] = messages
        assert f"has {found}: its backbone is used, and the head of 7 starts anew" in sentence


def test_starts_from_no_other_network(tmp_path: Path) -> None:
    """Other widths and other depths are refused, whatever the head."""
    image = keras.Input((8, 8, 3))
    shallow = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    others = (_rated(seed=1, channels=5), keras.Model(image, keras.layers.Dense(BINS)(shallow)))
    fresh = _rated()
    for (number, other), name in product(enumerate(others), FORMAT_NAMES):
        path = _save_any(other, tmp_path / f"{number}{name}")
        with pytest.raises(WeightsError, match=r"must be of the base model. Received: .*trained with\."):
            weights.load_pretrained(fresh, path)


def test_starts_from_the_public_model(aesthetic: KerasModel) -> None:
    """The published file has ten bins and the names of Keras 2: its backbone starts a model of seven."""
    seven = heads.add_head(backbones.get("MobileNet").build(), default_bins(BINS), CONFIG)
    messages: list[str] = []
    weights.load_pretrained(seven, "aesthetic", notify=messages.append)
    assert _same(_trunk(seven), _trunk(aesthetic.network))
    assert messages == [
        "aesthetic has a head of 10 outputs: its backbone is used, and the head of 7 starts anew"
    ]


@pytest.mark.parametrize(
    "imagenet_weights",
    [
        pytest.param("efficientnet-lite0", marks=pytest.mark.slow),
        pytest.param("efficientnet-lite2", marks=pytest.mark.exhaustive),
    ],
    indirect=True,
)
def test_starts_from_a_pytorch_file(imagenet_weights: Path) -> None:
    """A state dict gives the backbone it belongs to its weights, and no other."""
    name = "EfficientNetLite0" if "lite0" in imagenet_weights.name else "EfficientNetLite2"
    model = heads.add_head(backbones.get(name).build(input_size=(64, 64)), default_bins(BINS), CONFIG)
    messages: list[str] = []
    weights.load_pretrained(model, imagenet_weights, notify=messages.append)
    assert _same(_trunk(model), backbones.get(name).build("imagenet", input_size=(64, 64)))
    assert "has no head: its backbone is used" in messages[0]
    with pytest.raises(WeightsError, match="must be of the base model"):
        weights.load_pretrained(_rated(), imagenet_weights)


# --- a backbone that is one layer ----------------------------------------------------------------------


def _base(seed: int, *, named: bool = True) -> keras.Model:
    """Layers of equal shapes, which differ only in name and order."""
    keras.utils.set_random_seed(seed)
    image = x = keras.Input((8, 8, 3))
    for block in range(3):
        name = f"block{block}" if named else None
        x = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name=name)(x)
        x = keras.layers.BatchNormalization(name=name and f"{name}_bn")(x)
        x = keras.layers.ReLU()(x)
    model = keras.Model(image, x, name="backbone")
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.5, 1.5, value.shape) for value in model.get_weights()])
    return model


def _flat(base: keras.Model, bins: int = BINS) -> keras.Model:
    """As `nimakit.nn.networks.heads` lays it out."""
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(base.output))
    return keras.Model(base.input, keras.layers.Dense(bins, activation="softmax")(x))


def _functional(base: keras.Model) -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = keras.layers.RandomFlip()(keras.layers.Rescaling(2.0)(image))
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    return keras.Model(image, keras.layers.Dense(BINS, name="stars")(keras.layers.Dropout(0.2)(x)))


def _sequential(base: keras.Model) -> keras.Model:
    augment = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)])
    rest = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.1), keras.layers.Dropout(0.2)]
    model = keras.Sequential([augment, base, *rest, keras.layers.Dense(BINS)])
    model.build((None, 8, 8, 3))
    return model


def _frozen(base: keras.Model) -> keras.Model:
    base.trainable = False
    return _functional(base)


def _partly_frozen(base: keras.Model) -> keras.Model:
    for layer in base.layers[:4]:
        layer.trainable = False
    return _functional(base)


def _deep(base: keras.Model) -> keras.Model:
    image = keras.Input((8, 8, 3))
    return keras.Model(image, _sequential(base)(image))


def _saved(model: keras.Model, path: Path) -> Path:
    """In the format of the file's name: .hdf5 for weights of Keras 2, .h5 for a whole model."""
    if path.suffix != ".hdf5":
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
        return path
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            weights_of_layer = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{'/'.join(weight.path.split('/')[-2:])}:0" for weight in weights_of_layer]
            for name, weight in zip(names, weights_of_layer, strict=True):
                group[name] = weight.numpy()
            group.attrs["weight_names"] = [name.encode() for name in names]
    return path


FAST_FORMATS: dict[Callable[[keras.Model], keras.Model], set[str]] = {
    _functional: {"w.weights.h5"},
    _sequential: {"w.h5"},
    _frozen: set(),
    _partly_frozen: {"w.hdf5"},  # legacy files have the trained layers first
    _deep: {"w.keras"},
}
"""Each format with a way to wrap a backbone; all other combinations are slow tests."""


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        pytest.param(wrap, name, marks=[] if name in fast else pytest.mark.slow)
        for wrap, fast in FAST_FORMATS.items()
        for name in FORMAT_NAMES
    ],
)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_loads_a_backbone_that_is_one_layer(
    tmp_path: Path, wrap: Callable[[keras.Model], keras.Model], name: str
) -> None:
    """As Keras's guide to transfer learning builds it: each layer gets its own weights, the head too."""
    base = _base(1)
    given = base.get_weights()
    nested = wrap(base)
    path = _saved(nested, tmp_path / name)
    expected = [*given, *nested.get_weights()[-2:]]
    model = _flat(_base(2))
    reset = _afresh(model)
    for load in (weights.load, weights.load_pretrained):
        reset()
        load(model, path)
        received = model.get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(received, expected, strict=True))
    assert weights.count_bins(keras.Model(model.input, model.layers[-4].output), path) == BINS


@pytest.mark.parametrize("name", ["w.hdf5", "w.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_tells_layers_named_by_keras_apart_by_their_numbers(tmp_path: Path, name: str) -> None:
    """A legacy file lists trained layers first; it is refused if the order does not follow from the names."""
    path = _saved(_partly_frozen(_base(1, named=False)), tmp_path / name)
    model = _flat(_base(2, named=False))
    weights.load(model, path)
    expected = _base(1).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), expected, strict=False))
    path = _saved(_partly_frozen(_base(1)), tmp_path / f"other{name}")
    with pytest.raises(WeightsError, match=r"layer by layer.*block0, block1.*save the weights again"):
        weights.load(model, path)


def test_what_cannot_be_understood_is_named(tmp_path: Path) -> None:
    """The error names further layers, other features or other outputs, and not the base model."""
    image, base = keras.Input((8, 8, 3)), _base(1)
    pooled = keras.layers.GlobalAveragePooling2D()(base(image))
    dense = keras.layers.Dense
    outputs = {
        r"has, besides the base model, dense \(3, 9\), \(9,\); dense_1 \(9, 7\), \(7,\)\. A head is": dense(
            BINS
        )(dense(9)(pooled)),
        r"whose head takes 192 features, not 3; .*pooled_levels": dense(BINS)(
            keras.layers.Flatten()(base(image))
        ),
        r'whose head has 1 outputs, not 7; .*head is "regression" for one output': dense(1)(pooled),
        r"which has only the base model and no head": pooled,
    }
    model = _flat(_base(2))
    for number, (message, output) in enumerate(outputs.items()):
        path = _saved(keras.Model(image, output), tmp_path / f"{number}.weights.h5")
        with pytest.raises(WeightsError, match=message) as caught:
            weights.load(model, path)
        assert "choose the base model" not in str(caught.value)


def test_a_head_of_one_output_is_a_regression(tmp_path: Path) -> None:
    """Without a config nothing says so: the message asks for it."""
    path = _saved(_flat(_base(1), bins=1), tmp_path / "w.weights.h5")
    with pytest.raises(
        WeightsError, match=r'head of one output, a regression; .*--config-file.*"regression"'
    ):
        weights.count_bins(_base(2), path)


def test_refuses_weights_that_are_no_numbers(tmp_path: Path) -> None:
    """What a training left that failed is no weights to score with, nor to start from."""
    model = _flat(_base(1))
    model.layers[-1].set_weights([np.full((3, BINS), np.nan), np.zeros(BINS)])
    path = _saved(model, tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match=r"must be numbers.*dense \(3, 7\)"):
        weights.load(_flat(_base(2)), path)


@pytest.mark.parametrize("way", ["load", "count_bins", "load_pretrained"])
def test_no_way_in_reads_a_file_that_was_not_named(tmp_path: Path, way: str) -> None:
    """Weights to score with and weights to start from are checked alike."""
    secret, path = tmp_path / "secret", tmp_path / "w.weights.h5"
    secret.write_bytes(bytes(4096))
    model = _rated()
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        shape = file[names[0]].shape
        del file[names[0]]
        file.create_dataset(names[0], shape, "f4", external=[(str(secret), 0, 4096)])
    ways: dict[str, Callable[[], object]] = {
        "load": lambda: weights.load(model, path),
        "count_bins": lambda: weights.count_bins(_trunk(model), path),
        "load_pretrained": lambda: weights.load_pretrained(model, path),
    }
    with pytest.raises(WeightsError, match="must contain all its arrays"):
        ways[way]()


# --- PyTorch state dicts ---------------------------------------------------------------------------------


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that state dicts refer to."""
    pretend_torch(monkeypatch)


def _pytorch_model() -> keras.Model:
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(2, 2, use_bias=False, name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False, name="blocks.0.depthwise")(x)
    return keras.Model(image, keras.layers.BatchNormalization(name="bn")(x))


STATE_DICT: dict[str, Array] = {
    "_conv.weight": ARRAYS["conv.weight"],
    "_blocks.0._depthwise.weight": np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3),
    **{f"_bn.{part}": np.full(2, n, np.float32) for n, part in enumerate(("weight", "bias"), start=1)},
    **{
        f"_bn.{part}": np.full(2, n, np.float32)
        for n, part in enumerate(("running_mean", "running_var"), start=3)
    },
    "_bn.num_batches_tracked": np.array(0, np.int64),
    "_fc.weight": np.zeros((5, 2), np.float32),
}


@pytest.mark.usefixtures("torch")
def test_loads_by_the_names_of_modules(tmp_path: Path) -> None:
    """Axes are turned as Keras has them; the classifier is left out."""
    model = _pytorch_model()
    weights.load_state_dict(model, write_archive(tmp_path / "w.pth", STATE_DICT))
    kernel, depthwise, *norm = model.get_weights()
    assert kernel[1, 0, 2, 1] == STATE_DICT["_conv.weight"][1, 2, 1, 0]
    assert depthwise[2, 1, 1, 0] == STATE_DICT["_blocks.0._depthwise.weight"][1, 0, 2, 1]
    assert [float(values[0]) for values in norm] == [1, 2, 3, 4]


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_conv.weight": None}, "2 of 3 layers of the model are in it"),
        ({"_bn.running_var": None}, "bn.running_var"),
        ({"_conv.weight": np.zeros((2, 3, 1, 1), np.float32)}, r"conv must be \(2, 2, 3, 2\), and is"),
    ],
)
def test_rejects_a_state_dict_of_another_network(
    tmp_path: Path, change: dict[str, Array | None], reason: str
) -> None:
    """Missing tensors and other shapes are named, and the model keeps its weights."""
    state = {name: array for name, array in {**STATE_DICT, **change}.items() if array is not None}
    model = _pytorch_model()
    before = model.get_weights()
    with pytest.raises(WeightsError, match=rf"must be of the base model.*{reason}"):
        weights.load_state_dict(model, write_archive(tmp_path / "w.pth", state))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
