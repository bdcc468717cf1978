"""nimakit.stats.variance_components: how much each kernel explains."""

import numpy as np
import pytest

from nimakit.stats.variance_components import Components, covariance, estimate, restricted


def test_finds_the_variances_that_data_were_made_with() -> None:
    """Of two kernels and two parts of the noise, within the error that so many examples leave."""
    random = np.random.default_rng(0)
    count = 120
    kernels = [x @ x.T / x.shape[1] for x in (random.normal(size=(count, width)) for width in (15, 60))]
    noises = [np.ones(count), np.where(np.arange(count) < count / 2, 0.1, 1.9)]
    true = Components(np.array([2.0, 0.5]), np.array([0.2, 1.0]))
    root = np.linalg.cholesky(covariance(kernels, noises, true))
    y = 7 + root @ random.normal(size=(count, 100))
    found = estimate(kernels, noises, y)
    np.testing.assert_allclose(found.kernels, true.kernels, rtol=0.25)
    np.testing.assert_allclose(found.noises, true.noises, rtol=0.25)


def test_gives_nothing_to_a_kernel_that_explains_nothing() -> None:
    """All variance goes to the noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 3))
    found = estimate([x @ x.T / 3], [np.ones(80)], random.normal(size=(80, 10)))
    assert found.kernels[0] < 0.02
    assert found.noises[0] == pytest.approx(1, rel=0.1)


def test_finds_the_largest_likelihood() -> None:
    """Any other variance of the kernel or the noise is less likely."""
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 8))
    kernel, noise = x @ x.T / 8, np.ones(60)
    y = x @ random.normal(size=(8, 1)) * 0.5 + random.normal(size=(60, 1))
    best = estimate([kernel], [noise], y)

    def likelihood(factor_kernel: float, factor_noise: float) -> float:
        total = covariance(
            [kernel], [noise], Components(best.kernels * factor_kernel, best.noises * factor_noise)
        )
        inverse_sum = np.linalg.inv(total).sum()
        return -float(
            np.linalg.slogdet(total)[1] + np.log(inverse_sum) + (y.T @ restricted(total) @ y).item()
        )

    others = [likelihood(a, b) for a, b in ((0.8, 1.0), (1.25, 1.0), (1.0, 0.8), (1.0, 1.25))]
    assert likelihood(1, 1) > max(others)


@pytest.mark.parametrize("count", [1, 2])
def test_takes_the_fewest_examples(count: int) -> None:
    """One or two, from which nothing can be estimated, give finite variances."""
    found = estimate([np.ones((count, count))], [np.ones(count)], np.ones((count, 2)))
    assert np.isfinite([*found.kernels, *found.noises]).all()
