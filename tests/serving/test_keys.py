"""nimakit.serving.keys: API keys and their hashes."""

import hashlib
from pathlib import Path

import pytest

from nimakit.errors import ConfigError
from nimakit.serving.keys import find_owner, make_key, parse_keys, read_keys


def test_a_new_key_is_found_by_its_entry() -> None:
    """What is kept of a key knows the key, and the key is not in it."""
    key, entry = make_key("shop")
    assert find_owner(key, parse_keys([str(entry)], "a test")) == "shop"
    assert key not in str(entry)
    assert entry.sha256 == hashlib.sha256(key.encode()).hexdigest()


def test_no_two_keys_are_equal() -> None:
    """Keys are random, and long enough not to be guessed."""
    keys = {make_key("shop")[0] for _ in range(50)}
    assert len(keys) == 50
    assert min(map(len, keys)) >= 43


def test_a_strange_key_has_no_holder() -> None:
    """Neither another key, nor an empty one, nor a hash itself is taken for a key."""
    key, entry = make_key("shop")
    assert [find_owner(text, [entry]) for text in ("", key[:-1], key + "x", entry.sha256, "\udce9")] == [
        None
    ] * 5


def test_a_file_holds_an_entry_a_line(tmp_path: Path) -> None:
    """Empty lines and comments are left out."""
    entries = [make_key(name)[1] for name in ("shop", "rental.example")]
    path = tmp_path / "keys"
    path.write_text(f"# who may\n\n{entries[0]}\n  {entries[1]}\n", "utf-8")
    assert read_keys(path) == tuple(entries)
    path.write_text(f"{entries[0]}\n{entries[1]}\n", "utf-8-sig")
    assert read_keys(path) == tuple(entries)


@pytest.mark.parametrize("text", ["shop:secret", "secret", "sh op:" + 64 * "a", "shop:" + 64 * "A", ""])
def test_refuses_what_is_no_entry_and_does_not_repeat_it(text: str) -> None:
    """A key put where its hash belongs does not end up in a log."""
    with pytest.raises(ConfigError, match="key 1 must be NAME:SHA-256") as raised:
        parse_keys([text], "Keys")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b"# nobody\n", b"\xff\xfe"])
def test_refuses_a_file_without_keys(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or binary file would leave the server open, or shut."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="file of API keys"):
        read_keys(path)
