"""Open photographs safely, turn them upright, fit and resize them for a model."""

import ctypes
import io
import math
import mmap  # noqa: F401 - Pillow imports it for its first BMP
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,  # noqa: F401 - Pillow imports it for its first picture in Lab
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - and this one for its first JPEG of several pictures
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from nimakit.errors import ImageError, ImageTooLargeError, ImageUnreadError, first_line, machine_fault
from nimakit.images.color import to_rgb
from nimakit.images.jpeg import check_scans

Encoded: TypeAlias = bytes | bytearray | memoryview
ImageInput: TypeAlias = str | os.PathLike[str] | Encoded | Image.Image | NDArray[Any]
PixelArray: TypeAlias = NDArray[np.uint8]

# Naming the plugins registers them, and no other decoder ever sees a file. Phones' MPO files open as JPEG.
FORMATS: tuple[str, ...] = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        GifImagePlugin.GifImageFile,
    )
)
MAX_PIXELS = 89_478_485
"""Pixels an image may have by default: a quarter of a gibibyte at three bytes a pixel, as in Pillow."""

DECODED_BYTES = 9
"""Bytes a pixel takes at the most while a picture is decoded and fitted."""

_COSTS = {"WEBP": 2}
"""Format -> how many pixels one of its pixels counts for. A pixel of a WebP takes 16 bytes, and while Pillow
decodes one no other thread runs."""

ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
RESIZE_FILTERS: tuple[str, ...] = get_args(ResizeFilter)
Fit = Literal["squash", "pad", "crop"]
FITS: tuple[str, ...] = get_args(Fit)

EXIF_ORIENTATION = 0x0112
HEAD = 16
"""Bytes by which Pillow tells formats apart."""

# Whatever Pillow would import later is imported now: a process without a free file could not.
Image.preinit()
# Freed pixel blocks are kept for the next image: without this, each decode pays the page faults of tens of
# megabytes anew (a quarter of the time of a 12-megapixel JPEG).
if "PILLOW_BLOCKS_MAX" not in os.environ:
    Image.core.set_blocks_max(16)  # type: ignore[attr-defined]
