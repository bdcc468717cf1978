"""The forms match the documentation, and all of them read numbers alike."""

import re

from werkzeug.datastructures import MultiDict
from wtforms import DecimalField, FloatField, IntegerField  # type: ignore[import-untyped]

from launchers import ROOT
from nimakit.web.collections.forms import CollectionForm, InvitationForm
from nimakit.web.number_fields import WholeNumber
from nimakit.web.study.check_forms import ChecksForm
from nimakit.web.study.forms import StudyForm
from web.study import Study


def test_every_setting_is_in_the_docs(study: Study) -> None:
    """The table in docs/rate.md has a row for the label of each setting."""
    told = (ROOT / "docs" / "rate.md").read_text()
    settings = re.findall(r"^\| ([^|]+) \|", told, re.MULTILINE)
    with study.app.test_request_context():
        labels = [field.label.text for field in CollectionForm() if field.type != "CSRFTokenField"]
    assert labels
    assert [label for label in labels if not any(label in setting for setting in settings)] == []


def _numbers(study: Study, text: str | None = None) -> list[WholeNumber]:
    """The number fields of all forms, whose settings are all 7 %, with a text in place of each if given."""
    found = []
    for kind in (CollectionForm, InvitationForm, ChecksForm, StudyForm):
        arguments = (study.collection, None, None) if kind is StudyForm else ()
        form = kind(*arguments)
        numbers = [one for one in form if isinstance(one, IntegerField | FloatField | DecimalField)]
        for one in numbers:
            one.process(None if text is None else MultiDict({one.name: text}), data=0.07)
        form.validate()
        found += numbers
    return found


def test_numbers_can_be_blanked_and_must_be_in_their_range(study: Study) -> None:
    """In every form; what is wrong is said with the field's name, its range and what was received."""
    with study.app.test_request_context(method="POST"):
        assert len(_numbers(study)) == 15
        assert {isinstance(one, WholeNumber) for one in _numbers(study)} == {True}
        for one in _numbers(study, " "):
            assert one.data is None
            assert bool(one.errors) == (one.name == "gold_every")
        for text in ("many", "-1", "1_0", "1e9", "9" * 5000):
            for one in _numbers(study, text):
                [error] = one.errors
                assert error.startswith(f"{one.label.text} must be a"), text
                assert error.endswith(f"Received: {text[:40]}")
                assert one.data is None
