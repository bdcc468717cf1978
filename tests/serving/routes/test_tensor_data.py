"""nimakit.serving.routes.tensor_data: images from base64 text."""

import base64
import tracemalloc

import pytest

from nimakit.errors import UsageError
from nimakit.serving.routes.tensor_data import _decode


def test_whitespace_in_base64_text_takes_no_memory() -> None:
    """Only copies of the text are made, however many pieces the whitespace splits it into."""
    text = " ".join(["AA AA\tAA\r\nAA"] * 20_000)
    tracemalloc.start()
    try:
        content = _decode(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content == bytes(20_000 * 6)
    assert peak < 3 * len(text)


def test_long_base64_text_is_decoded_whole() -> None:
    """It is decoded in pieces, wherever its whitespace is, and ends with its padding."""
    content = bytes(range(256)) * 1000 + b"x"
    text = base64.b64encode(content).decode()
    spaced = "\n".join(text[at : at + 77] for at in range(0, len(text), 77))
    assert _decode(text) == _decode(spaced) == _decode(spaced + 100_000 * " ") == content
    for broken in (text + "AAAA", text[:-1], text[:65_532] + "AA==" + text[65_532:], text + "="):
        with pytest.raises(UsageError, match="nothing before or after it"):
            _decode(broken)
