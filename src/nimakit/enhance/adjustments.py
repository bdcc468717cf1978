"""The edits a photographer makes to a whole picture: their values, and the sidecar files that keep them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nimakit.errors import ConfigError
from nimakit.io.atomic import atomic_writer
from nimakit.io.rules import Rule, broken_rules, is_number, read_json

FORMAT_VERSION = 1
MAX_ANGLE = 4.0
"""Degrees a picture is straightened by, at most."""

MIN_KEPT = 0.5
"""Share of each side that a crop keeps, at least."""

Crop = tuple[float, float, float, float]
WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjustments:
    """One edit of a whole picture; the defaults leave it as it is.

    Attributes:
        exposure: In stops, -1 to 1; white stays white.
        contrast: -1 to 1: how much steeper the middle of the tone curve is, 1 being 40 %.
        highlights: -1 to 1: darker to brighter, 1 being a tenth of the range at three quarters of it.
        shadows: -1 to 1, likewise at one quarter.
        temperature: -1 (blue) to 1 (amber), 1 being a quarter of a stop more red and as much less blue.
        tint: -1 (green) to 1 (magenta), 1 being a tenth of a stop less green.
        saturation: -1 to 1, 1 being 30 % more of every colour.
        vibrance: -1 to 1, 1 being up to 50 % more, of pale colours most.
        sharpening: 0 to 1: how much of an unsharp mask is added.
        straighten: Degrees clockwise, `MAX_ANGLE` at most each way.
        crop: (left, top, right, bottom) of what is kept of the straightened picture, as shares of its sides.
    """

    exposure: float = 0.0
    contrast: float = 0.0
    highlights: float = 0.0
    shadows: float = 0.0
    temperature: float = 0.0
    tint: float = 0.0
    saturation: float = 0.0
    vibrance: float = 0.0
    sharpening: float = 0.0
    straighten: float = 0.0
    crop: Crop = WHOLE

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "crop": list(self.crop)}


TONES = (
    "exposure",
    "contrast",
    "highlights",
    "shadows",
    "temperature",
    "tint",
    "saturation",
    "vibrance",
    "sharpening",
)
"""The edits of light and colour, which have a derivative; the others frame the picture."""


def write_sidecar(path: Path, adjustments: Adjustments, about: Mapping[str, Any]) -> None:
    """Write what was done to a picture, to look at and to apply to another one.

    Args:
        path: .json.
        adjustments: The edit.
        about: How it came about: networks, scores; not read again.

    Raises:
        OutputError: It could not be written.
    """
    values = {"format_version": FORMAT_VERSION, "adjustments": adjustments.to_dict(), "about": about}
    with atomic_writer(path) as stream:
        json.dump(values, stream, indent=2)
        stream.write("\n")


def read_sidecar(path: Path) -> Adjustments:
    """Read the edit in a sidecar.

    Args:
        path: As `write_sidecar` wrote it; fields that are left out stay as they are in a picture.

    Raises:
        ConfigError: No sidecar, or values out of bounds, all of them listed.
    """
    values = read_json(path, ConfigError, "A sidecar")
    if not isinstance(values, dict) or not isinstance(values.get("adjustments"), dict):
        raise ConfigError(f'A sidecar is a JSON object with "adjustments". Received: {path}')
    if values.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"This nimakit reads sidecars of format version {FORMAT_VERSION}."
            f" Received: {path}, {values.get('format_version')}"
        )
    found = values["adjustments"]
    broken = broken_rules(found, _RULES)
    if broken:
        raise ConfigError(f"Sidecar {path} breaks {len(broken)} rule(s): " + "; ".join(broken))
    return Adjustments(**{**found, "crop": tuple(found.get("crop", WHOLE))})


def _is_crop(value: Any) -> bool:
    share = is_number(0, 1)
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(map(share, value))
        and value[2] - value[0] >= MIN_KEPT
        and value[3] - value[1] >= MIN_KEPT
    )


_RULES = {
    **{name: Rule(is_number(-1, 1), "a number from -1 to 1") for name in TONES},
    "sharpening": Rule(is_number(0, 1), "a number from 0 to 1"),
    "straighten": Rule(is_number(-MAX_ANGLE, MAX_ANGLE), f"degrees from -{MAX_ANGLE:g} to {MAX_ANGLE:g}"),
    "crop": Rule(_is_crop, f"[left, top, right, bottom], 0 to 1, at least {MIN_KEPT:g} of each side"),
}
