"""Keras weight files of every format, read layer by layer: nothing in them is ever executed.

What may be in such a file is checked here, where all of them come in, before any number is read.
"""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nimakit.errors import WeightsError, first_line

SUFFIXES = (".hdf5", ".h5", ".weights.h5", ".keras")
_KERAS_WEIGHTS = "model.weights.h5"
_SAFE_MODULES = ("keras", "builtins")
_MOST_CONFIG_BYTES = 64 * 2**20
_PACKED = 1100
"""Deflate makes no more than this many bytes of one."""
_CONTAINERS = {"layers", "_layer_checkpoint_dependencies"}
"""What Keras 3, and the last releases of Keras 2, call the list of a model's layers in a file."""

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLayer:
    """The weights of a layer in an open file.

    Attributes:
        around: The models it is in, outermost first; empty for a layer of the whole model.
        name: Its name; in the format of Keras 3, which keeps no names, its class and number.
        is_named: Whether that is the name it had in the model.
        arrays: HDF5 datasets, in the order of `keras.Layer.get_weights`.
    """

    around: tuple[str, ...]
    name: str
    is_named: bool
    arrays: tuple[h5py.Dataset, ...]

    @property
    def shapes(self) -> Shapes:
        """The shape of each array."""
        return tuple(array.shape for array in self.arrays)

    @property
    def numbered(self) -> tuple[str, int]:
        """Its name, and the number Keras counts it by: conv2d and 0 for conv2d, conv2d and 1 for conv2d_1."""
        stem, _, number = self.name.rpartition("_")
        return (stem, int(number)) if stem and number.isdigit() else (self.name, 0)

    def values(self) -> list[NDArray[np.float32]]:
        """The arrays, read now."""
        return [np.asarray(array, np.float32) for array in self.arrays]

    def __str__(self) -> str:
        """Where it is, and its shapes, for messages."""
        return f"{'/'.join((*self.around, self.name))} {', '.join(map(str, self.shapes))}"


@contextmanager
def stored_layers(path: Path) -> Iterator[list[StoredLayer]]:
    """The layers with weights in a file, which stays open meanwhile.

    Args:
        path: A .hdf5, .h5 or .weights.h5 file, or a .keras archive without code; of an archive only the
            weights are read. Weights alone or a whole model, by Keras 1 to 3, with an optimizer or without.

    Yields:
        The layers; those of equal shapes, in one model, in the order of that model.

    Raises:
        WeightsError: Not such a file, a damaged one, an archive that holds code, or arrays that are kept
            outside the file or claim to be larger than what is stored.
    """
    with _hdf5_file(path) as unpacked, _open_hdf5(unpacked, path) as file:
        try:
            datasets = _datasets(file, path)
            layers = _legacy_layers(file, datasets) or _layers(datasets)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise WeightsError(
                f"Keras weights must be whole. Received: {path} ({first_line(error)}); the file is damaged"
            ) from error
        yield layers


def _datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Path in the file -> array, each in the file itself and no larger than what is stored of it."""
    # What visits an HDF5 file must not raise: h5py does not take that everywhere.
    link = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
    if link is not None:
        raise WeightsError(f"A weight file must have no links. Received: {path}, whose {link} is one")
    items: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: items.append((name, item)))
    found = {
        name: item
        for name, item in items
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and item.shape is not None
    }
    for name, array in found.items():
        if array.is_virtual or array.external:
            raise WeightsError(
                f"A weight file must contain its numbers. Received: {path}, which keeps {name} elsewhere"
            )
        stored = array.id.get_storage_size()
        if array.nbytes > stored * (_PACKED if array.id.get_create_plist().get_nfilters() else 1):
            raise WeightsError(
                "An array of a weight file must be no larger than what is stored of it. Received:"
                f" {path}, whose {name} is {array.shape} and has {stored} bytes"
            )
    return found


def _layers(datasets: dict[str, h5py.Dataset]) -> list[StoredLayer]:
    """Of a file of Keras 3: layers/functional/layers/conv2d_1/vars/0."""
    groups: dict[tuple[str, ...], dict[int, h5py.Dataset]] = {}
    for name, dataset in datasets.items():
        *parts, kind, number = name.split("/")
        is_weight = kind == "vars" and number.isdigit() and parts[:1] != ["optimizer"]
        if is_weight and not any(part.startswith("seed_generator") for part in parts):
            place = tuple(part for part in parts if part not in _CONTAINERS)
            groups.setdefault(place, {})[int(number)] = dataset
    layers = [
        StoredLayer(
            around=place[:-1], name=place[-1], is_named=False, arrays=tuple(group[n] for n in sorted(group))
        )
        for place, group in groups.items()
        if place
    ]
    return sorted(layers, key=lambda layer: (layer.around, layer.numbered))


def _legacy_layers(file: h5py.File, datasets: dict[str, h5py.Dataset]) -> list[StoredLayer]:
    """Of a file of Keras 1 or 2, or of a whole model by Keras 3 as .h5; empty if it is none."""
    root = "model_weights" if "model_weights" in file else ""
    top = file[root] if root else file
    found: list[StoredLayer] = []
    for layer_name in _texts(top, "layer_names"):
        groups: dict[str, list[h5py.Dataset]] = {}
        for name in _texts(top[layer_name], "weight_names"):
            place = "/".join(filter(None, (root, layer_name, name)))
            groups.setdefault(name.rpartition("/")[0], []).append(datasets[place])
        is_model = len(groups) > 1  # its weights are in one list, those it trains first
        found += [
            StoredLayer(
                around=(layer_name,) if is_model else (),
                name=(inner if is_model else layer_name).replace("/", "_"),
                is_named=True,
                arrays=tuple(arrays),
            )
            for inner, arrays in groups.items()
        ]
    return found


def _texts(group: h5py.Group, name: str) -> list[str]:
    """An attribute of a legacy file; one too long for HDF5 stands in numbered parts."""
    parts = [name] if name in group.attrs else [f"{name}{part}" for part in range(len(group.attrs))]
    texts = [text for part in parts if part in group.attrs for text in group.attrs[part]]
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]


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
def _hdf5_file(path: Path) -> Iterator[Path]:
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
        yield path


def _unpack(path: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_large(archive, path)
            config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # how it was trained: never read
            foreign = ", ".join(sorted(set(_foreign_code(config))))
            if foreign:
                raise WeightsError(
                    f"A .keras file must hold no code of its own. Received: {path}, with {foreign};"
                    " save its weights alone (model.save_weights('x.weights.h5')) and give that file."
                )
            return Path(archive.extract(_KERAS_WEIGHTS, folder))
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"A .keras file is a Keras 3 archive. Received: {path} ({error})") from error


def _refuse_large(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse what would fill memory or disk: zipfile unpacks no more of a member than its entry says."""
    config, weights = archive.getinfo("config.json"), archive.getinfo(_KERAS_WEIGHTS)
    if config.file_size > _MOST_CONFIG_BYTES or weights.file_size > 4 * path.stat().st_size:
        raise WeightsError(
            f"A .keras file must have a config.json of at most {_MOST_CONFIG_BYTES} bytes, and weights of at"
            f" most four times its own size. Received: {path}, with {config.file_size} and"
            f" {weights.file_size} bytes"
        )


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
