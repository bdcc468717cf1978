"""What a diverse best 40 costs in score, and how many subjects and scenes it shows.

    python benchmarks/diversity.py --image-dir photos --labels labels.json > table.md

Photographs with mean ratings are chosen by people's ratings in place of a model's score, so that the score is
right; their subject is the file name without its number, as in OASIS ("Dog 3"). A shoot of few scenes is
made of 12 of them, as crops of stated shares with other exposures, and is chosen from by random scores.
"""

import argparse
import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from nimakit.culling.frames import LIKENESS_ENCODER
from nimakit.culling.selection import diverse
from nimakit.features import extract
from nimakit.images.files import find_images, image_id
from nimakit.labels.label_file import read_labels
from nimakit.models.encoders import load_encoder
from nimakit.stats.histogram import Float32Array, FloatArray, default_bins, mean

KEPT = 40
DIVERSITIES = (0.0, 0.5, 1.0, 2.0)
SCENES = (100, 60, 40, 30, 30, 20, 20, 15, 15, 10, 10, 10)
"""Photographs of each scene."""
BEST_SCENE = 1
"""Scores of this one are higher, by one standard deviation."""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-dir", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="label file of the photographs")
    parser.add_argument("--encoder", default=LIKENESS_ENCODER)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.encoder)
    labels = read_labels(arguments.labels)
    if labels.histograms is None:
        raise SystemExit(f"{arguments.labels} has no labels.")
    means = mean(labels.histograms, default_bins(labels.histograms.shape[1]))
    rating_of = dict(zip(labels.image_ids, means, strict=True))
    paths = [path for path in find_images(arguments.image_dir) if image_id(path) in rating_of]
    features = extract([encoder], paths).blocks[0][0]
    ratings = np.array([rating_of[image_id(path)] for path in paths])
    subjects = [re.sub(r"\s*\d+$", "", image_id(path)) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        crops = make_scenes(paths, Path(folder))
        crop_features = extract([encoder], crops).blocks[0][0]
    scenes = np.repeat(np.arange(len(SCENES)), SCENES)
    scores = np.random.default_rng(0).normal(size=len(scenes)) + (scenes == BEST_SCENE)
    print("| diversity | mean rating | subjects | scenes | most of one scene |\n|---|---|---|---|---|")
    for diversity in DIVERSITIES:
        rating, names = chosen(ratings, features, subjects, diversity)
        _, found = chosen(scores, crop_features, [str(scene) for scene in scenes], diversity)
        print(f"| {diversity:g} | {rating:.2f} | {len(names)} | {len(found)} | {max(found.values())} |")


def chosen(
    scores: FloatArray, features: Float32Array, names: list[str], diversity: float
) -> tuple[float, Counter[str]]:
    """Mean score of the best `KEPT`, and how often each name occurs among them."""
    rows, _ = diverse(scores, features, KEPT, diversity=diversity)
    return float(scores[rows].mean()), Counter(names[row] for row in rows)


def make_scenes(paths: list[Path], folder: Path) -> list[Path]:
    """Crops of 55 to 95 % of the sides of random photographs, exposed within a fifth."""
    random = np.random.default_rng(0)
    made = []
    for scene, (place, count) in enumerate(
        zip(random.choice(len(paths), len(SCENES), replace=False), SCENES, strict=True)
    ):
        with Image.open(paths[place]) as opened:
            photo = opened.convert("RGB")
        for number in range(count):
            share = random.uniform(0.55, 0.95)
            width, height = round(photo.width * share), round(photo.height * share)
            left = int(random.integers(photo.width - width + 1))
            top = int(random.integers(photo.height - height + 1))
            crop = photo.crop((left, top, left + width, top + height))
            path = folder / f"{scene:02}_{number:03}.jpg"
            ImageEnhance.Brightness(crop).enhance(random.uniform(0.8, 1.2)).save(path, quality=92)
            made.append(path)
    return made


if __name__ == "__main__":
    main()
