"""nimakit.commands.bulk: options of runs of any size."""

import pytest

from nimakit.commands.bulk import read_cluster
from nimakit.errors import UsageError
from nimakit.scoring.bulk import Cluster


def test_an_address_is_that_of_a_cluster_this_machine_belongs_to() -> None:
    """Not one for Ray's client, through which Ray Data does not work; nor one without Ray."""
    assert read_cluster("local", None, 1, 0.0) is None
    assert read_cluster("ray", "auto", 2, 0.5) == Cluster(address="auto", cpus=2, gpus=0.5)
    with pytest.raises(UsageError, match="Run it on the head"):
        read_cluster("ray", "ray://head:10001", 1, 0.0)
    with pytest.raises(UsageError, match="needs --engine ray"):
        read_cluster("local", "auto", 1, 0.0)
