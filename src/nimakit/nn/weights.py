"""Weight files, read for their numbers alone: nothing in them is ever executed."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from nimakit import pretrained
from nimakit.errors import WeightsError, first_line
from nimakit.nn import torch_weights

SUFFIXES = (".hdf5", ".h5", ".weights.h5", ".keras")
_KERAS_WEIGHTS = "model.weights.h5"
_SAFE_MODULES = ("keras", "builtins")


def load(model: keras.Model, path: Path) -> None:
    """Load weights into a model of the same layout.

    Args:
        model: From `nimakit.nn.heads`.
        path: A .hdf5, .h5 or .weights.h5 file, or a .keras archive without code; of an archive only the
            weights are read.

    Raises:
        WeightsError: Not such a file, an archive that holds code, or weights of another network.
    """
    with _weights_file(path) as weights:
        try:
            model.load_weights(weights)
        except Exception as error:
            raise WeightsError(
                f"The weights must fit the base model and its head ({len(model.layers)} layers)."
                f" Received: {path} ({first_line(error)}); give the base model they were trained with."
            ) from error


def count_bins(path: Path) -> int:
    """Number of bins of the head in a weight file: the width of its narrowest dense layer.

    Raises:
        WeightsError: Not a weight file, or one without a head.
    """
    with _weights_file(path) as weights, _open_hdf5(weights, path) as file:
        widths = [shape[1] for shape in _kernels(file)]
    if not widths:
        raise WeightsError(f"A weight file must hold a dense head. Received: {path}, which has none")
    return min(widths)


def load_pretrained(
    model: keras.Model, source: str | Path, *, notify: pretrained.Notify | None = None
) -> bool:
    """Load what training starts from: all weights where the head is the same, else those of the backbone.

    Args:
        model: From `nimakit.nn.heads`: a flat list of layers that ends in dropout and a dense one.
        source: A file as `load` takes it, with this head, another one or none; a PyTorch state dict
            (.pth, .pt) of a backbone whose layers bear PyTorch's names; or a name of `pretrained.PUBLIC`.
        notify: Told in a sentence where the head is left as it was, and where a download starts.

    Returns:
        Whether the head was loaded too.

    Raises:
        WeightsError: Not such a file, or weights of another network. The model may hold some of them.
        DownloadError: Public weights that are neither cached nor reachable.
    """
    is_public = str(source) in pretrained.PUBLIC
    path = pretrained.fetch_weights(str(source), notify) if is_public else Path(source)
    features, head = model.layers[-2].input, model.layers[-1]
    backbone = keras.Model(model.input, features)
    if path.name.endswith(torch_weights.SUFFIXES):
        torch_weights.load(backbone, path)
        found = []
    else:
        # Without the dropout: whether it keeps a random state in the file depends on its rate.
        whole = keras.Model(model.input, head(features))
        found = _load_fitting(backbone, whole, path)
    whole_head = found == [tuple(head.kernel.shape)]
    if notify and not whole_head:
        width = ", ".join(str(shape[1]) for shape in found)
        held = f"a head of {width} outputs" if found else "no head"
        notify(
            f"{source} has {held}: its backbone is used, and the head of {head.kernel.shape[1]} starts anew"
        )
    return whole_head


def _load_fitting(backbone: keras.Model, whole: keras.Model, path: Path) -> list[tuple[int, ...]]:
    """Load all of a file, or the backbone in it; the shapes of the head's kernels in the file."""
    with _weights_file(path) as weights:
        with _open_hdf5(weights, path) as file:
            is_legacy = "layers" not in file
            layers = _legacy_layers(file) if is_legacy else _layers(file)
        wanted = Counter(_shapes(layer.get_weights()) for layer in _weighted(backbone))
        held = Counter(map(_shapes, layers))
        # What the file has and the backbone has not is its head, which comes last.
        kernels = [max(shapes, key=len) for shapes in (held - wanted).elements()]
        target = whole if kernels == [tuple(whole.layers[-1].kernel.shape)] else backbone
        try:
            if wanted - held:
                missing = (wanted - held).total()
                raise ValueError(f"it lacks {missing} of the {wanted.total()} layers with weights")
            if is_legacy:
                _set_in_order(_weighted(target), layers[: len(_weighted(target))])
            else:
                target.load_weights(weights)
        except Exception as error:
            raise WeightsError(
                f"The weights to start from must be of the base model. Received: {path}"
                f" ({first_line(error)}); give the base model they were trained with."
            ) from error
    return kernels


