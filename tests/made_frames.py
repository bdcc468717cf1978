"""Frames of shoots, made on the spot: their pixels, their features and what their EXIF says."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from nimakit.culling.appearance import look
from nimakit.culling.frames import Frame
from nimakit.images.exif import Shot
from nimakit.images.photo import Photo

START = datetime(2026, 5, 17, 10, 0, 0)  # noqa: DTZ001 - most cameras record no zone
SIDE = 192


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """Grey rectangles one over the other, different for each seed."""
    random = np.random.default_rng(seed)
    found = Image.new("RGB", size, (128, 128, 128))
    draw = ImageDraw.Draw(found)
    for _ in range(size[0] * size[1] // 400):
        left, top, width, height = random.uniform(0, 1, 4) * (*size, 40, 40)
        level = int(random.integers(40, 200))
        draw.rectangle((left, top, left + width, top + height), (level, level, level))
    return found


def blurred(found: Image.Image, radius: float = 2) -> Image.Image:
    """The picture out of focus."""
    return found.filter(ImageFilter.GaussianBlur(radius))


def frame(
    found: Image.Image | int,
    *,
    name: str = "",
    seconds: float | None = None,
    likeness_to: int | None = None,
    score: float | None = 5.0,
    taste: float | None = None,
    **shot: Any,
) -> Frame:
    """A frame.

    Args:
        found: Its pixels, or the seed of a `picture`.
        name: Its image_id.
        seconds: When it was taken; None for a frame without a time.
        likeness_to: The seed whose features it has; by default those of its own picture.
        score: Its score.
        taste: Its score by one person.
        **shot: What else its EXIF says.
    """
    seed = found if isinstance(found, int) else 0
    pixels = picture(found) if isinstance(found, int) else found
    taken = None if seconds is None else START + timedelta(seconds=seconds)
    features = np.random.default_rng(1000 + (seed if likeness_to is None else likeness_to)).random(64) ** 6
    return Frame(
        path=Path(f"{name}.jpg"),
        image_id=name,
        content=pixels.tobytes() + name.encode(),
        features=features.astype(np.float32),
        appearance=look(Photo(pixels)),
        shot=Shot(taken=taken, **shot),
        score=score,
        taste=taste,
    )
