"""How well the curve of the rating app's page Model holds: against fresh cross-validations, and other folds.

    python benchmarks/learning_curve.py --images DIR --ratings ratings.csv [--encoder NAME ...] > table.md

Ratings need the columns image_id, user_id and rating. Features are those that every command keeps. The first
row of each encoder has all ratings; the others a random part of them, as people would have given by then.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from nimakit.config import EncoderConfig, HeadConfig
from nimakit.features import FeatureTable, extract
from nimakit.heads.cross_validation import assign_folds, out_of_fold
from nimakit.heads.learning_curve import FOLDS, LearningCurve, labels_of, measure, without_levels
from nimakit.images.files import find_images
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, infer_bins, read_ratings
from nimakit.models.encoders import load_encoder
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import Float32Array, FloatArray, mean
from nimakit.web.model.figures import advice

OTHER_SEEDS = range(1, 6)
PARTS = (100, 300, 1000, 3000)


def main() -> None:
    """Measure curves, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, required=True)
    parser.add_argument("--encoder", nargs="+", default=["aesthetic", "efficientnet-lite2"])
    given = parser.parse_args()
    ratings = read_ratings(given.ratings, rows=BadRows(remedy="Correct them."))
    bins, _ = infer_bins(ratings)
    print(
        "| encoder | ratings | SRCC | 95 % interval | a fresh cross-validation | other folds inside | seconds"
        " of a core | advice |\n|---|---|---|---|---|---|---|---|"
    )
    for name in given.encoder:
        table = extract([load_encoder(name)], list(find_images(given.images)))
        order = np.random.default_rng(0).permutation(len(ratings))
        for count in (len(ratings), *PARTS):
            features, part = _rated(table, ratings.only(np.sort(order[:count])))
            print(f"| {name} | {_row(features, part, bins, unrated=len(table.ids) - len(features))} |")


def _rated(table: FeatureTable, ratings: Ratings) -> tuple[Float32Array, Ratings]:
    """Features of the rated pictures that have any, and their ratings."""
    rows = {name: row for row, name in enumerate(table.ids)}
    known = np.array([name in rows for name in ratings.image_ids])
    ratings = ratings.only(known[ratings.image])
    return table.blocks[0][0, [rows[name] for name in ratings.image_ids]], ratings


def _row(features: Float32Array, ratings: Ratings, bins: FloatArray, unrated: int) -> str:
    begin = time.process_time()
    curve = measure(features, ratings, bins)
    seconds = time.process_time() - begin
    others = [measure(features, ratings, bins, seed=seed).srcc.value for seed in OTHER_SEEDS]
    inside = sum(curve.srcc.low <= other <= curve.srcc.high for other in others)
    return (
        f"{len(ratings):,} | {curve.srcc.value:.3f} | {curve.srcc.low:.3f} to {curve.srcc.high:.3f} |"
        f" {_fresh(features, ratings, bins, curve):+.3f} | {inside} of {len(others)} | {seconds:.1f} |"
        f" {advice(curve, unrated) or '-'}"
    )


def _fresh(features: Float32Array, ratings: Ratings, bins: FloatArray, curve: LearningCurve) -> float:
    """Difference of the curve's end to a cross-validation by what `nimakit train` and `compare` use."""
    labels, counts = labels_of(without_levels(ratings, bins), bins)
    folds = assign_folds(len(features), FOLDS, 0)
    config = HeadConfig(head_only=True, encoders=(EncoderConfig(name="e"),))
    means = out_of_fold([features[None]], labels, bins, folds=folds, config=config, counts=counts).means
    truth = mean(labels_of(ratings, bins)[0], bins)
    return curve.srcc.value - (srcc(means, truth) or 0.0)


if __name__ == "__main__":
    main()