_Values = list[NDArray[Any]]


def _weighted(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model.layers if layer.weights]


def _shapes(values: _Values) -> tuple[tuple[int, ...], ...]:
    """What tells layers apart, whatever they are called."""
    return tuple(sorted(value.shape for value in values))


def _set_in_order(layers: list[keras.Layer], values: list[_Values]) -> None:
    """Set the weights of layers by their order: names in legacy files depend on how the model was made."""
    for layer, new in zip(layers, values, strict=True):
        layer.set_weights(new)
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _layers(file: h5py.File) -> list[_Values]:
    """The weights of each layer in a file of Keras 3, in no particular order."""
    groups: dict[str, _Values] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            groups.setdefault(name.rpartition("/vars/")[0], []).append(np.asarray(item))

    file["layers"].visititems(visit)
    return list(groups.values())


def _legacy_layers(file: h5py.File) -> list[_Values]:
    """The weights of each layer in a file of Keras 1 or 2, in order; empty if it is none."""
    group = file.get("model_weights", file)
    held = [group[name] for name in _texts(group, "layer_names")]
    values = [[np.asarray(layer[name]) for name in _texts(layer, "weight_names")] for layer in held]
    return [weights for weights in values if weights]


def _texts(group: h5py.Group, name: str) -> list[str]:
    """An attribute of a legacy file; one too long for HDF5 stands in numbered parts."""
    parts = [name] if name in group.attrs else [f"{name}{part}" for part in range(len(group.attrs))]
    texts = [text for part in parts if part in group.attrs for text in group.attrs[part]]
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]


def _kernels(file: h5py.File) -> list[tuple[int, ...]]:
    """Shapes of the dense layers' kernels."""
    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and "optimizer" not in name:
            shapes.append(item.shape)

    file.visititems(visit)
    return shapes


@contextmanager
def _open_hdf5(weights: Path, shown: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(weights, "r")
    except OSError as error:
        raise WeightsError(
            f"Keras weights are an HDF5 file. Received: {shown} ({first_line(error)}); the file is damaged,"
            " or something else under that name"
        ) from error
    with file:
        yield file


@contextmanager
def _weights_file(path: Path) -> Iterator[Path]:
    """The HDF5 file itself, or the one inside a .keras archive, unpacked for as long as it is needed."""
    if not path.is_file():
        raise WeightsError(f"A weights file must exist. Received: {path}")
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(
            f"Keras weights end in {', '.join(SUFFIXES)}; pickles and saved models can run code and are"
            f" never loaded. Received: {path}"
        )
    if path.suffix == ".keras":
        with TemporaryDirectory(prefix="nimakit-") as folder:
            yield _unpack(path, Path(folder))
    else:
        with _open_hdf5(path, path):
            pass
        yield path


def _unpack(path: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # how it was trained: never read
            foreign = ", ".join(sorted(set(_foreign_code(config))))
            if foreign:
                raise WeightsError(
                    f"A .keras file must hold no code of its own. Received: {path}, with {foreign};"
                    " save its weights alone (model.save_weights('x.weights.h5')) and give that file."
                )
            return Path(archive.extract(_KERAS_WEIGHTS, folder))
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError) as error:
        raise WeightsError(f"A .keras file is a Keras 3 archive. Received: {path} ({error})") from error


def _foreign_code(config: Any) -> Iterator[str]:
    """Class names in a serialised model that are not Keras's own, or that carry code (Lambda)."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name in ("Lambda", "__lambda__", "function") or config.get("registered_name") not in (None, name):
            yield str(name)
        elif name is not None and module is not None and module.split(".")[0] not in _SAFE_MODULES:
            yield f"{module}.{name}"
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _foreign_code(item)
