"""TID2013: 25 reference images with 24 kinds of distortion at 5 strengths, with mean opinion scores.

Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives", Signal Processing:
Image Communication 30, 2015. MOS runs from 0 to 9, higher is better.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nimakit.errors import LabelError
from nimakit.images.files import image_id
from nimakit.io.tables import BadRows, number, read_lines
from nimakit.stats.histogram import FloatArray

BINS = np.arange(10.0)
"""The MOS of each bin."""

_NAME = re.compile(r"(?P<reference>i\d\d)_\d\d_\d\.\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Tid2013:
    """The content of mos_with_names.txt.

    Attributes:
        image_ids: N image ids, such as "I01_01_1", in the file's order.
        references: The reference image of each, such as "I01".
        mos: (N,) float64, mean opinion scores, 0 to 9.
    """

    image_ids: tuple[str, ...]
    references: tuple[str, ...]
    mos: FloatArray


def read_tid2013(path: Path, rows: BadRows) -> Tid2013:
    """Read mos_with_names.txt: a MOS and a file name per line.

    Args:
        path: mos_with_names.txt.
        rows: Collects bad lines; `BadRows.refuse` is called here.

    Returns:
        The images of good lines, at least one.

    Raises:
        LabelError: No such file, a bad line that `rows` does not skip, or no good line.
    """
    found: dict[str, tuple[str, float]] = {}
    for line, text in read_lines(path):
        try:
            name, reference, mos = _entry(text)
            if name in found:
                raise ValueError(f"{name} is repeated")
        except ValueError as error:
            rows.add(path, line, str(error))
        else:
            found[name] = reference, mos
    rows.refuse()
    if not found:
        raise LabelError(f"mos_with_names.txt must have at least one good line. Received: {path}, with none")
    return Tid2013(
        image_ids=tuple(found),
        references=tuple(reference for reference, _ in found.values()),
        mos=np.array([mos for _, mos in found.values()]),
    )


def _entry(text: str) -> tuple[str, str, float]:
    """Image id, reference and MOS of a line."""
    score, *name = text.split(maxsplit=1)
    match = _NAME.fullmatch("".join(name))
    if not match:
        raise ValueError(f"it must be a MOS and a name such as I01_01_1.bmp; received {text!r}")
    return image_id(match[0]), match["reference"].upper(), number(score, BINS[0], BINS[-1], name="MOS")
