"""A made-up language, written from right to left, that shows which texts of a page were not translated.

It brackets every text, so what is outside brackets was not marked. It has the code of Arabic, with whose six
plural forms and direction a page must also cope.
"""

import importlib
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog

from nimakit.web import languages

CODE = "ar"
OPEN, CLOSE = "⟦⟧"
SHOWN = ("aria-label", "title", "alt", "placeholder", "data-alt")
"""Attributes that people see or hear."""

_ROOT = Path(__file__).parents[2]
_PLAIN = re.compile(r"[^\W\d_]{2,}")  # two letters or more


def translations_script(patched: pytest.MonkeyPatch) -> Any:
    """scripts/translations.py."""
    patched.syspath_prepend(str(_ROOT / "scripts"))
    return importlib.import_module("translations")


def speak(patched: pytest.MonkeyPatch, folder: Path, texts: Catalog) -> None:
    """Add the language to the app, with a .po file of the marked texts in a folder."""
    script = translations_script(patched)
    catalogue = Catalog(CODE, fuzzy=False)
    for message in texts:
        if message.id:
            forms = message.id if isinstance(message.id, tuple | list) else (message.id,) * 2
            many = tuple(OPEN + forms[1] + CLOSE for _ in range(catalogue.num_plurals))
            is_plural = isinstance(message.id, tuple | list)
            catalogue.add(message.id, many if is_plural else many[0], locations=message.locations)
    (folder / f"{CODE}.po").write_bytes(script.po_file(catalogue, CODE))
    patched.setattr(languages, "FOLDER", folder)
    patched.setitem(languages.LANGUAGES, CODE, "العربية")
    for read in (languages.read_catalogue, languages.translations, languages.script_texts):
        patched.setattr(languages, read.__name__, cache(read.__wrapped__))


def untranslated(page: str, data: set[str]) -> set[str]:
    """The texts of a page outside brackets, without those that are data, such as names."""
    parser = _Texts()
    parser.feed(page)
    return unmarked(parser.texts, data)


def unmarked(texts: list[str], data: set[str]) -> set[str]:
    """Texts outside brackets, without those that are data."""
    return {
        text.strip()
        for text in outside(texts)
        if _PLAIN.search(re.sub("|".join(map(re.escape, sorted(data, key=len, reverse=True))), "", text))
    }


def outside(texts: list[str]) -> list[str]:
    """What is outside brackets; a bracket may close in a later text, because a text may contain tags."""
    depth, found = 0, []
    for text in texts:
        part = ""
        for character in text:
            depth += (character == OPEN) - (character == CLOSE)
            part += character if depth == 0 and character != CLOSE else ""
        found.append(part)
    return found


class _Texts(HTMLParser):
    """Collects what people see or hear of a page, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._skipped = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect attributes."""
        self._skipped = tag in ("script", "style")
        self.texts += [value for name, value in attrs if name in SHOWN and value]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        """Go on after a script."""
        self._skipped = False

    def handle_data(self, data: str) -> None:
        """Collect text."""
        if not self._skipped:
            self.texts.append(data)
