"""Generated events, addresses, headers and tables are accepted or refused with a reason."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from generated import NUMBERS, TEXTS, amounts, json_texts, mostly, objects, tried
from nimakit.errors import LabelError, UsageError
from nimakit.io.tables import BadRows
from nimakit.web.accounts.raters import local_rater
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import Rater
from nimakit.web.pictures.chosen_list import choose_listed
from nimakit.web.rating.validation import Batch, record
from nimakit.web.review import comparison_query, picture_query
from nimakit.web.settings import Settings
from nimakit.web.transfer.imports import import_pairs, import_ratings
from web.conftest import MakeStudy
from web.study import Study

_IMAGES = st.integers(0, 7)
_EVENTS = objects(
    id=st.sampled_from(["a", "b", "c-1"]),
    kind=st.sampled_from(["rating", "skip", "choice", "tie"]),
    image=_IMAGES,
    worst=_IMAGES,
    shown=st.one_of([st.lists(_IMAGES, min_size=size, max_size=size) for size in (2, 4)]),
    trial=st.sampled_from(["t", "u"]),
    value=st.one_of(st.integers(1, 10), NUMBERS),
    predicted=NUMBERS,
    round=st.integers(0, 1),
    age_ms=NUMBERS,
    elapsed_ms=NUMBERS,
    replaces=st.sampled_from(["a", "b"]),
)
_CURSORS = st.builds(
    lambda key, row: f"{key}~{row}",
    st.one_of(
        TEXTS,
        NUMBERS.map(str),
        st.datetimes().map(str),
        st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01"]),
    ),
    st.one_of(st.integers(0, 10**19).map(str), TEXTS),
)
_CUTS = st.integers(0, 60)
_STRANGE = (
    "\xff",
    "\xc3\xa9",
    "\x80|\x80",
    '"\\351"',
    '"',
    ";",
    ",",
    ".",
    "..",
    "=",
    "9" * 5000,
    "\xb2",
    "1.0|\xe9",
)
"""Text as WSGI has it: bytes as Latin-1."""

_HEADERS = [
    *("HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_AUTHORIZATION", "HTTP_CACHE_CONTROL", "HTTP_HOST"),
    *("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_ORIGIN", "HTTP_RANGE", "HTTP_REFERER"),
    *("HTTP_X_CSRFTOKEN", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO"),
    *("HTTP_USER_AGENT", "CONTENT_TYPE", "CONTENT_LENGTH", "QUERY_STRING"),
]
_NAMES = st.one_of(st.sampled_from(["photo 0", "photo 1.jpg", "more/photo 5.png", "gone"]), TEXTS)


@pytest.fixture(params=["score", "preference", "best-worst"])
def study(request: pytest.FixtureRequest, make_study: MakeStudy) -> Study:
    """A collection with ratings, and one with comparisons."""
    return make_study(experiment=request.param)


def _table(parts: tuple[str, list[str]]) -> str:
    return "\n".join([parts[0], *parts[1]])


def rater(study: Study) -> Rater:
    """The local rater, who is the admin."""
    with study.database.read() as session:
        return local_rater(session)


@amounts
def test_any_events_are_taken_or_refused_each_by_its_id(study: Study, amount: int) -> None:
    """Each event is either accepted or refused, and none affects the others."""
    collection, own = study.collection, rater(study)

    def check(events: list[Any]) -> None:
        with study.database.read() as session:
            [outcome] = record(session, [Batch(collection, own, events)])
            session.rollback()
        assert len(outcome.accepted) + len(outcome.refused) == len(events)
        assert json.dumps([outcome.accepted, [key for key, _ in outcome.refused]])

    tried(amount, st.lists(mostly(_EVENTS), max_size=4), check)


@amounts
def test_any_address_shows_a_page_of_what_there_is(study: Study, amount: int) -> None:
    """Invalid values are replaced by defaults; values outside the database's range are refused."""
    collection, own = study.collection, rater(study)
    parser: Any = comparison_query if collection.compares else picture_query

    def check(given: Mapping[str, str]) -> None:
        query = parser.parse_query(given, collection, own)
        assert all(isinstance(value, str) for value in query.parameters.values())
        with study.database.read() as session:
            parser.page_of(session, collection, own, query)

    sorts = st.sampled_from([*picture_query.SORTS, *comparison_query.SORTS])
    other = st.one_of(TEXTS, NUMBERS.map(str))
    optional = {"sort": sorts, "last": _CURSORS, "up": st.sampled_from("01"), "show": other, "text": other}
    optional |= {"low": other, "high": other, "whose": other}
    tried(amount, st.fixed_dictionaries({}, optional=optional), check, UsageError)


