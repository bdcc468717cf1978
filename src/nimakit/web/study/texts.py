"""The texts of a study: Markdown, examples, and practice tasks, with the pictures that they name."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.db.scale import Scale
from nimakit.web.db.tables import BEST_WORST, CHOICES, OK, Collection, Image

SEPARATOR = "|"
"""Between the parts of a line of an example or a practice task."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_SPACED = re.compile(r"""(!\[[^\]\n]*\])\(\s*([^\s()<>"'][^()<>"'\n]*?[^\s()<>"'])\s*\)""")
"""A picture whose name may have spaces, which Markdown wants in angle brackets."""
_LOWEST_HEADING = 6


def render(text: str, addresses: Mapping[str, str]) -> Markup:
    """The HTML of a Markdown text, in which HTML is shown as text.

    Args:
        text: Markdown.
        addresses: Name of a picture in the text -> its address; pictures without one are left out.
    """
    tokens = _parse(text)
    headings = sorted({token.tag for token in tokens if token.type == "heading_open"})
    for token in _walk(tokens):
        if token.type in ("heading_open", "heading_close"):  # below the page's own, and without gaps
            token.tag = f"h{min(headings.index(token.tag) + 2, _LOWEST_HEADING)}"
        elif token.type == "link_open":  # raters keep the study open
            token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        elif token.type == "image":
            token.attrs["src"] = addresses.get(_name(token), "")
            if not token.attrs["src"]:
                token.type, token.tag = "text", ""
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704 - html=False


def picture_names(text: str) -> list[str]:
    """The names of the pictures in a Markdown text."""
    return [_name(token) for token in _walk(_parse(text)) if token.type == "image"]


def find_pictures(session: Session, collection: Collection, names: Iterable[str]) -> dict[str, Image]:
    """The pictures of a collection with these names.

    A name is a path, or a file name with or without its suffix that no other picture has.
    """
    wanted = set(names)
    ends = [Image.path.endswith(f"/{name}", autoescape=True) for name in wanted]
    rows = session.scalars(
        select(Image).where(
            Image.collection_id == collection.id,
            Image.state == OK,
            or_(Image.path.in_(wanted), Image.image_id.in_(wanted), *ends),
        )
    ).all()
    named: dict[str, set[Image]] = {}
    for image in rows:
        for name in {image.image_id, PurePosixPath(image.path).name} & wanted:
            named.setdefault(name, set()).add(image)
    found = {name: images.pop() for name, images in named.items() if len(images) == 1}
    return found | {image.path: image for image in rows if image.path in wanted}


def parse_examples(text: str) -> list[dict[str, Any]]:
    """The examples of a study, from a line each: ``PICTURE | MEANING``.

    Raises:
        UsageError: A line has another form.
    """
    examples = []
    for number, parts in _lines(text):
        if len(parts) != 2 or not all(parts):
            raise UsageError(
                f"Line {number} must be a picture and its meaning, separated by {SEPARATOR}. Received:"
                f" {f' {SEPARATOR} '.join(parts)}"
            )
        examples.append({"picture": parts[0], "text": parts[1]})
    return examples


def parse_practice(text: str, collection: Collection) -> list[dict[str, Any]]:
    """The practice tasks of a study, from a line each.

    A line is ``PICTURE | RATING or LOWEST-HIGHEST | EXPLANATION``. Where pictures are compared, it names as
    many pictures as raters choose from, the best first and in best-worst the worst last, then the
    explanation. The explanation may be missing.

    Raises:
        UsageError: A line has another form, or a rating is outside the scale.
    """
    return [_practice(number, parts, collection) for number, parts in _lines(text)]


def example_lines(examples: Iterable[Mapping[str, Any]]) -> str:
    """The lines that `parse_examples` reads."""
    return _joined([one["picture"], one["text"]] for one in examples)


def practice_lines(practice: Iterable[Mapping[str, Any]]) -> str:
    """The lines that `parse_practice` reads."""
    return _joined(
        [*one["pictures"], *([] if one["low"] is None else [_span(one)]), *filter(None, [one["text"]])]
        for one in practice
    )


def suits(task: Mapping[str, Any], experiment: str, choices: int, scale: Scale) -> bool:
    """Whether raters of an experiment can answer a practice task.

    Args:
        task: One of `StudyVersion.practice`.
        experiment: One of `EXPERIMENTS`.
        choices: Number of pictures in a comparison.
        scale: The scale of ratings.
    """
    if experiment in CHOICES:
        return task["low"] is None and len(task["pictures"]) == choices
    return task["low"] is not None and scale.low <= task["low"] and task["high"] <= scale.high


def _practice(number: int, parts: list[str], collection: Collection) -> dict[str, Any]:
    given = f"Received: {f' {SEPARATOR} '.join(parts)}"
    if collection.compares:
        pictures, rest = parts[: collection.choices], parts[collection.choices :]
        if len(set(pictures)) != collection.choices or not all(pictures) or len(rest) > 1:
            raise UsageError(
                f"Line {number} must name {collection.choices} different pictures, the best first"
                f"{' and the worst last' if collection.experiment == BEST_WORST else ''}, and may"
                f" end with an explanation, separated by {SEPARATOR}. {given}"
            )
        return {"pictures": pictures, "low": None, "high": None, "text": "".join(rest)}
    if len(parts) not in (2, 3) or not parts[0]:
        raise UsageError(
            f"Line {number} must be a picture, its right rating or ratings such as 6-8, and an explanation if"
            f" you like, separated by {SEPARATOR}. {given}"
        )
    low, high = _ratings(number, parts[1], collection.scale)
    return {"pictures": parts[:1], "low": low, "high": high, "text": "".join(parts[2:])}


def _ratings(number: int, text: str, scale: Scale) -> tuple[float, float]:
    low, _, high = text.replace("\N{EN DASH}", "-").partition("-")
    try:
        lowest, highest = float(low), float(high or low)
    except ValueError:
        lowest, highest = 1.0, 0.0
    if not scale.low <= lowest <= highest <= scale.high:
        raise UsageError(
            f"The ratings in line {number} must be from {scale.low} to {scale.high}, the lowest first, such"
            f" as {scale.low}-{scale.low + 1}. Received: {text or 'none'}"
        )
    return lowest, highest


def _span(task: Mapping[str, Any]) -> str:
    low, high = f"{task['low']:g}", f"{task['high']:g}"
    return low if low == high else f"{low}-{high}"


def _joined(lines: Iterable[Iterable[str]]) -> str:
    return "\n".join(f" {SEPARATOR} ".join(parts) for parts in lines)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, [part.strip() for part in line.split(SEPARATOR)]


def _parse(text: str) -> list[Token]:
    return _MARKDOWN.parse(_SPACED.sub(r"\1(<\2>)", text))


def _walk(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or ()) if token.type != "image" else ()


def _name(image: Token) -> str:
    """The name of a picture in Markdown.

    Raises:
        UsageError: It is elsewhere on the web.
    """
    source = str(image.attrs["src"])
    if urlsplit(source).scheme or source.startswith("//"):
        raise UsageError(
            "Pictures in texts must be in the collection's folder, because the app loads nothing from other"
            f" sites. Received: {source}"
        )
    return unquote(source).removeprefix("/")
