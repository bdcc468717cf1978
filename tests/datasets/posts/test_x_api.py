"""nimakit.datasets.posts.x_api: an account's posts, from a server that stands in for the X API."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from nimakit.datasets.posts import x_api
from nimakit.datasets.posts.x_api import pull_posts
from nimakit.errors import AccessError, UsageError
from picture_server import Exchange, PictureServer, Script, picture_server

TOKEN = "AAAA-secret-of-the-app"  # noqa: S105
USER = "/2/users/by/username/RateMyRoom"
POSTS = "/2/users/77/tweets"


def _json(exchange: Exchange, value: Any, status: int = 200, **headers: str) -> None:
    exchange.answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)


def _user(exchange: Exchange) -> None:
    assert exchange.headers["Authorization"] == f"Bearer {TOKEN}"
    _json(exchange, {"data": {"id": "77", "name": "Rate my room", "username": "RateMyRoom"}})


PAGES: dict[str | None, dict[str, Any]] = {
    None: {
        "data": [
            {
                "id": "1364758339079479296",
                "text": "Depth. 10/10 https://t.co/x",
                "created_at": "2021-02-25T02:05:18.000Z",
                "attachments": {"media_keys": ["3_1", "3_2"]},
            },
            {"id": "1364755341175480323", "text": "Plain", "created_at": "2021-02-25T01:53:23.000Z"},
        ],
        "includes": {
            "media": [
                {"media_key": "3_1", "type": "photo", "url": "https://img.example/1.jpg"},
                {"media_key": "3_2", "type": "photo", "url": "https://img.example/2.jpg"},
            ]
        },
        "meta": {"result_count": 2, "next_token": "more"},
    },
    "more": {
        "data": [
            {
                "id": "1347386250056097793",
                "text": "Cut off…",
                "note_tweet": {"text": "A long one, with a clip: 7/10"},
                "created_at": "2021-01-08T03:34:49.000Z",
                "attachments": {"media_keys": ["7_3", "7_4"]},
            }
        ],
        "includes": {
            "media": [
                {"media_key": "7_3", "type": "video", "preview_image_url": "https://img.example/3.jpg"},
                {"media_key": "7_4", "type": "video"},
            ]
        },
        "meta": {"result_count": 1, "next_token": "last"},
    },
    "last": {"meta": {"result_count": 0}},
}


def _page(exchange: Exchange) -> None:
    query = parse_qs(urlsplit(exchange.path).query)
    assert query["max_results"] == ["100"]
    assert query["exclude"] == ["retweets"]
    _json(exchange, PAGES[query.get("pagination_token", [None])[0]])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    """The X API, as far as it is used, on loopback; a token for it is in the environment."""
    monkeypatch.setenv("X_BEARER_TOKEN", TOKEN)
    ask: Callable[..., requests.Response] = requests.Session.request

    def redirected(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        assert url.startswith("https://api.twitter.com/")
        assert options["timeout"] > 0
        return ask(session, method, url.replace("https://api.twitter.com", server.base), **options)

    monkeypatch.setattr(requests.Session, "request", redirected)
    with picture_server() as server:
        server.scripts = {USER: _user, POSTS: _page}
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of the client, which are skipped; other threads, such as the server's, still sleep."""
    waits: list[float] = []
    monkeypatch.setattr(x_api, "time", SimpleNamespace(time=time.time, sleep=waits.append))
    return waits


def _pull(path: Path, account: str = "@RateMyRoom") -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    count = pull_posts(account, path, notify=said.append, backoff=1)
    posts = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert count == len(posts)
    return posts, said


def test_writes_what_the_importer_reads(api: PictureServer, tmp_path: Path) -> None:
    """All pages, whole texts, all pictures of a post, previews of videos."""
    posts, said = _pull(tmp_path / "posts.jsonl")
    assert posts == [
        {
            "post_id": "1364758339079479296",
            "text": "Depth. 10/10 https://t.co/x",
            "image_url": "https://img.example/1.jpg https://img.example/2.jpg",
            "time": "2021-02-25T02:05:18.000Z",
            "user_id": "RateMyRoom",
        },
        {
            "post_id": "1364755341175480323",
            "text": "Plain",
            "image_url": "",
            "time": "2021-02-25T01:53:23.000Z",
            "user_id": "RateMyRoom",
        },
        {
            "post_id": "1347386250056097793",
            "text": "A long one, with a clip: 7/10",
            "image_url": "https://img.example/3.jpg",
            "time": "2021-01-08T03:34:49.000Z",
            "user_id": "RateMyRoom",
        },
    ]
    assert said == []
    assert api.requests.total() == 4


