"""Update the translations of raters' pages: python scripts/translations.py.

Collects the marked texts of the rating app's modules, templates and scripts, adds them to each .po file,
removes those that are no longer used, and lists what is not translated yet.
"""

import io
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import write_po

from nimakit.web.languages import ENGLISH, FOLDER, LANGUAGES, read_catalogue

_METHODS = [("templates/**.html", "jinja2"), ("static/js/**.js", "javascript"), ("**.py", "python")]
_OPTIONS = {"**.html": {"encoding": "utf-8", "silent": "false"}}
_KEYWORDS = {**DEFAULT_KEYWORDS, "lazy_gettext": None, "lazy_ngettext": (1, 2)}
_WIDTH = 110
_HEADER = """msgid ""
msgstr ""
"Language: {code}\\n"
"Plural-Forms: {plural_forms}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def collect() -> Catalog:
    """The texts that are marked in the rating app, without translations."""
    found = Catalog(fuzzy=False)
    app = FOLDER.parent
    for name, line, texts, comments, context in extract_from_dir(
        app, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS, comment_tags=("Translators:",)
    ):
        found.add(texts, locations=[(Path(name).as_posix(), line)], auto_comments=comments, context=context)
    return found


def untranslated(catalogue: Catalog) -> list[str]:
    """The texts of a catalogue that lack a translation, or have a doubtful one."""
    missing = []
    for message in catalogue:
        forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and (message.fuzzy or not all(forms)):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


def po_file(catalogue: Catalog, code: str) -> bytes:
    """The content of a .po file: by file and text, so that it changes only where texts do."""
    ordered = Catalog(code, fuzzy=False)
    for message in sorted(filter(lambda one: one.id, catalogue), key=_place):
        files = [(name, 0) for name, _line in message.locations]
        ordered.add(
            message.id,
            message.string,
            locations=files,
            auto_comments=message.auto_comments,
            context=message.context,
        )
    body = io.BytesIO()
    write_po(body, ordered, width=_WIDTH, omit_header=True, include_lineno=False)
    header = _HEADER.format(code=code, plural_forms=ordered.plural_forms)
    return header.encode() + body.getvalue().strip() + b"\n"


def _place(message: Message) -> tuple[str, str]:
    text = message.id if isinstance(message.id, str) else message.id[0]
    return min(name for name, _line in message.locations), text


def main() -> None:
    """Update all .po files."""
    found = collect()
    for code in LANGUAGES:
        if code == ENGLISH:
            continue
        catalogue = read_catalogue(code)
        catalogue.update(found, no_fuzzy_matching=True)
        (FOLDER / f"{code}.po").write_bytes(po_file(catalogue, code))
        missing = untranslated(catalogue)
        for text in missing:
            print(f"{code}: not translated: {text}")
        print(f"{code}: {len(catalogue)} texts, {len(missing)} not translated")


if __name__ == "__main__":
    main()
