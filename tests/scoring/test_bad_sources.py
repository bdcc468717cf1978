"""Runs of any size on sources and stores in which something is wrong: rows with errors, or a sentence."""

import csv
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nimakit.io import public_http
from picture_server import PictureServer, picture_server
from samples import write_photo
from terminal import Command, Result


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    """A server of pictures, whose address counts as public."""
    monkeypatch.setattr(public_http, "is_public", lambda _: True)
    with picture_server() as server:
        yield server


def _predict(nimakit: Command, source: object, model: Path, output: Path, *options: object) -> Result:
    return nimakit(
        "predict", "--image-source", source, "--model", model, "--predictions-file", output, *options
    )


def _errors(output: Path) -> dict[str, str]:
    """Id -> error of each row; empty for one that was scored."""
    with output.open(encoding="utf-8", newline="") as stream:
        return {row["image_id"]: row["error"] for row in csv.DictReader(stream)}


def test_dead_addresses_are_rows_with_the_reason(
    nimakit: Command, server: PictureServer, tiny_file: Path, tmp_path: Path
) -> None:
    """Three in a hundred: gone, forbidden, and a page in place of the picture; all others are scored."""
    server.scripts = {
        "/10": lambda exchange: exchange.answer(404),
        "/50": lambda exchange: exchange.answer(403),
        "/90": lambda exchange: exchange.answer(200, b"<html>Moved</html>", Content_Type="text/html"),
    }
    source = tmp_path / "list.csv"
    rows = "".join(f"r{number},{server.base}/{number}\n" for number in range(100))
    source.write_text(f"id,image\n{rows}", encoding="utf-8")
    done = _predict(nimakit, source, tiny_file, tmp_path / "scores.csv", "--id-column", "id")
    assert done.code == 2
    errors = _errors(tmp_path / "scores.csv")
    assert len(errors) == 100
    assert {name for name, error in errors.items() if error} == {"r10", "r50", "r90"}
    assert "404" in errors["r10"]
    assert "403" in errors["r50"]
    assert "must be an image" in errors["r90"]


def test_a_tar_that_breaks_off_is_a_row_and_the_next_one_is_read(
    nimakit: Command, tiny_file: Path, tmp_path: Path
) -> None:
    """What was before the break is scored."""
    write_photo(tmp_path / "a.png", 80)
    for name in ("0", "1"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for member in "abc":
                tar.add(tmp_path / "a.png", f"{member}.png")
    whole = (tmp_path / "0.tar").read_bytes()
    with tarfile.open(tmp_path / "0.tar") as tar:
        (tmp_path / "0.tar").write_bytes(whole[: tar.getmembers()[2].offset_data + 10])
    done = _predict(nimakit, f"{tmp_path}/{{0..1}}.tar", tiny_file, tmp_path / "scores.csv")
    assert done.code == 2
    errors = _errors(tmp_path / "scores.csv")
    scored = [f"{tmp_path}/0.tar/a.png", f"{tmp_path}/0.tar/b.png"]
    scored += [f"{tmp_path}/1.tar/{member}.png" for member in "abc"]
    assert [name for name, error in errors.items() if not error] == scored
    assert "breaks off after 2 images" in errors[f"{tmp_path}/0.tar"]


@pytest.mark.parametrize("options", [(), ("--id-column", "name")])
def test_a_missing_column_is_named_before_anything_is_written(
    nimakit: Command, tiny_file: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """With the option that names another one."""
    source = tmp_path / "list.csv"
    source.write_text(f"{'image' if options else 'photo'},id\na.jpg,a\n", encoding="utf-8")
    done = _predict(nimakit, source, tiny_file, tmp_path / "scores.csv", *options)
    assert done.code == 1
    assert f"column {'name' if options else 'image'!r}" in done.err.replace('"', "'")
    assert not _errors(tmp_path / "scores.csv")


def test_a_store_without_permission_is_a_sentence_or_a_row(
    nimakit: Command, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence for a folder that may not be listed, or written; a row for a photo that may not be read."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
    pytest.importorskip("pyarrow")

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError("Access Denied")

    source = tmp_path / "list.csv"
    source.write_text("image\nmemory://closed/a.png\n", encoding="utf-8")
    for name in ("info", "find", "cat_file", "pipe_file", "_open", "makedirs"):
        monkeypatch.setattr(memory, name, refuse)
    done = _predict(nimakit, "memory://closed/photos/", tiny_file, tmp_path / "scores.csv")
    assert (done.code, "gives no permission; check the credentials" in done.err) == (1, True)
    done = _predict(nimakit, source, tiny_file, tmp_path / "scores.csv")
    assert done.code == 2
    assert "gives no permission" in _errors(tmp_path / "scores.csv")["memory://closed/a.png"]
    write_photo(tmp_path / "a.png", 80)
    done = nimakit(
        *("predict", "--image-source", tmp_path / "a.png", "--model", tiny_file),
        *("--predictions-file", "memory://closed/scores/"),
    )
    assert done.code == 1
    assert "memory://closed/scores/" in done.err


KNOWN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def s3() -> Iterator[tuple[str, Any]]:
    """An S3 server on loopback with the bucket photos: its address, and its files."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        secret = KNOWN["AWS_SECRET_ACCESS_KEY"]
        store = s3fs.S3FileSystem(key="test", secret=secret, endpoint_url=address, use_listings_cache=False)
        store.mkdir("photos")
        yield address, store
    finally:
        server.stop()


@pytest.mark.slow
def test_a_bucket_is_scored_from_and_to(s3: tuple[str, Any], tiny_file: Path, tmp_path: Path) -> None:
    """A manifest in S3, with photos there and one that is missing, becomes parts there."""
    address, store = s3
    parquet = pytest.importorskip("pyarrow.parquet")
    write_photo(tmp_path / "a.png", 80)
    store.put_file(f"{tmp_path}/a.png", "photos/a.png")
    store.pipe_file("photos/list.csv", b"id,image\nx,a.png\ny,s3://photos/a.png\nz,gone.png\n")

    command = [sys.executable, "-m", "nimakit", "predict", "--image-source", "s3://photos/list.csv"]
    command += ["--id-column", "id", "--model", str(tiny_file), "--predictions-file", "s3://photos/scores/"]
    environment = {**os.environ, **KNOWN, "AWS_ENDPOINT_URL": address}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    [part] = store.glob("photos/scores/*.parquet")
    rows = {row["id"]: row for row in parquet.read_table(io.BytesIO(store.cat_file(part))).to_pylist()}
    assert rows["x"]["mean"] == rows["y"]["mean"] > 0
    assert "no such file" in rows["z"]["error"]
