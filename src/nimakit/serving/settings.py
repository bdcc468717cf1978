"""How a server runs: parsed once, from a config file, the environment and the command line."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nimakit.config import read_object, refuse
from nimakit.errors import ConfigError, MissingExtraError
from nimakit.images.photo import FORMATS
from nimakit.io.rules import Rule, broken_rules, is_integer, is_number, is_text, or_null
from nimakit.models.pretrained import DEFAULT_MODEL
from nimakit.serving.keys import ApiKey, parse_keys, read_keys
from nimakit.serving.proxies import Network, parse_proxies

ENVIRONMENT_PREFIX = "NIMAKIT_SERVE_"
"""What the name of an environment variable begins with: NIMAKIT_SERVE_PORT is the key ``port``."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """A model to serve.

    Attributes:
        name: What requests call it: letters, digits, dots, hyphens and underscores.
        model: A public model's name, an .onnx file, or an ensemble .json.
    """

    name: str
    model: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All that a server can be told.

    Attributes:
        models: What is served; requests that name none are scored by the first. In a config file a list of
            "MODEL" or "NAME=MODEL", relative paths starting at the folder of the config file.
        host: Address to listen on.
        port: TCP port to listen on; 0 for any free one.
        workers: Threads that decode and score; None for as many as there are cores.
        batch_size: Images scored in one run at the most, each counted once for each of its views; None for 8
            on a CPU, 32 on a GPU.
        batch_wait_ms: How long a decoded image may wait for others to be decoded, in milliseconds.
        queue_size: Images that may wait to be decoded or scored; past it requests are refused with 503.
        max_connections: Connections at the same time; past it the slowest to send its request is closed.
        max_body_bytes: Largest request body.
        max_buffered_bytes: Largest sum of all request bodies held at the same time.
        max_images: Images a request may have.
        max_pixels: Largest width times height of an image; checked before anything is decoded.
        formats: Formats that are decoded, of `nimakit.images.photo.FORMATS`.
        header_timeout_s: Seconds a client may take to send the head of a request.
        body_timeout_s: Seconds a client may take to send the body.
        request_timeout_s: Seconds a complete request may take to be answered.
        keepalive_timeout_s: Seconds an idle connection is kept open.
        drain_timeout_s: Seconds that requests in progress are given when the server stops.
        api_keys: Who may send requests; empty for everybody. In a config file a list of "NAME:SHA-256",
            and `api_keys_file` names a file of such lines.
        rate_limit: Requests a key (an address, where there are no keys) may send, as in "100 per minute";
            None for any number.
        cors_origins: Origins whose pages may call the server, as in "https://shop.example".
        trusted_proxies: Networks of the proxies in front, whose X-Forwarded-For is believed.
        users_dir: Folder of users' files, USER.taste; None for none.
        max_users: How many users are kept loaded; the others are read when they are asked for.
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
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF")
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


def _is_list(holds: Any, at_least: int = 0) -> Any:
    return lambda value: isinstance(value, list) and len(value) >= at_least and all(map(holds, value))


_COUNT = Rule(is_integer(1, 10**12), f"an integer from 1 to {10**12}")
_SECONDS = Rule(is_number(0, 3600, above=True), "a number above 0, to 3600")
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
    "api_keys_file": Rule(or_null(is_text), "a file of keys, as `nimakit serve --new-key` makes them"),
    "rate_limit": Rule(or_null(is_text), 'a rate as in "100 per minute", or null'),
    "cors_origins": Rule(
        _is_list(lambda value: isinstance(value, str) and _ORIGIN.fullmatch(value) is not None),
        'a list of origins as in "https://shop.example"',
    ),
    "trusted_proxies": Rule(_is_list(is_text), 'a list of addresses or networks as in "172.16.0.0/12"'),
    "users_dir": Rule(or_null(is_text), "a folder of users' files, as `nimakit personalise` writes them"),
    "max_users": Rule(is_integer(1, 10_000), "an integer from 1 to 10000"),
}
"""Every key of a serving config, which is also every variable of the environment."""


def read_settings(
    config_file: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from a config file, overridden by the environment, overridden by the command line.

    Args:
        config_file: JSON object of `RULES`' keys; none where None.
        environment: Variables; those that begin with `ENVIRONMENT_PREFIX` hold JSON, or text as it is.
        options: Key -> value, as in a config file; None for what was not given.

    Raises:
        ConfigError: Broken rules or unknown keys, all of them listed.
        MissingExtraError: A rate limit is set, and its library is not installed.
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
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): _json_or_text(value)
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _parsed(values: Mapping[str, Any], shown: str, folder: Path) -> dict[str, Any]:
    """Values that keep their rules, as `Settings` holds them."""
    parsed = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in _FIELDS
    }
    if "models" in values:
        parsed["models"] = _parse_models(values["models"], shown, folder)
    keys_file = values.get("api_keys_file")
    if "api_keys" in values or keys_file is not None:
        keys = parse_keys(values.get("api_keys", ()), shown)
        if keys_file is not None:
            keys += read_keys(folder / keys_file)
        parsed["api_keys"] = keys
    if "trusted_proxies" in values:
        parsed["trusted_proxies"] = parse_proxies(values["trusted_proxies"], shown)
    if values.get("users_dir") is not None:
        parsed["users_dir"] = _parse_folder(folder / values["users_dir"], shown)
    if values.get("rate_limit") is not None:
        _check_rate(values["rate_limit"], shown)
    return parsed


def _parse_models(texts: list[str], shown: str, folder: Path) -> tuple[ModelSource, ...]:
    sources = []
    for text in texts:
        name, _, model = text.partition("=")
        if not model or not _NAME.fullmatch(name):
            name, model = _own_name(Path(text)), text
        is_file = Path(model).suffix.lower() in (".onnx", ".json")
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{shown}: a model is served under a name of letters, digits, dots, hyphens and underscores."
                f" Received: {text}; give it one: NAME={model}"
            )
        sources.append(ModelSource(name=name, model=str(folder / model) if is_file else model))
    names = [source.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(
            f"{shown}: each model is served under a name of its own. Received: {', '.join(repeated)} more"
            " than once; give them names: NAME=MODEL"
        )
    return tuple(sources)


def _parse_folder(folder: Path, shown: str) -> str:
    try:
        is_folder = folder.is_dir()
    except OSError:  # too long to be a path, for one
        is_folder = False
    if not is_folder:
        raise ConfigError(f"{shown}: 'users_dir' must be a folder that exists. Received: {str(folder)[:200]}")
    return str(folder)


def _own_name(path: Path) -> str:
    """The file's own; a job's model.onnx is called after its job."""
    return path.parent.name if path.name == "model.onnx" and path.parent.name else path.stem


def _check_rate(text: str, shown: str) -> None:
    try:
        from limits import parse_many
    except ImportError as error:
        raise MissingExtraError(
            "Rate limits need flask-limiter. Install it: pip install 'nimakit[serve]'"
        ) from error
    try:
        parse_many(text)
    except ValueError as error:
        raise ConfigError(
            f"{shown}: 'rate_limit' must be a rate as in \"100 per minute\". Received: {text}"
        ) from error


_FIELDS = {field.name for field in fields(Settings)}
