"""One person's taste: the small file kept for each user, and what it makes of a model's scores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import TasteError
from nimakit.io import arrays as array_files
from nimakit.io.arrays import Arrays
from nimakit.io.rules import Rule, is_integer, is_number, is_one_of, is_text
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray

Method = Literal["head", "factors", "adapters", "full"]
METHODS: tuple[str, ...] = get_args(Method)
LINEAR: tuple[Method, ...] = ("head", "factors")
"""Methods whose user is a linear function of the model's features."""

SUFFIX = ".taste"
USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a user is called where their file is named after them."""
FORMAT_VERSION = 1
PROBES = 16
"""How many numbers a model is known by."""

_WHAT = "A user's file"
_LEVEL = "level"
_TOLERANCE = 1e-3
"""By which the numbers that a model is known by may differ."""
MARGIN = 0.05
"""Share of the scale before its ends from which on personal means bend."""

_LEAST_SHARE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Taste:
    """What one person's ratings taught, to be used with the model they were compared with.

    Attributes:
        method: How it was learned.
        base: (PROBES,) float64, what the base model is known by: `nimakit.models.engine.Model.probe`.
        base_name: What people call it.
        ratings: How many it was learned from.
        arrays: "level" (2,) float32, a factor of the generic mean and a constant, both added to it. With it,
            of linear methods "weights" (D,); of "adapters" the arrays the graph takes, by their names in it,
            all float32; of "full" the bytes of the person's own model file, "model" (bytes,) uint8.
        created: When, as ISO 8601 in UTC.
    """

    method: Method
    base: FloatArray
    base_name: str
    ratings: int
    arrays: Arrays
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def shift(self, means: FloatArray, features: ArrayLike) -> FloatArray:
        """How much more this person likes images than the network says.

        Args:
            means: (N,) its mean scores.
            features: (N, D).

        Returns:
            (N,) float64, on the scale of the bins.
        """
        slope, constant = self.arrays[_LEVEL].astype(np.float64)
        shift = np.asarray(slope * means + constant)
        if self.method in LINEAR:
            shift += np.asarray(features, np.float64) @ self.arrays["weights"].astype(np.float64)
        return shift

    @property
    def adapters(self) -> Arrays:
        """The arrays that a graph takes."""
        return {name: array for name, array in self.arrays.items() if name != _LEVEL}

    def check_base(self, probe: FloatArray, width: int, name: str) -> None:
        """Refuse another model than the one it was learned with.

        Args:
            probe: (PROBES,), of the model at hand.
            width: How many features it gives.
            name: What people call it.

        Raises:
            TasteError: It is another one.
        """
        if not is_same_base(self.base, probe) or (
            self.method in LINEAR and self.arrays["weights"].shape != (width,)
        ):
            raise TasteError(
                "A user's file is used with the model it was learned with. Received: one for"
                f" {self.base_name} with {name}; learn it anew: nimakit personalise"
            )


def is_same_base(known: ArrayLike, probe: ArrayLike) -> bool:
    """Whether two models are the same by what they are known by, however each was run."""
    return bool(np.allclose(known, probe, rtol=_TOLERANCE, atol=_TOLERANCE))


def personal_means(generic: FloatArray, shift: FloatArray, bins: FloatArray) -> FloatArray:
    """Mean scores moved by a person's shift, and kept inside the scale without changing their order.

    Up to a margin (a twentieth of the scale) before its ends they are the sum; from there on they come
    ever nearer to the end. Where there is no shift they are the generic ones, exactly.

    Args:
        generic: (N,), on the scale of the bins.
        shift: (N,).
        bins: (bins,), ascending.

    Returns:
        (N,) float64, strictly inside the scale wherever there is a shift.
    """
    low, high = float(bins[0]), float(bins[-1])
    margin = MARGIN * (high - low)
    moved = generic + shift
    below, above = low + margin - moved, moved - high + margin
    bent = np.where(below > 0, low + margin * margin / (margin + np.maximum(below, 0)), moved)
    bent = np.where(above > 0, high - margin * margin / (margin + np.maximum(above, 0)), bent)
    return np.where(shift == 0, generic, bent)


def personal_histograms(rows: FloatArray, means: FloatArray, bins: FloatArray) -> FloatArray:
    """The distributions nearest to generic ones with the means of a person.

    Args:
        rows: (N, bins), rows sum to 1.
        means: (N,), strictly inside the scale wherever they differ from those of the rows.
        bins: (bins,), ascending.

    Returns:
        (N, bins) float64, rows sum to 1; a row whose mean is the same stays as it is.
    """
    changed = histogram.mean(rows, bins) != means
    personal = rows.copy()
    if changed.any():
        floored = np.maximum(rows[changed], _LEAST_SHARE)
        personal[changed] = histogram.tilt(floored, means[changed], bins)
    return personal


def write_taste(path: Path, taste: Taste) -> int:
    """Write a user's file; it appears whole or not at all.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It could not be written.
    """
    facts = {
        "format_version": FORMAT_VERSION,
        "method": taste.method,
        "base": taste.base.tolist(),
        "base_name": taste.base_name,
        "ratings": taste.ratings,
        "created": taste.created,
    }
    return array_files.write(path, facts, taste.arrays)


def read_taste(path: Path) -> Taste:
    """Read and check a user's file.

    Raises:
        TasteError: It is missing, truncated, of another kind or version, or holds what it must not.
    """
    found = array_files.read(path, _RULES, _WHAT, TasteError)
    facts, arrays = found.metadata, found.arrays
    taste = Taste(
        method=facts["method"],
        base=np.asarray(facts["base"], np.float64),
        base_name=facts["base_name"],
        ratings=facts["ratings"],
        arrays=arrays,
        created=facts["created"],
    )
    if not _has_its_arrays(taste.method, arrays):
        shapes = ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in list(arrays.items())[:8])
        raise TasteError(
            f"{_WHAT} holds the arrays of its method, {taste.method}. Received: {path}, {shapes}"
        )
    return taste


def linear(weights: ArrayLike, slope: float, constant: float) -> Arrays:
    """The arrays of a linear method.

    Args:
        weights: (D,), what a feature adds to the score.
        slope: What a point of the generic mean adds.
        constant: What is added to every score.
    """
    return {
        "weights": np.asarray(weights, np.float32),
        _LEVEL: np.array([slope, constant], np.float32),
    }


def _has_its_arrays(method: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    kinds = {name: (array.dtype.name, array.ndim) for name, array in arrays.items()}
    if kinds.pop(_LEVEL, None) != ("float32", 1) or arrays[_LEVEL].shape != (2,):
        return False
    if method == "full":
        return kinds == {"model": ("uint8", 1)}
    if method == "adapters":
        return bool(kinds) and {dtype for dtype, _ in kinds.values()} == {"float32"}
    return kinds == {"weights": ("float32", 1)}


def is_probe(value: Any) -> bool:
    """Whether a value of a file is what a base model is known by."""
    return isinstance(value, list) and len(value) == PROBES and all(map(is_number(), value))


_RULES = {
    "format_version": Rule(lambda value: value == FORMAT_VERSION, f"{FORMAT_VERSION}", required=True),
    "method": Rule(is_one_of(*METHODS), "one of " + ", ".join(METHODS), required=True),
    "base": Rule(is_probe, f"{PROBES} numbers", required=True),
    "base_name": Rule(is_text, "text", required=True),
    "ratings": Rule(is_integer(0), "an integer, 0 or more", required=True),
    "created": Rule(is_text, "text", required=True),
}
