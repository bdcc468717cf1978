"""The public model, and what the examples in docstrings need: they run in the repository's root."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

from nimakit.errors import DownloadError, MissingExtraError
from nimakit.models import conversion, pretrained

ROOT = Path(__file__).parent

# Alembic runs it, within a migration: it cannot be imported.
collect_ignore = ["src/nimakit/web/db/migrations/env.py"]


def unavailable(reason: str) -> NoReturn:
    """Skip; or fail where NIMAKIT_REQUIRE_MODEL is set, so that no green run checked no published score."""
    if os.environ.get("NIMAKIT_REQUIRE_MODEL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def public_model(public_weights: Path) -> Path:
    """The model file of the public model: obtained once, cached ever after; skips where it cannot be had."""
    try:
        return conversion.convert(public_weights, "MobileNet")
    except MissingExtraError as error:
        unavailable(f"the public model is not available: {error}")


@pytest.fixture(scope="session")
def public_weights() -> Path:
    """The Keras weights of the public model; skips where they cannot be had."""
    return _weights("aesthetic")


@pytest.fixture(scope="session", params=["efficientnet-lite0", "efficientnet-lite2"])
def imagenet_weights(request: pytest.FixtureRequest) -> Path:
    """Public ImageNet weights, each in turn; skips where they cannot be had."""
    return _weights(request.param)


def _weights(name: str) -> Path:
    """The file of public weights: obtained once, cached ever after."""
    try:
        return pretrained.fetch_weights(name)
    except DownloadError as error:
        unavailable(f"the public weights {name} are not available: {error}")


@pytest.fixture(autouse=True)
def example_surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples of docstrings in the root, those that load the public model only where it is."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    monkeypatch.chdir(ROOT)
    examples = "".join(example.source for example in request.node.dtest.examples)
    if "nimakit.predict(" in examples or "nimakit.load_model(" in examples:
        request.getfixturevalue("public_model")
    if "fetch_weights(" in examples:
        request.getfixturevalue("public_weights")
