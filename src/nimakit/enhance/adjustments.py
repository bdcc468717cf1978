"""Adjustments of a whole picture (exposure, contrast, crop, ...), and the sidecar files that store them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nimakit.errors import ConfigError
from nimakit.io.atomic import atomic_bytes
from nimakit.io.rules import Rule, broken_rules, is_number, read_json

FORMAT_VERSION = 1
MAX_ANGLE = 4.0
"""Maximum degrees by which a picture is straightened."""

MIN_KEPT = 0.5
"""Minimum share of each side that a crop keeps."""

Crop = tuple[float, float, float, float]
WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjustments:
    """An edit of a whole picture; the defaults change nothing.

    Attributes:
        exposure: In stops, -1 to 1; white stays white.
        contrast: -1 to 1: steepness of the middle of the tone curve; 1 is 40 % steeper.
        highlights: -1 to 1: darker to brighter; 1 adds a tenth of the range at three quarters of it.
        shadows: -1 to 1: the same at one quarter.
        temperature: -1 (blue) to 1 (amber); 1 is a quarter of a stop more red and as much less blue.
        tint: -1 (green) to 1 (magenta); 1 is a tenth of a stop less green.
        saturation: -1 to 1; 1 is 30 % more of every colour.
        vibrance: -1 to 1; 1 is up to 50 % more, most for pale colours.
        sharpening: 0 to 1: share of an unsharp mask that is added.
        straighten: Degrees clockwise, at most `MAX_ANGLE` either way.
        crop: (left, top, right, bottom) of the part of the straightened picture to keep, as shares of its
            sides.
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
"""Adjustments of light and colour, which are differentiable; the others change the frame."""


def write_sidecar(path: Path, adjustments: Adjustments, about: Mapping[str, Any]) -> None:
    """Write the edit of a picture to a file, from which it can be applied to other pictures.

    Args:
        path: .json.
        adjustments: The edit.
        about: Further information, such as networks and scores; never read again.

    Raises:
        OutputError: It could not be written.
    """
    values = {"format_version": FORMAT_VERSION, "adjustments": adjustments.to_dict(), "about": about}
    atomic_bytes(f"{json.dumps(values, indent=2)}\n".encode(), path)


def read_sidecar(path: Path) -> Adjustments:
    """Read the edit in a sidecar; missing fields change nothing.

    Raises:
        ConfigError: Not a sidecar, or values out of bounds; the message lists all of them.
    """
    values = read_json(path, ConfigError, "A sidecar")
    if not isinstance(values, dict) or not isinstance(values.get("adjustments"), dict):
        raise ConfigError(f'A sidecar must be a JSON object with "adjustments". Received: {path}')
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
