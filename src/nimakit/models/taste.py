"""One person's taste: the taste file, and how it changes a model's scores."""

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
"""Methods whose shift of scores is a linear function of the model's features."""

SUFFIX = ".taste"
USER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""User ids that are allowed as file names."""
FORMAT_VERSION = 1
PROBES = 16
"""Length of the vector that identifies a model."""

_WHAT = "A taste file"
_LEVEL = "level"
_TOLERANCE = 1e-3
"""Difference up to which two probes belong to the same model."""
MARGIN = 0.05
"""Margin at each end of the scale, as a share of it, in which personal means are compressed."""

_MIN_SHARE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Taste:
    """A person's taste, learned with a base model, with which it must be used.

    Attributes:
        method: How it was learned.
        base: (PROBES,) float64, identifies the base model: `nimakit.models.engine.Model.probe`.
        base_name: Display name of the base model.
        ratings: Number of ratings it was learned from.
        comparisons: Number of comparisons it was learned from.
        arrays: "level" (2,) float32, a multiple of the generic mean and a constant, both added to that mean.
            Besides it, linear methods have "weights" (D,) float32; "adapters" the float32 inputs of the
            graph, by name; "full" the content of the person's own model file, "model" (bytes,) uint8.
        created: Time of creation, ISO 8601 in UTC.
    """

    method: Method
    base: FloatArray
    base_name: str
    ratings: int
    arrays: Arrays
    comparisons: int = 0
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def slope(self) -> float:
        """The multiple of the generic mean that is added to it."""
        return float(self.arrays[_LEVEL][0])

    @property
    def feature_weights(self) -> FloatArray | None:
        """(D,), by which the features are added to the score; None of methods that are not linear."""
        return self.arrays["weights"].astype(np.float64) if self.method in LINEAR else None

    def shift(self, means: FloatArray, features: ArrayLike) -> FloatArray:
        """The difference between this person's scores and the network's.

        Args:
            means: (N,) mean scores of the network.
            features: (N, D).

        Returns:
            (N,) float64, on the scale of the bins.
        """
        shift = np.asarray(self.slope * means + float(self.arrays[_LEVEL][1]))
        if self.feature_weights is not None:
            shift += np.asarray(features, np.float64) @ self.feature_weights
        return shift

    @property
    def adapters(self) -> Arrays:
        """The inputs of the graph, by name."""
        return {name: array for name, array in self.arrays.items() if name != _LEVEL}

    def check_base(self, probe: FloatArray, width: int, name: str) -> None:
        """Refuse any model except the base model.

        Args:
            probe: (PROBES,), of the model to check.
            width: Its number of features.
            name: Its display name.

        Raises:
            TasteError: It is not the base model.
        """
        if not is_same_base(self.base, probe) or (
            self.method in LINEAR and self.arrays["weights"].shape != (width,)
        ):
            raise TasteError(
                "A taste file must be used with the model it was learned with. Received: one for"
                f" {self.base_name} with {name}; learn it again with nimakit personalise"
            )


def is_same_base(known: ArrayLike, probe: ArrayLike) -> bool:
    """Whether two probes are of the same model; the tolerance allows for different hardware."""
    return bool(np.allclose(known, probe, rtol=_TOLERANCE, atol=_TOLERANCE))


def personal_means(generic: FloatArray, shift: FloatArray, bins: FloatArray) -> FloatArray:
    """Mean scores plus a person's shift, kept inside the scale without changing their order.

    Within a margin (a twentieth of the scale) at each end, sums are compressed so that they approach the end
    but never reach it. Without a shift the means are exactly the generic ones.

    Args:
        generic: (N,), on the scale of the bins.
        shift: (N,).
        bins: (bins,), ascending.

    Returns:
        (N,) float64, strictly inside the scale where the shift is not 0.
    """
    low, high = float(bins[0]), float(bins[-1])
    margin = MARGIN * (high - low)
    moved = generic + shift
    below, above = low + margin - moved, moved - high + margin
    bent = np.where(below > 0, low + margin * margin / (margin + np.maximum(below, 0)), moved)
    bent = np.where(above > 0, high - margin * margin / (margin + np.maximum(above, 0)), bent)
    return np.where(shift == 0, generic, bent)


def personal_histograms(rows: FloatArray, means: FloatArray, bins: FloatArray) -> FloatArray:
    """The distributions closest to the generic ones that have a person's means.

    Args:
        rows: (N, bins), rows sum to 1.
        means: (N,), strictly inside the scale where they differ from those of the rows.
        bins: (bins,), ascending.

    Returns:
        (N, bins) float64, rows sum to 1; rows with the same mean are unchanged.
    """
    changed = histogram.mean(rows, bins) != means
    personal = rows.copy()
    if changed.any():
        floored = np.maximum(rows[changed], _MIN_SHARE)
        personal[changed] = histogram.tilt(floored, means[changed], bins)
    return personal


def write_taste(path: Path, taste: Taste) -> int:
    """Write a taste file; it appears complete or not at all.

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
        # so that earlier versions of nimakit read a file that they could have written
        **({"comparisons": taste.comparisons} if taste.comparisons else {}),
    }
    return array_files.write(path, facts, taste.arrays)


def read_taste(path: Path) -> Taste:
    """Read and check a taste file.

    Raises:
        TasteError: It is missing, truncated, of another kind or version, or has wrong content.
    """
    found = array_files.read(path, _RULES, _WHAT, TasteError)
    facts, arrays = found.metadata, found.arrays
    taste = Taste(
        method=facts["method"],
        base=np.asarray(facts["base"], np.float64),
        base_name=facts["base_name"],
        ratings=facts["ratings"],
        arrays=arrays,
        comparisons=facts.get("comparisons", 0),
        created=facts["created"],
    )
    if not _has_valid_arrays(taste.method, arrays):
        shapes = ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in list(arrays.items())[:8])
        raise TasteError(
            f"{_WHAT} must contain the arrays of its method, {taste.method}. Received: {path}, {shapes}"
        )
    return taste


def linear(weights: ArrayLike, slope: float, constant: float) -> Arrays:
    """The arrays of a linear method.

    Args:
        weights: (D,), one per feature.
        slope: Multiple of the generic mean that is added to it.
        constant: Added to every score.
    """
    return {
        "weights": np.asarray(weights, np.float32),
        _LEVEL: np.array([slope, constant], np.float32),
    }


def _has_valid_arrays(method: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    kinds = {name: (array.dtype.name, array.ndim) for name, array in arrays.items()}
    if kinds.pop(_LEVEL, None) != ("float32", 1) or arrays[_LEVEL].shape != (2,):
        return False
    if method == "full":
        return kinds == {"model": ("uint8", 1)}
    if method == "adapters":
        return bool(kinds) and {dtype for dtype, _ in kinds.values()} == {"float32"}
    return kinds == {"weights": ("float32", 1)}


def is_probe(value: Any) -> bool:
    """Whether a JSON value is a probe of a model."""
    return isinstance(value, list) and len(value) == PROBES and all(map(is_number(), value))


_RULES = {
    "format_version": Rule(lambda value: value == FORMAT_VERSION, f"{FORMAT_VERSION}", required=True),
    "method": Rule(is_one_of(*METHODS), "one of " + ", ".join(METHODS), required=True),
    "base": Rule(is_probe, f"{PROBES} numbers", required=True),
    "base_name": Rule(is_text, "text", required=True),
    "ratings": Rule(is_integer(0), "an integer, 0 or more", required=True),
    "comparisons": Rule(is_integer(0), "an integer, 0 or more"),
    "created": Rule(is_text, "text", required=True),
}
