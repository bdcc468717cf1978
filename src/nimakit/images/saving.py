"""An edited photograph as a file again, with what its original says of camera and colours."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nimakit.errors import ImageError
from nimakit.images.color import on_canvas
from nimakit.images.photo import EXIF_ORIENTATION, FORMATS, Photo, decoding

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
"""Of the files an edited photograph can be written to."""

OPAQUE = (".jpg", ".jpeg")
"""Those of them that hold no transparency."""

_DETAILS, _GPS = 0x8769, 0x8825
_FOLDERS = (_DETAILS, _GPS)
"""Tags that stand for tags of their own."""

_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_STRUCTURE = (
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338),
    *(339, 347, 530, 700, 33723, 34377, 34675),
)
"""Tags of a TIFF that tell how its pixels are stored, and blocks that other standards describe."""

_ANIMATED = ("GIF", "PNG", "WEBP")
"""Formats of animations. Further pictures in a TIFF or a phone's JPEG are previews and the like."""

_OPTIONS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {},
    "WEBP": {"quality": 95},
    "TIFF": {},  # not compressed: Pillow keeps EXIF in these alone
}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a file says of its picture beside the pixels.

    Attributes:
        exif: Camera, time, place, author; without a preview, which would show the picture as it was.
        icc_profile: What its colours mean; None for sRGB.
        dpi: Pixels an inch on paper; None where it says nothing.
    """

    exif: bytes
    icc_profile: bytes | None
    dpi: tuple[float, float] | None


def read_origin(path: Path) -> Origin:
    """Read it from the head of a file that `nimakit.images.photo.open_photo` opens.

    A profile of other colours than RGB (of a CMYK or a grey picture) is left out: its pixels are converted.

    Raises:
        ImageError: As `nimakit.images.photo.open_photo`.
    """
    with decoding(path), Image.open(path, formats=FORMATS) as image:
        profile = image.info.get("icc_profile")
        is_rgb = isinstance(profile, bytes) and profile[16:20] == b"RGB "
        dpi = image.info.get("dpi")
        found = image.getexif()
        exif = Image.Exif()
        for tag, value in found.items():
            if tag not in _STRUCTURE:
                exif[tag] = found.get_ifd(tag) if tag in _FOLDERS else value
    return Origin(exif.tobytes() if exif else b"", profile if is_rgb else None, dpi)


@dataclass(frozen=True, slots=True)
class Layers:
    """A picture with transparent parts, taken apart.

    Attributes:
        colours: RGB, of every pixel, however transparent.
        alpha: Grey levels, 255 where nothing shows through.
    """

    colours: Photo
    alpha: Photo


def read_layers(path: Path, photo: Photo) -> Layers | None:
    """Read what `nimakit.images.photo.open_photo` lays over a background as it is: colours and transparency.

    Args:
        path: The file.
        photo: What was opened of it.

    Returns:
        The layers; None where nothing shows through.

    Raises:
        ImageError: An animation, of which an edit would keep only one frame, or as for `read_origin`.
    """
    with decoding(path), Image.open(path, formats=FORMATS) as image:
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            raise ImageError(
                "An edit is of one picture; this is an animation. Save the frame that is wanted."
            )
        whole = on_canvas(image)
        # Wider grey has no alpha of its own, and Pillow would clip its levels.
        if not whole.has_transparency_data or whole.mode.startswith(("I", "F")):
            return None
        layered = whole.convert("RGBA")
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return None
    return Layers(Photo(layered.convert("RGB"), photo.orientation), Photo(alpha, photo.orientation))


def encode(picture: Image.Image, origin: Origin, suffix: str) -> bytes:
    """A picture as the content of a file.

    Args:
        picture: RGB, or RGBA but for the `OPAQUE`, upright.
        origin: Of its original.
        suffix: One of `SUFFIXES`.
    """
    exif = Image.Exif()
    exif.load(origin.exif)
    if EXIF_ORIENTATION in exif:
        exif[EXIF_ORIENTATION] = 1
    details = exif.get_ifd(_DETAILS)
    for tag, side in ((_PIXEL_WIDTH, picture.width), (_PIXEL_HEIGHT, picture.height)):
        if tag in details:
            details[tag] = side
    form = Image.registered_extensions()[suffix.lower()]
    options = dict(_OPTIONS[form])
    if origin.dpi:
        options["dpi"] = origin.dpi
    stream = io.BytesIO()
    picture.save(stream, form, exif=exif, icc_profile=origin.icc_profile, **options)
    return stream.getvalue()
