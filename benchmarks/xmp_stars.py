"""Whether stars in XMP teach a taste as well as the ratings they were made from: the table of docs/xmp.md.

    python benchmarks/xmp_stars.py --ratings-file RATINGS --image-dir IMAGES [--model MODEL] [--people 30]

The people who rated most pictures, in random order. Two thirds of each one's pictures are learned from, the
others tested with. The ratings are rounded to 1 to 5 stars, which exiftool writes into copies of the JPEGs;
`nimakit data xmp` reads them back, and a taste is learned from its table as `nimakit personalise` does. Given
is SRCC with the person's own ratings, the mean over people, and its 95 % interval for differences.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError
from nimakit.features.scores import score_files
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, read_ratings
from nimakit.models.engine import Model
from nimakit.models.loading import load_model
from nimakit.personal.learning import of_user, personalise, rescaled, score_rated
from nimakit.progress import say
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import FloatArray

RATING_SCALE, STARS = (1.0, 7.0), (1.0, 5.0)
LEARNED_SHARE = 2 / 3


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ratings-file", required=True, type=Path)
    parser.add_argument("--image-dir", required=True, type=Path)
    parser.add_argument("--model", default="aesthetic")
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if shutil.which("exiftool") is None:
        sys.exit("This needs exiftool (Debian: libimage-exiftool-perl).")
    ratings = read_ratings(arguments.ratings_file, rows=BadRows(skip=False))
    model = load_model(arguments.model, notify=say)
    generator = np.random.default_rng(arguments.seed)
    counts = np.bincount(ratings.user)
    shuffled = generator.permutation(len(counts))
    people = shuffled[np.argsort(-counts[shuffled], kind="stable")][: arguments.people]
    found = []
    written = 0
    for person in people:
        own, _ = of_user(ratings, [], ratings.user_ids[person])
        order = generator.permutation(len(own))
        cut = round(LEARNED_SHARE * len(own))
        learned, tested = own.only(np.sort(order[:cut])), own.only(np.sort(order[cut:]))
        stars = _through_xmp(learned, arguments.image_dir)
        written += len(stars)
        sources = (None, rescaled(learned, RATING_SCALE, model.bins), rescaled(stars, STARS, model.bins))
        scores = [_srcc(model, tested, arguments.image_dir, source) for source in sources]
        say(f"{own.user_ids[0]}: {' '.join(f'{score:.3f}' for score in scores)}")
        found.append(scores)
    _show(np.array(found), written)


def _through_xmp(ratings: Ratings, image_dir: Path) -> Ratings:
    """Ratings as stars, written by exiftool and read by `nimakit data xmp`."""
    low, high = RATING_SCALE
    share = (ratings.rating - low) / (high - low)
    stars = np.floor(STARS[0] + share * (STARS[1] - STARS[0]) + 0.5).astype(int)
    given = dict(zip((ratings.image_ids[image] for image in ratings.image), stars, strict=True))
    with tempfile.TemporaryDirectory() as temporary:
        folder, table = Path(temporary, "library"), Path(temporary, "stars.csv")
        folder.mkdir()
        for name in given:
            shutil.copyfile(image_dir / f"{name}.jpg", folder / f"{name}.jpg")
        _write_stars(given, folder)
        command = [sys.executable, "-m", "nimakit", "data", "xmp", str(folder), "--output", str(table)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        read = read_ratings(table, rows=BadRows(skip=False))
    if dict(zip(read.image_ids, read.rating, strict=True)) != given:
        sys.exit("The stars that were read are not those that were written.")
    return read


def _write_stars(stars: Mapping[str, int], folder: Path) -> None:
    table = folder.parent / "exiftool.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["SourceFile", "XMP-xmp:Rating"])
        writer.writerows((str(folder / f"{name}.jpg"), value) for name, value in stars.items())
    subprocess.run(["exiftool", "-q", "-q", "-overwrite_original", f"-csv={table}", str(folder)], check=True)


def _srcc(model: Model, tested: Ratings, image_dir: Path, learned: Ratings | None) -> float:
    """SRCC with a person's ratings of pictures that were not learned from."""
    if learned is not None:
        model = model.for_user(personalise(model, score_rated(model, learned, image_dir)))
    paths = [image_dir / f"{tested.image_ids[image]}.jpg" for image in tested.image]
    means = [score.mean for score in score_files(model, paths) if not isinstance(score, ImageError)]
    return srcc(np.array(means), tested.rating) or 0.0


def _show(found: FloatArray, written: int) -> None:
    """Print the table.

    Args:
        found: (people, 3), SRCC of the generic model, of raw ratings, of stars.
        written: Files that exiftool wrote.
    """
    print(f"{len(found)} people, {written} files with stars\n")
    print("| learned from | SRCC | gain over the generic score | difference from the ratings |")
    print("|---|---|---|---|")
    for name, values in zip(("nothing", "the ratings, 1 to 7", "stars in XMP, 1 to 5"), found.T, strict=True):
        gains = (_interval(values - found[:, 0]), _interval(values - found[:, 1]))
        print(f"| {name} | {values.mean():.3f} | {gains[0]} | {gains[1]} |")


def _interval(values: FloatArray | Sequence[float]) -> str:
    """The mean with the half width of its 95 % interval."""
    array = np.asarray(values)
    return f"{array.mean():+.3f} ± {1.96 * array.std(ddof=1) / len(array) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
