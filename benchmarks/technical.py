"""How often technical measures tell a damaged photograph from an intact one, next to cleanvision and BRISQUE.

    python -m venv others
    others/bin/pip install . cleanvision==0.3.7 'brisque[opencv-python-headless]==0.2.0'
    others/bin/python benchmarks/technical.py --image-dir oasis/images --count 60 > tables.md

Each photograph is damaged in six ways, at five strengths each. All copies, also the intact one, are then
saved as JPEGs of quality 90, as a camera would; recompressed ones are compared with the photograph as it was.
A figure is the area under the ROC curve: how often the damaged photograph of a pair has the worse value, over
all pairs of an intact photograph and a damaged one, which nearly always show different things. 0.5 is chance.
The last column only compares each photograph with its own copies.

The constants of nimakit.images.measures were chosen on every second photograph of OASIS, by name. This script
uses the others.
"""

import argparse
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from nimakit.images.files import find_images
from nimakit.images.measures import measure
from nimakit.images.photo import open_photo
from nimakit.io.threads import cores

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
DAMAGED_SAMPLES = {"landscape_underexposed", "otter_blurred", "coffee_cutout"}
LONGER_SIDE = 800
"""Larger photographs are scaled down, because BRISQUE would take seconds for each copy."""
QUALITY = 90

Values = dict[str, float]
"""Name of a measure -> how bad a picture is by it."""
Picture = Image.Image
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A kind of damage.

    Attributes:
        strengths: Five, ascending in damage, and their unit.
        apply: Damages a picture.
        ours: The measure that tells it, and the sign that makes it rise with the damage.
        is_encoded: Whether damaging includes saving.
    """

    strengths: tuple[float, ...]
    unit: str
    apply: Callable[[Picture, float], Picture]
    ours: tuple[str, int]
    is_encoded: bool = False


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--image-dir", type=Path, required=True, help="undamaged photographs")
    parser.add_argument("--count", type=int, default=200, help="photographs to use (default: %(default)s)")
    options = parser.parse_args()
    held_out = find_images(options.image_dir)[1::2]
    chosen = np.random.default_rng(0).permutation(len(held_out))[: options.count]
    samples = [path for path in find_images(SAMPLES) if path.stem not in DAMAGED_SAMPLES]
    for paths in ([held_out[index] for index in chosen], samples):
        with ProcessPoolExecutor(cores()) as pool:
            rows = list(pool.map(judge_copies, paths))
        print(f"\n{len(paths)} photographs from {paths[0].parent.name}:\n")
        print_table(rows)


def print_table(rows: Sequence[Mapping[tuple[str, float], Values]]) -> None:
    """Print the figures of all damages."""
    print("| damage | measure | five strengths | | | | | mean | same photograph |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, damage in DAMAGES.items():
        strengths = ", ".join(f"{strength:g}" for strength in damage.strengths)
        print(f"| **{name}** ({strengths} {damage.unit}) | | | | | | | | |")
        intact = "as it was" if damage.is_encoded else "intact"
        figures = {}
        for by in rows[0][intact, 0]:
            clean = column(rows, (intact, 0), by)
            copies = [column(rows, (name, strength), by) for strength in damage.strengths]
            paired = float(np.mean([larger(copy, clean).mean() for copy in copies]))
            figures[by] = [float(larger(copy[:, None], clean).mean()) for copy in copies], paired
        measure_name, sign = damage.ours
        others = [by for by in figures if by.startswith("cleanvision")]
        best = max(others, key=lambda by: np.mean(figures[by][0]))
        for by in (f"{'-' if sign < 0 else ''}{measure_name}", best, "BRISQUE"):
            areas, paired = figures[by]
            cells = " | ".join(f"{area:.3f}" for area in [*areas, float(np.mean(areas)), paired])
            print(f"| | {by.removeprefix('-')} | {cells} |", flush=True)


def column(
    rows: Sequence[Mapping[tuple[str, float], Values]], copy: tuple[str, float], by: str
) -> FloatArray:
    """(photographs,) values of one copy of each."""
    return np.array([row[copy][by] for row in rows])


def larger(first: FloatArray, second: FloatArray) -> FloatArray:
    """1 where the first is larger, 0.5 where both are equal."""
    return np.asarray((first > second) + 0.5 * (first == second))


def judge_copies(path: Path) -> dict[tuple[str, float], Values]:
    """All measures of all copies of a photograph: (damage, strength) -> values."""
    photo = open_photo(path)
    scale = min(1.0, LONGER_SIDE / max(photo.size))
    picture = photo.resize((round(photo.size[0] * scale), round(photo.size[1] * scale)), "lanczos")
    copies = {("as it was", 0.0): picture, ("intact", 0.0): saved(picture, QUALITY)}
    for name, damage in DAMAGES.items():
        for strength in damage.strengths:
            copy = damage.apply(picture, strength)
            copies[name, strength] = copy if damage.is_encoded else saved(copy, QUALITY)
    others = cleanvision_scores([*copies.values()])
    return {
        key: measures_of(copy) | other | {"BRISQUE": float(brisque().score(np.asarray(copy)))}
        for (key, copy), other in zip(copies.items(), others, strict=True)
    }


def measures_of(picture: Picture) -> Values:
    """Our measures, each with both signs."""
    values = {name: float(value or 0.0) for name, value in measure(picture).to_dict().items()}
    return values | {f"-{name}": -value for name, value in values.items()}


def cleanvision_scores(pictures: Sequence[Picture]) -> list[Values]:
    """The issue scores of cleanvision with its own parameters, negated: 0 is bad, 1 is good."""
    import pandas  # type: ignore[import-untyped]
    from cleanvision.issue_managers import (  # type: ignore[import-not-found]
        image_property as properties,
    )

    dark, light = properties.BrightnessProperty("dark"), properties.BrightnessProperty("light")
    entropy, blurriness = properties.EntropyProperty(), properties.BlurrinessProperty()
    checks: dict[str, tuple[Any, dict[str, float]]] = {
        "dark": (dark, {}),
        "light": (light, {}),
        "low_information": (entropy, {"normalizing_factor": 0.1}),
        "blurry": (blurriness, {"normalizing_factor": 0.01, "color_threshold": 0.18}),
    }
    raw = pandas.DataFrame(
        [dark.calculate(p) | entropy.calculate(p) | blurriness.calculate(p) for p in pictures]
    )
    scores = {
        f"cleanvision {name}": -check.get_scores(raw.copy(), name, **parameters).iloc[:, 0]
        for name, (check, parameters) in checks.items()
    }
    return [{name: float(column[row]) for name, column in scores.items()} for row in range(len(pictures))]


@cache
def brisque() -> Any:
    """BRISQUE with the trained model of its package."""
    import cv2  # type: ignore[import-not-found]
    from brisque import brisque as module  # type: ignore[import-not-found]

    class Brisque(module.BRISQUE):  # type: ignore[misc]
        """BRISQUE for NumPy 2.4, which no longer takes arrays of one element for numbers."""

        def scale_features(self, features: Any) -> Any:
            return super().scale_features([np.asarray(feature).item() for feature in features])

    def convolve2d(image: Any, kernel: Any, mode: str) -> Any:
        """The convolution that SciPy would compute, in a tenth of the time; the kernel is symmetric."""
        del mode
        return cv2.filter2D(np.ascontiguousarray(image), -1, kernel, borderType=cv2.BORDER_CONSTANT)

    cv2.setNumThreads(1)
    module.signal = SimpleNamespace(convolve2d=convolve2d)
    return Brisque(url=False)


def saved(picture: Picture, quality: float) -> Picture:
    """The picture after it was a JPEG of that quality."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(quality))
    return Image.open(stream).convert("RGB")


