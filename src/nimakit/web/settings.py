"""Settings of the rating app, from the command line and the environment."""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nimakit.errors import OutputError, UsageError
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.atomic import escaped, keep_private
from nimakit.io.sockets import LOOPBACK, browser_address
from nimakit.serving.proxies import Network, parse_proxies
from nimakit.web.db.database import sqlite_url

SECRET_VARIABLE = "NIMAKIT_RATE_SECRET"  # noqa: S105 - a name
PASSWORD_VARIABLE = "NIMAKIT_RATE_PASSWORD"  # noqa: S105 - a name
LISTEN_VARIABLE = "NIMAKIT_RATE_LISTEN"
"""Address to listen on, if it differs from the host that people open, as in a container."""

PROXIES_VARIABLE = "NIMAKIT_RATE_TRUSTED_PROXIES"
"""Comma-separated addresses and networks of the proxies in front of the app; by default this machine."""

PIXELS_VARIABLE = "NIMAKIT_RATE_MAX_PIXELS"
"""Largest width times height of a picture."""

UPLOADS_VARIABLE = "NIMAKIT_RATE_UPLOADS_MB"
"""Most megabytes of uploaded pictures, in all collections."""

_UPLOADS_MB = 20_480
_THIS_MACHINE = "127.0.0.0/8,::1"
_SECRET_LENGTH = 32
_PASSWORD_LENGTH = 10
_INSTANCE_LENGTH = 12
_PLACEHOLDERS = ("change", "secret", "password", "default", "example")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Settings of the rating app.

    Attributes:
        folders: Absolute folders of photographs, which or whose sub-folders are made collections.
        data_dir: Folder of the SQLite file, the secret and the cached small copies of pictures.
        database: ``sqlite:///PATH`` or ``postgresql://...``.
        secret: Signs sessions and links.
        password: Password of the admin, set at the start; None to keep the earlier one.
        host: Address that people open.
        port: TCP port; 0 for any free one.
        listen: Address the process listens on.
        url: Address that raters open if there is a proxy in front; None without one.
        trusted_proxies: Proxies whose headers about clients are trusted.
        max_pixels: Largest width times height of a picture.
        max_uploaded_bytes: Most bytes of uploaded pictures, in all collections.
    """

    folders: tuple[Path, ...]
    data_dir: Path
    database: str
    secret: str
    password: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    listen: str = "127.0.0.1"
    url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    max_pixels: int = MAX_PIXELS
    max_uploaded_bytes: int = _UPLOADS_MB << 20

    @property
    def max_compared_pixels(self) -> int:
        """Largest width times height of an uploaded picture."""
        return self.max_pixels // 2

    @property
    def users_dir(self) -> Path:
        """Folder of the taste files, with a sub-folder per collection."""
        return self.data_dir / "users"

    @property
    def models_dir(self) -> Path:
        """Folder of the models learned from ratings, with a sub-folder per collection."""
        return self.data_dir / "models"

    @property
    def uploads_dir(self) -> Path:
        """Folder of uploaded pictures, with a sub-folder per collection."""
        return self.data_dir / "uploads"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the app, so that nobody has to sign in."""
        return self.host in LOOPBACK and self.url is None

    def address(self, port: int) -> str:
        """The address to open if the process listens on `port`."""
        return self.url or f"http://{browser_address(self.host, port)}/"

    @property
    def instance(self) -> str:
        """A name for the app's cookies: browsers share cookies between ports of one host."""
        return hashlib.sha256(f"{self.secret} {self.database}".encode()).hexdigest()[:_INSTANCE_LENGTH]


