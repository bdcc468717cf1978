"""What the culling package says about pictures, in the language of the request."""

import re

from nimakit.web.languages import gettext, lazy_gettext, ngettext

_REASONS = {
    "sharper than {n}": lazy_gettext("sharper than %(others)s"),
    "highlights clipped in {n}": lazy_gettext("highlights clipped in %(others)s"),
    "shadows clipped in {n}": lazy_gettext("shadows clipped in %(others)s"),
    "better exposed than {n}": lazy_gettext("better exposed than %(others)s"),
    "less noise than {n}": lazy_gettext("less noise than %(others)s"),
    "more to your taste than {n}": lazy_gettext("more to your taste than %(others)s"),
    "higher score than {n}": lazy_gettext("higher score than %(others)s"),
    "less sharp than the best": lazy_gettext("less sharp than the best"),
    "highlights clipped": lazy_gettext("highlights clipped"),
    "shadows clipped": lazy_gettext("shadows clipped"),
    "underexposed": lazy_gettext("underexposed"),
    "more noise than the best": lazy_gettext("more noise than the best"),
    "less to your taste than the best": lazy_gettext("less to your taste than the best"),
    "lower score than the best": lazy_gettext("lower score than the best"),
}
_OTHERS = re.compile(r"(\d+) others?")
_TIMED = re.compile(r"likeness, and times of (\d+) of (\d+) photographs")


def reason(text: str) -> str:
    """A reason of `nimakit.culling.ranking.rank_group`; one that is not known stays in English."""
    found = _OTHERS.search(text)
    if found is None:
        return str(_REASONS.get(text, text))
    words = _REASONS.get(_OTHERS.sub("{n}", text))
    others = ngettext("%(num)s other", "%(num)s others", int(found[1]))
    return text if words is None else str(words) % {"others": others}


def basis(text: str) -> str:
    """The `basis` of a `nimakit.culling.groups.Grouping`; a note at its end stays in English."""
    known, mark, note = text.partition("; ")
    timed = _TIMED.fullmatch(known)
    if timed:
        known = gettext(
            "likeness, and times of %(timed)s of %(total)s photographs", timed=timed[1], total=timed[2]
        )
    elif known == "times and likeness":
        known = gettext("times and likeness")
    elif known == "likeness only: no photograph has a time":
        known = gettext("likeness only: no photograph has a time")
    elif known == "no photographs":
        known = gettext("no photographs")
    return known + mark + note