@amounts
@pytest.mark.parametrize("url", [None, "http://localhost"])
def test_any_cookies_and_headers_are_answered(
    make_study: MakeStudy, settings: Settings, url: str | None, amount: int
) -> None:
    """Foreign cookies and invalid addresses are ignored."""
    study = make_study(dataclasses.replace(settings, url=url, password="secret of a test"))  # noqa: S106
    visitor = study.visitor()
    visitor.get("/welcome")
    own = visitor.client.get_cookie(study.app.config["SESSION_COOKIE_NAME"])
    assert own
    texts = st.one_of(st.text(st.characters(max_codepoint=255), max_size=20), st.sampled_from(_STRANGE))
    values = st.one_of(
        texts,
        st.builds("{}|{}".format, st.one_of(st.just("1.0"), texts), texts),
        st.builds(lambda value, at, text: value[:at] + text + value[at:], st.just(own.value), _CUTS, texts),
        st.builds("{}.{}.{}".format, texts, texts, texts),
    )
    names = [study.app.config[f"{kind}_COOKIE_NAME"] for kind in ("SESSION", "REMEMBER")]
    names += ["nimakit_rate_rater", "theme"]
    cookies = st.lists(
        st.builds("{}={}".format, st.one_of(st.sampled_from(names), texts), values), max_size=3
    )
    headers = st.dictionaries(st.sampled_from(_HEADERS), texts, max_size=3)
    asked = st.sampled_from(["/", "/welcome", "/session", visitor.address("deck"), visitor.address("events")])
    client = study.app.test_client(use_cookies=False)

    def check(case: tuple[str, list[str], dict[str, str]]) -> None:
        address, sent, more = case
        environ = {**more, "HTTP_COOKIE": "; ".join(sent)}
        method = "POST" if address.endswith("events") else "GET"
        answer = client.open(address, method=method, environ_overrides=environ, buffered=True)
        assert answer.status_code < 500

    tried(amount, st.tuples(asked, cookies, headers), check)


@amounts
def test_any_table_is_imported_or_refused_by_its_rows(study: Study, tmp_path: Path, amount: int) -> None:
    """Both as .csv and as JSON lines."""
    collection = study.collection
    importer = import_pairs if collection.compares else import_ratings
    fields = {
        "image_id": _NAMES, "rating": st.one_of(st.integers(1, 10), NUMBERS), "user_id": TEXTS,
        "left": _NAMES, "right": _NAMES, "chosen": st.one_of(st.just("left"), TEXTS),
        "time": st.one_of(NUMBERS, st.datetimes().map(str), _CURSORS),
    }  # fmt: skip
    lines = st.lists(json_texts(objects(**fields)), min_size=1, max_size=3).map("\n".join)
    cells = st.lists(st.one_of(_NAMES, NUMBERS.map(str)), min_size=2, max_size=4)
    header = st.sampled_from(["image_id,rating", "image_id,rating,user_id,time", "left,right,chosen", ""])
    tables = st.tuples(header, st.lists(cells.map(",".join), max_size=3)).map(
        lambda t: "\n".join([t[0], *t[1]])
    )

    def check(case: tuple[str, str]) -> None:
        suffix, content = case
        path = tmp_path / f"table{suffix}"
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        importer(study.database, collection, path, BadRows(skip=True))

    both = st.one_of(st.tuples(st.just(".jsonl"), lines), st.tuples(st.just(".csv"), tables))
    tried(amount, both, check, (LabelError, UsageError))


@amounts
def test_any_list_of_pictures_is_taken_or_refused(study: Study, tmp_path: Path, amount: int) -> None:
    """Refusals name the number of the entry."""
    path = tmp_path / "list.json"
    entries = st.lists(mostly(st.one_of(_NAMES, objects(path=_NAMES, image_id=_NAMES))), max_size=4)

    def check(content: str) -> None:
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        choose_listed(study.database, study.collection, path, skip_bad=False)

    tried(amount, json_texts(entries), check, LabelError)


@amounts
def test_any_scale_is_one_or_refused(amount: int) -> None:
    """The message has a bounded length."""

    def check(text: str) -> None:
        assert 0 <= Scale.parse(text).low <= 1

    tried(
        amount,
        st.one_of(TEXTS, st.builds(lambda low, high: f"{low}-{high}", TEXTS, TEXTS)),
        check,
        UsageError,
    )


@pytest.mark.parametrize("depth", [900, 990, 100_000])
@pytest.mark.parametrize("member", ["events", "rater"])
def test_events_that_are_nested_deep_are_refused(make_study: MakeStudy, depth: int, member: str) -> None:
    """With 400, or one by one."""
    visitor = make_study().visitor()
    body = {"rater": '"x"', "events": "[]"} | {member: "[" * depth + "]" * depth}
    text = "{" + ",".join(f'"{name}":{value}' for name, value in body.items()) + "}"
    answer = visitor.client.post(
        visitor.address("events"), data=text, content_type="application/json",
        headers={"X-CSRFToken": visitor.token()},
    )  # fmt: skip
    assert answer.status_code in (400, 409)


@pytest.mark.parametrize("digits", [19, 4000, 5000])
def test_a_number_no_row_can_have_leads_nowhere(make_study: MakeStudy, digits: int) -> None:
    """However long the number is."""
    visitor = make_study().visitor()
    for page in (f"pictures/{'9' * digits}/480", f"ratings/{'9' * digits}"):
        assert visitor.get(visitor.address(page)).status_code == 404
