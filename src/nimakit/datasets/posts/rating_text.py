"""Recognition of ratings in texts: the 8 in "Great light. Two plants. 8/10"."""

import re
import unicodedata

from nimakit.errors import AmbiguousRatingError, UnratedError

_LINK = re.compile(r"https?://\S+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe0f\u20e3\ufeff]")
"""Zero-width and direction marks, and the marks that make a digit a keycap."""
_SIGNS = str.maketrans(
    {
        "\N{FRACTION SLASH}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{VULGAR FRACTION ONE HALF}": ".5",
        "\N{KEYCAP TEN}": "10",
    }
)
_SLASH = re.compile(r"(?<=\d) ?/ ?(?=\d)")
_OUT_OF = re.compile(r"(?<=\d) out of (?=\d+\b(?! [a-z]))", re.IGNORECASE)
"""Not in "8 out of 10 people"."""

# Match all numbers between slashes together, so that no part of a date is matched.
_NUMBER = r"\d++(?:[.,]\d++)*+"
_RATIO = re.compile(rf"(?<!\d)(?<!\d[.,])(?:(?<!\S)\.)?{_NUMBER}(?:/{_NUMBER})++")
_VALUE = re.compile(r"0|[1-9]\d{0,3}|(?:0|[1-9]\d{0,3})?[.,]\d{1,2}")
_DATED = r"\b(?:on|since|until|till|by|before|after|dated) "
_DOUBT_BEFORE = re.compile(rf"(?:{_DATED}|\d ?- ?|(?<!\S)-|/)$", re.IGNORECASE)
_DOUBT_AFTER = re.compile(r"-\d|/")
_NEAR = 16
"""How many characters before and after a match are examined."""
_NAMED = 5


def find_rating(text: str, out_of: int = 10) -> float:
    """The one rating a text gives: "8/10", "8.5 / 10", "8 out of 10".

    A rating may be above the scale ("11/10"), which the caller handles. Dates (10/10/2021), other fractions
    (24/7, 0/07) and mentions ("one more of his 10/10s") are not ratings.

    Args:
        text: The text; links in it are ignored.
        out_of: The number after the slash.

    Returns:
        The rating, 0 or more.

    Raises:
        UnratedError: The text has no rating.
        AmbiguousRatingError: It has several different ones, or one that may be a date ("on 9/10"), a range
            ("8-9/10") or a negative number.

    >>> find_rating("Nice shelf. Add a plant. 8.5/10 @name")
    8.5
    """
    plain = _plain(text)
    found: dict[float, str] = {}
    others = []
    for match in _RATIO.finditer(plain):
        value, *rest = match[0].split("/")
        before = plain[max(match.start() - _NEAR, 0) : match.start()]
        after = plain[match.end() : match.end() + _NEAR]
        if rest != [str(out_of)] or _is_word(before[-1:]) or _is_word(after[:1]):
            others.append(match[0])
        elif not _VALUE.fullmatch(value) or _DOUBT_BEFORE.search(before) or _DOUBT_AFTER.match(after):
            context = " ".join(before.split(" ")[-2:]) + match[0] + after.split(" ")[0]
            raise AmbiguousRatingError(f"{context!r} may be a date, a range or a negative number")
        else:
            found.setdefault(float(value.replace(",", ".")), match[0])
    if len(found) > 1:
        raise AmbiguousRatingError(f"several ratings: {', '.join(list(found.values())[:_NAMED])}")
    if not found:
        instead = f", but {', '.join(others[:_NAMED])}" if others else ""
        raise UnratedError(f"no rating out of {out_of} in the text{instead}")
    return next(iter(found))


def _plain(text: str) -> str:
    """Remove links and invisible marks, and replace look-alikes such as full-width digits."""
    # Replace signs first: NFKC would turn eight and a half into 81/2.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", _LINK.sub(" ", text)).translate(_SIGNS))
    return _SLASH.sub("/", _OUT_OF.sub("/", text))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
