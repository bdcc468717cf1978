"""Decode photographs safely, turn them upright, and fit them to a model's input."""

import ctypes
import math
import mmap  # noqa: F401 - needed by Pillow for BMP files
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageCms,  # noqa: F401 - needed by Pillow for pictures in Lab
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - needed by Pillow for JPEGs of several pictures
    TiffImagePlugin,
)

from nimakit.errors import ImageError, ImageTooLargeError, ImageUnreadError, first_line, machine_fault
from nimakit.images.color import to_rgb
from nimakit.images.exif import UPRIGHT, read_orientation
from nimakit.images.formats import FORMATS, KINDS
from nimakit.images.jpeg import check_scans
from nimakit.images.opening import Encoded, open_image

if TYPE_CHECKING:
    from nimakit.images.decoders.raw import RawImageFile

ImageInput: TypeAlias = str | os.PathLike[str] | Encoded | Image.Image | NDArray[Any]
PixelArray: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

MAX_PIXELS = 89_478_485
"""Most pixels of an image by default: 256 MiB at three bytes per pixel, as in Pillow."""

DECODED_BYTES = 9
"""Most bytes per pixel while a picture is decoded and fitted."""

_BLOCKING = ("WEBP", "AVIF")
"""Formats whose decoders in Pillow block all other threads."""

_BRIEF_PIXELS = 2_000_000
"""Pixels of a blocking format that take about 20 ms."""

ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
RESIZE_FILTERS: tuple[str, ...] = get_args(ResizeFilter)
Fit = Literal["squash", "pad", "crop"]
FITS: tuple[str, ...] = get_args(Fit)
Decode = Literal["full", "scaled"]
DECODES: tuple[str, ...] = get_args(Decode)
SCALED_NEAREST = (
    "'decode' must be \"full\" with the 'resize_filter' nearest, which picks single pixels of the whole"
    ' picture; choose another filter for "scaled"'
)
"""The rule for `Preprocessing.decode` that a config or metadata breaks."""

OVERSAMPLING = 2
"""Decoded pixels along each side, at least, for a pixel of the input of a model with scaled decoding."""
_JPEG_REDUCTIONS = (1, 2, 4, 8)
"""What libjpeg can divide the sides by while decoding."""

# Everything Pillow would import later is imported now: a process with too many open files could not.
Image.preinit()
# Keep freed pixel blocks for the next image. Otherwise each decode pays for page faults of tens of
# megabytes, a quarter of the time of a 12-megapixel JPEG.
if "PILLOW_BLOCKS_MAX" not in os.environ:
    Image.core.set_blocks_max(16)  # type: ignore[attr-defined]
