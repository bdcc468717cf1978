"""One folder of what phones and cameras write: scored, rated in a real browser, and served."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from clients import multipart
from photo_formats import SAMPLES, camera_exif, corners, dng, encoded, jxl, tiff16
from servers import running
from terminal import Command
from web.test_server import Process

SIZE = (600, 400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture of each format, and a RAW file with its JPEG."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = corners(SIZE)
    preview = encoded(picture, "JPEG")
    files = {
        "phone.heic": (SAMPLES / "orientation_6.heic").read_bytes(),
        "renamed.jpg": (SAMPLES / "orientation_1.heic").read_bytes(),
        "web.avif": encoded(picture, "AVIF"),
        "archive.jxl": jxl(picture),
        "camera.dng": dng(preview=preview, size=(1200, 800), orientation=6),
        "developed.dng": dng(size=(1200, 800)),
        "stereo.mpo": encoded(picture, "MPO", save_all=True, append_images=[picture]),
        "turned.jpg": encoded(picture, "JPEG", exif=camera_exif(6)),
        "scan.tif": tiff16(257 * np.asarray(picture, np.uint16)),
        "pair.jpg": preview,
        "pair.CR2": b"never opened",
    }
    for name, content in files.items():
        (photos / name).write_bytes(content)
    return photos


def test_a_folder_of_phones_and_cameras_is_scored_rated_and_served(
    page: Page, nimakit: Command, tiny_file: Path, folder: Path, tmp_path: Path
) -> None:
    """All ten pictures each time; a truncated one has its error and costs the others nothing."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".CR2")
    result = nimakit("predict", "--image-source", folder, "--model", tiny_file)
    assert result.code == 0, result.err
    assert "1 RAW next to a picture of the same name" in result.err
    scores = {record["image_id"]: record["mean_score_prediction"] for record in result.records}
    assert sorted(scores) == sorted(name.partition(".")[0] for name in names)

    app = Process(tmp_path)
    try:
        page.goto(app.address)
        for number in range(len(names)):
            expect(page.locator("main")).to_have_attribute("aria-busy", "false")
            shown = page.locator(".canvas img")
            expect(shown).to_be_visible()
            assert shown.evaluate("async (image) => { await image.decode(); return image.naturalWidth }") > 0
            page.keyboard.press(str(number % 10))
            expect(page.locator("#count")).to_have_text(re.compile(rf"^{number + 1} of {len(names)}"))
        expect(page.locator("#message")).to_contain_text("All done")
    finally:
        assert app.stop() == 0
        assert app.process.stderr is not None
        app.process.stderr.close()

    (folder / "cut.heic").write_bytes((folder / "phone.heic").read_bytes()[:-100])
    sent = [(name, (folder / name).read_bytes()) for name in [*names, "cut.heic"]]
    body, kind = multipart(sent)
    formats = ["JPEG", "HEIF", "AVIF", "JXL", "TIFF", "RAW"]
    with running(tmp_path, models=[str(tiny_file)], formats=formats) as server:
        connection = server.connect()
        connection.request("POST", "/predict", body, {"Content-Type": kind})
        *records, cut = json.loads(connection.getresponse().read())
        connection.close()
    served = {record["image_id"]: record["mean_score_prediction"] for record in records}
    assert served == pytest.approx(scores, abs=1e-5)
    assert "damaged HEIC" in cut["error"]
