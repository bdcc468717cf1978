"""Small .npz files of arrays and JSON metadata, checked in full before they are used.

They are never compressed and contain no pickles, so an untrusted file can neither run code nor unpack to more
than its size.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.errors import NimakitError, machine_fault
from nimakit.io import zip_files
from nimakit.io.atomic import atomic_bytes
from nimakit.io.rules import Rule, broken_rules

Arrays = dict[str, np.ndarray[Any, Any]]

_METADATA = "facts"
"""Entry of the metadata: JSON text in an array of bytes."""
_MAX_BYTES = 2**30
_FLOAT_AND_UNSIGNED = "fu"


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of a file.

    Attributes:
        metadata: Plain JSON values.
        arrays: Name -> finite numbers.
    """

    metadata: dict[str, Any]
    arrays: Arrays


def to_bytes(metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Encode metadata and arrays as the content of a file.

    Args:
        metadata: Plain JSON values.
        arrays: Name -> array of floats or unsigned integers.
    """
    stream = io.BytesIO()
    header = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    np.savez(stream, **{_METADATA: header, **arrays})
    return stream.getvalue()


def write(path: Path, metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> int:
    """Write a file atomically.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It could not be written.
    """
    content = to_bytes(metadata, arrays)
    atomic_bytes(content, path)
    return len(content)


def read(path: Path, rules: Mapping[str, Rule], what: str, error_class: type[NimakitError]) -> Archive:
    """Read and check a file.

    Args:
        path: The file.
        rules: Rules for its metadata.
        what: Description of the file for messages: "A user's file".
        error_class: Class of the errors raised.

    Raises:
        error_class: The file is missing, truncated, of another kind, or breaks rules; all are listed.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it has more than 1 GiB")
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as entries:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.infolist()):
                raise ValueError("it contains compressed data")  # which may unpack to any size
            zip_files.check(entries, len(content))
            if entries.testzip() is not None:
                raise ValueError("its checksums are wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        metadata = json.loads(arrays.pop(_METADATA).tobytes())
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is not a JSON object")
        if not all(
            array.dtype.kind in _FLOAT_AND_UNSIGNED and np.isfinite(array).all() for array in arrays.values()
        ):
            raise ValueError("it contains values that are not finite numbers")
    except Exception as error:  # zipfile and NumPy raise all kinds of errors on a broken file
        if machine_fault(error, path):
            raise
        if isinstance(error, OSError):
            raise error_class(
                f"{what} must be a readable file. Received: {path} ({error.strerror or error})"
            ) from error
        raise error_class(
            f"{what} must be a complete file written by nimakit. Received: {path} ({error})"
        ) from error
    broken = broken_rules(metadata, rules)
    if broken:
        raise error_class(f"{what} breaks a rule: {path}: " + "; ".join(broken))
    return Archive(metadata, arrays)
