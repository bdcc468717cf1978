"""The languages of raters' pages: which is chosen, that German is complete, that every text is marked."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog
from playwright.sync_api import Page, expect
from sqlalchemy import select

import nimakit.web
from nimakit.culling.ranking import _SIGNS
from nimakit.web import languages
from nimakit.web.cull import words
from nimakit.web.db.tables import Collection, Rater
from web.conftest import MakeStudy, Serve
from web.pseudo_language import CODE, speak, translations_script, unmarked, untranslated
from web.study import JSON, Study
from web.test_every_page import pages
from web.test_every_page import study as every_experiment  # noqa: F401 - a fixture

APP = Path(nimakit.web.__file__).parent
ENGLISH_ONLY = (
    *("people", "settings", "transfer", "model", "collections/new"),
    *("/erase", "/delete", "/upload"),
)
"""Ends of the addresses of pages for the admin only."""

_PLACEHOLDER = re.compile(r"%\(\w+\)s")
_ADMINS = (
    *("dashboard", "model", "transfer", "study/admin", "study/forms"),
    *("collections/routes", "collections/forms", "collections/setup"),
    *("collections/lifecycle_routes", "collections/upload_routes", "study/check_routes"),
)
_SAYING = ("abort", "flash")
_REFUSING = ("access", "accounts", "rating", "study/participation", "study/platforms", "study/routes")
"""Begins of the modules that raise what raters are shown."""
_SCRIPTED = ("cull", "rating", "similarity", "study/practice")
"""Begins of the modules whose requests come from scripts."""
_ADMINS_SCRIPTS = {"copy.js", "models.js", "settings.js", "upload.js"}
_TOKENS = re.compile(r"//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`|\w+|[()\[\]{}]")
_TEXT = re.compile(r"^[A-Z][a-z]+( |…|$)|^[a-z]+ [a-z]+ [a-z]+|[a-z] [a-z]+[.:]")
_KEYS = {"Tab", "Backspace", "Enter", "Escape", "Space", "Plus"}  # names of keys in events and ARIA
_TAGS = re.compile(r"</?\w+")


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """scripts/translations.py."""
    with pytest.MonkeyPatch.context() as patched:
        yield translations_script(patched)


@pytest.fixture(scope="module")
def marked(script: Any) -> Catalog:
    """The marked texts of the app."""
    found: Catalog = script.collect()
    return found


@pytest.fixture
def pseudo(marked: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app also has the made-up language."""
    speak(monkeypatch, tmp_path, marked)


def test_german_is_complete(script: Any, marked: Catalog) -> None:
    """It has every marked text and no other, each with the same placeholders and tags."""
    catalogue = languages.read_catalogue("de")
    assert {message.id for message in catalogue} == {message.id for message in marked}
    assert script.untranslated(catalogue) == []
    for message in catalogue:
        if not message.id:
            continue
        forms = [message.id] if isinstance(message.id, str) else message.id
        translated = [message.string] if isinstance(message.string, str) else message.string or []
        for parts in (_PLACEHOLDER, _TAGS):
            wanted = [sorted(parts.findall(form)) for form in forms]
            assert [sorted(parts.findall(form)) for form in translated] == wanted, message.id


def test_the_file_is_as_the_script_writes_it(script: Any) -> None:
    """So that an update changes only the lines of texts that changed."""
    catalogue = languages.read_catalogue("de")
    assert script.po_file(catalogue, "de") == (languages.FOLDER / "de.po").read_bytes()


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("de-AT,en;q=0.9", "de"), ("fr,de;q=0.5,en;q=0.4", "de"), ("de;q=0,en", "en"), ("fr", "en"), ("", "en")],
)
def test_the_browser_chooses_the_language(study: Study, accepted: str, expected: str) -> None:
    """The first language of its list that there is; else English."""
    page = study.visitor().get("/welcome", headers={"Accept-Language": accepted}).text
    assert f'<html lang="{expected}" dir="ltr"' in page


def test_a_link_chooses_the_language_for_what_follows(study: Study) -> None:
    """Also through a redirection and against the browser; an unknown language changes nothing."""
    visitor, english = study.visitor(), {"Accept-Language": "en"}
    assert 'lang="en"' in visitor.get("/me", headers=english).text
    answer = visitor.get("/?lang=de", headers=english)
    assert answer.status_code == 302
    page = visitor.get("/me?lang=xx&more=1", headers=english).text
    assert '<html lang="de"' in page
    assert "In Exporten erscheinen Sie als <code>" in page
    assert 'href="?more=1&amp;lang=en"' in page
    assert "Diese Seite gibt es nicht." in visitor.get("/c/none/", headers=JSON).text


