"""How well bursts are found among other photographs, and how often the best frame of a burst is recognised.

    python benchmarks/bursts.py --image-dir photos --ratings ratings.csv > table.md

Bursts are made from photographs: every frame is tilted and cropped slightly differently, the clean one too,
and all others are damaged, each in one way of `DAMAGES`. One half of the photographs, by their names, was
used to choose weights and thresholds; bursts, and pairs rated by people, are of the other half.
"""

import argparse
import csv
import math
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from PIL.ExifTags import IFD, Base

from nimakit.culling.frames import Frame, read_frames
from nimakit.culling.groups import Group, group_frames
from nimakit.culling.ranking import DEFAULT_WEIGHTS, Weights, fit_weights, qualities, rank_group
from nimakit.images.exif import Shot
from nimakit.images.files import find_images
from nimakit.images.photo import open_photo
from nimakit.io.threads import in_threads
from nimakit.models.loading import load_model
from nimakit.stats.pairwise import Pairs

MOST_TILT = 1.5
"""Degrees."""
MOST_OFFSET = 0.03
"""Shares of the sides."""

Damage = Callable[[Image.Image, np.random.Generator], Image.Image]


def is_held_out(path: Path) -> bool:
    """Whether a photograph is among those that figures are reported for."""
    return zlib.crc32(path.name.encode()) % 2 == 1


