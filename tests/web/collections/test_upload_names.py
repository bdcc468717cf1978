"""Names of uploaded files."""

import pytest

from nimakit.errors import UsageError
from nimakit.web.collections.upload_names import safe_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.jpg", "out of the folder"),
        ("a/../../b.jpg", "out of the folder"),
        ("/etc/a.jpg", "out of the folder"),
        ("\\\\host\\a.jpg", "out of the folder"),
        ("C:\\a.jpg", "out of the folder"),
        (".hidden.jpg", "hidden"),
        (".upload/a.jpg", "hidden"),
        ("__MACOSX/a.jpg", "hidden"),
        ("", "hidden"),
        ("\x00../a.jpg", "hidden|out of"),
        ("a.txt", "not a picture"),
        ("a.dng", "not a picture"),
        ("a/" * 11 + "a.jpg", "at most 10 folders"),
        ("\u00fc" * 101 + ".jpg", "200 bytes"),
    ],
)
def test_names_that_are_refused(name: str, reason: str) -> None:
    """None leads out of the folder or into the app's own."""
    with pytest.raises(UsageError, match=reason):
        safe_path(name)