def test_numbers_and_dates_are_german(study: Study) -> None:
    """The decimal comma, and the day before the month; the value of a field stays as browsers need it."""
    visitor = study.visitor()
    image = study.images[0].id
    visitor.rate(image, 6)
    page = visitor.get(visitor.address(f"ratings/{image}", lang="de")).text
    assert re.search(r"<h2>6,00 <small>aus 1 Bewertung</small>", page)
    assert re.search(r">\d\d\.\d\d\.\d{4}, \d\d:\d\d", page)
    assert re.search(r'type="number" name="value"[^>]* value="6"', page)


def test_scripts_get_their_texts_and_no_others() -> None:
    """With the index of the form for each plural category."""
    sent = languages.script_texts("de")
    assert sent["plurals"] == {"one": 0, "other": 1}
    assert sent["texts"]["Skip"] == "Überspringen"
    assert sent["texts"]["%(num)s picture"] == ("%(num)s Bild", "%(num)s Bilder")
    assert "Welcome" not in sent["texts"]
    assert languages.script_texts("en") == {}


def test_every_reason_of_a_cull_is_known() -> None:
    """Those that the culling package gives are translated."""
    assert words._REASONS.keys() == {text for sign in _SIGNS for text in (sign.merit, sign.fault)}


def test_no_page_of_raters_has_an_unmarked_text(
    every_experiment: Study,  # noqa: F811
    pseudo: None,
) -> None:
    """In a made-up language every text has brackets; pages for the admin only are in English."""
    study, stranger = every_experiment, every_experiment.visitor()
    rater = study.rater("Zoë")
    rater.rate(study.images[0].id, 3)
    own = rater.address("ratings").lstrip("/")
    visits = [(stranger, address) for address in [*pages(study), "nowhere", "c/pairs/similarity"]]
    visits += [(rater, address) for address in ("me", "collections", own, f"{own}/{study.images[0].id}")]
    found, data = dict[str, set[str]](), names(study)
    for visitor, address in visits:
        answer = visitor.get(f"/{address}", headers={"Accept-Language": CODE}, follow_redirects=True)
        if address.endswith(ENGLISH_ONLY):
            assert '<html lang="en" dir="ltr"' in answer.text, address
            continue
        assert f'<html lang="{CODE}" dir="rtl"' in answer.text, address
        found[address] = untranslated(answer.text, data)
    assert {address: texts for address, texts in found.items() if texts} == {}


def names(study: Study) -> set[str]:
    """What pages show as it is: names of collections, raters, files and languages."""
    shown = {"nimakit", "Zoë", *languages.LANGUAGES.values(), *(f"Rater {one.id}" for one in study.images)}
    with study.database.read() as session:
        shown |= {*session.scalars(select(Rater.code)), *session.scalars(select(Collection.name))}
    shown |= {one.path for one in study.images} | {"app"}
    return shown


def test_no_script_of_raters_has_an_unmarked_text(marked: Catalog) -> None:
    """What looks like a text is an argument of `_` or `ngettext`, and is collected."""
    collected = {one.id if isinstance(one.id, str) else one.id[0] for one in marked if one.id}
    unmarked = []
    for path in sorted((APP / "static" / "js").glob("*.js")):
        source = path.read_text("utf-8")
        if path.name not in _ADMINS_SCRIPTS:
            unmarked += [f"{path.name}: {text}" for text in unmarked_texts(source)]
        called = re.findall(r'\b(?:_|ngettext)\(\s*"((?:[^"\\]|\\.)*)"', source)
        assert [text for text in called if text not in collected] == [], path.name
    assert unmarked == []


def unmarked_texts(source: str) -> Iterator[str]:
    """Strings of a script that look like texts and are not marked."""
    before = ""
    calls: list[bool] = []  # for each open bracket, whether it is that of a marking function
    for part in _TOKENS.findall(source):
        if part in "([{":
            calls.append(part == "(" and before in ("_", "ngettext"))
        elif part in ")]}":
            calls and calls.pop()
        elif part[0] in '"`' and not (calls and calls[-1]):
            text = re.sub(r"\$\{.*?\}", "", part[1:-1])
            if _TEXT.search(text) and text not in _KEYS:
                yield part
        before = part


def test_unmarked_texts_of_scripts_are_found() -> None:
    """Plain strings and templates, but neither marked texts nor selectors and other names."""
    source = """
    toast("Nothing to undo."); toast(`Rated ${value}`); toast(_("Skip")); find("main[aria-busy=false] a");
    show(_("%(n)s of", { n: "Later" })); ngettext("%(num)s left", "%(num)s left", 2); keys.add(["Enter"]);
    """
    assert [*unmarked_texts(source)] == ['"Nothing to undo."', "`Rated ${value}`", '"Later"']


