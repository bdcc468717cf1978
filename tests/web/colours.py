"""Pictures that differ in colour, which is all the small test model sees."""

from pathlib import Path

import numpy as np
from PIL import Image

from nimakit.web.settings import Settings, read_settings

COLOURS = ((250, 20, 20), (240, 40, 30), (20, 240, 20), (30, 230, 60), (20, 20, 240), (60, 40, 220))
"""Two reds, two greens, two blues: each is most similar to its like."""


def paint(photos: Path, size: tuple[int, int]) -> None:
    """Replace the photographs of a folder by one picture of each of `COLOURS`."""
    for path in photos.rglob("*.*"):
        path.unlink()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", size, colour).save(photos / f"colour {number}.png")


def random_colours(folder: Path, count: int) -> Settings:
    """An app with pictures of random colours in a new folder, and its data folder next to it."""
    photos = folder / "colours"
    photos.mkdir()
    for number, colour in enumerate(np.random.default_rng(0).integers(0, 256, (count, 3)).tolist()):
        Image.new("RGB", (12, 9), tuple(colour)).save(photos / f"p{number:02d}.png")
    return read_settings(folders=(photos,), data_dir=folder / "data", environment={})
