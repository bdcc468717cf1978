"""What tests of uploads share."""

from pathlib import Path

import pytest

from nimakit.web.collections import uploads
from web.collections.uploader import Uploader
from web.conftest import MakeStudy


@pytest.fixture
def uploader(make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> Uploader:
    """The admin of an app whose uploads are checked in this process, and that needs no spare disk."""
    study = make_study()
    monkeypatch.setattr(type(study.services.child), "run", lambda _, call, *values: call(*values))
    monkeypatch.setattr(uploads, "_SPARE", 0)
    return Uploader(study)


@pytest.fixture
def photo(photographs: Path) -> bytes:
    """A small JPEG."""
    return (photographs / "photo 0.jpg").read_bytes()
