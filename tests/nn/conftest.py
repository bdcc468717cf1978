"""What several tests of networks begin with."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def small_adapters(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The small backbone is there, and has room for adapters."""
    import small_backbone  # loads TensorFlow
    from nimakit.nn.networks import adapters

    monkeypatch.setattr(adapters, "SHARE", 1.0)  # of a backbone this small
    with small_backbone.registered():
        yield
