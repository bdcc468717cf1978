"""The languages of raters' pages: which one a request gets, and the translated texts.

Texts are written in English where they are used. `translations/LANGUAGE.po` has their translations, which are
read when the first request in that language arrives, so nothing has to be compiled after a change.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import flask_babel
from babel import Locale, negotiate_locale
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, current_app, has_request_context, request, session, url_for
from flask_babel import get_locale

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "de": "Deutsch"}
"""Code -> the language's own name."""

FOLDER = Path(__file__).with_name("translations")
PARAMETER = "lang"
"""The parameter of a link that chooses a language, and the session's key under which it is kept."""

_SCRIPTS = ".js"
_COUNTS = range(200)
"""Numbers that show every plural form of every language."""

gettext: Callable[..., str] = flask_babel.gettext
ngettext: Callable[..., str] = flask_babel.ngettext
lazy_gettext: Callable[..., Any] = flask_babel.lazy_gettext


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of the language menu.

    Attributes:
        code: Of the language.
        name: In that language.
        href: Of the same page in that language.
        is_current: Whether the page is in that language.
    """

    code: str
    name: str
    href: str
    is_current: bool


class _Domain(flask_babel.Domain):  # type: ignore[misc]
    """Texts from .po files."""

    def get_translations(self) -> NullTranslations:
        """The texts in the language of the request."""
        locale = get_locale()
        return NullTranslations() if locale is None else translations(str(locale))


class _Babel(flask_babel.Babel):  # type: ignore[misc]
    domain_instance = cached_property(lambda self: _Domain())  # noqa: ARG005


def configure_languages(app: Flask) -> None:
    """Choose a language for each request, and give templates what they need to translate."""
    _Babel(app, locale_selector=language)
    app.before_request(_keep_choice)
    app.context_processor(_template_values)


def language() -> str:
    """The language of a request: the link's, else the one chosen before, else the browser's.

    Pages for the admin only are in English.
    """
    if not has_request_context() or _is_admin_page():
        return ENGLISH
    for chosen in (request.args.get(PARAMETER), session.get(PARAMETER)):
        if chosen in LANGUAGES:
            return str(chosen)
    # Werkzeug's best_match prefers an exact match of low quality to Austrian German, which German suits.
    accepted = [tag for tag, quality in request.accept_languages if quality]
    return negotiate_locale(accepted, LANGUAGES, sep="-") or ENGLISH


def choices() -> list[Choice]:
    """The menu of languages; empty on pages that exist in English only."""
    if _is_admin_page():
        return []
    current = str(get_locale())
    # The page of a form's answer may have no address of its own.
    has_address = request.url_rule is None or "GET" in (request.url_rule.methods or ())
    page = "" if has_address else url_for("collections.index")
    kept = [(key, value) for key, value in request.args.items(multi=True) if key != PARAMETER]
    return [
        Choice(code, name, f"{page}?{urlencode([*kept, (PARAMETER, code)])}", code == current)
        for code, name in LANGUAGES.items()
    ]


@cache
def read_catalogue(code: str) -> Catalog:
    """A language's texts with the places where they are used."""
    with (FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


@cache
def translations(code: str) -> NullTranslations:
    """A language's texts, as gettext looks them up."""
    if code == ENGLISH:
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read_catalogue(code))
    compiled.seek(0)
    return Translations(compiled)


@cache
def script_texts(code: str) -> dict[str, Any]:
    """The texts of JavaScript modules, and the form for each plural category of `Intl.PluralRules`."""
    if code == ENGLISH:
        return {}
    return {
        "plurals": dict(_plural_forms(Locale.parse(code), translations(code))),
        "texts": dict(_script_texts(read_catalogue(code))),
    }


def _script_texts(catalogue: Catalog) -> Iterator[tuple[str, str | Sequence[str]]]:
    """English text -> translation, or its plural forms."""
    for message in catalogue:
        used = any(place.endswith(_SCRIPTS) for place, _line in message.locations)
        translated = message.string or ""
        if used and message.id and translated and all(translated):
            yield message.id if isinstance(message.id, str) else message.id[0], translated


def _plural_forms(locale: Locale, texts: NullTranslations) -> Iterator[tuple[str, int]]:
    """Plural category -> index of the form of gettext."""
    for count in _COUNTS:
        yield locale.plural_form(count), texts.plural(count)


def _keep_choice() -> None:
    """Keep the language of a link for the pages that follow."""
    chosen = request.args.get(PARAMETER)
    if chosen in LANGUAGES:
        session[PARAMETER] = chosen


def _template_values() -> dict[str, Any]:
    locale = get_locale()
    return {
        "language": str(locale),
        "direction": locale.text_direction,
        "languages": choices(),
        "script_texts": script_texts(str(locale)),
    }


def _is_admin_page() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return getattr(view, "is_admin_only", False)
