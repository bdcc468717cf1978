"""Options and value types that several commands share, so that each has one name and one meaning."""

import copy
import math
import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nimakit.errors import NoImagesError
from nimakit.io.atomic import check_output
from nimakit.io.tables import number

if TYPE_CHECKING:
    from nimakit.stats.histogram import FloatArray

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
PLACE = click.STRING
"""A path, a pattern or a URL: as text, because a path would lose a URL's slashes."""
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_MOST_BINS = 1000


class FolderOrSource(click.ParamType[Path | str]):
    """A folder of this machine, as a path; or another source of photos, as text (`nimakit.sources`)."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Convert to a path, or to the text of a pattern, a manifest, tar files or a URL."""
        from nimakit.sources import is_listed

        if isinstance(value, str) and is_listed(value):
            return value
        folder: Path = FOLDER.convert(value, param, ctx)
        return folder


class Aliased(click.Option):
    """An option whose help shows only its first name; the others are older names that scripts may use."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of the help text."""
        return click.Option.get_help_record(self._documented(), ctx)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The name in error messages."""
        return click.Option.get_error_hint(self._documented(), ctx)

    def _documented(self) -> "Aliased":
        documented = copy.copy(self)
        documented.opts = self.opts[:1]
        return documented


class OutputFile(click.Path):
    """A file to write, refused before any work is done if its folder or suffix is wrong.

    Args:
        *suffixes: Those that are accepted, in lower case.
    """

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self._suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Convert to a path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        check_output(path, self._suffixes)
        return path


class Finite(click.FloatRange):
    """A range of numbers without NaN, which click accepts in any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert to a number in the range."""
        converted = float(super().convert(value, param, ctx))
        if math.isnan(converted):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return converted


class Bins(click.ParamType["FloatArray"]):
    """The rating of each bin: ``1-10`` in steps of one, or a list such as ``0,25,50,75,100``."""

    name = "bins"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "FloatArray":
        """Convert to (bins,) float64, ascending."""
        import numpy as np

        span = re.fullmatch(r"\s*(-?\d+)\s*-\s*(-?\d+)\s*", value)
        try:
            if span:
                bins = np.array(range(int(span[1]), int(span[2]) + 1)[: _MOST_BINS + 1], np.float64)
            else:
                bins = np.array([number(text) for text in value.split(",")])
        except (ValueError, OverflowError):
            bins = np.empty(0)
        if not 2 <= len(bins) <= _MOST_BINS or (np.diff(bins) <= 0).any():
            self.fail(
                "bins must be a range such as 1-10 or a rising list such as 0,25,50,75,100, with 2 to"
                f" {_MOST_BINS} values. Received: {value}",
                param,
                ctx,
            )
        return bins


_INPUT_SIZE = re.compile(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?")


class InputSize(click.ParamType[tuple[int, int]]):
    """Height and width in pixels: ``224``, or ``320x400``, the height first."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Convert to (height, width)."""
        if isinstance(value, tuple):
            return value
        found = _INPUT_SIZE.fullmatch(value)
        if not found:
            self.fail(
                f"an input size must be 224 or 320x400 (height x width), in pixels. Received: {value}",
                param,
                ctx,
            )
        return int(found[1]), int(found[2] or found[1])


class EncoderName(click.ParamType[tuple[str, tuple[int, int] | None]]):
    """An encoder's name or file, with an input size after an @ if not its own."""

    name = "encoder"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, int] | None]:
        """Convert to the name, and (height, width) or None."""
        if isinstance(value, tuple):
            return value
        name, _, size = value.rpartition("@")
        if name and _INPUT_SIZE.fullmatch(size):
            return name, InputSize().convert(size, param, ctx)
        return value, None


class Channels(click.ParamType[tuple[float, float, float]]):
    """A number for each of three channels: ``0.485,0.456,0.406``, or one for all."""

    name = "channels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        """Convert to three numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = [number(text) for text in value.split(",")]
        except (ValueError, OverflowError):
            numbers = []
        if len(numbers) == 1:
            numbers *= 3
        if len(numbers) != 3:
            self.fail(
                f"it must be one number, or three such as 0.485,0.456,0.406. Received: {value}", param, ctx
            )
        return numbers[0], numbers[1], numbers[2]


