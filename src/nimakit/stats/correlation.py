"""Correlation coefficients of two arrays of scores, and how they are shown."""

import numpy as np

from nimakit.errors import MissingExtraError
from nimakit.stats.histogram import FloatArray

FEW = 30
"""With fewer images, figures are shown with two decimals and a warning."""


def shown(value: float | None, images: int, decimals: int) -> str:
    """A figure as people see it, with as many decimals as that many images support; empty for None.

    Example:
        >>> shown(0.98765, 500, 4), shown(0.98765, 12, 4)
        ('0.9877', '0.99')
    """
    return "" if value is None else f"{value:.{min(decimals, 2) if images < FEW else decimals}f}"


def lcc(first: FloatArray, second: FloatArray) -> float | None:
    """Pearson's linear correlation coefficient of two (N,) arrays; None where it is not defined."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def srcc(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's rank correlation coefficient of two (N,) arrays; None where it is not defined."""
    require_scipy()
    from scipy.stats import rankdata

    return lcc(rankdata(first), rankdata(second))


def require_scipy() -> None:
    """Refuse early, before hours of scoring.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        import scipy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Metrics against labels need SciPy. Install it: pip install 'nimakit[report]'"
        ) from error
