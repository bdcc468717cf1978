"""How many changed copies of photographs `nimakit data check` finds, and how many different ones it mistakes.

    python benchmarks/duplicates.py --image-dir photos > table.md

Needs the data extra. Each photograph is changed in every way of the table, one way at a time, and looked for
among all originals and all copies. The search is timed on fingerprints of random bits.
"""

import argparse
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from nimakit.images.duplicates import find_duplicates
from nimakit.images.files import find_images
from nimakit.images.fingerprints import FINGERPRINT, Fingerprints, fingerprint
from nimakit.images.photo import open_photo
from nimakit.io.threads import in_threads

Change = Callable[[Image.Image], Image.Image]

SEARCHED = 100_000


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-dir", type=Path, required=True, help="at least a few hundred photographs")
    paths = find_images(parser.parse_args().image_dir)
    originals = fingerprints(paths, lambda photo: photo)
    alike = find_duplicates(paths, originals)
    print(f"{len(paths)} photographs. Among the originals these are taken for the same:")
    for group in alike:
        print(f"- {', '.join(paths[place].name for place in group.members)} ({group.similarity:.2f})")
    print("\n| copy | found | more taken for the same |\n|---|---|---|")
    for name, change in CHANGES.items():
        both = np.concatenate([originals, fingerprints(paths, change)])
        groups = find_duplicates([*paths, *paths], both)
        pairs = {(first, second) for group in groups for first in group.members for second in group.members}
        found = sum((place, place + len(paths)) in pairs for place in range(len(paths)))
        wrong = sum(len({place % len(paths) for place in group.members}) - 1 for group in groups)
        wrong -= sum(len(group.members) - 1 for group in alike)
        print(f"| {name} | {found / len(paths):.1%} | {wrong} |", flush=True)
    print(f"\nSearching {SEARCHED} fingerprints took {search_seconds(SEARCHED):.1f} s of one core.")


def fingerprints(paths: Sequence[Path], change: Change) -> Fingerprints:
    """(N,) fingerprints of the photographs, each changed."""

    def one(path: Path) -> np.void:
        photo = open_photo(path)
        return fingerprint(change(photo.resize(photo.size, "nearest")))

    return np.array(list(in_threads(one, paths)), FINGERPRINT)


def search_seconds(count: int) -> float:
    """Processor time of a search among random fingerprints."""
    random = np.random.default_rng(0)
    table = np.zeros(count, FINGERPRINT)
    for name in ("hash", "mirror_hash", "edges"):
        table[name] = random.integers(0, 2**64, table[name].shape, dtype=np.uint64)
    table["contrast"] = 50
    started = time.process_time()
    find_duplicates([Path(str(number)) for number in range(count)], table)
    return time.process_time() - started


def encoded(photo: Image.Image, quality: int) -> Image.Image:
    """The photograph as a JPEG of that quality."""
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def scaled(photo: Image.Image, share: float) -> Image.Image:
    """The photograph at a share of its size."""
    return photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.BICUBIC)


def cropped(photo: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """The photograph without those shares of its sides."""
    width, height = photo.size
    box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
    return photo.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))


CHANGES: dict[str, Change] = {
    "half the size": lambda photo: scaled(photo, 0.5),
    "a fifth of the size": lambda photo: scaled(photo, 0.2),
    "squashed to 224x224": lambda photo: photo.resize((224, 224), Image.Resampling.BILINEAR),
    "JPEG of quality 40": lambda photo: encoded(photo, 40),
    "JPEG of quality 10": lambda photo: encoded(photo, 10),
    "grey": lambda photo: photo.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "mirrored, half the size, quality 40": lambda photo: encoded(scaled(ImageOps.mirror(photo), 0.5), 40),
    "30 % brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.3),
    "contrast raised by half": lambda photo: ImageEnhance.Contrast(photo).enhance(1.5),
    "a white frame of 2 %": lambda photo: ImageOps.expand(photo, round(0.02 * photo.width), "white"),
    "turned by 1 degree": lambda photo: photo.rotate(1, Image.Resampling.BICUBIC),
    "2 % cropped on each side": lambda photo: cropped(photo, 0.02, 0.02, 0.02, 0.02),
    "5 % cropped on each side": lambda photo: cropped(photo, 0.05, 0.05, 0.05, 0.05),
    "8 % cropped on each side": lambda photo: cropped(photo, 0.08, 0.08, 0.08, 0.08),
    "5 % cropped on two sides": lambda photo: cropped(photo, 0.05, 0.05, 0, 0),
    "10 % cropped on two sides": lambda photo: cropped(photo, 0.1, 0.1, 0, 0),
}

if __name__ == "__main__":
    main()
