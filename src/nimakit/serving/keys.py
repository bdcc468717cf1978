"""API keys: made once, kept as hashes, compared in constant time."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ConfigError

_LONGEST_SHOWN = 1000
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,127}):(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who holds a key, and the key's hash.

    A key has 256 random bits, so that a plain SHA-256 cannot be searched through.

    Attributes:
        name: Who holds it; log lines and rate limits know them by it.
        sha256: SHA-256 of the key, in hexadecimal.
    """

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}:{self.sha256}"


def make_key(name: str) -> tuple[str, ApiKey]:
    """A new random key, and what the server keeps of it.

    Raises:
        ConfigError: Not a name.
    """
    key = secrets.token_urlsafe(32)
    return key, parse_keys([f"{name}:{_digest(key)}"], "A new key")[0]


def parse_keys(entries: Iterable[str], shown: str) -> tuple[ApiKey, ...]:
    """Keys as a config holds them: "NAME:SHA-256".

    Raises:
        ConfigError: An entry of another form. It is not shown: it may be a key.
    """
    keys = []
    for number, entry in enumerate(entries, start=1):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ConfigError(
                f"{shown}: key {number} must be NAME:SHA-256 (the name of letters, digits, dots, hyphens and"
                " underscores). Received: something else; make one: nimakit serve --new-key NAME"
            )
        keys.append(ApiKey(found["name"], found["sha256"]))
    return tuple(keys)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Keys of a file: an entry a line; empty lines and those that begin with # are left out.

    Raises:
        ConfigError: An unreadable file, one without keys, or a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        shown = str(path)[:_LONGEST_SHOWN]
        raise ConfigError(
            f"A file of API keys must be readable text. Received: {shown} ({reason})"
        ) from error
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise ConfigError(f"A file of API keys holds one or more. Received: {path}, with none")
    return parse_keys(entries, f"API keys {path}")


def find_holder(key: str, known: Iterable[ApiKey]) -> str | None:
    """Who holds a key; None for nobody. All known keys are compared, each in constant time."""
    digest = _digest(key)
    holder = None
    for candidate in known:
        if hmac.compare_digest(candidate.sha256, digest):
            holder = candidate.name
    return holder


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
