"""Reader of Keras weight files of all formats, layer by layer; it never executes code in a file.

Files are checked here before any weight is read, because they may come from strangers.
"""

import json
import math
import zipfile
import zlib
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
from nimakit.io import zip_files

SUFFIXES = (".hdf5", ".h5", ".weights.h5", ".keras")
_KERAS_WEIGHTS = "model.weights.h5"
_SAFE_MODULES = ("keras", "builtins")
_MAX_CONFIG_BYTES = 16 * 2**20
_MAX_RATIO = 4
"""Maximum ratio of unpacked size to file size: trained weights are hardly compressible."""
_ALWAYS_ALLOWED = 64 * 2**20
"""Unpacked bytes that are allowed for files of any size."""
_MAX_OBJECTS, _MAX_DEPTH = 200_000, 64
_CONTAINERS = {"layers", "_layer_checkpoint_dependencies"}
"""Names of the list of a model's layers in files of Keras 3 and the last releases of Keras 2."""

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLayer:
    """The weights of a layer in an open file.

    Attributes:
        around: The nested models that contain it, outermost first; empty for a layer of the whole model.
        name: Its name; in the format of Keras 3, which stores no names, its class and number.
        is_named: Whether that is its name in the model.
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
        """Name and number of a numbered layer: ("conv2d", 0) for conv2d, ("conv2d", 1) for conv2d_1."""
        stem, _, number = self.name.rpartition("_")
        return (stem, int(number)) if stem and number.isdigit() else (self.name, 0)

    def values(self) -> list[NDArray[np.float32]]:
        """Read the arrays.

        Raises:
            WeightsError: The file is damaged.
        """
        try:
            return [np.asarray(array, np.float32) for array in self.arrays]
        except (OSError, RuntimeError, ValueError) as error:  # HDF5's errors for damaged parts
            raise WeightsError(
                f"Keras weights must be whole. Received: {self.arrays[0].file.filename}, whose {self} cannot"
                f" be read ({first_line(error)}); the file is damaged"
            ) from error

    def __str__(self) -> str:
        """Path and shapes, for messages."""
        return f"{'/'.join((*self.around, self.name))} {', '.join(map(str, self.shapes))}"


@contextmanager
def stored_layers(path: Path) -> Iterator[list[StoredLayer]]:
    """Open a file and list its layers with weights.

    Args:
        path: A .hdf5, .h5 or .weights.h5 file, or a .keras archive without code, of which only the weights
            are read. Contains weights or a whole model, by Keras 1 to 3, with or without an optimizer.

    Yields:
        The layers; those of equal shapes within a model are in the order of that model.

    Raises:
        WeightsError: Another kind of file, a damaged file, an archive with code, or arrays that are stored
            outside the file or declared larger than their stored data. No weights were read.
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


def finite_values(layer: StoredLayer, path: Path) -> list[NDArray[np.float32]]:
    """The arrays of a layer, read now.

    Raises:
        WeightsError: They cannot be, or contain NaN or infinity.
    """
    values = layer.values()
    if not all(np.isfinite(value).all() for value in values):
        raise WeightsError(
            f"Weights must be numbers. Received: {path}, with NaN or infinity in {layer}; they are of"
            " a training that failed."
        )
    return values


def check(path: Path) -> None:
    """Refuse a file before Keras reads it, as `stored_layers` does.

    Raises:
        WeightsError: As `stored_layers`.
    """
    with stored_layers(path):
        pass