# libtiff prints a line for each unknown tag directly to file descriptor 2; Pillow raises what prevents
# decoding. A Pillow linked with libtiff statically does not export these functions.
with suppress(AttributeError, OSError):
    _libtiff = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
    _libtiff.TIFFSetWarningHandler(None)
    _libtiff.TIFFSetErrorHandler(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Preprocessing of a model's input, from the metadata of its file.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        resize_filter: One of `RESIZE_FILTERS` (Pillow's filters).
        fit: ``squash`` ignores the aspect ratio, ``pad`` keeps it and fills the rest with black, ``crop``
            keeps it and crops the longer side evenly.
        decode: ``full`` decodes every pixel; ``scaled`` decodes a JPEG at a half, a quarter or an eighth of
            its size, with at least `OVERSAMPLING` times the pixels of the input along each side. Not with
            the filter nearest, which picks single pixels.
    """

    height: int
    width: int
    resize_filter: ResizeFilter
    fit: Fit
    decode: Decode = "full"


# Orientation -> transpose that makes the picture upright, and whether that reverses the stored x and y axes.
_REVERSED = {
    2: (True, False), 3: (True, True), 4: (False, True), 5: (False, False), 6: (False, True), 7: (True, True),
    8: (True, False),
}  # fmt: skip
_TURNS = {orientation: (UPRIGHT[orientation], *axes) for orientation, axes in _REVERSED.items()}


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture: pixels as stored, and the EXIF orientation that makes them upright.

    The picture is turned after it is resized, which takes a tenth of the time.

    Attributes:
        pixels: Pillow image, mode RGB.
        orientation: 1 to 8, as in EXIF.
        reduction: What the sides were divided by while decoding, rounded up.
        stored_size: (width, height) before that, as stored; None for those of `pixels`.
        reductions: What the sides could have been divided by, ascending from 1.
    """

    pixels: Image.Image
    orientation: int = 1
    reduction: int = 1
    stored_size: tuple[int, int] | None = None
    reductions: tuple[int, ...] = (1,)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture as decoded, in pixels."""
        return _upright(self.pixels.size, self.orientation)

    @property
    def whole_size(self) -> tuple[int, int]:
        """Width and height of the upright picture in its file, in pixels."""
        return _upright(self.stored_size or self.pixels.size, self.orientation)

    def suits(self, preprocessing: Preprocessing, zoom: float = 1.0) -> bool:
        """Whether `open_photo` with these arguments would decode the same pixels."""
        limit = largest_reduction(self.whole_size, preprocessing, zoom)
        return self.reduction == _choose(self.reductions, limit)

    def in_pixels(self, box: Box) -> Box:
        """Convert a box of the picture in its file, upright, to one of the picture as decoded."""
        if self.stored_size is None:
            return box
        # The last pixel may be covered only in part. On an axis that the turn reverses it is the first.
        _, *backwards = _TURNS.get(self.orientation, (None, False, False))
        sides = zip(backwards, self.pixels.size, self.stored_size, strict=True)
        shifts = [reverse * (decoded - stored / self.reduction) for reverse, decoded, stored in sides]
        if self.orientation >= 5:
            shifts.reverse()
        edges = zip(box, shifts * 2, strict=True)
        return cast("Box", tuple(edge / self.reduction + shift for edge, shift in edges))

    def resize(
        self,
        size: tuple[int, int],
        resize_filter: ResizeFilter,
        box: Box | None = None,
    ) -> Image.Image:
        """Resize the upright picture, or a box of it.

        Equal to turning before resizing, up to rounding if a filter averages several pixels. The choice of
        the nearest-neighbour filter between two equally near pixels depends on the direction of the axis, so
        an axis is resized before the turn only if the turn keeps its direction.

        Args:
            size: (width, height) of the result.
            resize_filter: One of `RESIZE_FILTERS`.
            box: (left, top, right, bottom) in pixels of the upright picture; None for the whole.

        Returns:
            Pillow image of that size, mode RGB.
        """
        method = Image.Resampling[resize_filter.upper()]
        box = box or (0, 0, *self.size)
        if self.orientation == 1:
            return self.pixels.resize(size, method, box)
        turn, x_backwards, y_backwards = _TURNS[self.orientation]
        if x_backwards and y_backwards:
            return self.pixels.transpose(turn).resize(size, method, box)
        stored_axis = int(x_backwards)
        axis = 1 - stored_axis if self.orientation >= 5 else stored_axis
        first_size, first_box = [*self.pixels.size], [0.0, 0.0, *self.pixels.size]
        first_size[stored_axis], first_box[stored_axis::2] = size[axis], box[axis::2]
        upright = self.pixels.resize(
            (first_size[0], first_size[1]), method, cast("Box", tuple(first_box))
        ).transpose(turn)
        second_box = [0.0, 0.0, *upright.size]
        second_box[1 - axis :: 2] = box[1 - axis :: 2]
        return upright.resize(size, method, cast("Box", tuple(second_box)))


def open_photo(
    source: ImageInput,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
    preprocessing: Preprocessing | None = None,
    zoom: float = 1.0,
    formats: tuple[str, ...] = FORMATS,
    briefly: bool = False,
) -> Photo:
    """Decode an image after checking its format and number of pixels.

    An animation gives its first frame. Transparent pixels, and those that a GIF's first frame does not cover,
    show `nimakit.images.color.BACKGROUND`. Grey of more than 8 bits is scaled to 8
    (`nimakit.images.color.WHITES`). A camera RAW file gives the preview in it if that is large enough, or its
    sensor data at half size. Colour profiles are not applied, because the public weights were trained
    without.

    Args:
        source: A path, encoded bytes, a Pillow image, or an array: (H, W, 3), (H, W, 1) or (H, W), uint8 or
            float, 0-255, RGB.
        max_pixels: Largest width times height, as stored; half of that for formats that take twice the memory
            (`nimakit.images.formats.Format.weight`). A value above Pillow's limit (179 megapixels) raises
            that limit for the whole process.
        at_least: For thumbnails: decode a JPEG at a half, a quarter or an eighth of its size, but with sides
            of at least so many pixels. None for full size.
        preprocessing: For the model that sees the image: decode a JPEG as its `Preprocessing.decode` says,
            and take the preview in a camera RAW file if it is large enough for the input. A Pillow image or
            an array is always taken whole. None for full size.
        zoom: As for `place`.
        formats: Those of `nimakit.images.formats.FORMATS` to accept.
        briefly: Refuse what would take long or block other threads: more than half of max_pixels, or 2
            megapixels of a format whose decoder lets no other thread run.

    Returns:
        The decoded picture.

    Raises:
        ImageError: It is missing, unreadable, damaged, truncated, or of another format.
        ImageUnreadError: This machine failed: no memory, too many open files, a disk that cannot be read.
        ImageTooLargeError: It has more pixels than max_pixels.
    """
    if isinstance(source, np.ndarray):
        return Photo(_from_array(source, max_pixels))
    if not isinstance(source, str | os.PathLike | Encoded | Image.Image):
        kind = type(source).__name__
        raise ImageError(f"An image must be a path, bytes, a Pillow image or a NumPy array. Received: {kind}")
    _raise_pillow_limit(max_pixels)

    def largest(size: tuple[int, int]) -> float:
        if preprocessing is not None:
            return largest_reduction(size, preprocessing, zoom)
        return min(size) / at_least if at_least else 1.0

    with decoding(source, max_pixels=max_pixels):
        if isinstance(source, Image.Image):
            return _decode(source, max_pixels, briefly)
        with open_image(source, formats) as image:
            _choose_preview(image, _needed_side(preprocessing, zoom) if preprocessing else at_least)
            return _decode(image, max_pixels, briefly, largest)


@contextmanager
def decoding(source: ImageInput, *, max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Turn whatever Pillow raises into an `ImageError`, about the image or about this machine.

    Args:
        source: The image being decoded.
        max_pixels: As for `open_photo`.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        reason = machine_fault(error, source if isinstance(source, str | os.PathLike) else None)
        raise (unread(reason) if reason else _as_image_error(error, source, max_pixels)) from error


def decoded_bytes(source: str | os.PathLike[str] | Encoded, max_pixels: int) -> int:
    """Bytes that decoding an image may take, by its header; 0 if `open_photo` would refuse it."""
    try:
        with open_image(source) as image:
            width, height = _decoded_size(image)
            pixels = width * height * _weight(image)
    except Exception:  # noqa: BLE001 - `open_photo` reports what is wrong
        return 0
    return DECODED_BYTES * pixels if pixels <= max_pixels else 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of a picture a model sees, and where that part is in its input.

    Attributes:
        box: (left, top, right, bottom) in pixels of the upright picture.
        size: (width, height) of that part in the input, in pixels.
        offset: (left, top) of that part in the input; the rest is black.
    """

    box: Box
    size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)


