"""What the tests share: small models, a browser, and no network."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from nimakit.cli import main
from nimakit.models import intervals
from nimakit.models.engine import Member, Model
from nimakit.models.intervals import KnownErrors
from nimakit.models.network import Network
from samples import metadata, write_model
from terminal import Command, Result

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As nimakit.nn sets it, for test modules that import Keras before anything of nimakit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Tests that keep features do so in a cache of their own.
os.environ["NIMAKIT_FEATURES_GB"] = "0"

CLOSED_PORT = "http://127.0.0.1:9/simple"

# They import TensorFlow, which takes seconds, and have no examples.
collect_ignore = ["small_backbone.py", "small_models.py"]

NETWORKS = Path(__file__).parent / "nn"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a real browser and tests of networks are among the slow ones."""
    for item in items:
        marked = item.get_closest_marker("docker") or item.get_closest_marker("exhaustive")
        is_slow = "browser" in getattr(item, "fixturenames", ()) or NETWORKS in item.path.parents
        if is_slow and not marked:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point pip at a port where nobody answers: nothing else would use the network."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED_PORT)
    monkeypatch.setenv("PIP_RETRIES", "0")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, which does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NIMAKIT_CACHE", str(folder))
    monkeypatch.delenv("NIMAKIT_BUILTIN_MODELS", raising=False)
    monkeypatch.delenv("NIMAKIT_FEATURES_GB", raising=False)
    return folder


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with ten bins and reference quantiles."""
    about = metadata(quantiles=(4.0, 5.5, 7.0), reference="scores of a test")
    return write_model(tmp_path_factory.mktemp("models") / "tiny.onnx", about)


@pytest.fixture(scope="session")
def score_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with a regression head."""
    about = metadata(name="one number")
    return write_model(tmp_path_factory.mktemp("models") / "score.onnx", about, head="score")


@pytest.fixture(scope="session")
def calibrated_file(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with ten bins and the errors of nine images, from 0 to 8."""
    file = tmp_path_factory.mktemp("models") / "calibrated.onnx"
    shutil.copy(tiny_file, file)
    intervals.write(file, KnownErrors.of(np.arange(9.0), np.zeros(9), "9 photographs, validation"))
    return file


@pytest.fixture(scope="session")
def tiny(tiny_file: Path) -> Model:
    """The model with ten bins, loaded."""
    return Model([Member(Network(tiny_file))])


@pytest.fixture
def nimakit(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window; skips where it is not installed.

    A module's own: while Playwright runs, its event loop is this thread's, and there can be no second.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*options, "--disable-gpu"])
        yield started
        started.close()
