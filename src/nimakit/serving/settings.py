"""Server settings, parsed once from a config file, the environment and the command line."""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nimakit.config import read_object, refuse
from nimakit.errors import ConfigError, UsageError
from nimakit.images.formats import FORMATS
from nimakit.io.rules import Rule, broken_rules, is_integer, is_number, is_text, or_null
from nimakit.models.names import ModelSource, parse_sources
from nimakit.models.pretrained import DEFAULT_MODEL
from nimakit.serving.keys import ApiKey, parse_keys, read_keys
from nimakit.serving.proxies import Network, parse_proxies

ENVIRONMENT_PREFIX = "NIMAKIT_SERVE_"
"""Prefix of environment variables: NIMAKIT_SERVE_PORT is the key ``port``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of a server.

    Attributes:
        models: Served models; the first is the default. In a config file a list of "MODEL" or "NAME=MODEL",
            with paths relative to the config file.
        host: Address to listen on.
        port: TCP port to listen on; 0 for any free one.
        workers: Threads that decode and score; None for one per core.
        batch_size: Largest batch, in views (augmented copies of images); None for 8 on a CPU, 32 on a GPU.
        batch_wait_ms: Milliseconds a decoded image may wait while others are decoded.
        queue_size: Images that may wait to be decoded or scored; more requests are refused with 503.
        max_connections: Open connections; above it, idle connections and the slowest senders are closed.
        max_body_bytes: Largest request body.
        max_buffered_bytes: Memory for buffered bodies and responses (half) and for parsing JSON (half).
        max_images: Largest number of images in a request.
        max_pixels: Largest width times height of an image; checked before it is decoded.
        formats: Allowed image formats, from `nimakit.images.formats.FORMATS`.
        header_timeout_s: Seconds a client may take to send the head of a request.
        body_timeout_s: Seconds a client may take to send the body.
        request_timeout_s: Seconds the server may take to answer a complete request.
        keepalive_timeout_s: Seconds an idle connection is kept open.
        drain_timeout_s: Seconds that requests in progress have to finish when the server stops.
        api_keys: Keys that may send requests; empty to allow everyone. In a config file a list of
            "NAME:SHA-256"; `api_keys_file` names a file of such lines.
        rate_limit: Scoring requests allowed for a key (without keys, for an address), such as
            "100 per minute"; None for no limit.
        cors_origins: Origins whose pages may call the server, such as "https://shop.example".
        trusted_proxies: Networks of proxies whose X-Forwarded-For is used.
        users_dir: Folder of users' files, USER.taste; None for no users.
        max_users: Largest number of cached users; the others are loaded when needed.
    """

    models: tuple[ModelSource, ...] = (ModelSource(name=DEFAULT_MODEL, model=DEFAULT_MODEL),)
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int | None = None
    batch_size: int | None = None
    batch_wait_ms: float = 5.0
    queue_size: int = 128
    max_connections: int = 1000
    max_body_bytes: int = 20_000_000
    max_buffered_bytes: int = 256_000_000
    max_images: int = 32
    max_pixels: int = 50_000_000
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "JXL")
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    request_timeout_s: float = 15.0
    keepalive_timeout_s: float = 75.0
    drain_timeout_s: float = 20.0
    api_keys: tuple[ApiKey, ...] = ()
    rate_limit: str | None = None
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    users_dir: str | None = None
    max_users: int = 32


def _is_list(is_item: Any, at_least: int = 0) -> Any:
    return lambda value: isinstance(value, list) and len(value) >= at_least and all(map(is_item, value))


_COUNT = Rule(is_integer(1, 10**12), f"an integer from 1 to {10**12}")
_SECONDS = Rule(is_number(0, 3600, above=True), "a number above 0, up to 3600")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d+)?")

