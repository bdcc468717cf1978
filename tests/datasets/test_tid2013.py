"""nimakit.datasets.tid2013: mos_with_names.txt, in its published form."""

from pathlib import Path

import pytest

from nimakit.datasets.tid2013 import read_tid2013
from nimakit.errors import LabelError
from nimakit.io.tables import BadRows

LINES = ("5.51429 I01_01_1.bmp", "5.56757 i01_01_2.BMP", "0.24242 I25_24_5.bmp")


def _file(folder: Path, *lines: str) -> Path:
    path = folder / "mos_with_names.txt"
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
    return path


def test_reads_scores_names_and_references(tmp_path: Path) -> None:
    """The reference of a picture is the start of its name, in whatever case that is."""
    images = read_tid2013(_file(tmp_path, *LINES), BadRows())
    assert images.image_ids == ("I01_01_1", "i01_01_2", "I25_24_5")
    assert images.references == ("I01", "I01", "I25")
    assert images.mos.tolist() == [5.51429, 5.56757, 0.24242]


def test_reads_tabs_between_score_and_name(tmp_path: Path) -> None:
    """As well as spaces, several of them too."""
    images = read_tid2013(_file(tmp_path, "5.5\tI01_01_1.bmp", "4  I01_01_2.bmp"), BadRows())
    assert (images.image_ids, images.mos.tolist()) == (("I01_01_1", "I01_01_2"), [5.5, 4])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("5.5", "a MOS and a name such as I01_01_1.bmp; received '5.5'"),
        ("5.5 photo.bmp", "a MOS and a name such as I01_01_1.bmp"),
        ("high I01_01_3.bmp", "MOS must be a number from 0 to 9; received 'high'"),
        ("9.1 I01_01_3.bmp", "MOS must be a number from 0 to 9; received '9.1'"),
        ("5.5 I01_01_1.bmp", "I01_01_1 is repeated"),
    ],
)
def test_refuses_a_bad_line_or_leaves_it_out(tmp_path: Path, line: str, problem: str) -> None:
    """The message has its number and what is wrong with it."""
    path = _file(tmp_path, *LINES, line)
    with pytest.raises(LabelError, match=f"mos_with_names.txt, line 4: .*{problem}"):
        read_tid2013(path, BadRows())
    assert len(read_tid2013(path, BadRows(skip=True)).image_ids) == 3


def test_refuses_a_file_without_a_good_line(tmp_path: Path) -> None:
    """An empty file is no data set."""
    with pytest.raises(LabelError, match="at least one good line"):
        read_tid2013(_file(tmp_path), BadRows())
