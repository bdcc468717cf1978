"""nimakit.features.store: features kept by content."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import ImageError, UsageError
from nimakit.features.store import File, Store
from samples import write_photo

pytestmark = pytest.mark.usefixtures("empty_cache")

WIDTH = 1000
CONTENTS = [bytes([number]) * 32 for number in range(100)]


def _vectors(contents: list[bytes]) -> dict[bytes, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {content: np.full(WIDTH, content[0], np.float32) for content in contents}


def test_keeps_vectors_by_block_and_content() -> None:
    """A later run reads what an earlier one wrote, exactly, and nothing of another block."""
    vectors = {c: np.random.default_rng(c[0]).normal(size=WIDTH).astype(np.float32) for c in CONTENTS}
    with Store() as store:
        store.write("a", vectors)
    with Store() as store:
        found = store.read("a", [*CONTENTS, b"x" * 32])
        assert store.read("b", CONTENTS) == {}
    assert found.keys() == vectors.keys()
    assert all((found[content] == vectors[content]).all() for content in CONTENTS)


def test_hashes_a_file_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, size and time of change tell; a copy has the same content."""
    first, copy = write_photo(tmp_path / "a.png"), tmp_path / "b.png"
    copy.write_bytes(first.read_bytes())
    with Store() as store:
        before = store.identify([first, copy])
        assert _content(before[first]) == _content(before[copy])
        monkeypatch.setattr("nimakit.features.store.sha256", lambda _: pytest.fail("hashed again"))
        assert store.identify([first, copy]) == before
        monkeypatch.undo()
        write_photo(first, level=3)
        assert _content(store.identify([first])[first]) != _content(before[first])


def _content(file: File | ImageError) -> bytes:
    assert isinstance(file, File)
    return file.content


def test_reports_what_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and a pipe are errors of these, not of the batch."""
    os.mkfifo(tmp_path / "pipe.jpg")
    missing, pipe, good = tmp_path / "none.jpg", tmp_path / "pipe.jpg", write_photo(tmp_path / "a.png")
    with Store() as store:
        found = store.identify([missing, tmp_path, pipe, good])
    assert str(found[missing]) == "The image must exist; no such file."
    assert "regular file" in str(found[tmp_path])
    assert "regular file" in str(found[pipe])
    assert isinstance(found[good], File)


def _write(number: int) -> int:
    with Store() as store:
        for content in CONTENTS:
            store.write(f"block {number}", _vectors([content]))
        return len(store.read(f"block {number}", CONTENTS))


@pytest.mark.slow
def test_several_processes_write_at_once() -> None:
    """None loses a row of another."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert list(pool.map(_write, range(2))) == [len(CONTENTS)] * 2
    with Store() as store:
        assert all(len(store.read(f"block {number}", CONTENTS)) == len(CONTENTS) for number in range(2))


def test_forgets_what_was_used_least_recently(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit, the blocks not used for longest go first, and the file shrinks."""
    times = iter(range(0, 10**9, 10**5))
    monkeypatch.setattr("nimakit.features.store.time.time", lambda: float(next(times)))
    with Store() as store:
        store.write("old", _vectors(CONTENTS))
        store.write("new", _vectors(CONTENTS))
        store.read("old", CONTENTS[:1])
    file = empty_cache / "features-v1.sqlite"
    before = file.stat().st_size
    monkeypatch.setattr("nimakit.features.store._PER_DELETION", 10)
    with Store(max_bytes=before * 3 // 4):
        pass
    assert file.stat().st_size < before * 3 // 4
    with Store() as store:
        assert len(store.read("old", CONTENTS)) == len(CONTENTS)
        assert 0 < len(store.read("new", CONTENTS)) < len(CONTENTS) * 3 // 4


def test_runs_without_a_store_that_is_broken(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged file is reported once, and left as it is."""
    empty_cache.mkdir()
    (empty_cache / "features-v1.sqlite").write_bytes(b"no database" * 1000)
    with Store() as store:
        store.write("a", _vectors(CONTENTS))
        assert store.read("a", CONTENTS) == {}
    assert capsys.readouterr().err.count("features are not kept for the next run: ") == 1


@pytest.mark.parametrize("limit", ["many", "-1", "nan", "inf"])
def test_refuses_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """The variable is named."""
    monkeypatch.setenv("NIMAKIT_FEATURES_GB", limit)
    with pytest.raises(UsageError, match=f"NIMAKIT_FEATURES_GB must be .* Received: {limit}"):
        Store()