RULES: dict[str, Rule] = {
    "models": Rule(_is_list(is_text, 1), 'a list of one or more "MODEL" or "NAME=MODEL"'),
    "host": Rule(is_text, "an address to listen on"),
    "port": Rule(is_integer(0, 65535), "an integer from 0 to 65535"),
    "workers": Rule(or_null(is_integer(1, 1024)), "an integer from 1 to 1024, or null"),
    "batch_size": Rule(or_null(is_integer(1, 1024)), "an integer from 1 to 1024, or null"),
    "batch_wait_ms": Rule(is_number(0, 1000), "a number from 0 to 1000"),
    "queue_size": Rule(is_integer(1, 4096), "an integer from 1 to 4096"),
    "max_connections": Rule(is_integer(1, 100_000), "an integer from 1 to 100000"),
    "max_body_bytes": _COUNT,
    "max_buffered_bytes": _COUNT,
    "max_images": _COUNT,
    "max_pixels": _COUNT,
    "formats": Rule(
        _is_list(lambda value: value in FORMATS, 1), "a list of one or more of " + ", ".join(FORMATS)
    ),
    "header_timeout_s": _SECONDS,
    "body_timeout_s": _SECONDS,
    "request_timeout_s": _SECONDS,
    "keepalive_timeout_s": _SECONDS,
    "drain_timeout_s": _SECONDS,
    "api_keys": Rule(_is_list(is_text), 'a list of "NAME:SHA-256"'),
    "api_keys_file": Rule(or_null(is_text), "a file of keys made by `nimakit serve --new-key`"),
    "rate_limit": Rule(or_null(is_text), 'a rate such as "100 per minute", or null'),
    "cors_origins": Rule(
        _is_list(lambda value: isinstance(value, str) and _ORIGIN.fullmatch(value) is not None),
        'a list of origins such as "https://shop.example"',
    ),
    "trusted_proxies": Rule(_is_list(is_text), 'a list of addresses or networks such as "172.16.0.0/12"'),
    "users_dir": Rule(or_null(is_text), "a folder of users' files written by `nimakit personalise`"),
    "max_users": Rule(is_integer(1, 10_000), "an integer from 1 to 10000"),
}
"""Every key of a serving config, and of the environment."""


def read_settings(
    config_file: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Read settings: the environment overrides the config file, and the command line overrides both.

    Args:
        config_file: JSON object with keys of `RULES`; optional.
        environment: Variables; values of those with `ENVIRONMENT_PREFIX` are JSON or plain text.
        options: Key -> value, as in a config file; None for options that were not given.

    Raises:
        ConfigError: Broken rules or unknown keys; the message lists all of them.
    """
    layers = []
    if config_file is not None:
        path = Path(config_file)
        layers.append((read_object(path, "A serving config"), f"Serving config {path}", path.parent))
    layers.append((_from_environment(environment or {}), "The environment", Path()))
    given = {key: value for key, value in (options or {}).items() if value is not None}
    layers.append((given, "The command line", Path()))
    merged: dict[str, Any] = {}
    for values, shown, folder in layers:
        refuse(shown, broken_rules(values, RULES))
        merged |= _parsed(values, shown, folder)
    return Settings(**merged)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            values[key] = value
            with contextlib.suppress(ValueError, RecursionError):  # not JSON: plain text
                values[key] = json.loads(value)
    return values


def _parsed(values: Mapping[str, Any], shown: str, folder: Path) -> dict[str, Any]:
    """Valid values of one layer, converted to those of `Settings`."""
    parsed = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in _FIELDS
    }
    if "models" in values:
        parsed["models"] = _parse_models(values["models"], shown, folder)
    if "api_keys" in values:
        parsed["api_keys"] = parse_keys(values["api_keys"], shown)
    if values.get("api_keys_file") is not None:
        parsed["api_keys"] = parsed.get("api_keys", ()) + read_keys(folder / values["api_keys_file"])
    if "trusted_proxies" in values:
        parsed["trusted_proxies"] = parse_proxies(values["trusted_proxies"], shown)
    if values.get("users_dir") is not None:
        parsed["users_dir"] = users_dir = str(folder / values["users_dir"])
        if not os.path.isdir(users_dir):  # noqa: PTH112 - unlike Path.is_dir, false if the path is too long
            raise ConfigError(
                f"{shown}: 'users_dir' must be a folder that exists. Received: {users_dir[:200]}"
            )
    if values.get("rate_limit") is not None:
        _check_rate(values["rate_limit"], shown)
    return parsed


def _parse_models(texts: list[str], shown: str, folder: Path) -> tuple[ModelSource, ...]:
    try:
        return parse_sources(texts, folder)
    except UsageError as error:
        raise ConfigError(f"{shown}: {error}") from error


def _check_rate(text: str, shown: str) -> None:
    from limits import parse_many  # takes a while to import

    try:
        parse_many(text)
    except ValueError as error:
        raise ConfigError(
            f"{shown}: 'rate_limit' must be a rate such as \"100 per minute\". Received: {text}"
        ) from error


_FIELDS = {field.name for field in fields(Settings)}