def image_source(
    name: str = "image_source", path_type: "click.ParamType[Any]" = FILE, **settings: Any
) -> Callable[[Decorated], Decorated]:
    """The option for the photos a command works on: --image-source.

    Args:
        name: The command's parameter.
        path_type: FOLDER for a folder only, PLACE for sources of any kind.
        **settings: As for `click.option`, such as help, required and multiple.
    """
    names = ("--image-source", "--image-dir", "--images", "--inputimage")
    return click.option(*names, name, cls=Aliased, type=path_type, **settings)


def recursive(command: Decorated) -> Decorated:
    """Add the option --recursive, and advise it where a folder only has images in its sub-folders.

    Both are in one decorator so that no command advises an option it does not have.
    """

    @wraps(command)
    def advise(**given: Any) -> Any:
        try:
            return command(**given)
        except NoImagesError as error:
            between = "\n" if "\n" in str(error) else " "
            raise NoImagesError(f"{error}{between}Add --recursive to look into sub-folders.") from error

    option = click.option("--recursive", is_flag=True, help="Also look into sub-folders.")
    advised: Any = option(advise)
    return advised  # type: ignore[no-any-return]


def models(note: str = "", **settings: Any) -> Callable[[Decorated], Decorated]:
    """The option for one model, or several to average: --model.

    Args:
        note: Added to the help.
        **settings: As for `click.option`, such as required.
    """
    return click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME|FILE",
        help="A public model (aesthetic, technical), an .onnx file, or an ensemble .json. If given several"
        " times, the models are averaged." + note,
        **settings,
    )


def _max_pixels() -> int:
    from nimakit.images.photo import MAX_PIXELS  # not at import: it needs Pillow

    return MAX_PIXELS


user_file = click.option(
    "--user",
    "user_file",
    type=FILE,
    help="One person's taste file, from nimakit personalise: use the scores this person would give.",
)
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=_max_pixels,
    show_default=False,
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
skip_bad = click.option(
    "--skip-bad", is_flag=True, help="Leave out bad rows and list them, instead of refusing the file."
)
tta = click.option(
    "--tta",
    is_flag=False,
    flag_value="flips",
    default="none",
    type=click.Choice(["none", "flips", "crops"]),
    help="Test-time augmentation: average over the photo and its mirror image (flips, the default where --tta"
    " has no value), or also over its corners and centre (crops, 10 times the work).",
)
seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random choices; the same seed gives the same files.",
)
labels_output = click.option(
    "--output", type=OutputFile(".json"), required=True, help="The label file to write, .json."
)
label_bins = click.option(
    "--bins", type=Bins(), help="The rating of each bin, such as 0-9.  [default: 1, 2, ...]"
)
image_column = click.option(
    "--image-column",
    default="image_id",
    show_default=True,
    help="Column of the image's file name or image_id.",
)
_RATING_COLUMNS = {
    "image_column": image_column,
    "user_column": click.option(
        "--user-column",
        help="Column of the rater; without it each rating counts as a different rater's."
        "  [default: user_id, if present]",
    ),
    "rating_column": click.option(
        "--rating-column", default="rating", show_default=True, help="Column of the rating."
    ),
    "time_column": click.option(
        "--time-column", help="Column of the time of the rating: ISO 8601, or seconds since 1970."
    ),
}


def rating_columns(command: Decorated) -> Decorated:
    """Add the options that name the columns of a table of ratings; they become one dict, `columns`."""

    @wraps(command)
    def collect(**given: Any) -> Any:
        return command(columns={name: given.pop(name) for name in _RATING_COLUMNS}, **given)

    collected: Any = collect
    for option in reversed(_RATING_COLUMNS.values()):
        collected = option(collected)
    return collected  # type: ignore[no-any-return]
