"""Options for the ratings that a taste is learned from, and how they are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.parameters import FILE, Decorated, image_source, max_pixels, recursive, skip_bad
from nimakit.commands.rate.collection import open_collection
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.io.tables import BadRows
    from nimakit.labels.ratings import Ratings
    from nimakit.models.engine import Model
    from nimakit.stats.bradley_terry import Comparisons


_OPTIONS = (
    click.option(
        "--model",
        default="aesthetic",
        show_default=True,
        metavar="NAME|FOLDER|FILE",
        help="The base model: a public model, a job folder, an .onnx file, or an ensemble .json.",
    ),
    click.option(
        "--ratings",
        "ratings_file",
        type=FILE,
        help="A table of ratings, with the columns image_id, rating and user_id: .csv, .tsv or .jsonl.",
    ),
    image_source("image_dir", help="The folder of the rated images."),
    recursive,
    click.option(
        "--scale",
        type=float,
        nargs=2,
        metavar="LOW HIGH",
        help="The lowest and the highest possible rating. Needed if those in --ratings do not reach the ends"
        " of the model's own scale, or go beyond them.",
    ),
    click.option(
        "--data-dir",
        type=FILE,
        help="Instead of --ratings, the folder where ./rate keeps ratings; images and scale are those of the"
        " collection.",
    ),
    click.option(
        "--database",
        metavar="URL",
        help="Instead of --ratings, the rating app's database: postgresql://USER@HOST/NAME.",
    ),
    click.option("--collection", metavar="NAME", help="The collection, if the rating app has several."),
    skip_bad,
    max_pixels,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judgements:
    """What people think of images.

    Attributes:
        ratings: On the scale of the model; there may be none if there are comparisons.
        comparisons: Comparisons, and picks as comparisons, a table each.
        images: Arguments of `nimakit.personal.learning.score_rated` about the images.
    """

    ratings: "Ratings"
    comparisons: "list[Comparisons]"
    images: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The options for judgements: tables and their images, or a collection of the rating app.

    Attributes:
        ratings_file: The table of ratings.
        image_dir: The folder of the images.
        recursive: Whether to also look into sub-folders.
        scale: The lowest and the highest possible rating; None if the ratings are on the model's own scale.
        data_dir: The folder where the rating app keeps ratings.
        database: URL of the rating app's database.
        collection: Name of the collection, if there are several.
        skip_bad: Whether to leave out bad rows of the tables.
        max_pixels: Largest width times height of an image.
        comparisons_file: A table of comparisons.
        picks_file: A table of picks and rejects.
    """

    ratings_file: Path | None
    image_dir: Path | None
    recursive: bool
    scale: tuple[float, float] | None
    data_dir: Path | None
    database: str | None
    collection: str | None
    skip_bad: bool
    max_pixels: int
    comparisons_file: Path | None = None
    picks_file: Path | None = None

    def read(self, model: "Model") -> Judgements:
        """Read the judgements; ratings are moved to the scale of a model.

        Raises:
            UsageError: No source, or several, or options for another kind of source.
            LabelError: A broken table, or a collection without ratings.
        """
        is_app = self.data_dir is not None or self.database is not None
        is_table = any((self.ratings_file, self.comparisons_file, self.picks_file))
        if is_app == is_table:
            raise UsageError(
                "Ratings come from a table, --ratings, or from the rating app, --data-dir or --database."
                f" Received: {'both' if is_app else 'neither'}"
            )
        ratings, comparisons, folder = self._from_app(model) if is_app else self._from_tables(model)
        images: dict[str, Any] = {"image_dir": folder, "recursive": is_app or self.recursive}
        images |= {"max_pixels": self.max_pixels, "notify": say}
        return Judgements(ratings=ratings, comparisons=comparisons, images=images)

    def _from_tables(self, model: "Model") -> tuple["Ratings", "list[Comparisons]", Path]:
        from nimakit.io.tables import BadRows
        from nimakit.labels.comparisons import read_comparisons
        from nimakit.labels.picks import read_picks
        from nimakit.labels.ratings import Ratings

        if self.collection is not None:
            raise UsageError("--collection needs --data-dir or --database. Received: a table")
        if self.image_dir is None:
            raise UsageError(
                "A table of ratings needs the folder of its images: --image-source. Received: none"
            )
        if self.scale and self.ratings_file is None:
            raise UsageError("--scale is for the table --ratings. Received: none")
        rows = BadRows(skip=self.skip_bad)
        ratings = self._ratings(self.ratings_file, rows, model) if self.ratings_file else Ratings.of([])
        comparisons = []
        if self.comparisons_file:
            comparisons.append(read_comparisons(self.comparisons_file, rows=rows, notify=say))
        if self.picks_file:
            comparisons.append(read_picks(self.picks_file, rows=rows, notify=say))
        if rows.problems:
            say(str(rows))
        return ratings, comparisons, self.image_dir

    def _ratings(self, file: Path, rows: "BadRows", model: "Model") -> "Ratings":
        import numpy as np

        from nimakit.labels.ratings import read_ratings
        from nimakit.personal.learning import check_scale, rescaled

        scale = self.scale
        if scale and not scale[0] < scale[1] < float("inf"):
            raise UsageError(
                f"--scale must be the lowest and the highest rating. Received: {scale[0]} {scale[1]}"
            )
        ends = np.array(scale, np.float64) if scale else None
        ratings = read_ratings(file, bins=ends, first_only=True, rows=rows, notify=say)
        if scale:
            return rescaled(ratings, scale, model.bins)
        check_scale(ratings, model.bins)
        return ratings

    def _from_app(self, model: "Model") -> tuple["Ratings", "list[Comparisons]", Path]:
        from nimakit.labels.ratings import Ratings
        from nimakit.personal.learning import rescaled

        if self.image_dir is not None or self.scale or self.recursive or self.skip_bad:
            raise UsageError(
                "--image-source, --recursive, --scale and --skip-bad need --ratings: a collection has its"
                " own images and scale. Received: one of them with --data-dir or --database"
            )
        with open_collection(self.data_dir or Path(), self.database, self.collection) as (opened, found):
            from nimakit.web.transfer.exports import comparisons_of, ratings_of

            with opened.read() as session:
                if found.compares:
                    return Ratings.of([]), [comparisons_of(session, found)], Path(found.folder)
                ratings = ratings_of(session, found)
        scale = (float(found.low), float(found.high))
        return rescaled(ratings, scale, model.bins), [], Path(found.folder)


def rating_source(command: Decorated) -> Decorated:
    """Add the options for a base model and the ratings to learn from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
