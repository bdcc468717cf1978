"""API keys: created once, stored as hashes, compared in constant time."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ConfigError

_MAX_SHOWN = 1000
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,127}):(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. Keys have 256 random bits, so a plain SHA-256 cannot be reversed by search.

    Attributes:
        name: The owner, as in log lines and rate limits.
        sha256: SHA-256 of the key, in hexadecimal.
    """

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}:{self.sha256}"


def make_key(name: str) -> tuple[str, ApiKey]:
    """Create a random key; returns it and the entry to store.

    Raises:
        ConfigError: The name is invalid.
    """
    key = secrets.token_urlsafe(32)
    return key, parse_keys([f"{name}:{_digest(key)}"], "A new key")[0]


def parse_keys(entries: Iterable[str], shown: str) -> tuple[ApiKey, ...]:
    """Parse the entries of a config: "NAME:SHA-256".

    Raises:
        ConfigError: An entry is invalid. The message does not show it because it may be a key.
    """
    keys = []
    for number, entry in enumerate(entries, start=1):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ConfigError(
                f"{shown}: key {number} must be NAME:SHA-256 (the name of letters, digits, dots, hyphens and"
                " underscores). Create one with: nimakit serve --new-key NAME"
            )
        keys.append(ApiKey(**found.groupdict()))
    return tuple(keys)


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read a key file: one entry a line; empty lines and lines that begin with # are ignored.

    Raises:
        ConfigError: The file is unreadable, has no keys, or has an invalid line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"A file of API keys must be readable text. Received: {str(path)[:_MAX_SHOWN]} ({reason})"
        ) from error
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise ConfigError(f"A file of API keys must contain at least one. Received: {path}, without any")
    return parse_keys(entries, f"API keys {path}")


def find_owner(key: str, known: Iterable[ApiKey]) -> str | None:
    """Name of a key's owner, or None. Compares all known keys, each in constant time."""
    digest = _digest(key)
    owners = [candidate.name for candidate in known if hmac.compare_digest(candidate.sha256, digest)]
    return owners[0] if owners else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
