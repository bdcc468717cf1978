"""`nimakit data xmp`: read the stars, labels and picks of a photo library."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import print_json, refuse_inputs, report_list
from nimakit.commands.parameters import FOLDER, Finite, OutputFile
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nimakit.culling.journal import Failure
    from nimakit.culling.library import Conflict, Library
    from nimakit.culling.marks import Mark


class StarsFor(click.ParamType[tuple[str, float]]):
    """A rating for a flag or a label: ``reject=1``."""

    name = "NAME=RATING"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """Convert to the name and the rating."""
        if isinstance(value, tuple):
            return value
        name, _, rating = value.rpartition("=")
        try:
            number = float(rating)
        except ValueError:
            number = -1.0
        if not name or not 0 <= number <= 5:
            self.fail(f"it must be such as reject=1 or Green=4, from 0 to 5. Received: {value}", param, ctx)
        return name, number


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--output", type=OutputFile(".csv"), help="The table of ratings to write: .csv.")
@click.option(
    "--pairs",
    "pairs_file",
    type=OutputFile(".csv"),
    help="The table of comparisons to write: .csv. A pick beats the rejects of its group.",
)
@click.option("--user-id", default="me", help="The name of the person in the tables.")
@click.option(
    "--stars-for",
    type=StarsFor(),
    multiple=True,
    help="The rating of pictures without stars that are a pick or a reject, or have a label: pick=5,"
    " reject=1, Green=4; can be repeated.",
)
@click.option(
    "--gap",
    type=Finite(0, min_open=True),
    default=60.0,
    help="For --pairs: the longest pause between two photographs of a group, in seconds.",
)
@click.option(
    "--model",
    metavar="NAME|FOLDER|FILE",
    help="For --pairs: group photographs by likeness with this model, as nimakit cull does, instead of by"
    " --gap.",
)
def xmp(
    *,
    folder: Path,
    output: Path | None,
    pairs_file: Path | None,
    user_id: str,
    stars_for: tuple[tuple[str, float], ...],
    gap: float,
    model: str | None,
) -> int:
    """Read the stars, labels and picks of the library in FOLDER and all folders below it.

    They come from XMP as Lightroom, Capture One, darktable, digiKam, Bridge, Photo Mechanic and Windows write
    it: from sidecars (IMG.CR2.xmp counts before IMG.JPG.xmp, this before IMG.xmp), then from the image files
    themselves. Marks that nimakit wrote are left out. Nothing in FOLDER is changed.

    Give --output to nimakit personalise --ratings (with --scale 1 5) or nimakit data ratings, and --pairs to
    nimakit personalise --comparisons or nimakit data pairs.

    Exit code: 0 all read, 2 some could not be read.

    \b
    Example:
      nimakit data xmp ~/Pictures --output ratings.csv
      nimakit data xmp ~/Pictures --output ratings.csv --pairs pairs.csv --stars-for reject=1
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.culling.library import read_library
    from nimakit.culling.verdicts import comparisons, shared_names, stars_of, write_pairs
    from nimakit.images.files import find_images, image_id
    from nimakit.labels.ratings import Ratings, write_ratings

    outputs = [path for path in (output, pairs_file) if path]
    if not outputs:
        raise UsageError("There must be a table to write: --output, --pairs, or both. Received: neither")
    paths = find_images(folder, recursive=True)
    refuse_inputs(outputs, paths)
    library = read_library(paths)
    names = shared_names(paths)
    marks = [mark for mark in library.marks if image_id(mark.path) not in names]
    left_out = [str(mark.path) for mark in library.marks if image_id(mark.path) in names]
    rated = {mark.path: stars for mark in marks if (stars := stars_of(mark, dict(stars_for))) is not None}
    failures = list(library.failures)
    files: dict[str, int] = {}
    if output:
        rows = ((image_id(path), user_id, stars, float("nan")) for path, stars in rated.items())
        write_ratings(output, Ratings.of(rows))
        files[str(output)] = len(rated)
    if pairs_file:
        judged = [mark for mark in marks if mark.pick or mark.is_reject]
        groups, failed = _groups(judged, gap, model)
        failures += failed
        files[str(pairs_file)] = write_pairs(pairs_file, comparisons(groups), user_id)
    left = {"unreadable": len(failures), "same_name": len(left_out)}
    print_json({"pictures": len(paths), **_summary(library), **left, "files": files})
    report_list("marked pictures that share their name with another one, left out", left_out)
    report_list("pictures whose files disagree; the first file counts", [*map(_conflict, library.conflicts)])
    report_list("sidecars without a picture", [str(path) for path in library.orphans])
    report_list("marks that cannot be read", [f"{path}: {reason}" for path, reason in failures])
    if output and not rated:
        say("no picture has stars; --stars-for gives a rating to picks, rejects and labels")
    return ImageError.exit_code if failures else 0


def _groups(
    marks: "list[Mark]", gap: float, model: str | None
) -> "tuple[Iterable[Sequence[Mark]], list[Failure]]":
    """Groups of marks, and pictures that cannot be read for it."""
    from nimakit.culling.verdicts import culled_groups, time_groups
    from nimakit.models.loading import load_model

    if model is None:
        return time_groups(marks, gap), []
    return culled_groups(marks, load_model(model, notify=say))


def _summary(library: "Library") -> dict[str, Any]:
    """Counts of what the library says."""
    stars = Counter(mark.rating for mark in library.marks if mark.rating is not None)
    labels = Counter(mark.label for mark in library.marks if mark.label)
    return {
        "stars": {str(rating): stars[rating] for rating in sorted(stars)},
        "labels": dict(labels.most_common()),
        "picks": sum(mark.pick is True for mark in library.marks),
        "rejects": sum(mark.is_reject for mark in library.marks),
        "unmarked": library.unmarked,
        "marked_by_nimakit": library.own,
        "conflicts": len(library.conflicts),
        "without_picture": len(library.orphans),
    }


def _conflict(conflict: "Conflict") -> str:
    picture, field, counts, other = conflict
    return f"{picture}: {field} in {counts.name} and in {other.name}"