# libtiff prints a line for each tag that it does not know straight to file descriptor 2. Pillow raises what
# keeps it from decoding. A Pillow that was linked with libtiff statically does not show us these functions.
with suppress(AttributeError, OSError):
    _libtiff = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
    _libtiff.TIFFSetWarningHandler(None)
    _libtiff.TIFFSetErrorHandler(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a model wants its input: it travels inside the model file.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        resize_filter: One of `RESIZE_FILTERS` (Pillow's filters).
        fit: ``squash`` ignores the aspect ratio, ``pad`` keeps it and fills the rest with black, ``crop``
            keeps it and cuts the longer sides off evenly.
    """

    height: int
    width: int
    resize_filter: ResizeFilter
    fit: Fit


# Orientation -> the turn that makes the picture upright, and whether the stored x and y axes run backwards
# in the upright picture.
_TURNS: dict[int, tuple[Image.Transpose, bool, bool]] = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, True, False),
    3: (Image.Transpose.ROTATE_180, True, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, True),
    5: (Image.Transpose.TRANSPOSE, False, False),
    6: (Image.Transpose.ROTATE_270, False, True),
    7: (Image.Transpose.TRANSVERSE, True, True),
    8: (Image.Transpose.ROTATE_90, True, False),
}


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture: pixels as stored, and the EXIF orientation that makes them upright.

    Turning is put off until the picture has been made smaller, which costs a tenth of turning it whole.

    Attributes:
        pixels: Pillow image, mode RGB.
        orientation: 1 to 8, as in EXIF.
    """

    pixels: Image.Image
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture, in pixels."""
        width, height = self.pixels.size
        return (height, width) if self.orientation >= 5 else (width, height)

    def resize(
        self,
        size: tuple[int, int],
        resize_filter: ResizeFilter,
        box: tuple[float, float, float, float] | None = None,
    ) -> Image.Image:
        """The upright picture, or a box of it, at another size.

        Equal to turning first and resizing then, up to rounding where a filter weighs several pixels. A
        nearest-neighbour pick between two equally near pixels depends on the direction an axis is walked in;
        so an axis is made smaller before the turn only where the turn keeps its direction.

        Args:
            size: (width, height) of the result.
            resize_filter: One of `RESIZE_FILTERS`.
            box: (left, top, right, bottom) in pixels of the upright picture; the whole where None.

        Returns:
            Pillow image of that size, mode RGB.
        """
        method = Image.Resampling[resize_filter.upper()]
        box = box or (0, 0, *self.size)
        if self.orientation == 1:
            return self.pixels.resize(size, method, box)
        turn, x_backwards, y_backwards = _TURNS[self.orientation]
        swapped = self.orientation >= 5
        pixels = self.pixels
        stored_width, stored_height = pixels.size
        if not x_backwards:
            axis = 1 if swapped else 0
            pixels = pixels.resize(
                (size[axis], stored_height), method, (box[axis], 0, box[axis + 2], stored_height)
            )
        elif not y_backwards:
            axis = 0 if swapped else 1
            pixels = pixels.resize(
                (stored_width, size[axis]), method, (0, box[axis], stored_width, box[axis + 2])
            )
        else:
            return pixels.transpose(turn).resize(size, method, box)
        upright = pixels.transpose(turn)
        rest = [0.0, 0.0, float(upright.width), float(upright.height)]
        rest[1 - axis], rest[3 - axis] = box[1 - axis], box[3 - axis]
        return upright.resize(size, method, (rest[0], rest[1], rest[2], rest[3]))


def open_photo(
    source: ImageInput,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
    formats: tuple[str, ...] = FORMATS,
) -> Photo:
    """Decode an image; nothing is decoded before its format and its pixel count are checked.

    Of an animation the first frame is taken. Transparent pixels show `nimakit.images.color.BACKGROUND`, and
    so does what a GIF's first frame does not cover. Grey of more than 8 bits is scaled to 8
    (`nimakit.images.color.WHITES`). Colour profiles are not applied, because they were not when the public
    weights were trained.

    Args:
        source: A path, encoded bytes, a Pillow image, or an array: (H, W, 3), (H, W, 1) or (H, W), uint8 or
            float, 0-255, RGB.
        max_pixels: Largest width times height; of a WebP half of that, as decoding it takes twice the memory.
            Above Pillow's own limit (179 megapixels) it raises that limit too, for the whole process.
        at_least: Whether a JPEG may be decoded at a half, a quarter or an eighth, and the side in pixels
            that it keeps at the least. For thumbnails: scores come from whole decodes alone.
        formats: Which of `FORMATS` are decoded.

    Returns:
        The decoded picture.

    Raises:
        ImageError: Missing, unreadable, damaged or truncated, or of no supported format.
        ImageUnreadError: This machine failed: no memory, no free file, a disk that cannot be read.
        ImageTooLargeError: More pixels than max_pixels.
    """
    if isinstance(source, np.ndarray):
        return Photo(_from_array(source, max_pixels))
    if not isinstance(source, str | os.PathLike | Encoded | Image.Image):
        kind = type(source).__name__
        raise ImageError(f"An image is a path, bytes, a Pillow image or a NumPy array. Received: {kind}")
    _raise_ceiling(max_pixels)
    with decoding(source, max_pixels=max_pixels, formats=formats):
        if isinstance(source, Image.Image):
            return _decode(source, max_pixels, at_least)
        if isinstance(source, Encoded):
            stream: io.BytesIO | str | os.PathLike[str] = io.BytesIO(source)
        else:
            stream = source
            if not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116 - the source may be text
                raise ImageError("An image is a regular file; not a folder, a pipe or a device.")
        with Image.open(stream, formats=formats) as image:
            return _decode(image, max_pixels, at_least)


@contextmanager
def decoding(
    source: ImageInput, *, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS
) -> Iterator[None]:
    """Whatever Pillow raises becomes an `ImageError`: of the image, or of a machine that failed.

    Args:
        source: What is decoded.
        max_pixels: As for `open_photo`.
        formats: As for `open_photo`.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        reason = machine_fault(error, source if isinstance(source, str | os.PathLike) else None)
        raise (unread(reason) if reason else _as_image_error(error, source, max_pixels, formats)) from error


def decoded_bytes(source: str | os.PathLike[str] | Encoded, max_pixels: int) -> int:
    """Bytes that decoding an image may take, by its header; none for what `open_photo` would refuse."""
    stream = io.BytesIO(source) if isinstance(source, Encoded) else source
    try:
        with Image.open(stream, formats=FORMATS) as image:
            width, height = _decoded_size(image)
            pixels = width * height * _COSTS.get(image.format or "", 1)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, `open_photo` says it
        return 0
    return DECODED_BYTES * pixels if pixels <= max_pixels else 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where what a model sees of a picture lies: in the picture, and in the model's input.

    Attributes:
        box: (left, top, right, bottom) in pixels of the upright picture.
        size: (width, height) of that part in the input, in pixels.
        offset: (left, top) of that part in the input; whatever is around it is black.
    """

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)


def place(
    size: tuple[int, int],
    preprocessing: Preprocessing,
    zoom: float = 1.0,
    at: tuple[float, float] = (0.5, 0.5),
) -> Placement:
    """Where a model sees a picture of some size.

    Args:
        size: (width, height) of the upright picture, in pixels.
        preprocessing: From the model's metadata.
        zoom: Share of each side that is kept, above 0 to 1; below 1 for crops.
        at: Where the kept part lies: (0, 0) left top, (0.5, 0.5) centre, (1, 1) right bottom.
    """
    width, height = size
    target = (preprocessing.width, preprocessing.height)
    kept_width, kept_height = width * zoom, height * zoom
    left, top = (width - kept_width) * at[0], (height - kept_height) * at[1]
    if preprocessing.fit == "crop":
        side = min(kept_width / target[0], kept_height / target[1])
        crop_width, crop_height = target[0] * side, target[1] * side
        left += (kept_width - crop_width) / 2
        top += (kept_height - crop_height) / 2
        kept_width, kept_height = crop_width, crop_height
    left, top = max(left, 0.0), max(top, 0.0)  # rounding may have moved them a hair outside
    box = (left, top, min(left + kept_width, width), min(top + kept_height, height))
    if preprocessing.fit != "pad":
        return Placement(box, target)
    scale = min(target[0] / kept_width, target[1] / kept_height)
    inner = (max(1, round(kept_width * scale)), max(1, round(kept_height * scale)))
    return Placement(box, inner, ((target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2))


def prepare(
    photo: Photo, preprocessing: Preprocessing, zoom: float = 1.0, at: tuple[float, float] = (0.5, 0.5)
) -> PixelArray:
    """A picture as a model wants it.

    Args:
        photo: The decoded picture.
        preprocessing: From the model's metadata.
        zoom: As for `place`.
        at: As for `place`.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    placement = place(photo.size, preprocessing, zoom, at)
    seen = photo.resize(placement.size, preprocessing.resize_filter, placement.box)
    target = (preprocessing.width, preprocessing.height)
    if placement.size == target:
        return np.asarray(seen)
    canvas = Image.new("RGB", target)
    canvas.paste(seen, placement.offset)
    return np.asarray(canvas)


def _raise_ceiling(max_pixels: int) -> None:
    """Lift Pillow's own limit to what the caller allows, or it would refuse first."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _decoded_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of what decoding makes at once: of a TIFF in tiles a tile, where that is larger."""
    tile = [0, 0]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        tile = [int(tags.get(tag, 0)) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
    return max(image.size, (tile[0], tile[1]), key=math.prod)


def _decode(image: Image.Image, max_pixels: int, at_least: int | None) -> Photo:
    width, height = _decoded_size(image)
    limit = max_pixels // _COSTS.get(image.format or "", 1)
    if width * height > limit:
        kind = f"A {image.format} image" if limit < max_pixels else "An image"
        raise ImageTooLargeError(
            f"{kind} has at most {limit} pixels. Received: {width}x{height} = {width * height}."
        )
    # Read before decoding: a later frame or a converted copy may have lost it.
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    if image.format == "TIFF":
        orientation = 1  # Pillow turns these itself as it decodes them
    # A picture from elsewhere may be decoded already.
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.fp is not None:
        ended = check_scans(image.fp)
        if ended is not None:
            image = Image.open(ended, formats=(JpegImagePlugin.JpegImageFile.format,))
    if at_least is not None:
        image.draft("RGB", (at_least, at_least))
    image.load()
    return Photo(to_rgb(image), orientation if orientation in _TURNS else 1)


def unidentified(head: bytes, formats: tuple[str, ...] = FORMATS) -> str:
    """What is wrong with a file that Pillow cannot open: damaged, or of another kind.

    Args:
        head: Its first 16 bytes.
        formats: Which of `FORMATS` are allowed.
    """
    for name in formats:
        _, accepts = Image.OPEN[name]
        if accepts and accepts(head):
            return f"The image cannot be decoded: the file is a damaged {name}."
    return f"The file must be an image ({', '.join(formats)}); its content is none of these."


def _head(source: ImageInput) -> bytes:
    if isinstance(source, Encoded):
        return bytes(source[:HEAD])
    if isinstance(source, str | os.PathLike):
        with suppress(OSError), open(source, "rb") as stream:  # noqa: PTH123 - the source may be text
            return stream.read(HEAD)
    return b""


def unread(reason: str) -> ImageUnreadError:
    """The error of an image that this machine failed at, by what `nimakit.errors.machine_fault` says."""
    return ImageUnreadError(f"The image could not be read: {reason}. Try again.")


def _as_image_error(
    error: Exception, source: ImageInput, max_pixels: int, formats: tuple[str, ...]
) -> ImageError:
    """What a failed decode means to an image's owner. Decoders raise almost anything on damaged bytes."""
    match error:
        case FileNotFoundError():
            is_link = isinstance(source, str | os.PathLike) and Path(source).is_symlink()
            reason = "the link points to nothing" if is_link else "no such file"
            return ImageError(f"The image must exist; {reason}.")
        case PermissionError():
            return ImageError("The image must be readable; permission was denied.")
        case OSError(strerror=str(reason), filename=str()):
            return ImageError(f"The image must be readable; {reason}.")
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return ImageTooLargeError(f"An image has at most {max_pixels} pixels. {error}")
        case UnidentifiedImageError():
            return ImageError(unidentified(_head(source), formats))
    return ImageError(f"The image cannot be decoded: {first_line(error)}")


def _from_array(array: NDArray[Any], max_pixels: int) -> Image.Image:
    rule = "An image array is (H, W, 3), (H, W, 1) or (H, W), 0-255, RGB."
    shape: tuple[int, ...] = array.shape
    if array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and shape[2] not in (1, 3)):
        raise ImageError(f"{rule} Received: shape={shape}")
    if shape[0] * shape[1] > max_pixels:
        raise ImageTooLargeError(
            f"An image has at most {max_pixels} pixels. Received: {shape[1]}x{shape[0]}."
        )
    if array.dtype != np.uint8:
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ImageError(f"{rule} Received: dtype={array.dtype}")
        if array.min() < 0 or array.max() > 255:
            raise ImageError(f"{rule} Received: values from {array.min():g} to {array.max():g}")
        if array.dtype.kind == "f" and 0 < array.max() <= 1:
            raise ImageError(f"{rule} Received: no value above 1; multiply by 255.")
        array = np.rint(array).astype(np.uint8)
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