def blurred(picture: Picture, deviation: float) -> Picture:
    """The picture with Gaussian blur of a standard deviation in pixels."""
    return picture.filter(ImageFilter.GaussianBlur(deviation))


def noisy(picture: Picture, deviation: float) -> Picture:
    """The picture with Gaussian noise in each channel, in grey levels."""
    pixels = np.asarray(picture, np.float64)
    noise = np.random.default_rng(round(1000 * deviation)).normal(0, deviation, pixels.shape)
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))


def exposed(picture: Picture, stops: float) -> Picture:
    """The picture with its light multiplied, and clipped as by a sensor (sRGB, IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4) * 2.0**stops
    light = light.clip(0, 1)
    table = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    return picture.point(3 * table.round().astype(int).tolist())


def flattened(picture: Picture, factor: float) -> Picture:
    """The picture with the distances of its levels from their mean multiplied."""
    pixels = np.asarray(picture, np.float64)
    middle = pixels.mean()
    return Image.fromarray((middle + factor * (pixels - middle)).round().clip(0, 255).astype(np.uint8))


DAMAGES: dict[str, Damage] = {
    "blurred": Damage(strengths=(0.7, 1, 1.5, 2.5, 4), unit="pixels", apply=blurred, ours=("sharpness", -1)),
    "noisy": Damage(strengths=(4, 7, 12, 18, 25), unit="grey levels", apply=noisy, ours=("noise", 1)),
    "underexposed": Damage(
        strengths=(0.5, 1, 1.5, 2, 3),
        unit="stops",
        apply=lambda picture, stops: exposed(picture, -stops),
        ours=("headroom", 1),
    ),
    "overexposed": Damage(strengths=(0.5, 1, 1.5, 2, 3), unit="stops", apply=exposed, ours=("highlights", 1)),
    "recompressed": Damage(
        strengths=(60, 45, 30, 20, 10), unit="quality", apply=saved, ours=("blockiness", 1), is_encoded=True
    ),
    "flattened": Damage(
        strengths=(0.8, 0.65, 0.5, 0.35, 0.2), unit="of the contrast", apply=flattened, ours=("contrast", -1)
    ),
}

if __name__ == "__main__":
    main()
