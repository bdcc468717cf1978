"""Fuzzing: the server neither fails nor hangs on mutated bodies and on schemathesis's requests."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from clients import Client, multipart
from photo_formats import SAMPLES, dng, encoded, jxl
from samples import random_pixels
from servers import Server, running
from serving.routes.test_openapi import DESCRIPTION

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "JXL", "RAW")
FEW, MANY, MOST = 240, 2000, 10_000
ALLOWED = {200, 400, 413, 415, 422}
FAILURES = 500
PATIENCE_S = 10.0
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def _pictures() -> dict[str, bytes]:
    """A small picture of each format, some of them with what else a file may hold."""
    picture = Image.fromarray(random_pixels(24, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(random_pixels(24, 32, seed=seed)) for seed in range(3)]
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"exif": exif, "progressive": True},
        "PNG": {"exif": exif, "dpi": (72, 72)},
        "WEBP": {"save_all": True, "append_images": frames},
        "GIF": {"save_all": True, "append_images": frames},
    }
    found = {name: encoded(picture, name, **given) for name, given in options.items()}
    found |= {"AVIF": encoded(picture, "AVIF", exif=exif), "JXL": jxl(picture, exif=exif.tobytes())}
    heic = (SAMPLES / "orientation_6.heic").read_bytes()
    return found | {"HEIF": heic, "RAW": dng(preview=found["JPEG"], size=(64, 48))}


def _mutate(data: bytes, chance: random.Random) -> bytes:
    """Bits flipped, numbers replaced by extreme ones, parts cut out, doubled, swapped, or cut off."""
    mutated = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(mutated) + 1)
        end = min(len(mutated), at + chance.choice((1, 2, 4, 8, 100)))
        match chance.randrange(7):
            case 0 if at < len(mutated):
                mutated[at] ^= 1 << chance.randrange(8)
            case 1:
                size = chance.choice((1, 2, 4))
                number = chance.choice(INTERESTING) & (256**size - 1)
                mutated[at : at + size] = number.to_bytes(size, chance.choice(("big", "little")))
            case 2:
                del mutated[at:end]
            case 3:
                mutated[at:at] = mutated[at:end] * chance.choice((1, 2, 50))
            case 4:
                mutated[at:at] = chance.randbytes(end - at)
            case 5 if chance.random() < 0.5:
                del mutated[at:]
            case _:
                other = chance.randrange(len(mutated) + 1)
                mutated[at:end] = mutated[other : other + end - at]
        mutated = mutated or bytearray(b"\0")
    return bytes(mutated)


_ANYTHING = (
    *(
        "0",
        "-1",
        "1.5",
        "1e400",
        "NaN",
        "null",
        "true",
        '""',
        '"\\ud800"',
        "[]",
        "{}",
        "2147483648",
        '"none"',
    ),
    *("9" * 4000, "9" * 5000, "-" + "9" * 4000, '"' + "x" * 3000 + '"', "[[],[1]]", "[1,[2]]", '["a",1]'),
    *(depth * "[" + depth * "]" for depth in (30, 70, 900, 980, 100_000)),
)
"""JSON values that do not belong anywhere."""

_PATHS = (
    *("/models", "/models/tiny", "/v2", "/v2/models/tiny", "/v2/models/tiny/ready", "/metrics", "/"),
    *("/v2/models/tiny/versions/1/infer", "/predict", "/v2/models/tiny/infer", "/models/\0", "/openapi.json"),
)
_HEADERS = {
    "Inference-Header-Content-Length": ("0", "-1", "9" * 11, "9" * 5000, "٣", "1.5", "\xff"),
    "Content-Type": ("application/json", "a/b; c*=utf-9''%ff", "multipart/form-data", "\xff", "image/png"),
    "Accept": ("text/html", "*/*;q=9", "\xff"),
    "Authorization": ("Bearer", "Basic \xff", "Bearer " + "x" * 5000),
    "X-Request-ID": ("\xff", "x" * 5000),
    "X-Forwarded-For": ("9" * 5000, "::1%", ",,"),
    "Host": ("[", "a:99999", "localhost:x", "\xff"),
    "Range": (f"bytes=0-{'9' * 4000}", "bytes=5-1"),
    "If-Modified-Since": ("Mon, 01 Jan 0001 00:00:00 +9999",),
}


def _infer(chance: random.Random) -> bytes:
    """An inference request in which some values are others."""
    members = {"name": '"image"', "datatype": '"FP32"', "shape": "[1,1,1,3]", "data": "[0,128,255]"}
    members |= {"datatype": chance.choice(('"FP32"', '"UINT8"', '"BYTES"')), "parameters": "{}"}
    sides = [chance.choice(("1", "1", "3", chance.choice(_ANYTHING))) for _ in range(4)]
    if chance.random() < 0.3:
        members["shape"] = f"[{','.join(sides)}]"
    for name in chance.sample(sorted(members), chance.choice((0, 1, 1, 2))):
        members[name] = chance.choice(_ANYTHING)
    tensor = "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
    rest = {"parameters": '{"tta":"none"}', "outputs": "[]", "id": '"a"'}
    for name in chance.sample(sorted(rest), chance.choice((0, 0, 1))):
        rest[name] = chance.choice(_ANYTHING)
    text = "{" + ",".join([f'"inputs":[{tensor}]', *(f'"{name}":{value}' for name, value in rest.items())])
    return text.encode() + b"}"


def _anything(chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a request to any route, with a query or without."""
    path = chance.choice(_PATHS)
    if chance.random() < 0.5:
        value = quote(chance.choice(("tiny", "flips", "\0", "\udcff", *_ANYTHING))[:4000], errors="replace")
        path += f"?{chance.choice(('model', 'tta', 'user', 'normalize', 'x'))}={value}"
    headers = {name: chance.choice(_HEADERS[name]) for name in chance.sample(sorted(_HEADERS), 2)}
    return chance.choice(("GET", "POST")), path, chance.choice((b"", _infer(chance), b"x")), headers


