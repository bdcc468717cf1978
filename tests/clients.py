"""Applications for tests, without a server, and what is sent to them."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.routing import Rule

from nimakit.models.names import ModelSource
from nimakit.serving import EXTENSION
from nimakit.serving.app import create_app
from nimakit.serving.service import Service
from nimakit.serving.settings import Settings
from samples import random_pixels


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """Applications share what Werkzeug compiles for each route: most of the time that making one takes."""
    compile_builder = Rule._compile_builder
    compiled: dict[object, Callable[..., tuple[str, str]]] = {}

    def look_up(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (repr(rule._trace), repr(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rule, "_compile_builder", look_up)
        yield


class Client(FlaskClient):
    """A client that reads each answer to its end, as one on a network would."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        return super().open(*args, buffered=True, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Send a GET request."""
        return super().get(*args, **kwargs)

    def post(self, *args: Any, **kwargs: Any) -> Any:
        """Send a POST request."""
        return super().post(*args, **kwargs)


def client(*models: Path, notify: Any = str, **settings: Any) -> Client:
    """A client of a new application that serves these files by their stems."""
    sources = tuple(ModelSource(name=path.stem, model=str(path)) for path in models)
    app = create_app(Settings(models=sources, **settings), notify=notify)
    return Client(app, app.response_class, use_cookies=False)


def service(of: Client) -> Service:
    """The service of a client's application."""
    found: Service = of.application.extensions[EXTENSION]
    return found


def encode(level: int = 128, image_format: str = "PNG", size: tuple[int, int] = (12, 9)) -> bytes:
    """An evenly grey picture, encoded."""
    stream = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(stream, image_format)
    return stream.getvalue()


def noise(seed: int = 0, size: tuple[int, int] = (8, 8)) -> bytes:
    """A PNG of noise: no two seeds score the same."""
    stream = io.BytesIO()
    Image.fromarray(random_pixels(*size, seed=seed)).save(stream, "PNG")
    return stream.getvalue()


def pixels(seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The pixels of `noise`."""
    return random_pixels(8, 8, seed=seed)


def form(*files: tuple[str, bytes], **others: str) -> MultiDict[str, Any]:
    """A form with `image` files (name, content), and other fields."""
    fields: MultiDict[str, Any] = MultiDict(others)
    for name, content in files:
        fields.add("image", FileStorage(io.BytesIO(content), filename=name))
    return fields


def multipart(files: Sequence[tuple[str, bytes]], boundary: str = "frontier") -> tuple[bytes, str]:
    """The body and the content type of a form with `image` files (name, content)."""
    body = b""
    for name, content in files:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        head = f'Content-Disposition: form-data; name="image"; filename="{quoted}"'
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"