def place(
    size: tuple[int, int],
    preprocessing: Preprocessing,
    zoom: float = 1.0,
    at: tuple[float, float] = (0.5, 0.5),
) -> Placement:
    """Compute which part of a picture a model sees, and where.

    Args:
        size: (width, height) of the upright picture, in pixels.
        preprocessing: From the model's metadata.
        zoom: Share of each side that is kept, above 0 to 1; below 1 for crops.
        at: Position of the kept part: (0, 0) left top, (0.5, 0.5) centre, (1, 1) right bottom.
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
    left, top = max(left, 0.0), max(top, 0.0)  # rounding may have moved them slightly outside
    box = (left, top, min(left + kept_width, width), min(top + kept_height, height))
    if preprocessing.fit != "pad":
        return Placement(box, target)
    scale = min(target[0] / kept_width, target[1] / kept_height)
    inner = (max(1, round(kept_width * scale)), max(1, round(kept_height * scale)))
    return Placement(box, inner, ((target[0] - inner[0]) // 2, (target[1] - inner[1]) // 2))


def largest_reduction(size: tuple[int, int], preprocessing: Preprocessing, zoom: float = 1.0) -> float:
    """Compute what the sides of a picture may be divided by at most while it is decoded for a model.

    It depends only on the arguments, so a model sees the same pixels wherever it is trained or scores.

    Args:
        size: (width, height) of the upright picture in its file, in pixels.
        preprocessing: From the model's metadata.
        zoom: As for `place`.

    Returns:
        1 or more.
    """
    if preprocessing.decode == "full":
        return 1.0
    placement = place(size, preprocessing, zoom)
    left, top, right, bottom = placement.box
    width, height = placement.size
    return max(1.0, min((right - left) / width, (bottom - top) / height) / OVERSAMPLING)


def prepare(
    photo: Photo, preprocessing: Preprocessing, zoom: float = 1.0, at: tuple[float, float] = (0.5, 0.5)
) -> PixelArray:
    """Resize and crop a picture to a model's input.

    Args:
        photo: The decoded picture.
        preprocessing: From the model's metadata.
        zoom: As for `place`.
        at: As for `place`.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    placement = place(photo.whole_size, preprocessing, zoom, at)
    box = photo.in_pixels(placement.box)
    seen = photo.resize(placement.size, preprocessing.resize_filter, box)
    target = (preprocessing.width, preprocessing.height)
    if placement.size == target:
        return np.asarray(seen)
    canvas = Image.new("RGB", target)
    canvas.paste(seen, placement.offset)
    return np.asarray(canvas)


