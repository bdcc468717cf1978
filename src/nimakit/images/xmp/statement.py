"""What an XMP document says about a picture: stars, label and pick, and whether nimakit wrote them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document, Name

_XMP, _DIGIKAM = "http://ns.adobe.com/xap/1.0/", "http://www.digikam.org/ns/1.0/"
RATING = Name(_XMP, "Rating", "xmp")
LABEL = Name(_XMP, "Label", "xmp")
PICK = Name(_DIGIKAM, "PickLabel", "digiKam")
FLAG = Name("http://ns.adobe.com/xmp/1.0/DynamicMedia/", "pick", "xmpDM")
"""The flag of Lightroom, which Lightroom Classic has in XMP since version 13.2."""
SIDECAR_OF = Name("http://ns.adobe.com/photoshop/1.0/", "SidecarForExtension", "photoshop")

_OWN = "urn:nimakit:xmp:1.0/"
_OWN_RATING, _OWN_LABEL = Name(_OWN, "Rating", "nimakit"), Name(_OWN, "Label", "nimakit")
_OWN_PICK, _OWN_FLAG = Name(_OWN, "PickLabel", "nimakit"), Name(_OWN, "Flag", "nimakit")
"""A copy of each value that nimakit writes. A value that differs from its copy is a person's."""
_OWN_NAMES = {RATING: _OWN_RATING, LABEL: _OWN_LABEL, PICK: _OWN_PICK, FLAG: _OWN_FLAG}

_DARKTABLE_LABELS = Name("http://darktable.sf.net/", "colorlabels", "darktable")
_DARKTABLE_COLOURS = ("Red", "Yellow", "Green", "Blue", "Purple")
_DIGIKAM_COLOUR = Name(_DIGIKAM, "ColorLabel", "digiKam")
_DIGIKAM_COLOURS = ("", "Red", "Orange", "Yellow", "Green", "Blue", "Magenta", "Gray", "Black", "White")
_TAGGED = Name("http://ns.camerabits.com/photomechanic/1.0/", "Tagged", "photomechanic")
# Programs disagree about the slash at the end.
_MICROSOFT = ("http://ns.microsoft.com/photo/1.0/", "http://ns.microsoft.com/photo/1.0")
_PERCENTS = tuple(Name(namespace, "Rating", "MicrosoftPhoto") for namespace in _MICROSOFT)

_REJECTED, _ACCEPTED = 1, 3
_PICKS: dict[int | None, bool] = {_REJECTED: False, _ACCEPTED: True}
_FLAGS: dict[int | None, bool] = {-1: False, 1: True}

EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b'  <rdf:Description rdf:about=""/>\n'
    b" </rdf:RDF>\n"
    b"</x:xmpmeta>\n"
)
"""A document without properties."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What a document says about a picture.

    Attributes:
        rating: 1 to 5 stars, -1 for a reject; None for unrated.
        label: A colour, or any other text; None for none.
        pick: True for a pick, False for a reject; None for undecided.
        given: Those of "rating", "label" and "pick" that a person gave; nimakit wrote the others.
        problems: Sentences about values that mean nothing, such as a rating of 99.
    """

    rating: int | None = None
    label: str | None = None
    pick: bool | None = None
    given: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def read_statement(document: Document) -> Statement:
    """Read stars, label and pick.

    A rating in xmp:Rating counts before one in MicrosoftPhoto:Rating, a pick in digiKam:PickLabel before the
    flag of Lightroom and the tag of Photo Mechanic, and a label in xmp:Label before the colours of darktable
    and digiKam.
    """
    problems: list[str] = []
    rating = _rating(document, problems)
    label, is_label_given = _label(document)
    pick, is_pick_given = _pick(document, problems)
    given = {
        "rating": _is_given(document, RATING, bool(rating)),
        "label": is_label_given,
        "pick": is_pick_given,
    }
    return Statement(
        rating=rating,
        label=label,
        pick=pick,
        given=frozenset(field for field, is_given in given.items() if is_given),
        problems=tuple(problems),
    )


