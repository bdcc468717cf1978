"""Markdown of a study's texts, and the lines of examples and practice."""

import pytest

from nimakit.errors import UsageError
from nimakit.web.db.tables import Collection
from nimakit.web.study.texts import parse_practice, picture_names, practice_lines, render


def test_html_and_scripts_in_markdown_are_text() -> None:
    """HTML is escaped, script links stay text, other links open in a new tab."""
    text = str(render("<b onclick=x>hi</b> [a](javascript:alert(1)) [b](https://example.org)", {}))
    assert "<b" not in text
    assert 'href="javascript' not in text
    assert '<a href="https://example.org" target="_blank" rel="noopener noreferrer">b</a>' in text


def test_headings_follow_the_pages_own() -> None:
    """Whichever levels a text uses, they begin below the page's heading and leave none out."""
    text = str(render("## Task\n\n#### Detail\n\n## Time", {}))
    assert text == "<h2>Task</h2>\n<h3>Detail</h3>\n<h2>Time</h2>\n"


def test_only_known_pictures_are_shown() -> None:
    """A picture's name may contain spaces; one without an address is replaced by its description."""
    text = "![one](<a b.jpg>) ![two](gone.jpg)"
    assert picture_names(text) == ["a b.jpg", "gone.jpg"]
    assert picture_names("![](in a/b c.jpg) and (no) ![x](a.jpg 'title')") == ["in a/b c.jpg", "a.jpg"]
    shown = str(render(text, {"a b.jpg": "/pictures/1"}))
    assert '<img src="/pictures/1" alt="one" />' in shown
    assert shown.count("<img") == 1
    with pytest.raises(UsageError, match="other sites"):
        picture_names("![x](//example.org/x.png)")


def test_practice_lines_are_written_as_they_are_read() -> None:
    """Ratings may be fractions and ranges; comparisons name the best picture first."""
    scores = Collection(experiment="score", choices=2, low=1, high=10)
    lines = "a.jpg | 3-4.5 | dark\nb.jpg | 7"
    assert practice_lines(parse_practice(lines, scores)) == lines
    pairs = Collection(experiment="preference", choices=2, low=1, high=10)
    lines = "a.jpg | b.jpg | sharper\nc.jpg | d.jpg"
    assert practice_lines(parse_practice(lines, pairs)) == lines
    with pytest.raises(UsageError, match="2 different pictures"):
        parse_practice("a.jpg | a.jpg", pairs)
