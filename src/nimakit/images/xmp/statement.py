"""What an XMP document says about a picture: stars, label and pick, and whether nimakit wrote them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document, Name

_XMP, _DIGIKAM = "http://ns.adobe.com/xap/1.0/", "http://www.digikam.org/ns/1.0/"
RATING = Name(_XMP, "Rating", "xmp")
LABEL = Name(_XMP, "Label", "xmp")
PICK = Name(_DIGIKAM, "PickLabel", "digiKam")
SIDECAR_OF = Name("http://ns.adobe.com/photoshop/1.0/", "SidecarForExtension", "photoshop")

_OWN = "urn:nimakit:xmp:1.0/"
_OWN_RATING, _OWN_LABEL = Name(_OWN, "Rating", "nimakit"), Name(_OWN, "Label", "nimakit")
_OWN_PICK = Name(_OWN, "PickLabel", "nimakit")
"""A copy of each value that nimakit writes. A value that differs from its copy was given by a person."""
_OWN_NAMES = {RATING: _OWN_RATING, LABEL: _OWN_LABEL, PICK: _OWN_PICK}

_DARKTABLE_LABELS = Name("http://darktable.sf.net/", "colorlabels", "darktable")
_DARKTABLE_COLOURS = ("Red", "Yellow", "Green", "Blue", "Purple")
_DIGIKAM_COLOUR = Name(_DIGIKAM, "ColorLabel", "digiKam")
_DIGIKAM_COLOURS = ("", "Red", "Orange", "Yellow", "Green", "Blue", "Magenta", "Gray", "Black", "White")
_FLAG = Name("http://ns.adobe.com/xmp/1.0/DynamicMedia/", "pick", "xmpDM")
_TAGGED = Name("http://ns.camerabits.com/photomechanic/1.0/", "Tagged", "photomechanic")
# Programs disagree about the slash at the end.
_MICROSOFT = ("http://ns.microsoft.com/photo/1.0/", "http://ns.microsoft.com/photo/1.0")
_PERCENTS = tuple(Name(namespace, "Rating", "MicrosoftPhoto") for namespace in _MICROSOFT)

_REJECTED, _PENDING, _ACCEPTED = 1, 2, 3
_PICKS = {_REJECTED: False, _ACCEPTED: True}

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

    def number(name: Name, valid: Callable[[float], bool], rule: str) -> int | None:
        text = document.get(name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not valid(value):
            problems.append(f"{name} must be {rule}. Received: {text!r}.")
            return None
        return int(value)

    rating = number(RATING, lambda value: value in (-1, 0, 1, 2, 3, 4, 5), "a whole number from -1 to 5")
    if document.get(RATING) is None:
        name = next((name for name in _PERCENTS if document.get(name)), _PERCENTS[0])
        percent = number(name, lambda value: 0 <= value <= 100, "a number from 0 to 100")
        # Windows writes 1, 25, 50, 75 and 99 for one to five stars.
        rating = percent and min(5, 1 + round(percent / 25))
    pick = number(PICK, lambda value: value in (0, 1, 2, 3), "a whole number from 0 to 3")
    if not pick:
        flag = number(_FLAG, lambda value: value in (-1, 0, 1), "-1, 0 or 1")
        tagged = (document.get(_TAGGED) or "").lower() == "true"
        pick = _ACCEPTED if tagged or flag == 1 else _REJECTED if flag == -1 else pick
    label = document.get(LABEL) or _colour(document)

    texts = {
        "rating": (RATING, str(rating) if rating else ""),
        "label": (LABEL, label or ""),
        "pick": (PICK, str(pick) if pick else ""),
    }
    return Statement(
        rating=rating or None,
        label=label,
        pick=_PICKS.get(pick or 0),
        given=frozenset(
            field for field, (name, text) in texts.items() if text and not _is_own(document, name, text)
        ),
        problems=tuple(problems),
    )


def _is_own(document: Document, name: Name, text: str) -> bool:
    """Whether nimakit wrote a value, and nobody changed it since."""
    return document.get(name) == text == document.get(_OWN_NAMES[name])


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
    *, rating: int | None = None, label: str | None = None, pick: bool | None = None
) -> Mapping[Name, str]:
    """The properties to write for a mark, each with the copy that tells it from a person's later.

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
    return values | {_OWN_NAMES[name]: text for name, text in values.items()}
