"""nimakit.images.xmp.document: reading and changing single properties."""

import re

import pytest
from hypothesis import strategies as st

from generated import tried
from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document, Name
from nimakit.images.xmp.statement import EMPTY, LABEL, PICK, RATING
from xmp_texts import DARKTABLE, EXIFTOOL, sidecar

COLOURS = Name("http://darktable.sf.net/", "colorlabels", "darktable")
EMPTY_RDF = '<{0}:RDF xmlns:{0}="http://www.w3.org/1999/02/22-rdf-syntax-ns#"{1}'
TEXTS = {
    "attributes": DARKTABLE.encode(),
    "elements": EXIFTOOL.encode(),
    "empty": EMPTY,
    "no node": EMPTY_RDF.format("r", "/>").encode(),
    "no node, open": EMPTY_RDF.format("rdf", "> </rdf:RDF>").encode(),
    "utf-16": EXIFTOOL.encode("utf-16"),
    "utf-16 without a mark": DARKTABLE.replace("UTF-8", "UTF-16").encode("utf-16-be"),
    "padded with zeros": DARKTABLE.encode() + bytes(7),
    "prefix of another schema": sidecar('xmlns:nimakit="urn:other" nimakit:Rating="2"').replace(
        b"digiKam", b"dk"
    ),
    "without a space": sidecar("xmp:Rating='1'").replace(b" xmp:Rating", b"\n\txmp:Rating"),
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_what_is_set_is_read_and_set_again(content: bytes) -> None:
    """Whatever form the document has, a value is found afterwards, and the same edit changes nothing more."""
    values = {RATING: "5", LABEL: "a<b> & \"c\" 'd'", PICK: "3"}
    edited = Document(content).edited(values)
    document = Document(edited)
    assert {name: document.get(name) for name in values} == values
    assert document.edited(values) == edited
    assert Document(edited).edited({RATING: "-1"}).count(b"-") == edited.count(b"-") + 1


def test_only_the_value_changes() -> None:
    """In an attribute and in an element; the history has an attribute of the same name that stays."""
    assert Document(DARKTABLE.encode()).edited({RATING: "5"}).decode() == DARKTABLE.replace(
        'Rating="3"', 'Rating="5"'
    )
    expected = EXIFTOOL.replace("  <a:Rating>4<", "  <a:Rating>1<").replace(
        "<a:Label/>", "<a:Label>Red</a:Label>"
    )
    assert Document(EXIFTOOL.encode()).edited({RATING: "1", LABEL: "Red"}).decode() == expected


def test_a_new_property_is_written_as_its_neighbours() -> None:
    """On a line of its own, with the prefix that the document has for its schema."""
    edited = Document(DARKTABLE.encode()).edited({LABEL: "Red", PICK: "3"}).decode()
    assert edited == DARKTABLE.replace(
        'xmp_version="5">',
        'xmp_version="5"\n   xmp:Label="Red"\n   xmlns:digiKam="http://www.digikam.org/ns/1.0/"'
        '\n   digiKam:PickLabel="3">',
    )
    assert b"nimakit1" not in Document(TEXTS["prefix of another schema"]).edited({RATING: "3"})
    own = Name("urn:own/", "Rating", "nimakit")
    edited_bytes = Document(TEXTS["prefix of another schema"]).edited({own: "3"})
    assert b'xmlns:nimakit1="urn:own/" nimakit1:Rating="3"' in edited_bytes


def test_reads_texts_lists_and_nothing() -> None:
    """A property in a comment or deeper in the document is none; a structure has no text."""
    assert Document(EXIFTOOL.encode()).get(RATING) == "4"
    document = Document(DARKTABLE.encode())
    assert (document.get(RATING), document.get(LABEL), document.get(COLOURS)) == ("3", None, None)
    assert document.items(COLOURS) == ("1", "4")
    assert document.items(RATING) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be XML"),
        (b"Rating: 5", "must be XML"),
        (sidecar()[:-9], "must be XML"),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + sidecar("xmp:Rating='&e;'"), "DOCTYPE"),
        (sidecar("xmp:Rating='&e;'"), "undefined entity"),
        (b"<html/>", "rdf:RDF"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + sidecar(), "UTF-8 or UTF-16"),
        (b"\xff\xfe<\0\x00\xd8", "UTF-8 or UTF-16"),
        (sidecar("xmp:Label='\xe9'").replace("\xe9".encode(), b"\xe9"), "must be XML"),
    ],
)
def test_refuses_what_is_no_xmp(content: bytes, message: str) -> None:
    """No entity is resolved: a document type, which could define one, is refused."""
    with pytest.raises(ImageError, match=re.escape(message)):
        Document(content)


def test_refuses_values_it_cannot_write() -> None:
    """A list in place of a value, or a character that XML lacks."""
    with pytest.raises(ImageError, match="single value"):
        Document(DARKTABLE.encode()).edited({COLOURS: "1"})
    with pytest.raises(ImageError, match="characters of XML"):
        Document(EMPTY).edited({LABEL: "a\0b"})
    default = '<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
    with pytest.raises(ImageError, match="prefix"):
        Document(default.encode()).edited({RATING: "1"})


_VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"]), max_size=8)
_SPACE = st.sampled_from(["", " ", "\n", "\t\n "])
_QUOTES = st.sampled_from("'\"")
_MARKUP = st.sampled_from(
    [
        "<!-- xmp:Rating='1' -->",
        "<?pi xmp:Rating='1'?>",
        "<xmp:Nick>a > b</xmp:Nick>",
        "<xmp:Rating  >2</xmp:Rating >",
        "<xmp:Rating\n/>",
        "<digiKam:TagsList><rdf:Seq><rdf:li>a/b</rdf:li></rdf:Seq></digiKam:TagsList>",
        "<xmp:Note><![CDATA[<xmp:Rating>1</xmp:Rating>]]></xmp:Note>",
        "&#x1f600;&amp;",
    ]
)


def test_any_sidecar_changes_only_in_its_values() -> None:
    """After an edit the new values are read; foreign markup stays; an edit back gives the old value."""

    def check(drawn: tuple[str, str, str, list[str], str]) -> None:
        value, space, quote, markup, label = drawn
        for character in "&<'\"":
            value = value.replace(character, f"&#{ord(character)};")
        content = sidecar(f"{space} xmp:Label {space}={space}{quote}{value}{quote}{space}", "".join(markup))
        before = Document(content)
        old = before.get(LABEL) or ""
        edited = before.edited({LABEL: label, RATING: "4"})
        document = Document(edited)
        assert (document.get(LABEL), document.get(RATING)) == (label.strip(), "4")
        for piece in markup:
            if "Rating" not in piece or "Note" in piece or "<!" in piece or "<?" in piece:
                assert piece.encode() in edited
        again = Document(document.edited({LABEL: old}))
        assert (again.get(LABEL), again.get(RATING)) == (old.strip(), "4")

    tried(60, st.tuples(_VALUES, _SPACE, _QUOTES, st.lists(_MARKUP, max_size=3), _VALUES), check)
