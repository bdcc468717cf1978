"""Pictures with detail on every scale, as photographs have, made on the spot; and copies of them."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


@cache
def made_photo(seed: int, size: tuple[int, int] = (256, 192)) -> Image.Image:
    """Noise of 3x3 to 48x48 patches, the coarser the stronger; always the same for a seed."""
    random = np.random.default_rng(seed)
    pixels = np.full((size[1], size[0], 3), 128.0)
    for patches in (3, 6, 12, 24, 48):
        noise = Image.fromarray(random.integers(0, 256, (patches, patches, 3), dtype=np.uint8))
        pixels += (np.asarray(noise.resize(size, Image.Resampling.BICUBIC), np.float64) - 128) / patches**0.5
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(photo: Image.Image, quality: int) -> Image.Image:
    """The picture after it was a JPEG of that quality."""
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def cropped(photo: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The picture without those shares of its sides."""
    width, height = photo.size
    return photo.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda photo: photo.resize((120, 70), Image.Resampling.BILINEAR),
    "re-encoded": lambda photo: encoded(photo, 40),
    "mirrored": ImageOps.mirror,
    "grey": lambda photo: photo.convert("L").convert("RGB"),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.2),
    "cropped all around": lambda photo: cropped(photo, 0.04, 0.04, 0.04, 0.04),
    "cropped on two sides": lambda photo: cropped(photo, 0.07, 0.07, 0, 0),
    "framed": lambda photo: ImageOps.expand(photo, 4, "white"),
    "mirrored, resized, re-encoded": lambda photo: encoded(ImageOps.mirror(photo).resize((160, 120)), 40),
}
"""Ways in which people change a picture that they pass on."""


def save(photo: Image.Image, path: Path) -> Path:
    """Write a picture; its format follows the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.save(path)
    return path