def _raise_pillow_limit(max_pixels: int) -> None:
    """Raise Pillow's own limit, which it would apply first."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _decoded_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the pixels decoded at once: the picture or, if larger, what it is coded in.

    That is a tile of a TIFF, the picture of an AVIF before it is scaled, or the sensor data of a camera RAW
    file.
    """
    coded: tuple[int, int] = getattr(image, "coded_size", None) or (0, 0)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        coded = (int(tags.get(TiffImagePlugin.TILEWIDTH, 0)), int(tags.get(TiffImagePlugin.TILELENGTH, 0)))
    return max(image.size, coded, key=math.prod)


def _weight(image: Image.Image) -> int:
    """Weight of a picture's pixels; 1 for formats that only a caller's own Pillow image can have."""
    if image.format == "HEIF" and image.info.get("bit_depth", 8) > 8 and image.info.get("chroma") != 420:
        return 2
    return KINDS[image.format].weight if image.format in KINDS else 1


def _needed_side(preprocessing: Preprocessing, zoom: float) -> int:
    """Sides that a picture needs for a model to see no enlarged pixels."""
    oversampling = OVERSAMPLING if preprocessing.decode == "scaled" else 1
    return math.ceil(oversampling * max(preprocessing.height, preprocessing.width) / zoom)


def _choose_preview(image: Image.Image, side: int | None) -> None:
    """Let a camera RAW file give its preview if its sides are at least so long."""
    if side is not None and image.format == "RAW":
        cast("RawImageFile", image).choose((side, side))


def _decode(
    image: Image.Image,
    max_pixels: int,
    briefly: bool,
    largest: Callable[[tuple[int, int]], float] | None = None,
) -> Photo:
    """Decode an opened image; a JPEG at a fraction, by the largest reduction for its upright size."""
    width, height = _decoded_size(image)
    limit = max_pixels // _weight(image)
    if briefly:
        limit = min(limit // 2, _BRIEF_PIXELS if image.format in _BLOCKING else limit)
    if width * height > limit:
        kind = f"An image ({image.format})" if limit < max_pixels else "An image"
        raise ImageTooLargeError(
            f"{kind} has at most {limit} pixels. Received: {width}x{height} = {width * height}."
        )
    # Read before decoding, because a later frame or a converted copy may lack it.
    orientation = read_orientation(image)
    image = getattr(image, "preview", None) or image  # of a camera RAW file
    # A Pillow image from the caller may be decoded already.
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.fp is not None:
        ended = check_scans(image.fp)
        if ended is not None:
            image = Image.open(ended, formats=(JpegImagePlugin.JpegImageFile.format,))
    if largest is None or not isinstance(image, JpegImagePlugin.JpegImageFile):
        image.load()
        return Photo(to_rgb(image), orientation)
    stored = image.size
    reduction = _choose(_JPEG_REDUCTIONS, largest(_upright(stored, orientation)))
    if reduction > 1:
        image.draft("RGB", (stored[0] // reduction, stored[1] // reduction))
    image.load()
    return Photo(to_rgb(image), orientation, reduction, stored, _JPEG_REDUCTIONS)


def _choose(reductions: tuple[int, ...], limit: float) -> int:
    """The largest reduction up to a limit; none if even the first is above it."""
    return max((reduction for reduction in reductions if reduction <= limit), default=1)


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height after the turn for an orientation."""
    return (size[1], size[0]) if orientation >= 5 else size


def unread(reason: str) -> ImageUnreadError:
    """The error for an image that this machine failed to read, with a reason from `machine_fault`."""
    return ImageUnreadError(f"The image could not be read: {reason}. Try again.")


def _as_image_error(error: Exception, source: ImageInput, max_pixels: int) -> ImageError:
    """Explain a failed decode. Decoders raise almost anything on damaged bytes."""
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
    return ImageError(f"The image cannot be decoded: {first_line(error)}")


def _from_array(array: NDArray[Any], max_pixels: int) -> Image.Image:
    rule = "An image array must be (H, W, 3), (H, W, 1) or (H, W), 0-255, RGB."
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
