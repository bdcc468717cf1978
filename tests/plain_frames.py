"""Frames of which only the score and the features matter; groups and rankings of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nimakit.culling.appearance import Appearance, look
from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group, Kind
from nimakit.culling.ranking import Ranked
from nimakit.images.photo import Photo

APPEARANCE: Appearance = look(Photo(Image.new("RGB", (64, 64), "grey")))


def frame(name: str, score: float | None = 5.0, features: Sequence[float] = (1, 0), **fields: Any) -> Frame:
    """A frame of that name and score."""
    return Frame(
        path=Path(f"{name}.jpg"),
        image_id=name,
        content=name.encode(),
        features=np.array(features, np.float32),
        appearance=APPEARANCE,
        score=score,
        **fields,
    )


def group(*frames: int, kind: Kind | None = None, scene: int = 0) -> Group:
    """A group of frames: by default a burst, or a single one."""
    return Group(kind=kind or ("burst" if len(frames) > 1 else "single"), frames=frames, scene=scene)


def ranked(*frames: int, reasons: tuple[str, ...] = ()) -> tuple[Ranked, ...]:
    """A ranking in that order."""
    return tuple(Ranked(frame=number, value=-place, reasons=reasons) for place, number in enumerate(frames))
