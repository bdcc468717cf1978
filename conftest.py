"""The public model, and what the examples in docstrings need: they run in the repository's root."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

from nimakit import conversion
from nimakit.errors import DownloadError, MissingExtraError

ROOT = Path(__file__).parent


def unavailable(reason: str) -> NoReturn:
    """Skip; or fail where NIMAKIT_REQUIRE_MODEL is set, so that no green run checked no published score."""
    if os.environ.get("NIMAKIT_REQUIRE_MODEL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def public_model() -> Path:
    """The model file of the public model: obtained once, cached ever after; skips where it cannot be had."""
    try:
        return conversion.fetch("aesthetic")
    except (DownloadError, MissingExtraError) as error:
        unavailable(f"the public model is not available: {error}")


@pytest.fixture(scope="session")
def public_weights(request: pytest.FixtureRequest) -> Path:
    """The public Keras weights, kept in pytest's cache; skips where they cannot be had."""
    public = conversion.PUBLIC["aesthetic"]
    kept = request.config.cache.mkdir("nimakit-weights") / f"{public.sha256[:16]}.hdf5"
    if not kept.exists():
        with TemporaryDirectory() as folder:
            try:
                shutil.copyfile(conversion.download(public, Path(folder)), kept)
            except DownloadError as error:
                unavailable(f"the public weights are not available: {error}")
    return kept


@pytest.fixture(autouse=True)
def example_surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples of docstrings in the root, those that load the public model only where it is."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    monkeypatch.chdir(ROOT)
    examples = "".join(example.source for example in request.node.dtest.examples)
    if "nimakit.predict(" in examples or "nimakit.load_model(" in examples:
        request.getfixturevalue("public_model")
