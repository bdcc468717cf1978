"""Settings of the app: folders, secret, and refused values."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import ConfigError, OutputError, UsageError
from nimakit.images.photo import MAX_PIXELS
from nimakit.io import sockets
from nimakit.web.settings import (
    PASSWORD_VARIABLE,
    PIXELS_VARIABLE,
    PROXIES_VARIABLE,
    SECRET_VARIABLE,
    Settings,
    read_settings,
)

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing listens there
GOOD = "k3Yf0-9vHq2LwZp7Rt5XcB8nMd4SgJ1a"


def settings(tmp_path: Path, environment: Mapping[str, str] | None = None, **values: Any) -> Settings:
    """Settings with an empty folder."""
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    return read_settings(
        **{"folders": (folder,), "data_dir": tmp_path / "data", "environment": environment or {}, **values}
    )


def test_a_secret_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    """Two starts share a random secret in a file that only the owner can read."""
    first, second = settings(tmp_path), settings(tmp_path)
    assert first.secret == second.secret
    assert len(first.secret) >= 32
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0


def test_half_a_secret_is_replaced(tmp_path: Path) -> None:
    """A truncated secret is not used."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").write_text("abc")
    assert len(settings(tmp_path).secret) >= 32


def test_ratings_are_kept_in_the_data_folder(tmp_path: Path) -> None:
    """The default database is there, and nothing is written next to the photographs."""
    found = settings(tmp_path)
    assert found.database == f"sqlite:///{tmp_path / 'data' / 'ratings.db'}"
    assert list((tmp_path / "photos").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_refuses_a_folder_that_no_database_could_name(tmp_path: Path) -> None:
    """The database stores its path as text."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    with pytest.raises(UsageError, match=r"path is text in UTF-8.*caf%E9; rename it"):
        settings(tmp_path, folders=(folder,))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_is_local(tmp_path: Path, host: str) -> None:
    """Local apps need no sign-in."""
    assert settings(tmp_path, host=host).is_local


@pytest.mark.parametrize(
    "values", [{"host": ANY_ADDRESS}, {"host": "192.168.1.5"}, {"url": "https://rate.example.org"}]
)
def test_what_others_can_reach_is_not_local(tmp_path: Path, values: dict[str, Any]) -> None:
    """These have another address, or a proxy in front of loopback."""
    assert not settings(tmp_path, **values).is_local


@pytest.mark.parametrize("secret", ["short", "change-me-change-me-change-me-change-me", "secret" * 10])
def test_refuses_a_secret_that_can_be_guessed(tmp_path: Path, secret: str) -> None:
    """With an example secret, anyone could forge sessions."""
    with pytest.raises(UsageError, match="random characters"):
        settings(tmp_path, {SECRET_VARIABLE: secret}, host=ANY_ADDRESS)
    assert settings(tmp_path, {SECRET_VARIABLE: secret}).secret == secret


@pytest.mark.parametrize("password", ["short", "change-me-please", "password12345"])
def test_refuses_a_password_that_can_be_guessed(tmp_path: Path, password: str) -> None:
    """With an example password, anyone could sign in as admin."""
    with pytest.raises(UsageError, match="at least 10 characters and not easy to guess"):
        settings(tmp_path, {PASSWORD_VARIABLE: password, SECRET_VARIABLE: GOOD}, host=ANY_ADDRESS)


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UsageError, match="nowhere"):
        settings(tmp_path, folders=(tmp_path / "nowhere",))


@pytest.mark.parametrize(
    "url", ["rate.example.org", "ftp://a.org", "https://", "https://a.org/rate", "https://a.org/?a"]
)
def test_refuses_an_address_that_leads_nowhere(tmp_path: Path, url: str) -> None:
    """The address must be http or https, without a path."""
    with pytest.raises(UsageError, match="--url"):
        settings(tmp_path, url=url)


def test_refuses_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The message says how to choose another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--data-dir"):
        settings(tmp_path, data_dir=tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_refuses_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """It is refused before the first rating."""
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="--data-dir"):
        settings(tmp_path)


def test_an_app_that_listens_everywhere_is_reached_by_the_machines_own_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.0.0.0 cannot be opened."""
    monkeypatch.delenv(sockets.ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(sockets, "_own_address", lambda: "192.0.2.7")
    assert settings(tmp_path, host=ANY_ADDRESS).address(8000) == "http://192.0.2.7:8000/"


def test_apps_of_one_host_have_names_of_their_own(tmp_path: Path) -> None:
    """They differ by secret or database, and stay the same at later starts."""
    first, again = settings(tmp_path), settings(tmp_path)
    other = settings(tmp_path, data_dir=tmp_path / "other")
    same_secret = [settings(tmp_path, {SECRET_VARIABLE: GOOD}, data_dir=tmp_path / name) for name in "ab"]
    assert first.instance == again.instance
    assert len({one.instance for one in (first, other, *same_secret)}) == 4


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({}, "http://127.0.0.1:8000/"),
        ({"host": "::1"}, "http://[::1]:8000/"),
        ({"url": "https://rate.example.org"}, "https://rate.example.org/"),
    ],
)
def test_the_address_can_be_opened(tmp_path: Path, values: dict[str, Any], address: str) -> None:
    """The printed address can be opened."""
    assert settings(tmp_path, **values).address(8000) == address


def test_proxies_of_this_machine_are_trusted_by_default(tmp_path: Path) -> None:
    """They are addresses or networks; anything else is refused."""
    found = settings(tmp_path).trusted_proxies
    assert [str(network) for network in found] == ["127.0.0.0/8", "::1/128"]
    assert settings(tmp_path, {PROXIES_VARIABLE: ""}).trusted_proxies == found
    named = settings(tmp_path, {PROXIES_VARIABLE: "10.0.0.7, 172.16.0.0/12"}).trusted_proxies
    assert [str(network) for network in named] == ["10.0.0.7/32", "172.16.0.0/12"]
    with pytest.raises(ConfigError, match=PROXIES_VARIABLE):
        settings(tmp_path, {PROXIES_VARIABLE: "proxy"})


def test_the_largest_picture_is_a_setting(tmp_path: Path) -> None:
    """Uploaded pictures may have half of them."""
    assert settings(tmp_path).max_pixels == MAX_PIXELS
    found = settings(tmp_path, {PIXELS_VARIABLE: "64000000"})
    assert (found.max_pixels, found.max_compared_pixels) == (64_000_000, 32_000_000)
    for text in ("0", "many", "1e6", "-1"):
        with pytest.raises(UsageError, match=PIXELS_VARIABLE):
            settings(tmp_path, {PIXELS_VARIABLE: text})
