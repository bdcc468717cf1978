"""nimakit.images.xmp.splices: changes of a file, and back."""

import io

from hypothesis import strategies as st

from generated import tried
from nimakit.images.xmp.splices import Splice, between, inverse, spliced


def test_any_change_is_undone() -> None:
    """Of one part or of several, shorter or longer."""

    def check(drawn: tuple[bytes, bytes, bytes, bytes]) -> None:
        first, second, new, other = drawn
        old = first + b"|" + second
        stream = io.BytesIO(old)
        for splices in (
            between(old, new),
            (Splice(0, len(first), new), Splice(len(first) + 1, len(old), other)),
        ):
            edited = b"".join(spliced(stream, splices))
            assert edited == (new if len(splices) < 2 else new + b"|" + other)
            assert b"".join(spliced(io.BytesIO(edited), inverse(stream, splices))) == old

    parts = st.binary(max_size=6)
    tried(60, st.tuples(parts, parts, parts, parts), check)


def test_large_files_come_in_parts() -> None:
    """At most a megabyte at a time."""
    parts = list(spliced(io.BytesIO(bytes(3 << 20)), (Splice(5, 5, b"new"),)))
    assert max(map(len, parts)) == 1 << 20
    assert b"".join(parts) == bytes(5) + b"new" + bytes((3 << 20) - 5)
