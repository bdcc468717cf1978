"""Match the image names in a table's column to each other: which of them are the same file."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from nimakit.errors import shortened
from nimakit.images.files import UPLOAD, WHOLE_NUMBER, path_parts, plain_id, without_suffix
from nimakit.stats.histogram import IntArray

_QUOTED = re.compile("%[0-9A-Fa-f]{2}")
_LISTED = 5


class ImageNames:
    """The different images of a column, with an index each, in the order of appearance.

    Names with the same `nimakit.images.files.path_parts`, and a file name with and without its folders, are
    the same image. Numbers are read as by `nimakit.images.files.plain_id`; but if all names are whole
    numbers, 1.0 is also 1.
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._files: dict[str, tuple[tuple[str, ...], str]] = {}
        self._spelt: dict[str, int] = {}

    def place(self, text: str) -> int:
        """The index of an image, which is added if it is new.

        Args:
            text: A file name, a path or a URL, with or without suffix.

        Raises:
            ValueError: The name cannot be a file, or is another file with the image_id of a previous one.
        """
        if text in self._spelt:
            return self._spelt[text]
        parts = path_parts(text)
        name = without_suffix(parts[-1])
        known, spelt = self._files.get(name, (parts, text))
        shorter, longer = sorted((known, parts), key=len)
        if longer[-len(shorter) :] != shorter:
            raise ValueError(f"{text!r} and {spelt!r} would both be the image_id {name!r}")
        self._files[name] = (parts, text) if len(parts) > len(known) else (known, spelt)
        self._spelt[text] = place = self._places.setdefault(name, len(self._places))
        return place

    def resolve(
        self, path: Path, notify: Callable[[str], None] | None = None
    ) -> tuple[tuple[str, ...], IntArray]:
        """Decide the image_ids after all rows are read.

        Args:
            path: The table they are from.
            notify: Called with a sentence about names that may mean other images: ``.0`` or the prefix of
                Label Studio was removed, or %20 may come from a URL.

        Returns:
            N different image_ids; and (places,) intp, for each `place` the index of its image_id.
        """
        say = notify or (lambda _: None)
        if quoted := [
            name for name in self._places if _QUOTED.search(name) and "\ufffd" not in unquote(name)
        ]:
            say(f"{path} has names with escapes as in URLs, which are kept as they are: {_listed(quoted)}")
        if uploads := [text for text in self._spelt if UPLOAD.search(text)]:
            say(
                f"{path} has names of Label Studio, whose prefix before the file name is removed:"
                f" {_listed(uploads)}"
            )
        plain = whole_numbers(parts[-1] for parts, _ in self._files.values())
        if plain:
            say(f"{path} names images by numbers, from which .0 is removed: {_listed(plain)}")
        merged: dict[str, int] = {}
        places = [merged.setdefault(plain.get(name, name), len(merged)) for name in self._places]
        return tuple(merged), np.array(places, np.intp)


def whole_numbers(names: Iterable[str]) -> dict[str, str]:
    """Names that a spreadsheet turned from 1 into 1.0: in a column of whole numbers, or with many digits.

    Args:
        names: File names of a column, without folders.

    Returns:
        The number without ``.0``, by name.

    >>> whole_numbers(["1.0", "2"]), whole_numbers(["1.0", "lake"]), whole_numbers(["953619.0", "lake"])
    ({'1.0': '1'}, {}, {'953619.0': '953619'})
    """
    numbers = [WHOLE_NUMBER.fullmatch(name) for name in names]
    return {
        number[0]: number[1]
        for number in numbers
        if number and number[2] and (None not in numbers or plain_id(number[0]) == number[1])
    }


def _listed(names: Iterable[str]) -> str:
    """The first five names, and how many more there are."""
    return shortened([repr(name) for name in names], _LISTED)
