"""nimakit.images.xmp.statement: what programs say about pictures, and what nimakit writes."""

import pytest

from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document
from nimakit.images.xmp.statement import EMPTY, Statement, properties, read_statement
from xmp_texts import DARKTABLE, EXIFTOOL, sidecar

EVERYTHING = frozenset({"rating", "label", "pick"})
DYNAMIC_MEDIA = 'xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/"'
MECHANIC = 'xmlns:pm="http://ns.camerabits.com/photomechanic/1.0/"'


def _said(attributes: str) -> Statement:
    return read_statement(Document(sidecar(attributes)))


@pytest.mark.parametrize(
    ("attributes", "rating", "label", "pick"),
    [
        ("xmp:Rating='3' xmp:Label='Red'", 3, "Red", None),
        ("xmp:Rating='-1' digiKam:PickLabel='1'", -1, None, False),
        ("xmp:Rating='0' xmp:Label='' digiKam:PickLabel='0'", None, None, None),
        ("xmp:Rating='4.0' digiKam:PickLabel='3'", 4, None, True),
        ("digiKam:PickLabel='2' digiKam:ColorLabel='4'", None, "Green", None),
        (f"{DYNAMIC_MEDIA} xmpDM:pick='1'", None, None, True),
        (f"{DYNAMIC_MEDIA} xmpDM:pick='-1'", None, None, False),
        (f"{MECHANIC} pm:Tagged='True'", None, None, True),
        ("xmlns:m='http://ns.microsoft.com/photo/1.0' m:Rating='75'", 4, None, None),
        ("xmlns:m='http://ns.microsoft.com/photo/1.0/' m:Rating='99'", 5, None, None),
        ("xmlns:m='http://ns.microsoft.com/photo/1.0/' m:Rating='99' xmp:Rating='0'", None, None, None),
        ("xmp:Rating='2' rdf:nothing=''", 2, None, None),
    ],
)
def test_reads_what_programs_write(
    attributes: str, rating: int | None, label: str | None, pick: bool | None
) -> None:
    """Stars, colours, flags and picks of Lightroom, darktable, digiKam, Photo Mechanic and Windows."""
    said = _said(attributes)
    assert (said.rating, said.label, said.pick, said.problems) == (rating, label, pick, ())


def test_reads_elements_and_lists() -> None:
    """As exiftool and darktable write them: the first of darktable's colours counts."""
    said = read_statement(Document(EXIFTOOL.encode()))
    assert (said.rating, said.label) == (4, None)
    said = read_statement(Document(DARKTABLE.encode()))
    assert (said.rating, said.label, said.given) == (3, "Yellow", frozenset({"rating", "label"}))


@pytest.mark.parametrize("rating", ["99", "-2", "2.5", "many", "nan"])
def test_a_rating_that_means_nothing_is_a_problem(rating: str) -> None:
    """It is none, and the sentence says which value was found; the label still counts."""
    said = _said(f"xmp:Rating='{rating}' xmp:Label='Blue'")
    assert (said.rating, said.label) == (None, "Blue")
    assert [problem for problem in said.problems if repr(rating) in problem]


def test_what_nimakit_wrote_is_told_from_what_a_person_gave() -> None:
    """A copy of each value tells them apart, once a person changes the value or gives another one."""
    own = Document(EMPTY).edited(properties(rating=4, label="Red", pick=True))
    assert read_statement(Document(own)).given == frozenset()
    assert read_statement(Document(own)).rating == 4
    for old, new, field in (
        (b'xmp:Rating="4"', b'xmp:Rating="3"', "rating"),
        (b'xmp:Label="Red"', b'xmp:Label="Blue"', "label"),
        (b'digiKam:PickLabel="3"', b'digiKam:PickLabel="1"', "pick"),
        (b'xmp:Rating="4"', b'xmp:Rating="0"', "rating"),
        (b'xmp:Label="Red"', b"", "label"),
    ):
        assert read_statement(Document(own.replace(old, new))).given == {field}
    assert _said("xmp:Rating='4' xmp:Label='Red' digiKam:PickLabel='3'").given == EVERYTHING


def test_a_colour_of_darktable_counts_before_a_label_of_nimakit() -> None:
    """It leaves xmp:Label as it is; the list here begins with yellow."""
    for label, given in (("Red", {"rating", "label"}), ("Yellow", {"rating"})):
        marked = Document(DARKTABLE.encode()).edited(properties(label=label))
        said = read_statement(Document(marked))
        assert (said.label, said.given) == ("Yellow", frozenset(given))


def test_a_persons_flag_counts_before_a_pick_of_nimakit() -> None:
    """Lightroom changes its flag and leaves the label of digiKam as it is."""
    own = Document(Document(EMPTY).edited(properties(pick=True, flags=True)))
    assert (read_statement(own).pick, read_statement(own).given) == (True, frozenset())
    changed = read_statement(Document(own.content.replace(b'xmpDM:pick="1"', b'xmpDM:pick="-1"')))
    assert (changed.pick, changed.given) == (False, frozenset({"pick"}))
    cleared = read_statement(Document(own.content.replace(b':PickLabel="3"', b':PickLabel="0"', 1)))
    assert (cleared.pick, cleared.given) == (None, frozenset({"pick"}))
    pending = read_statement(Document(own.content.replace(b'PickLabel="3"', b'PickLabel="2"', 1)))
    assert "pick" in pending.given


def test_only_given_fields_are_written() -> None:
    """None leaves a property as it is; other ratings than stars and -1 are refused."""
    assert [str(name) for name in properties(pick=False)] == ["digiKam:PickLabel", "nimakit:PickLabel"]
    assert properties(flags=True) == {}
    for rating in (0, 6, 99):
        with pytest.raises(ImageError, match=f"1 to 5.*{rating}"):
            properties(rating=rating)
