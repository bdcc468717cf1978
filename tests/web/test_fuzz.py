"""Generated requests to every route are answered without failures."""

import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import Collection
from web.conftest import MakeStudy
from web.study import Study, Visitor

FEW, MANY = 300, 10_000
_SLUGS = ("photos", "photos", "pairs", "pairs", "sets", "none")
BUSY = 503
_TEXTS = (
    *("", "\0", "\r\n", "٣", "²", "�", "%00", "../..", "' OR 1=1 --", "{{7*7}}", "[]", "photo 0", "x" * 3000),
    *("9" * 18, "9" * 19, "9" * 4000, "9" * 5000, "a~" + "9" * 4000, "0001-01-01T00:00:00+23:59~1"),
    *[
        "0",
        "1",
        "-1",
        "7",
        "1e999",
        "nan",
        "null",
        "true",
        "1-10",
        "nan~1",
        "1e400~1",
        "9999-12-31T23:59-23:59~1",
    ],
    *["recent", "name", "looked", "mean", "left", "tie", "skip", "rating"],
)
_NAMES = (
    *[
        "last",
        "sort",
        "up",
        "show",
        "text",
        "low",
        "high",
        "whose",
        "amount",
        "held",
        "skipped",
        "left",
        "right",
        "side",
        "other",
        "after",
        "value",
        "said",
        "best",
        "worst",
    ],
    *[
        "rater",
        "what",
        "skip_bad",
        "name",
        "scale",
        "experiment",
        "choices",
        "wanted",
        "repeats",
        "model",
        "root",
        "inside",
        "days",
        "max_uses",
    ],
    *["label", "password", "ordering", "key", "next"],
)
_HEADERS = {
    "Accept": ("application/json", "text/html", "*/*;q=9", "\xff"),
    "Range": ("bytes=0-1", "bytes=5-1", f"bytes=0-{'9' * 4000}", f"bytes={'9' * 5000}-", "x=1-2", "bytes=-0"),
    "If-Modified-Since": ("Mon, 01 Jan 0001 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +9999", "x" * 100),
    "If-None-Match": ("*", '"', 'W/"a"', "," * 100),
    "If-Range": ("Fri, 31 Dec 9999 23:59:59 -2359", '"a"'),
    "Cookie": ("theme=dark", "nimakit_rate=a.b.c", "nimakit_rate_rater=9|x", "=;;=", "theme=" + "x" * 5000),
    "X-CSRFToken": ("a", "\xff", "a.b.c"),
    "X-Forwarded-For": ("9" * 5000, "::1%"),
    "X-Forwarded-Host": ("[", "a:b:c"),
    "Host": ("[", "a:99999", "localhost:x", "\xff", "127.0.0.1:" + "9" * 5000),
    "Content-Type": (
        "application/json",
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "text/csv",
        "\xff",
    ),
    "Content-Encoding": ("gzip",),
}
_BODIES = (
    b"",
    b"{",
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b'{"events": 1}',
    b'{"events": [' + b"[" * 900 + b"]" * 900 + b"]}",
    b'{"events":[{"id":"a","kind":"rating","image":1e400,"value":' + b"9" * 4000 + b'}],"rater":"RATER"}',
    b'{"events":[{"id":"a","kind":"skip","image":1,"age_ms":1e308,"elapsed_ms":1e308}],"rater":"RATER"}',
    b'{"events":[{"id":"\\ud800","replaces":{},"shown":[[]]}, null, 1, ""],"rater":"RATER"}',
    b"--b\r\n\r\n\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n',
)


def _value(chance: random.Random, study: Study) -> str:
    known = [str(image.id) for image in study.images[:2]]
    return chance.choice((*_TEXTS, *known * 5))


def _address(chance: random.Random, study: Study, rule: str) -> str:
    """A route of the app with generated values and a query."""
    path = rule
    while "<" in path:
        start, end = path.index("<"), path.index(">")
        name = path[start + 1 : end].partition(":")[2] or path[start + 1 : end]
        filled = chance.choice(_SLUGS) if name == "slug" else _value(chance, study)
        sides = {"side": "480", "trial": "t", "name": chance.choice(("ratings.csv", "labels.json"))}
        if name in sides and chance.random() < 0.7:
            filled = sides[name]
        path = path[:start] + quote(filled, safe="") + path[end + 1 :]
    asked = [
        f"{chance.choice(_NAMES)}={quote(_value(chance, study))}" for _ in range(chance.choice((0, 1, 1, 3)))
    ]
    return path + ("?" + "&".join(asked) if asked else "")


def _ask(chance: random.Random, visitor: Visitor, token: str) -> tuple[int, str]:
    """Send one request; return its status and description."""
    study = visitor.study
    rules = [rule for rule in study.app.url_map.iter_rules() if rule.endpoint != "accounts.sign_out"]
    rule = chance.choice(rules)
    method = chance.choice(sorted((rule.methods or {"GET"}) - {"OPTIONS", "HEAD"}))
    address = _address(chance, study, rule.rule)
    headers = {"X-CSRFToken": token}
    for name in chance.sample(sorted(_HEADERS), chance.choice((0, 0, 1, 2))):
        headers[name] = chance.choice(_HEADERS[name])
    options: dict[str, Any] = {}
    if method == "POST" and chance.random() < 0.5:
        body = chance.choice(_BODIES).replace(
            b"RATER", visitor.code.encode() if chance.random() < 0.1 else b"r"
        )
        headers.setdefault("Content-Type", "application/json")
        options = {"data": bytes(body)}
    elif method == "POST":
        options = {"data": {chance.choice(_NAMES): _value(chance, study) for _ in range(4)}}
    answer = visitor.client.open(address, method=method, headers=headers, buffered=True, **options)
    return answer.status_code, f"{method} {address[:300]} {headers} {options}"[:1000]


# Werkzeug leaves the temporary file of a part that is cut off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.exhaustive)])
def test_generated_requests_are_answered(make_study: MakeStudy, tiny_file: Path, amount: int) -> None:
    """None fails; 503 is allowed only while the app waits for something."""
    study = make_study(sign_up=True, model=str(tiny_file))
    study.app.testing = False  # failures are answered
    study.change(_add_pairs)
    chance = random.Random(0)  # noqa: S311 - nothing secret
    statuses: Counter[int] = Counter()
    for number in range(amount):
        if number % 50 == 0:
            visitor = study.visitor()
            token = visitor.token()
        status, asked = _ask(chance, visitor, token)
        assert status == BUSY or status < 500, asked
        statuses[status] += 1
    print(sorted(statuses.items()))
    assert {200, 302, 400, 404} <= set(statuses)


def _add_pairs(session: Session) -> None:
    """Add two collections with comparisons."""
    first = session.scalars(select(Collection)).one()
    same = {name: getattr(first, name) for name in ("folder", "low", "high", "created_at")}
    for slug, experiment, choices in (("pairs", "preference", 2), ("sets", "best-worst", 4)):
        session.add(Collection(name=slug, slug=slug, experiment=experiment, choices=choices, **same))
