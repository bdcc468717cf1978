"""How two photographs overlap: the shift between them, and how well they agree where they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.histogram import Float32Array

_LEAST_OVERLAP = 0.2
"""Share of the area that both must show."""
_NEIGHBOURHOOD = 4
"""Pixels on each side that are a pixel's surroundings."""
_FLAT = 2.0
"""Grey levels that do not count as contrast, so that noise in even surfaces is not amplified."""
_LEAST_ENERGY = 1.0
"""Of the overlap of even surfaces, which agree with nothing."""
_KEPT = 512
"""Photographs of which the spectra are kept: 60 MB."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The shift at which two photographs agree best.

    Attributes:
        down: By how much the view moved down from the first to the second, as a share of the height.
        right: By how much it moved to the right, as a share of the width.
        agreement: Correlation of the local contrast where they overlap, -1 to 1.
    """

    down: float
    right: float
    agreement: float

    @property
    def distance(self) -> float:
        """The larger of the two shifts, as a share of the side."""
        return max(abs(self.down), abs(self.right))


class Overlaps:
    """The overlaps of photographs, by correlation at every shift at which a fifth of the area is left.

    Local contrast is compared, which is the same in a darker or brighter exposure. What belongs to one
    photograph is computed once and kept for a while, as most are compared with several others.

    Args:
        thumbnails: For each photograph (side, side) luminance, 0-255.
    """

    def __init__(self, thumbnails: Sequence[Float32Array]) -> None:
        self._thumbnails = thumbnails
        self._spectra = lru_cache(maxsize=_KEPT)(self._compute)

    def between(self, first: int, second: int) -> Overlap:
        """The overlap of two photographs by their places."""
        one, other = self._spectra(first), self._spectra(second)
        side = len(self._thumbnails[first])
        products = np.fft.irfft2(one.contrast * np.conj(other.contrast), (2 * side, 2 * side))
        agreement = np.where(
            _is_enough(side), products / (one.energy_as_first * other.energy_as_second), -1.0
        )
        row, column = divmod(int(agreement.argmax()), 2 * side)
        down, right = (place - 2 * side if place >= side else place for place in (row, column))
        return Overlap(down / side, right / side, float(agreement[row, column]))

    def _compute(self, place: int) -> "_Spectra":
        contrast = _local_contrast(self._thumbnails[place])
        size = (2 * len(contrast), 2 * len(contrast))
        energy = np.fft.rfft2(contrast**2, size)
        ones = np.fft.rfft2(np.ones_like(contrast), size)
        return _Spectra(
            contrast=np.asarray(np.fft.rfft2(contrast, size), np.complex64),
            energy_as_first=_root(np.fft.irfft2(energy * np.conj(ones), size)),
            energy_as_second=_root(np.fft.irfft2(ones * np.conj(energy), size)),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Spectra:
    """What the overlaps of one photograph need.

    Attributes:
        contrast: (2 side, side + 1) complex64, the spectrum of its local contrast.
        energy_as_first: (2 side, 2 side) float32, the root of the energy of the part that overlaps at every
            shift of the other; negative shifts are at the end.
        energy_as_second: The same at every shift of this one.
    """

    contrast: NDArray[np.complex64]
    energy_as_first: Float32Array
    energy_as_second: Float32Array


def _root(energy: NDArray[np.float64]) -> Float32Array:
    return np.asarray(np.sqrt(np.maximum(energy, _LEAST_ENERGY)), np.float32)


@cache
def _is_enough(side: int) -> NDArray[np.bool_]:
    """(2 side, 2 side): whether enough of the area is left at a shift."""
    shift = np.abs(np.fft.fftfreq(2 * side, 1 / (2 * side)))
    left = (1 - shift / side).clip(0)
    return np.asarray(np.outer(left, left) >= _LEAST_OVERLAP)


def _local_contrast(luminance: Float32Array) -> Float32Array:
    """(side, side) luminance less that of the surroundings, in standard deviations of these."""
    mean = _blurred(luminance)
    variance = _blurred(luminance**2) - mean**2
    return np.asarray((luminance - mean) / (np.sqrt(variance.clip(0)) + _FLAT), np.float32)


def _blurred(values: Float32Array) -> Float32Array:
    """Means of the surroundings, by sums along each axis."""
    width = 2 * _NEIGHBOURHOOD + 1
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (_NEIGHBOURHOOD + 1, _NEIGHBOURHOOD)
        sums = np.cumsum(np.pad(values, margin, "edge"), axis=axis, dtype=np.float64)
        high, low = (np.take(sums, np.arange(values.shape[axis]) + step, axis=axis) for step in (width, 0))
        values = np.asarray((high - low) / width, np.float32)
    return values
