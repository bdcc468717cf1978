"""Ratings and comparisons in one fit: the posterior by ratings is the prior of the comparisons.

How much a person likes an image is ``offset + x @ weights``. Ratings and a normal prior give a normal
posterior of the weights. Every judgement has normal noise (Thurstone, "A Law of Comparative Judgment",
Psychological Review 34, 1927, case V), so the first of two images is chosen with the probability
``Phi(difference / (noise sqrt(2)))``, which is within 0.01 the logistic function of ``1.702 / sqrt(2) *
difference / noise`` (Camilli, "Origin of the Scaling Constant d = 1.7 in Item Response Theory", Journal of
Educational and Behavioral Statistics 19, 1994). So ratings and comparisons are about the same weights on the
same scale, and the result is the mode of the posterior by both.
"""

from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray
from nimakit.stats.pairwise import OfFeatures, Pairs, loss, most_likely

_SLOPE = 1.702 / np.sqrt(2)


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """One person's comparisons of n images.

    Attributes:
        pairs: The pairs that were compared.
        features: (n, D) float64.
        means: (n,) float64, generic mean scores.
        noise: Usual standard deviation of a judgement, on the scale of the means, for a person whose own is
            not known from ratings.
    """

    pairs: Pairs
    features: FloatArray
    means: FloatArray
    noise: float


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A normal distribution of D weights.

    Attributes:
        mean: (D,) float64.
        root: (D, R) float64; the covariance is ``root @ root.T``.
        noise: Standard deviation of a judgement.
    """

    mean: FloatArray
    root: FloatArray
    noise: float

    def given(self, pairs: Pairs, features: FloatArray, offset: FloatArray) -> tuple[FloatArray, float]:
        """Update the weights by comparisons of n images.

        Args:
            pairs: The comparisons.
            features: (n, D).
            offset: (n,), how much the images are liked where all weights are 0.

        Returns:
            (D,) float64, the mode of the new posterior; and the logarithm of the evidence of the comparisons,
            in Laplace's approximation.
        """
        slope = _SLOPE / self.noise
        differences = OfFeatures(pairs, slope * features @ self.root)
        start = pairs.margins(slope * (offset + features @ self.mean))
        found = most_likely(
            *(differences, pairs.times, pairs.chosen, np.zeros(self.root.shape[1])),
            precision=1.0,
            scale=max(float(pairs.times.sum()), 1.0),
            offset=start,
        )
        margin = start + differences.margins(found)
        information = differences.features.T @ pairs.information(margin) @ differences.features
        spread = np.linalg.slogdet(np.eye(len(information)) + information).logabsdet
        evidence = -loss(margin, pairs.times, pairs.chosen) - float(found @ found) / 2 - float(spread) / 2
        return self.mean + self.root @ found, evidence
