"""nimakit.serving.quoting: a query may contain any bytes."""

import pytest
from werkzeug.test import create_environ

from nimakit.serving.quoting import QuotedRequest


@pytest.mark.parametrize(
    ("query", "found"),
    [("user=a%20b&a+b=%C3%A9", [("user", "a b"), ("a b", "é")]), ("user=\xc3\xa9", [("user", "é")]),
     ("\x80=\xff&b", [("%80", "%FF"), ("b", "")]), ("", [])],
)  # fmt: skip
def test_any_byte_of_a_query_is_read(query: str, found: list[tuple[str, str]]) -> None:
    """UTF-8 as text, other bytes as they are written in addresses."""
    request = QuotedRequest(create_environ() | {"QUERY_STRING": query})
    assert list(request.args.items(multi=True)) == found