def _first(refusal: Script, then: Script) -> Script:
    return lambda exchange: (refusal if exchange.attempt == 1 else then)(exchange)


@pytest.mark.parametrize("seconds", [100, -100])
def test_waits_for_the_rate_limit_to_end(
    api: PictureServer, waits: list[float], tmp_path: Path, seconds: int
) -> None:
    """As long as the API says; and nothing is lost nor asked for twice."""
    reset = str(int(time.time()) + seconds)
    api.scripts[USER] = _first(
        lambda x: _json(x, {"title": "Too Many Requests"}, 429, x_rate_limit_reset=reset), _user
    )
    posts, said = _pull(tmp_path / "posts.jsonl")
    assert len(posts) == 3
    assert len(waits) == 1
    assert max(seconds, 0) - 5 < waits[0] < max(seconds, 0) + 2
    assert said[0].startswith("the X API says 429 Too Many Requests; waiting ")


def test_tries_again_where_the_api_is_down(api: PictureServer, waits: list[float], tmp_path: Path) -> None:
    """With longer pauses each time."""
    api.scripts[USER] = lambda x: x.answer(503) if x.attempt < 3 else _user(x)
    assert len(_pull(tmp_path / "posts.jsonl")[0]) == 3
    assert waits == [1, 2]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (lambda x: x.answer(401), "The X API refused. Received: 401 Unauthorized. Check in"),
        (
            lambda x: _json(x, {"title": "Forbidden", "detail": "Not with your plan"}, 403),
            "Received: 403 Forbidden Not with your plan",
        ),
        (lambda x: x.answer(500), r"did not answer. Received: 500 Internal Server Error \(4 attempts\)"),
        (
            lambda x: _json(x, {}, 429, x_rate_limit_reset="9999999999"),
            r"429 Too Many Requests \(1 attempts\)",
        ),
        (lambda x: x.answer(429), r"429 Too Many Requests \(4 attempts\)"),
        (lambda x: x.answer(200, b"<html>"), "did not answer"),
        (
            lambda x: _json(x, {"errors": [{"detail": "no"}]}),
            "found no account with that name. Received: RateMy",
        ),
    ],
    ids=["bad token", "plan", "down", "month is used up", "no reset", "no JSON", "no account"],
)
def test_says_what_the_api_refuses(
    api: PictureServer, waits: list[float], tmp_path: Path, script: Script, message: str
) -> None:
    """In the API's words, and nothing is written."""
    api.scripts[USER] = script
    with pytest.raises(AccessError, match=message):
        _pull(tmp_path / "posts.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_pull_that_fails_halfway_leaves_nothing(
    api: PictureServer, waits: list[float], tmp_path: Path
) -> None:
    """Half of an account is not mistaken for the whole."""
    api.scripts[POSTS] = lambda x: x.answer(403) if "pagination_token" in x.path else _page(x)
    with pytest.raises(AccessError):
        _pull(tmp_path / "posts.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_the_token_is_told_to_nobody(
    api: PictureServer,
    waits: list[float],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is in no message, no log and no file, whether it is accepted or not."""
    caplog.set_level(logging.INFO)
    _, said = _pull(tmp_path / "posts.jsonl")
    api.scripts[USER] = lambda x: x.answer(401)
    with pytest.raises(AccessError) as caught:
        _pull(tmp_path / "more.jsonl")
    texts = [str(caught.value), caplog.text, *said, *capsys.readouterr()]
    assert not any(TOKEN in text for text in [*texts, (tmp_path / "posts.jsonl").read_text("utf-8")])


def test_refuses_before_asking(api: PictureServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is no name of an account, and a token that is not there."""
    for account in ("", "a b", "@", "x" * 16, "../x", "名前"):
        with pytest.raises(UsageError, match="--account must be the name of an account"):
            _pull(tmp_path / "posts.jsonl", account)
    monkeypatch.setenv("X_BEARER_TOKEN", " ")
    with pytest.raises(UsageError, match="no X_BEARER_TOKEN in the environment"):
        _pull(tmp_path / "posts.jsonl")
    assert not api.requests