def _is_given(document: Document, name: Name, exists: bool) -> bool:
    """Whether a person gave a value, or took away or changed the one that nimakit wrote."""
    copy = document.get(_OWN_NAMES[name])
    return exists if copy is None else document.get(name) != copy


def _rating(document: Document, problems: list[str]) -> int | None:
    """Stars, or -1; None for unrated."""
    if document.get(RATING) is not None:
        valid = (-1, 0, 1, 2, 3, 4, 5)
        return _number(document, RATING, valid, "a whole number from -1 to 5", problems) or None
    name = next((name for name in _PERCENTS if document.get(name)), _PERCENTS[0])
    percent = _number(document, name, range(101), "a whole number from 0 to 100", problems)
    # Windows writes 1, 25, 50, 75 and 99 for one to five stars.
    return min(5, 1 + round(percent / 25)) if percent else None


def _label(document: Document) -> tuple[str | None, bool]:
    """The label, and whether a person gave it."""
    label, colour = document.get(LABEL) or None, _colour(document)
    given = _is_given(document, LABEL, bool(label))
    # darktable leaves xmp:Label as it is when a person changes the colour.
    if colour and (not label or (not given and colour != label)):
        return colour, True
    return label, given


def _pick(document: Document, problems: list[str]) -> tuple[bool | None, bool]:
    """The pick, and whether a person gave it; what a person says counts before what nimakit wrote."""
    label = _number(document, PICK, range(4), "a whole number from 0 to 3", problems)
    flag = _number(document, FLAG, (-1, 0, 1), "-1, 0 or 1", problems)
    is_tagged = (document.get(_TAGGED) or "").lower() == "true"
    found = (
        (_PICKS.get(label), _is_given(document, PICK, bool(label))),
        (_FLAGS.get(flag), _is_given(document, FLAG, bool(flag))),
        (is_tagged or None, is_tagged),
    )
    given = any(by_person for _, by_person in found)
    pick = next((pick for pick, by_person in found if by_person == given and pick is not None), None)
    return pick, given


def _number(
    document: Document, name: Name, valid: Collection[int], rule: str, problems: list[str]
) -> int | None:
    """A number of a property; None if it is missing or breaks the rule, which is then a problem."""
    text = document.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value not in valid:
        problems.append(f"{name} must be {rule}. Received: {text!r}.")
        return None
    return int(value)


def _colour(document: Document) -> str | None:
    """The colour that darktable or digiKam gave, by the name that Lightroom has for it."""
    colours = document.items(_DARKTABLE_LABELS)
    if colours and colours[0].isdecimal() and int(colours[0]) < len(_DARKTABLE_COLOURS):
        return _DARKTABLE_COLOURS[int(colours[0])]
    colour = document.get(_DIGIKAM_COLOUR) or ""
    if colour.isdecimal() and int(colour) < len(_DIGIKAM_COLOURS):
        return _DIGIKAM_COLOURS[int(colour)] or None
    return None


def properties(
    *, rating: int | None = None, label: str | None = None, pick: bool | None = None, flags: bool = False
) -> Mapping[Name, str]:
    """The properties to write for a mark, each with the copy that tells it from a person's later.

    Args:
        rating: 1 to 5 stars, or -1 for a reject; None to leave it as it is, like the others.
        label: A colour, or any other text.
        pick: True for a pick, False for a reject.
        flags: Whether the pick is also written as a flag of Lightroom.

    Raises:
        ImageError: A rating other than -1 and 1 to 5.
    """
    if rating is not None and rating not in (-1, 1, 2, 3, 4, 5):
        raise ImageError(f"A rating must be 1 to 5, or -1 for a reject. Received: {rating}")
    values: dict[Name, str] = {}
    if rating is not None:
        values[RATING] = str(rating)
    if label is not None:
        values[LABEL] = label
    if pick is not None:
        values[PICK] = str(_ACCEPTED if pick else _REJECTED)
        if flags:
            values[FLAG] = "1" if pick else "-1"
    return values | {_OWN_NAMES[name]: text for name, text in values.items()}