def _requests(count: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of so many mutated requests, always the same."""
    pictures = _pictures()
    chance = random.Random(0)  # noqa: S311 - nothing secret
    for number in range(count):
        image_format = FORMATS[number % len(FORMATS)]
        picture = pictures[image_format]
        match number // len(FORMATS) % 4:
            case 0 | 1:
                yield "/predict", _mutate(picture, chance), {"Content-Type": f"image/{image_format.lower()}"}
            case 2:
                body, kind = multipart([("good.png", pictures["PNG"]), ("a.jpg", picture)])
                yield "/predict", _mutate(body, chance), {"Content-Type": kind}
            case 3:
                element = len(picture).to_bytes(4, "little") + picture
                tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES"}
                tensor["parameters"] = {"binary_data_size": len(element)}
                text = json.dumps({"inputs": [tensor]}).encode()
                headers = {"Inference-Header-Content-Length": str(len(text))}
                yield "/v2/models/tiny/infer", _mutate(text + element, chance), headers


def _mixed(count: int) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    """Method, path, body and headers of so many requests: mutated ones, and those of wrong values."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    for mutated in _requests(count):
        match chance.randrange(4):
            case 0:
                yield "POST", "/v2/models/tiny/infer", _infer(chance), {}
            case 1:
                yield _anything(chance)
            case _:
                yield "POST", *mutated


@pytest.mark.parametrize("amount", [FEW, pytest.param(MOST, marks=pytest.mark.exhaustive)])
def test_generated_requests_get_an_answer(web: Client, amount: int) -> None:
    """A score or a problem, within seconds; never a failure of ours."""
    statuses: Counter[int] = Counter()
    for method, path, body, headers in _mixed(amount):
        started = time.monotonic()
        response = web.open(path, method=method, data=body, headers=headers)
        assert time.monotonic() - started < PATIENCE_S
        assert response.status_code < FAILURES, (response.text, path, body[:500], headers)
        statuses[response.status_code] += 1
    print(sorted(statuses.items()))
    assert {200, 400, 404, 422} <= set(statuses)


@pytest.mark.slow
def test_two_thousand_mutated_bodies_leave_a_server_as_it_was(tmp_path: Path, tiny_file: Path) -> None:
    """No 500, no hang, no line on stderr, and no memory kept."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        said = server.err.read_text("utf-8")
        connection = server.connect()
        resident = []
        for number, (path, body, headers) in enumerate(_requests(MANY)):
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            content = response.read()
            assert response.status in ALLOWED, (content, body)
            if number % 500 == 499:
                resident.append(_resident(server))
        connection.close()
        assert resident[-1] < resident[0] * 1.1, resident
        assert server.err.read_text("utf-8") == said
        assert len(server.lines()) == MANY


def _resident(server: Server) -> int:
    """Resident memory of the worker, in pages."""
    return int(Path(f"/proc/{server.worker}/statm").read_text("ascii").split()[1])


# --- schemathesis --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> Iterator[Any]:
    """The description of a server that runs, as schemathesis reads it."""
    import schemathesis  # takes a second

    with running(tmp_path_factory.mktemp("described"), models=[str(tiny_file)]) as server:
        yield schemathesis.openapi.from_url(f"http://{server.address}/openapi.json")


OPERATIONS = [(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods]
MODES = {"post": ["positive", "negative"], "get": ["positive"]}
"""Of a GET there is nothing that could break the description: any text is a name or an id."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [(path, method, mode) for path, method in OPERATIONS for mode in MODES[method]],
)
def test_generated_requests_are_answered_as_described(
    described: Any, path: str, method: str, mode: str
) -> None:
    """Statuses, types and bodies are those of the description, for requests that break it too.

    That whatever holds to it is accepted is not checked: no schema tells a picture from other bytes.
    """
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    strategy = described[path][method.upper()].as_strategy(generation_mode=GenerationMode(mode))

    @given(case=strategy)
    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    ask()
