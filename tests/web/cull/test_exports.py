"""Exports of a cull: lists, copies and XMP; who may have them, and what becomes of the files."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nimakit.culling.library import read_library
from nimakit.images.files import find_images
from nimakit.web.settings import Settings
from web.conftest import MakeStudy
from web.cull.test_routes import decision, flag, ids
from web.study import JSON, Study, Visitor

EXPORTS = ("cull/picks.txt", "cull/picks.zip", "cull/xmp.zip")


@pytest.fixture
def visitor(cull: Study) -> Visitor:
    """The local rater, who picked one frame with stars and rejected another."""
    visitor, known = cull.visitor(), ids(cull)
    flag(visitor, "pick", known["burst 0 2.jpg"])
    visitor.rate(known["burst 0 2.jpg"], 4)
    flag(visitor, "reject", known["burst 0 0.jpg"])
    return visitor


def archive(visitor: Visitor, page: str, **query: Any) -> zipfile.ZipFile:
    """A .zip of the app."""
    return zipfile.ZipFile(io.BytesIO(visitor.get(visitor.address(page, **query)).data))


def test_picks_are_a_list_or_copies(cull: Study, visitor: Visitor) -> None:
    """Only the picks, byte for byte, with their sidecars; a file that is gone is reported, not fatal."""
    assert visitor.get(visitor.address("cull/picks.txt")).text == "burst 0 2.jpg\n"
    (cull.folder / "burst 0 2.jpg.xmp").write_text("<x/>")
    flag(visitor, "pick", ids(cull)["single.png"])
    (cull.folder / "single.png").unlink()
    found = archive(visitor, "cull/picks.zip")
    assert found.namelist() == ["burst 0 2.jpg", "burst 0 2.jpg.xmp", "not copied.txt"]
    assert found.read("burst 0 2.jpg") == (cull.folder / "burst 0 2.jpg").read_bytes()
    assert b"single.png: " in found.read("not copied.txt")


def test_a_download_of_xmp_touches_no_file(cull: Study, visitor: Visitor) -> None:
    """Sidecars for what was decided; in the other style the pictures with XMP inside."""
    before = {path: path.read_bytes() for path in cull.folder.iterdir()}
    sidecars = archive(visitor, "cull/xmp.zip")
    assert sidecars.namelist() == ["burst 0 0.jpg.xmp", "burst 0 2.jpg.xmp"]
    assert b"Rating" in sidecars.read("burst 0 2.jpg.xmp")
    embedded = archive(visitor, "cull/xmp.zip", style="lightroom")
    assert embedded.namelist() == ["burst 0 0.jpg", "burst 0 2.jpg"]
    assert {path: path.read_bytes() for path in cull.folder.iterdir()} == before


def test_xmp_is_written_to_the_folder_and_undone(cull: Study, visitor: Visitor) -> None:
    """Stars and flags arrive next to the pictures; undoing restores the folder."""
    before = {path.name: path.read_bytes() for path in cull.folder.iterdir()}
    answer = visitor.post_json(visitor.address("cull/xmp"), {"style": "darktable"}).json
    assert answer is not None
    assert (answer["written"], answer["failed"], answer["kept"]) == (2, 0, 0)
    library = read_library(find_images(cull.folder))
    assert library.own == 2
    undone = visitor.post_json(visitor.address("cull/xmp/undo"), {}).json
    assert undone is not None
    assert (undone["restored"], undone["failed"]) == (2, 0)
    assert {path.name: path.read_bytes() for path in cull.folder.iterdir()} == before
    assert visitor.post_json(visitor.address("cull/xmp/undo"), {}).status_code == 409


@pytest.mark.parametrize("body", [{"style": "paper"}, {"overwrite": "yes"}, [], {"style": ["darktable"]}])
def test_malformed_writing_is_refused(cull: Study, visitor: Visitor, body: Any) -> None:
    """Nothing is written."""
    assert visitor.post_json(visitor.address("cull/xmp"), body).status_code == 400
    assert visitor.get(visitor.address("cull/xmp.zip", style="paper")).status_code == 400
    assert len([*cull.folder.iterdir()]) == 10


@pytest.fixture
def shared(settings: Settings, make_study: MakeStudy, small: Path) -> Study:
    """A cull that others can reach."""
    settings = replace(settings, url="http://localhost", password="secret of a test")  # noqa: S106
    return make_study(settings, experiment="cull", model=str(small))


def test_only_who_may_see_names_exports_and_only_the_admin_writes(shared: Study) -> None:
    """A stranger is sent away; a rater of a blind cull gets no names, and decides alone."""
    for page in ("cull/groups", *EXPORTS):
        answer = shared.visitor().get(shared.visitor().address(page), headers=JSON)
        assert answer.status_code == 401
    rater, image = shared.rater(), shared.images[0].id
    flag(rater, "pick", image)
    answer = rater.get_json(rater.address("cull/groups"))
    assert {frame["name"] for group in answer["groups"] for frame in group["frames"]} == {None}
    assert (answer["exports"], answer["writable"]) == (False, False)
    assert [rater.get(rater.address(page)).status_code for page in EXPORTS] == [403] * 3
    assert decision(shared.rater("Ben"), image) == (None, None)
    shared.set(blind=False)
    assert [rater.get(rater.address(page)).status_code for page in EXPORTS] == [200] * 3
    for page in ("cull/xmp", "cull/xmp/undo"):
        assert rater.post_json(rater.address(page), {}).status_code == 403
