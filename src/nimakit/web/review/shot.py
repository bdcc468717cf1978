"""How a picture was taken, for its page: camera, exposure and time, as its EXIF says."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    if shot.taken:
        yield gettext("Taken"), f"{shot.taken:%Y-%m-%d %H:%M}"
    camera = shot.model if shot.model.startswith(shot.make) else f"{shot.make} {shot.model}"
    if camera.strip():
        yield gettext("Camera"), camera.strip()
    exposure = [
        *([f"{shot.focal_length_mm:.3g} mm"] if shot.focal_length_mm else []),
        *([_seconds(shot.exposure_s)] if shot.exposure_s else []),
        *([f"f/{shot.aperture:.2g}"] if shot.aperture else []),
        *([f"ISO {shot.iso}"] if shot.iso else []),
        *([f"{shot.exposure_bias:+.2g} EV"] if shot.exposure_bias else []),
    ]
    if exposure:
        yield gettext("Exposure"), ", ".join(exposure)


def _seconds(exposure: float) -> str:
    """An exposure time as on a camera: 1/250 s or 2 s."""
    return f"1/{1 / exposure:.0f} s" if exposure < 0.3 else f"{exposure:.2g} s"