def test_no_module_of_raters_has_an_unmarked_text() -> None:
    """Messages of pages and refusals are translated; malformed requests of scripts reach no person."""
    unmarked = []
    for path in sorted(APP.rglob("*.py")):
        name = path.relative_to(APP).as_posix()
        if name.startswith(_ADMINS):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and name.startswith(_REFUSING):
                call = node.exc
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SAYING:
                call = node
            else:
                continue
            arguments = call.args if isinstance(call, ast.Call) else []
            is_malformed = name.startswith(_SCRIPTED) and arguments and ast.unparse(arguments[0]) == "400"
            if not is_malformed:
                unmarked += [f"{name}: {ast.unparse(one)}" for one in arguments if is_text(one)]
    assert unmarked == []


def is_text(node: ast.expr) -> bool:
    """Whether an argument is a text in English, or contains one between its values."""
    if isinstance(node, ast.JoinedStr):
        return any(is_text(part) and re.search("[a-z]", ast.unparse(part)) for part in node.values)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_a_refused_answer_is_explained_in_the_rater_s_language(study: Study) -> None:
    """Though the thread of another rater may have stored it."""
    rater, image = study.rater(), study.images[0].id
    rater.get("/me?lang=de")
    [refused] = rater.send({"kind": "rating", "image": image, "value": 11}).get_json()["refused"]
    assert refused["reason"] == "Eine Bewertung muss eine Zahl von 1 bis 10 sein."


def test_styles_suit_both_directions() -> None:
    """What is at the left or right is so by the direction of the text; except what is centred or scrolled."""
    physical = re.compile(r"(?:margin|padding|border)-(?:left|right)|[ ;{](?:left|right):|: (?:left|right);")
    centred = (".toasts {", ".view img {")
    found = [
        f"{path.name}: {line[:60]}"
        for path in sorted((APP / "static" / "css").glob("*.css"))
        for line in path.read_text("utf-8").splitlines()
        if physical.search(line) and not line.startswith(centred)
    ]
    assert found == []


_PRESSED = ("z", "ArrowRight", "s", "z", "z")
"""Keys that make a stage say something."""
_SEEN = """() => {
  const shown = ["aria-label", "title", "alt", "placeholder"];
  const kinds = NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT;
  const walk = document.createTreeWalker(document.documentElement, kinds);
  const texts = [];
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (node.nodeType === Node.TEXT_NODE) {
      if (!node.parentElement.closest("script, style, template")) texts.push(node.data);
    } else for (const name of shown) if (node.getAttribute(name)) texts.push(node.getAttribute(name));
  }
  return texts;
}"""
"""What people see or hear of a page, in its order."""


@pytest.mark.slow
def test_no_script_shows_an_unmarked_text(
    every_experiment: Study,  # noqa: F811
    pseudo: None,
    page: Page,
    serve: Serve,
) -> None:
    """Nor the help, toasts and messages; nothing sticks out at the left of a page from right to left."""
    study = every_experiment
    base, addresses = serve(study), pages(study)
    data = names(study)
    page.set_extra_http_headers({"Accept-Language": CODE})
    found: dict[str, set[str]] = {}
    for address, shown in addresses.items():
        if address.endswith(ENGLISH_ONLY):
            continue
        page.goto(base + address)
        expect(page.locator("main" if shown == ".lead" else shown).first).to_be_visible()
        if page.locator("#help").count():
            for key in _PRESSED:
                page.keyboard.press(key)
            expect(page.locator("main[aria-busy=true]")).to_have_count(0)
            page.keyboard.press("?")
            expect(page.locator("#help")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        found[address] = unmarked(page.evaluate(_SEEN), data | _KEYS)
    assert {address: texts for address, texts in found.items() if texts} == {}


@pytest.mark.slow
def test_a_rater_works_in_german(make_study: MakeStudy, tiny_file: Path, page: Page, serve: Serve) -> None:
    """From the link to the last picture: texts, the decimal comma, and the menu of languages."""
    study = make_study(experiment="rate", model=str(tiny_file))
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    page.goto(f"{serve(study)}c/{study.collection.slug}/rate?lang=de")
    expect(page.locator("main[aria-busy=false] .canvas img")).to_be_visible()
    expect(page.locator(".question")).to_have_text("Stimmt der vorhergesagte Wert?")
    expect(page.locator("#value")).to_have_text(re.compile(r"^\d,\d$"))
    for _ in study.images:
        expect(page.locator("main[aria-busy=false] .canvas img")).to_be_visible()
        page.keyboard.press("Enter")
    expect(page.locator("#message")).to_contain_text("Geschafft. Vielen Dank!")
    expect(page.locator("#message")).to_contain_text("6 Bilder erledigt.")
    page.locator("details.menu summary").click()
    page.get_by_role("link", name="English").click()
    expect(page.locator("#message")).to_contain_text("All done. Thank you!")
