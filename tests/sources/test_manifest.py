"""nimakit.sources.manifest: lists of the paths and URLs of photographs."""

from pathlib import Path

import pytest

from nimakit.errors import UsageError
from nimakit.sources import Source, open_source


def _open(
    path: Path, said: list[str] | None = None, *, image_column: str = "image", id_column: str | None = None
) -> Source:
    notify = (said if said is not None else []).append
    return open_source(str(path), image_column=image_column, id_column=id_column, notify=notify)


def _write(path: Path, rows: list[dict[str, str | None]]) -> Path:
    """Write the rows in the format of the suffix."""
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow = pytest.importorskip("pyarrow")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        import json

        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [",".join(rows[0]), *(",".join(value or "" for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


ROWS: list[dict[str, str | None]] = [
    {"sku": "1", "photo": "a.jpg"},
    {"sku": "2", "photo": "/other/b.jpg"},
    {"sku": "3", "photo": ""},
    {"sku": "4", "photo": "s3://bucket/c.jpg"},
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_reads_the_columns_that_are_named(tmp_path: Path, suffix: str) -> None:
    """A relative path counts from the manifest's folder; a row without a path is left out and counted."""
    path = _write(tmp_path / f"list{suffix}", ROWS)
    said: list[str] = []
    source = _open(path, said, image_column="photo", id_column="sku")
    entries = list(source)
    assert [entry.key for entry in entries] == ["1", "2", "4"]
    assert [entry.place for entry in entries] == [
        str(tmp_path / "a.jpg"),
        "/other/b.jpg",
        "s3://bucket/c.jpg",
    ]
    assert len(said) == 1
    assert said[0].startswith("1 bad row left out")
    assert "photo must not be empty" in said[0]
    assert source.count() == 4


def test_without_an_id_column_the_path_is_the_id(tmp_path: Path) -> None:
    """As the manifest writes it."""
    (tmp_path / "list.txt").write_text("a.jpg\n\nhttps://example.org/b.jpg\n", encoding="utf-8")
    assert [entry.key for entry in _open(tmp_path / "list.txt")] == ["a.jpg", "https://example.org/b.jpg"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_a_missing_column(tmp_path: Path, suffix: str) -> None:
    """With the columns there are."""
    path = _write(tmp_path / f"list{suffix}", ROWS)
    with pytest.raises(UsageError, match=r"'image'.*'sku', 'photo'"):
        list(_open(path))


def test_refuses_what_is_no_parquet(tmp_path: Path) -> None:
    """A file of another format with the suffix."""
    pytest.importorskip("pyarrow")
    (tmp_path / "list.parquet").write_text("image\na.jpg\n", encoding="utf-8")
    with pytest.raises(UsageError, match="must be a Parquet file"):
        list(_open(tmp_path / "list.parquet"))


def test_refuses_a_manifest_that_is_missing(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(UsageError, match=r"none\.parquet"):
        list(_open(tmp_path / "none.parquet"))
    with pytest.raises(UsageError, match=r"none\.csv"):
        list(_open(tmp_path / "none.csv"))
