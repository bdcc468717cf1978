"""A server on loopback that gives pictures, and goes wrong in every way it is told to."""

import colorsys
import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


def picture(name: str, image_format: str = "JPEG") -> bytes:
    """A picture of a colour of its own for each name."""
    digest = hashlib.sha256(name.encode()).digest()
    colour = colorsys.hsv_to_rgb(digest[0] / 256, 0.5, 0.5 + digest[1] / 512)
    stream = io.BytesIO()
    red, green, blue = (round(255 * part) for part in colour)
    image = Image.new("RGB", (48, 36), (red, green, blue))
    image.paste((digest[2], digest[3], digest[4]), (8, 8, 8 + digest[5] % 32, 28))
    image.save(stream, image_format)
    return stream.getvalue()


class Exchange:
    """One request and the means to answer it, well or not."""

    def __init__(self, handler: BaseHTTPRequestHandler, attempt: int) -> None:
        self._handler = handler
        self.path = handler.path
        self.headers = handler.headers
        self.attempt = attempt  # from 1

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        """An answer with a Content-Length; Retry_After becomes Retry-After."""
        self._handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self._handler.send_header(name.replace("_", "-"), value)
        self._handler.end_headers()
        self.write(body)

    def picture(self) -> None:
        """The picture of the path."""
        self.answer(200, picture(self.path), Content_Type="image/jpeg")

    def write(self, data: bytes) -> None:
        """Bytes as they are, after the headers or in place of them."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def hang_up(self) -> None:
        """End the connection after this."""
        self._handler.close_connection = True


Script = Callable[[Exchange], None]


class PictureServer:
    """What a server is told to do, and what it was asked for.

    Attributes:
        scripts: Path -> what happens there; a picture everywhere else.
        requests: Path -> how often it was asked for.
        most_at_once: Requests that were in the works at the same time.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.scripts: dict[str, Script] = {}
        self.requests: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        with self._lock:
            self.requests[handler.path] += 1
            attempt = self.requests[handler.path]
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.scripts.get(handler.path.partition("?")[0], Exchange.picture)(Exchange(handler, attempt))
        except OSError:
            handler.close_connection = True  # who asked has gone
        finally:
            with self._lock:
                self._at_once -= 1


@contextmanager
def picture_server() -> Iterator[PictureServer]:
    """A server for the length of a test."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            served.serve(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = PictureServer(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def drip(exchange: Exchange, start: bytes, piece: bytes = b"", seconds: float = 10) -> None:
    """A start, then a little now and then, never the whole."""
    exchange.write(start)
    for _ in range(round(seconds / 0.05)):
        exchange.write(piece)
        time.sleep(0.05)
