"""Encode an edited photograph, with the EXIF, colour profile and resolution of its original."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

from nimakit.errors import ImageError
from nimakit.images.color import on_canvas
from nimakit.images.exif import copy_exif
from nimakit.images.opening import open_image
from nimakit.images.photo import Photo, decoding

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
"""Suffixes of the formats an edited photograph can be written in."""

OPAQUE = (".jpg", ".jpeg")
"""Suffixes of those formats without transparency."""

_ANIMATED = ("GIF", "PNG", "WEBP")
"""Formats with animations. Further pictures in a TIFF or a phone's JPEG are previews."""

_OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {},
    "WEBP": {"quality": 95},
    "TIFF": {},  # not compressed, or Pillow would lose the EXIF
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file contains besides the pixels.

    Attributes:
        exif: Camera, time, place, author; without the preview, which would show the original.
        icc_profile: Colour profile; None for sRGB.
        dpi: Pixels per inch in print; None if not given.
    """

    exif: bytes
    icc_profile: bytes | None
    dpi: tuple[float, float] | None


def read_metadata(path: Path) -> Metadata:
    """Read the metadata of a file that `nimakit.images.photo.open_photo` accepts.

    A profile that is not RGB (of a CMYK or grey picture) is dropped, because the pixels are converted.

    Raises:
        ImageError: As for `nimakit.images.photo.open_photo`.
    """
    with decoding(path), open_image(path) as image:
        profile = image.info.get("icc_profile")
        is_rgb = isinstance(profile, bytes) and profile[16:20] == b"RGB "
        dpi = image.info.get("dpi")
        exif = copy_exif(image)
    return Metadata(exif.tobytes() if exif else b"", profile if is_rgb else None, dpi)


@dataclass(frozen=True, slots=True)
class Layers:
    """Colours and transparency of a picture.

    Attributes:
        colours: RGB of every pixel, also of transparent ones.
        alpha: Grey levels, 255 for opaque pixels.
    """

    colours: Photo
    alpha: Photo


def read_layers(path: Path, photo: Photo) -> Layers | None:
    """Read the colours and transparency that `nimakit.images.photo.open_photo` merges with a background.

    Args:
        path: The file.
        photo: The photo opened from it.

    Returns:
        The layers; None if all pixels are opaque.

    Raises:
        ImageError: It is an animation, of which an edit would keep only one frame; or as for `read_metadata`.
    """
    with decoding(path), open_image(path) as image:
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            raise ImageError(
                "Only single pictures can be edited; this is an animation. Save the frame you want to edit."
            )
        whole = on_canvas(image)
        # Grey of more than 8 bits has no alpha, and Pillow would clip its levels.
        if not whole.has_transparency_data or whole.mode.startswith(("I", "F")):
            return None
        layered = whole.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return None
    return Layers(Photo(layered.convert("RGB"), photo.orientation), Photo(alpha, photo.orientation))


def encode(picture: Image.Image, metadata: Metadata, suffix: str) -> bytes:
    """Encode a picture as the content of a file.

    Args:
        picture: Upright, RGB, or RGBA unless the suffix is one of `OPAQUE`.
        metadata: Metadata of its original.
        suffix: One of `SUFFIXES`.
    """
    exif = Image.Exif()
    exif.load(metadata.exif)
    if Base.Orientation in exif:
        exif[Base.Orientation] = 1
    details = exif.get_ifd(IFD.Exif)
    for tag, side in ((Base.ExifImageWidth, picture.width), (Base.ExifImageHeight, picture.height)):
        if tag in details:
            details[tag] = side
    form = Image.registered_extensions()[suffix.lower()]
    options = dict(_OPTIONS[form])
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    stream = io.BytesIO()
    picture.save(stream, form, exif=exif, icc_profile=metadata.icc_profile, **options)
    return stream.getvalue()