def _datasets(file: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """Path in the file -> array; refuses arrays outside the file or larger than their stored data."""
    found: dict[str, h5py.Dataset] = {}
    declared = 0
    for name, item in _items(file, path):
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.shape is None:
            continue
        if item.is_virtual or item.external:
            raise WeightsError(
                f"A weight file must contain all its arrays. Received: {path}, which stores {name} elsewhere"
            )
        stored = item.id.get_storage_size()
        if item.nbytes > stored and not item.id.get_create_plist().get_nfilters():
            raise WeightsError(
                "An array in a weight file must not be larger than its stored data. Received:"
                f" {path}, whose {name} is {item.shape} and has {stored} bytes"
            )
        # A chunk is always unpacked completely, even if the array uses little of it.
        declared += max(item.nbytes, math.prod(item.chunks or ()) * item.dtype.itemsize)
        found[name] = item
    size = file.id.get_filesize()
    if declared > _MAX_RATIO * size + _ALWAYS_ALLOWED:
        raise WeightsError(
            f"The arrays of a weight file must have at most {_MAX_RATIO} times the bytes of the file."
            f" Received: {path}, with {declared} bytes in {size}"
        )
    return found


def _items(file: h5py.File, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield path and object of everything in the file.

    Raises:
        WeightsError: There is a link, or more or deeper groups than in any model.
    """
    groups: list[tuple[tuple[str, ...], h5py.Group]] = [((), file)]
    count = 0
    while groups:
        place, group = groups.pop()
        for name in group:
            count += 1
            where = (*place, name)
            if count > _MAX_OBJECTS or len(where) > _MAX_DEPTH:
                raise WeightsError(
                    f"A weight file must have at most {_MAX_OBJECTS} groups and arrays, {_MAX_DEPTH} deep."
                    f" Received: {path}, with more"
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(
                    f"A weight file must have no links. Received: {path}, whose {'/'.join(where)} is one"
                )
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((where, item))
            yield "/".join(where), item


def _layers(datasets: dict[str, h5py.Dataset]) -> list[StoredLayer]:
    """Layers of a file of Keras 3, with paths such as layers/functional/layers/conv2d_1/vars/0."""
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
    """Layers of a file of Keras 1 or 2, or of a whole .h5 model by Keras 3; empty for other files."""
    root = "model_weights" if "model_weights" in file else ""
    top = file[root] if root else file
    found: list[StoredLayer] = []
    for layer_name in _texts(top, "layer_names"):
        groups: dict[str, list[h5py.Dataset]] = {}
        for name in _texts(top[layer_name], "weight_names"):
            place = "/".join(filter(None, (root, layer_name, name)))
            groups.setdefault(name.rpartition("/")[0], []).append(datasets[place])
        is_model = len(groups) > 1  # its weights are in one list, trainable weights first
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
    """An attribute of a legacy file; one too long for HDF5 is split into numbered parts."""
    parts = [name] if name in group.attrs else [f"{name}{part}" for part in range(len(group.attrs))]
    texts = [text for part in parts if part in group.attrs for text in group.attrs[part]]
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in texts]


@contextmanager
def _open_hdf5(weights: Path, shown: Path) -> Iterator[h5py.File]:
    try:
        file = h5py.File(weights, "r")
    except OSError as error:
        raise WeightsError(
            f"Keras weights must be an HDF5 file. Received: {shown} ({first_line(error)}); the file is"
            " damaged, or of another kind"
        ) from error
    with file:
        yield file


@contextmanager
def _hdf5_file(path: Path) -> Iterator[Path]:
    """The HDF5 file itself, or the one inside a .keras archive, unpacked temporarily."""
    if not path.is_file():
        raise WeightsError(f"A weights file must exist. Received: {path}")
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(
            f"Keras weights must end in {', '.join(SUFFIXES)}; pickles and saved models can run code and are"
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
            zip_files.check(archive, path.stat().st_size, times=_MAX_RATIO)
            if archive.getinfo("config.json").file_size > _MAX_CONFIG_BYTES:
                raise ValueError(f"its config.json has more than {_MAX_CONFIG_BYTES} bytes")
            config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # training settings: never read
            foreign = ", ".join(sorted(set(_foreign_code(config))))
            if foreign:
                raise WeightsError(
                    f"A .keras file must not contain code. Received: {path}, with {foreign};"
                    " save only its weights (model.save_weights('x.weights.h5')) and use that file."
                )
            return Path(archive.extract(_KERAS_WEIGHTS, folder))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"A .keras file must be a Keras 3 archive. Received: {path} ({first_line(error)})"
        ) from error


def _foreign_code(config: Any) -> Iterator[str]:
    """Class names in a serialised model that are not from Keras, or that contain code (Lambda)."""
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
