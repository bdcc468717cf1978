"""nimakit.stats.components: strongly connected components."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nimakit.stats.components import strong


@pytest.mark.parametrize("edges", [0, 10, 40, 60, 200])
def test_agrees_with_another_program(edges: int) -> None:
    """The same nodes together, in sparse graphs and in dense ones."""
    for seed in range(20):
        source, target = np.random.default_rng(seed).integers(0, 40, (2, edges))
        graph = coo_array((np.ones(edges), (source, target)), shape=(40, 40))
        count, expected = connected_components(graph, connection="strong")
        found = strong(source, target, 40)
        assert len({*zip(found.tolist(), expected.tolist(), strict=True)}) == count
        assert sorted(set(found.tolist())) == list(range(count))


def test_long_chains_and_rings_need_no_stack() -> None:
    """A hundred thousand nodes in a row are that many components; closed to a ring they are one."""
    count = 100_000
    chain = np.arange(count)
    assert len(np.unique(strong(chain[:-1], chain[1:], count))) == count
    assert len(np.unique(strong(chain, np.roll(chain, -1), count))) == 1
