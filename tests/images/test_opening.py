"""nimakit.images.opening: the decoder of a file is that of its content, and is loaded when it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from nimakit.errors import ImageError
from nimakit.images import opening
from nimakit.images.formats import FORMATS
from nimakit.images.opening import load_decoders, open_image
from nimakit.images.photo import open_photo
from photo_formats import SAMPLES, corners, dng, encoded, jxl, quarters
from samples import write_photo

INSTALL = r"Install with: pip install 'nimakit\[formats\]'"


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `formats` is missing."""

    def fail(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(opening, "import_module", fail)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif", "photo"])
def test_a_file_with_the_wrong_name_is_read(tmp_path: Path, name: str) -> None:
    """A HEIC that a phone or a website named .jpg is a HEIC."""
    path = tmp_path / name
    path.write_bytes((SAMPLES / "orientation_6.heic").read_bytes())
    photo = open_photo(path)
    assert photo.size == (64, 96)


def test_a_format_that_is_not_accepted_is_named() -> None:
    """Its decoder never sees the file."""
    with pytest.raises(ImageError, match=r"must be an image \(JPEG, TIFF\); it is camera RAW\.$"):
        open_photo(dng(), formats=("JPEG", "TIFF"))
    with pytest.raises(ImageError, match=r"must be an image \(JPEG\); its content is none of these\.$"):
        open_photo(b"text", formats=("JPEG",))


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_decoder_is_named_for_its_files_only(tmp_path: Path) -> None:
    """The others are read."""
    for content, title in (
        ((SAMPLES / "orientation_1.heic").read_bytes(), "HEIC"),
        (jxl_header(), "JPEG XL"),
        (dng(), "camera RAW"),
    ):
        with pytest.raises(ImageError, match=f"{title} files need a package.*{INSTALL}"):
            open_photo(content)
    assert open_photo(write_photo(tmp_path / "a.jpg")).size == (12, 9)


@pytest.mark.usefixtures("nothing_installed")
def test_a_server_reports_what_it_cannot_decode() -> None:
    """Once at its start; the other formats stay."""
    said: list[str] = []
    assert load_decoders(("JPEG", "HEIF", "RAW"), said.append) == ("JPEG",)
    assert said == [
        "HEIC, camera RAW files cannot be read: their decoders are not installed. Install with: pip install"
        " 'nimakit[formats]'"
    ]


def test_a_server_with_all_decoders_says_nothing() -> None:
    """Every format of the table has its decoder in the test environment."""
    said: list[str] = []
    assert load_decoders(FORMATS, said.append) == FORMATS
    assert said == []


def jxl_header() -> bytes:
    """The beginning of a JPEG XL."""
    return b"\xff\x0a" + bytes(30)


def test_decoders_are_loaded_only_for_their_files(tmp_path: Path) -> None:
    """A folder of JPEGs costs no import; once loaded, nothing further is imported for a file."""
    paths = [tmp_path / name for name in ("a.jpg", "b.avif", "c.jxl", "d.dng", "e.heic")]
    write_photo(paths[0])
    paths[1].write_bytes(encoded(corners(), "AVIF"))
    paths[2].write_bytes(jxl(corners()))
    paths[3].write_bytes(dng(preview=encoded(corners((60, 40)), "JPEG")))
    paths[4].write_bytes((SAMPLES / "orientation_1.heic").read_bytes())
    code = (
        "import sys; from nimakit.images.photo import open_photo\n"
        "from nimakit.images.opening import load_decoders; open_photo(sys.argv[1])\n"
        "print(*sorted({'pi_heif', 'pillow_jxl', 'rawpy', 'PIL.AvifImagePlugin'} & {*sys.modules}))\n"
        "load_decoders(('HEIF', 'AVIF', 'JXL', 'RAW'), print); before = {*sys.modules}\n"
        "[open_photo(path) for path in sys.argv[1:]]; print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-c", code, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("\n\n", "")


def test_a_header_is_read_without_decoding() -> None:
    """Size and format are known before the first pixel, whatever the source is."""
    content = encoded(corners(), "AVIF")
    with open_image(content) as image:
        assert (image.format, image.size) == ("AVIF", (96, 64))
    with open_image(jxl(corners())) as image:
        assert (image.format, image.size) == ("JXL", (96, 64))


def test_pictures_keep_their_colours() -> None:
    """Each decoder gives the picture that was encoded."""
    for content in (
        encoded(corners(), "AVIF"),
        jxl(corners()),
        (SAMPLES / "orientation_1.heic").read_bytes(),
    ):
        assert quarters(open_photo(content).pixels) == ["r", "g", "b", "w"]
