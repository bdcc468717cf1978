"""Keras weight files, read for their numbers alone: nothing in them is ever executed."""

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras

from nimakit.errors import WeightsError, first_line

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
        widths: list[int] = []

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim == 2 and "optimizer" not in name:
                widths.append(int(item.shape[1]))

        file.visititems(visit)
        if not widths:
            raise WeightsError(f"A weight file must hold a dense head. Received: {path}, which has none")
        return min(widths)


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
