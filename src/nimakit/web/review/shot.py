"""How a picture was taken, for its page: camera, exposure and time, as its EXIF says."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask_babel import format_datetime, format_decimal

from nimakit.errors import ImageError
from nimakit.images.exif import Shot
from nimakit.web.db.tables import BROKEN, MISSING, Collection, Image
from nimakit.web.languages import gettext
from nimakit.web.services import services


def shot_of(collection: Collection, image: Image) -> dict[str, str]:
    """What the EXIF of a picture says: name -> value; empty where it says nothing or cannot be read.

    Place and serial number, which point to a person, are left out.
    """
    if image.state in (MISSING, BROKEN):
        return {}
    root = Path(os.path.realpath(collection.folder))
    try:
        return dict(_described(services().renditions.shot(root, image.path)))
    except ImageError:  # the page shows what it knows; the picture itself says what is wrong
        return {}


def _described(shot: Shot) -> Iterator[tuple[str, Any]]:
    if shot.taken:  # the camera's clock, in no zone of the app's
        yield gettext("Taken"), format_datetime(shot.taken.replace(tzinfo=None), "medium", rebase=False)
    camera = shot.model if shot.model.startswith(shot.make) else f"{shot.make} {shot.model}"
    if camera.strip():
        yield gettext("Camera"), camera.strip()
    exposure = [
        *([f"{_number(shot.focal_length_mm, 3)} mm"] if shot.focal_length_mm else []),
        *([_seconds(shot.exposure_s)] if shot.exposure_s else []),
        *([f"f/{_number(shot.aperture)}"] if shot.aperture else []),
        *([f"ISO {shot.iso}"] if shot.iso else []),
        *([f"{_number(shot.exposure_bias, sign='+')} EV"] if shot.exposure_bias else []),
    ]
    if exposure:
        yield gettext("Exposure"), ", ".join(exposure)


def _number(value: float, digits: int = 2, sign: str = "") -> str:
    """A number with so many significant digits, as the language of the request writes it."""
    written = "@" + (digits - 1) * "#"
    return str(format_decimal(value, f"{sign}{written};-{written}"))


def _seconds(exposure: float) -> str:
    """An exposure time as on a camera: 1/250 s or 2 s."""
    return f"1/{1 / exposure:.0f} s" if exposure < 0.3 else f"{_number(exposure)} s"
