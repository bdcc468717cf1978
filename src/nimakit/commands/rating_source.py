"""Options and reading of the ratings that a personal taste is learned from."""

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
        help="The base model: a public model, a job's folder, an .onnx file, or an ensemble .json.",
    ),
    click.option(
        "--ratings",
        "ratings_file",
        type=FILE,
        help="Ratings, a row each, with the columns image_id, rating and user_id: .csv, .tsv or .jsonl.",
    ),
    image_source("image_dir", help="The folder of the rated images."),
    recursive,
    click.option(
        "--scale",
        type=float,
        nargs=2,
        metavar="LOW HIGH",
        help="The lowest and the highest rating people could give. Needed where those in --ratings do not"
        " reach the end of the model's own scale, or go beyond it.",
    ),
    click.option(
        "--data-dir",
        type=FILE,
        help="In place of these, the folder in which ./rate keeps ratings; images and scale are those of the"
        " collection.",
    ),
    click.option(
        "--database", metavar="URL", help="Or the rating app's database: postgresql://USER@HOST/NAME."
    ),
    click.option("--collection", metavar="NAME", help="Which of its collections, where there are several."),
    skip_bad,
    max_pixels,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where ratings come from, as the options have it.

    Attributes:
        ratings_file: A table.
        image_dir: The folder of the images it is of.
        recursive: Whether to look into its sub-folders too.
        scale: The lowest and the highest rating, where that is not the model's own scale.
        data_dir: Or the folder in which the rating app keeps ratings.
        database: Or its database.
        collection: Which of its collections.
        skip_bad: Whether bad rows of the table are left out.
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
        """The ratings on the scale of a model, and what `nimakit.personal.learning.look` needs of images.

        Raises:
            UsageError: No source, or several, or options that go with another one.
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
        looking: dict[str, Any] = {"image_dir": folder, "recursive": is_app or self.recursive}
        looking |= {"max_pixels": self.max_pixels, "notify": say}
        return (rescaled(ratings, scale, model.bins) if scale else ratings), looking

    def _from_table(self, model: "Model") -> tuple["Ratings", Path, tuple[float, float] | None]:
        import numpy as np

        from nimakit.io.tables import BadRows
        from nimakit.labels.ratings import read_ratings
        from nimakit.personal.learning import check_scale

        scale = self.scale
        if self.collection is not None:
            raise UsageError("--collection goes with --data-dir or --database. Received: --ratings")
        if self.ratings_file is None or self.image_dir is None:
            raise UsageError("A table of ratings needs the images it is of: --image-dir. Received: none")
        if scale and not scale[0] < scale[1] < float("inf"):
            raise UsageError(f"--scale is the lowest and the highest rating. Received: {scale[0]} {scale[1]}")
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
                "--image-dir, --recursive, --scale and --skip-bad go with --ratings: a collection has its own"
                " images and scale. Received: one of them with --data-dir or --database"
            )
        with open_collection(self.data_dir or Path(), self.database, self.collection) as (opened, found):
            from nimakit.web.transfer.exports import ratings_of

            with opened.read() as session:
                ratings = ratings_of(session, found)
        return ratings, Path(found.folder), (float(found.low), float(found.high))


def source(command: Decorated) -> Decorated:
    """The options that say which ratings of which images are compared with which model."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