def read_settings(
    *,
    folders: tuple[Path, ...],
    data_dir: Path,
    database: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read settings from the command line and the environment, and create the data folder.

    Args:
        folders: Folders of photographs.
        data_dir: Folder of the app's own files.
        database: See `Settings`; by default an SQLite file in the data folder.
        host: See `Settings`.
        port: See `Settings`.
        url: See `Settings`.
        environment: Variables; by default those of the process.

    Raises:
        UsageError: A folder does not exist, or a secret or password is easy to guess.
        ConfigError: A trusted proxy is not an address.
        OutputError: The data folder cannot be created or written.
    """
    environment = os.environ if environment is None else environment
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--images must be an existing folder of photographs. Received: {folder}")
        if (path := str(folder.absolute())) != escaped(path):
            raise UsageError(
                "--images must be a folder whose path is text in UTF-8, as the database stores it. Received:"
                f" {escaped(path)}; rename it."
            )
    if url is not None and not _is_root(url):
        raise UsageError(
            f"--url must be the http or https address that raters open, without a path. Received: {url}"
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise PermissionError(13, "it cannot be written to")
        secret = environment.get(SECRET_VARIABLE) or _own_secret(data_dir / "secret.key")
    except OSError as error:
        raise OutputError(
            f"The data folder must be writable. Received: {data_dir} ({error.strerror}). Choose another with"
            " --data-dir."
        ) from error
    settings = Settings(
        folders=tuple(map(_absolute, folders)),
        data_dir=_absolute(data_dir),
        database=database or sqlite_url(_absolute(data_dir) / "ratings.db"),
        secret=secret,
        password=environment.get(PASSWORD_VARIABLE) or None,
        host=host,
        port=port,
        listen=environment.get(LISTEN_VARIABLE) or host,
        url=url and url.rstrip("/") + "/",
        trusted_proxies=parse_proxies(
            (environment.get(PROXIES_VARIABLE) or _THIS_MACHINE).split(","), PROXIES_VARIABLE
        ),
        max_pixels=_count(environment.get(PIXELS_VARIABLE) or str(MAX_PIXELS), PIXELS_VARIABLE, "pixels"),
        max_uploaded_bytes=_count(
            environment.get(UPLOADS_VARIABLE) or str(_UPLOADS_MB), UPLOADS_VARIABLE, "megabytes"
        )
        << 20,
    )
    _refuse_guessable(settings)
    return settings


def _is_root(url: str) -> bool:
    parts = urlsplit(url)
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not rest


def _count(text: str, variable: str, unit: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,9}", text) is None:
        raise UsageError(f"{variable} must be a number of {unit}, 1 or more. Received: {text}")
    return int(text)


def _absolute(path: Path) -> Path:
    """The path without . and .. parts. Links stay, because a container may mount the folder at that path."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links


def _own_secret(path: Path) -> str:
    """The secret in a file, created at the first start; processes that start together share it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        keep_private(path)
        secret = path.read_text("ascii").strip()
        if len(secret) >= _SECRET_LENGTH:
            return secret
        path.unlink()  # incomplete, after a full disk or a kill
        return _own_secret(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        secret = secrets.token_urlsafe(48)
        stream.write(secret)
        stream.flush()
        os.fsync(stream.fileno())
    return secret


def _refuse_guessable(settings: Settings) -> None:
    """Refuse short or example secrets and passwords, unless only this machine can reach the app."""
    if settings.is_local:
        return
    if len(settings.secret) < _SECRET_LENGTH or _is_placeholder(settings.secret):
        raise UsageError(
            f"{SECRET_VARIABLE} must be {_SECRET_LENGTH} or more random characters. Received: a shorter one,"
            " or an example. Leave it out to use a random one from the data folder."
        )
    if settings.password is not None and (
        len(settings.password) < _PASSWORD_LENGTH or _is_placeholder(settings.password)
    ):
        raise UsageError(
            f"{PASSWORD_VARIABLE} must be at least {_PASSWORD_LENGTH} characters and not easy to guess."
            " Received: a shorter one, or an example."
        )


def _is_placeholder(text: str) -> bool:
    return text.lower().startswith(_PLACEHOLDERS)
