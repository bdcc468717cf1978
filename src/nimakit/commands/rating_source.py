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
    from nimakit.labels.ratings import Ratings
    from nimakit.models.engine import Model


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The options for ratings: a table and its images, or a collection of the rating app.

    Attributes:
        ratings_file: The table.
        image_dir: The folder of its images.
        recursive: Whether to also look into sub-folders.
        scale: The lowest and the highest possible rating; None if the ratings are on the model's own scale.
        data_dir: The folder where the rating app keeps ratings.
        database: URL of the rating app's database.
        collection: Name of the collection, if there are several.
        skip_bad: Whether to leave out bad rows of the table.
        max_pixels: Largest width times height of an image.
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

    def read(self, model: "Model") -> tuple["Ratings", dict[str, Any]]:
        """Read the ratings, on the scale of a model.

        Returns:
            The ratings, and arguments of `nimakit.personal.learning.score_rated` about their images.

        Raises:
            UsageError: No source, or several, or options for another kind of source.
            LabelError: A broken table, or a collection without ratings.
        """
        from nimakit.personal.learning import rescaled

        is_app = self.data_dir is not None or self.database is not None
        if is_app == (self.ratings_file is not None):
            raise UsageError(
                "Ratings come from a table, --ratings, or from the rating app, --data-dir or --database."
                f" Received: {'both' if is_app else 'neither'}"
            )
        ratings, folder, scale = self._from_app() if is_app else self._from_table(model)
        images: dict[str, Any] = {"image_dir": folder, "recursive": is_app or self.recursive}
        images |= {"max_pixels": self.max_pixels, "notify": say}
        return (rescaled(ratings, scale, model.bins) if scale else ratings), images

    def _from_table(self, model: "Model") -> tuple["Ratings", Path, tuple[float, float] | None]:
        import numpy as np

        from nimakit.io.tables import BadRows
        from nimakit.labels.ratings import read_ratings
        from nimakit.personal.learning import check_scale

        scale = self.scale
        if self.collection is not None:
            raise UsageError("--collection needs --data-dir or --database. Received: --ratings")
        if self.ratings_file is None or self.image_dir is None:
            raise UsageError(
                "A table of ratings needs the folder of its images: --image-source. Received: none"
            )
        if scale and not scale[0] < scale[1] < float("inf"):
            raise UsageError(
                f"--scale must be the lowest and the highest rating. Received: {scale[0]} {scale[1]}"
            )
        rows = BadRows(skip=self.skip_bad)
        ends = np.array(scale, np.float64) if scale else None
        ratings = read_ratings(self.ratings_file, bins=ends, first_only=True, rows=rows, notify=say)
        if rows.problems:
            say(str(rows))
        if not scale:
            check_scale(ratings, model.bins)
        return ratings, self.image_dir, scale

    def _from_app(self) -> tuple["Ratings", Path, tuple[float, float]]:
        if self.image_dir is not None or self.scale or self.recursive or self.skip_bad:
            raise UsageError(
                "--image-source, --recursive, --scale and --skip-bad need --ratings: a collection has its"
                " own images and scale. Received: one of them with --data-dir or --database"
            )
        with open_collection(self.data_dir or Path(), self.database, self.collection) as (opened, found):
            from nimakit.web.transfer.exports import ratings_of

            with opened.read() as session:
                ratings = ratings_of(session, found)
        return ratings, Path(found.folder), (float(found.low), float(found.high))


def rating_source(command: Decorated) -> Decorated:
    """Add the options for a base model and the ratings to learn from."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