def shaken(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """The photograph as a hand-held camera sees it again: tilted by a degree or so, and cropped elsewhere."""
    width, height = photo.size
    margin = 2 * MOST_OFFSET
    turned = photo.rotate(random.uniform(-MOST_TILT, MOST_TILT), Image.Resampling.BICUBIC)
    left, top = (margin + random.uniform(-MOST_OFFSET, MOST_OFFSET, 2)) * (width, height)
    box = (left, top, left + (1 - 2 * margin) * width, top + (1 - 2 * margin) * height)
    return turned.resize((round(width * 0.9), round(height * 0.9)), Image.Resampling.BICUBIC, box)


def motion(pixels: float) -> Damage:
    """Blur along a line of a length, in 500ths of the longer side, in any direction."""

    def blur(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        angle, length = random.uniform(0, np.pi), pixels * max(photo.size) / 500
        steps = np.linspace(-length / 2, length / 2, max(3, round(2 * length)))
        margin = math.ceil(length / 2) + 1
        padded = Image.fromarray(
            np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), "edge")
        )
        total = np.zeros((photo.height, photo.width, 3), np.float32)
        for step in steps:
            shift = (1, 0, margin + step * np.cos(angle), 0, 1, margin + step * np.sin(angle))
            moved = padded.transform(photo.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
            total += np.asarray(moved, np.float32)
        return Image.fromarray(np.uint8(total / len(steps) + 0.5))

    return blur


def defocus(sigma: float) -> Damage:
    """Blur with a Gaussian, in 500ths of the longer side."""
    return lambda photo, _: photo.filter(ImageFilter.GaussianBlur(sigma * max(photo.size) / 500))


def noise(sd: float) -> Damage:
    """Independent noise in each channel, in grey levels."""

    def add(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        pixels = np.asarray(photo, np.float32)
        return Image.fromarray(np.uint8((pixels + random.normal(0, sd, pixels.shape)).clip(0, 255)))

    return add


def exposure(stops: float) -> Damage:
    """Less light."""
    return lambda photo, _: _lit(photo, 2**stops, 0.0)


def highlights(share: float) -> Damage:
    """More light, so that a channel of that share of the other pixels is clipped to white too."""

    def expose(photo: Image.Image, _: np.random.Generator) -> Image.Image:
        brightest = np.asarray(photo).max(axis=2)
        brightest = brightest[brightest < 254]
        white = np.quantile(brightest, 1 - share) if brightest.size else 255
        return _lit(photo, (255 / max(white, 1)) ** _GAMMA, 0.0)

    return expose


def shadows(share: float) -> Damage:
    """A higher black point, so that that share of the other pixels is clipped to black too."""

    def expose(photo: Image.Image, _: np.random.Generator) -> Image.Image:
        brightest = np.asarray(photo).max(axis=2)
        brightest = brightest[brightest > 4]
        black = np.quantile(brightest, share) if brightest.size else 0
        return _lit(photo, 1.0, min(float(black) / 255, 0.9) ** _GAMMA)

    return expose


_GAMMA = 2.2


def _lit(photo: Image.Image, gain: float, black: float) -> Image.Image:
    light = ((np.asarray(photo, np.float32) / 255) ** _GAMMA * gain - black) / (1 - black)
    return Image.fromarray(np.uint8(255 * light.clip(0, 1) ** (1 / _GAMMA) + 0.5))


DAMAGES: dict[str, tuple[Damage, Damage]] = {
    "motion blur, 4 or 8 px": (motion(4), motion(8)),
    "defocus, sigma 1 or 2 px": (defocus(1), defocus(2)),
    "noise, sd 8 or 16": (noise(8), noise(16)),
    "highlights, 10 or 25 % clipped": (highlights(0.1), highlights(0.25)),
    "shadows, 10 or 25 % clipped": (shadows(0.1), shadows(0.25)),
    "exposure, -1.5 or -2.5 stops": (exposure(-1.5), exposure(-2.5)),
}
"""Damage, at one of two strengths. Pixels are 500ths of the longer side."""
CLEAN = "clean"


def make_burst(
    path: Path, folder: Path, *, random: np.random.Generator, started: float | None
) -> dict[Path, str]:
    """Write the frames of a burst in random order.

    Args:
        path: The photograph.
        folder: Where to write them.
        random: Decides the rest.
        started: Seconds after an arbitrary time at which it was taken; None for frames without EXIF.

    Returns:
        File -> its damage, or `CLEAN`.
    """
    photo = open_photo(path)
    whole = photo.resize(photo.size, "nearest")
    made: dict[Path, str] = {}
    for number, name in enumerate(random.permutation([CLEAN, *DAMAGES]).tolist()):
        frame = shaken(whole, random)
        frame = DAMAGES[name][random.integers(2)](frame, random) if name in DAMAGES else frame
        file = folder / f"{random.integers(1 << 62):016x}.jpg"
        frame.save(file, quality=92, exif=exif_at(None if started is None else started + 0.3 * number))
        made[file] = name
    return made


def exif_at(seconds: float | None) -> Image.Exif:
    """What a camera records at a time; nothing for None."""
    exif = Image.Exif()
    if seconds is not None:
        whole, hundredths = divmod(round(100 * seconds), 100)
        hours, minutes = divmod(whole // 60, 60)
        exif[Base.Make], exif[Base.Model] = "Made", "M1"
        clock = f"{hours % 24:02}:{minutes:02}:{whole % 60:02}"
        exif[IFD.Exif] = {
            Base.DateTimeOriginal: f"2026:05:{1 + hours // 24:02} {clock}",
            Base.SubsecTimeOriginal: f"{hundredths:02}",
        }
    return exif


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-dir", type=Path, required=True, help="some 600 photographs")
    parser.add_argument("--ratings", type=Path, required=True, help="a table: image_id, rating")
    given = parser.parse_args()
    paths = find_images(given.image_dir)
    held_out = [path for path in paths if is_held_out(path)]
    read = partial(read_frames, model=load_model())
    photographs = read(paths).frames
    with tempfile.TemporaryDirectory(prefix="nimakit-benchmark-") as name:
        source_of = {Path(name) / str(n): held_out[n % len(held_out)] for n in range(BURSTS)}
        damage_of: dict[Path, str] = {}
        for made in in_threads(_burst, list(enumerate(source_of.items()))):
            damage_of |= made
        frames = read(sorted(damage_of)).frames
        report_best(frames, damage_of)
        report_groups(photographs, frames, source_of)
    report_people(photographs, mean_ratings(given.ratings))


def _burst(task: tuple[int, tuple[Path, Path]]) -> dict[Path, str]:
    number, (folder, path) = task
    folder.mkdir()
    return make_burst(path, folder, random=np.random.default_rng(number), started=_PAUSE * number)


_PAUSE = 20.0
"""Seconds from the start of one burst to that of the next."""
BURSTS = 300


def report_best(frames: Sequence[Frame], damage_of: Mapping[Path, str]) -> None:
    """How often the clean frame of a burst comes first."""
    bursts: dict[Path, list[int]] = {}
    for place, frame in enumerate(frames):
        bursts.setdefault(frame.path.parent, []).append(place)
    print(f"\n{len(bursts)} bursts of {len(DAMAGES) + 1} frames. Share with the clean frame first:\n")
    print("| damaged frames | all that is compared | score only |\n|---|---|---|")
    for name in (*DAMAGES, "all of these"):
        shares = []
        for weights in (DEFAULT_WEIGHTS, SCORE_ONLY):
            firsts = []
            for places in bursts.values():
                chosen = [
                    n for n in places if damage_of[frames[n].path] in (CLEAN, name) or name not in DAMAGES
                ]
                group = Group(kind="burst", frames=tuple(chosen), scene=0)
                best = rank_group(group, frames, weights)[0].frame
                firsts.append(damage_of[frames[best].path] == CLEAN)
            shares.append(f"{np.mean(firsts):.1%}")
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


SCORE_ONLY = Weights(sharpness=0, noise=0, highlights=0, shadows=0, headroom=0, score=1, taste=0)


def report_groups(
    photographs: Sequence[Frame], frames: Sequence[Frame], source_of: Mapping[Path, Path]
) -> None:
    """How well bursts are found among all photographs; the one that a burst was made from belongs to it.

    Args:
        photographs: All photographs.
        frames: The frames of all bursts.
        source_of: Folder of a burst -> the photograph that it was made from.
    """
    shoot = [*photographs, *frames]
    shoot = [shoot[place] for place in np.random.default_rng(0).permutation(len(shoot))]
    sets: dict[Path, list[int]] = {}
    for place, frame in enumerate(shoot):
        sets.setdefault(source_of.get(frame.path.parent, frame.path), []).append(place)
    wanted = pairs_of(list(sets.values()))
    print(
        f"\n{len(frames)} frames of {len(source_of)} bursts among {len(photographs)} photographs, shuffled:\n"
    )
    print("| | precision of pairs | recall of pairs | wrong series | seconds |\n|---|---|---|---|---|")
    for name, chosen in (
        ("with EXIF", shoot),
        ("without EXIF", [replace(frame, shot=Shot()) for frame in shoot]),
    ):
        started = time.monotonic()
        groups = group_frames(chosen).groups
        seconds = time.monotonic() - started
        found = pairs_of([group.frames for group in groups])
        both = len(found & wanted)
        series = sum(group.is_whole for group in groups)
        print(f"| {name} | {both / len(found):.3f} | {both / len(wanted):.3f} | {series} | {seconds:.0f} |")


def pairs_of(groups: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    """All pairs of members of one group, the lower index first."""
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


def mean_ratings(file: Path) -> dict[str, float]:
    """The mean rating of each image_id."""
    ratings: dict[str, list[float]] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            ratings.setdefault(row["image_id"], []).append(float(row["rating"]))
    return {name: statistics.fmean(values) for name, values in ratings.items()}


def report_people(photographs: Sequence[Frame], ratings: Mapping[str, float]) -> None:
    """Agreement with people about pairs of different photographs whose mean ratings differ clearly."""
    rated = [frame for frame in photographs if frame.image_id in ratings]
    pairs = {
        held: [
            (first, second) if ratings[first.image_id] > ratings[second.image_id] else (second, first)
            for first, second in combinations([f for f in rated if is_held_out(f.path) == held], 2)
            if abs(ratings[first.image_id] - ratings[second.image_id]) >= CLEARLY
        ]
        for held in (False, True)
    }
    frames = [frame for pair in pairs[False] for frame in pair]
    first, once = np.arange(0, len(frames), 2), np.ones(len(pairs[False]))
    fitted = fit_weights(frames, Pairs(first, first + 1, once, once, len(frames)))
    print(f"\n{len(pairs[True])} pairs of photographs whose mean ratings differ by {CLEARLY} of 7 or more:\n")
    print("| compared by | agreement with people |\n|---|---|")
    for name, weights in (
        ("score only", SCORE_ONLY),
        ("default weights", DEFAULT_WEIGHTS),
        (f"weights fitted to {len(pairs[False])} pairs of other photographs", fitted),
    ):
        better, worse = (qualities(side) for side in zip(*pairs[True], strict=True))
        print(f"| {name} | {((better - worse) @ weights.to_array() > 0).mean():.1%} |")


CLEARLY = 1.0

if __name__ == "__main__":
    main()
