"""Small files of arrays and facts, read with suspicion: .npz without compression, pickles or code."""

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

_FACTS = "facts"
_LARGEST = 2**30
_KINDS = "fu"


@dataclass(frozen=True, slots=True)
class Archive:
    """What a file holds.

    Attributes:
        facts: Plain JSON values.
        arrays: Name -> finite numbers.
    """

    facts: dict[str, Any]
    arrays: Arrays


def to_bytes(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """The content of a file.

    Args:
        facts: Plain JSON values.
        arrays: Name -> array of floats or unsigned integers.
    """
    stream = io.BytesIO()
    header = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(stream, **{_FACTS: header, **arrays})
    return stream.getvalue()


def write(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> int:
    """Write a file; it appears whole or not at all.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It could not be written.
    """
    content = to_bytes(facts, arrays)
    atomic_bytes(content, path)
    return len(content)


def read(path: Path, rules: Mapping[str, Rule], what: str, error_class: type[NimakitError]) -> Archive:
    """Read and check a file.

    Args:
        path: The file.
        rules: What its facts must be.
        what: The file in words, for messages: "A user's file".
        error_class: What to raise.

    Raises:
        error_class: The file is missing, truncated, of another kind, or breaks rules; all are listed.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it has more than 1 GiB")
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as entries:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.infolist()):
                raise ValueError("it holds compressed data, which it never does")  # it may unpack to anything
            zip_files.check(entries, len(content))
            if entries.testzip() is not None:
                raise ValueError("its checksums are wrong")
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        facts = json.loads(arrays.pop(_FACTS).tobytes())
        if not isinstance(facts, dict):
            raise ValueError("its facts are no JSON object")
        if not all(array.dtype.kind in _KINDS and np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("it holds what is no finite number")
    except Exception as error:  # zipfile and NumPy meet a broken file with whatever comes
        if machine_fault(error, path):
            raise
        if isinstance(error, OSError):
            raise error_class(
                f"{what} must be a readable file. Received: {path} ({error.strerror or error})"
            ) from error
        raise error_class(
            f"{what} must be one that nimakit wrote, whole. Received: {path} ({error})"
        ) from error
    broken = broken_rules(facts, rules)
    if broken:
        raise error_class(f"{what} breaks a rule: {path}: " + "; ".join(broken))
    return Archive(facts, arrays)
