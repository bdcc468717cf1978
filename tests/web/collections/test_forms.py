"""The settings form of a collection matches its documentation."""

import re

from launchers import ROOT
from nimakit.web.collections.forms import CollectionForm
from web.study import Study


def test_every_setting_is_in_the_docs(study: Study) -> None:
    """The table in docs/rate.md has a row for the label of each setting."""
    told = (ROOT / "docs" / "rate.md").read_text()
    settings = re.findall(r"^\| ([^|]+) \|", told, re.MULTILINE)
    with study.app.test_request_context():
        labels = [field.label.text for field in CollectionForm() if field.type != "CSRFTokenField"]
    assert labels
    assert [label for label in labels if not any(label in setting for setting in settings)] == []
