"""What the commands of `nimakit data` have in common: options, and how they end."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.parameters import FILE, Decorated, Finite
from nimakit.errors import UsageError
from nimakit.io.atomic import check_output, make_folder
from nimakit.io.tables import BadRows
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.labels.label_file import Labels
    from nimakit.labels.ratings import Ratings
    from nimakit.stats.histogram import FloatArray

_LISTED = 20

MAX_ENTROPY = "maximum-entropy distributions with the right means: their spread says nothing of people"


seed = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, another split."
)

report = click.option(
    "--report",
    "report_file",
    type=FILE,
    help="Also draw a report on the ratings: .html, or its charts alone as .png.",
)


def test_share(default: float) -> Callable[[Decorated], Decorated]:
    """The option --test-share."""
    return click.option(
        "--test-share",
        type=Finite(0, 1, min_open=True, max_open=True),
        default=default,
        show_default=True,
        help="The part that is tested with.",
    )


def output_dir(default: str) -> Callable[[Decorated], Decorated]:
    """The option --output-dir."""
    return click.option(
        "--output-dir",
        type=FILE,
        default=Path(default),
        show_default=True,
        help="The folder of the files to write; it is made where missing.",
    )


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse to overwrite what is read.

    Raises:
        UsageError: An output is one of the inputs.
    """
    read = {path.resolve() for path in inputs if path}
    for path in outputs:
        if path.resolve() in read:
            raise UsageError(f"An output file must not be an input. Received: {path}")


def tell(title: str, lines: Sequence[str]) -> None:
    """Tell people of several things: how many, and the first twenty.

    Args:
        title: What they are, such as "missing images".
        lines: One each; nothing is said where there are none.
    """
    if lines:
        more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
        say("\n  ".join([f"{title} ({len(lines)}):", *lines[:_LISTED], *more]))


def prepare_folder(folder: Path, names: Sequence[str]) -> list[Path]:
    """Make the folder of several outputs, before any work is done.

    Args:
        folder: Made where missing.
        names: File names of the outputs.

    Returns:
        Their paths.

    Raises:
        OutputError: The folder cannot be made.
        UsageError: It cannot be written to.
    """
    make_folder(folder)
    paths = [folder / name for name in names]
    for path in paths:
        check_output(path, (path.suffix,))
    return paths


def refuse_leftovers(paths: Iterable[Path]) -> None:
    """Refuse to write beside files of an earlier run that this one would not replace.

    The one and the other do not fit together.

    Args:
        paths: What an earlier run may have written, and this one does not write.

    Raises:
        UsageError: There are such files.
    """
    left = sorted(str(path) for path in paths if path.exists())
    if left:
        raise UsageError(
            "--output-dir holds no file of another run that would not be replaced. Remove it, or give another"
            f" folder. Received: {', '.join(left[:20])}"
        )


def check_report(path: Path | None) -> None:
    """Refuse a report that could not be drawn, before any work is done.

    Raises:
        MissingExtraError: A package that reports need is not installed.
        UsageError: A path that cannot be written to.
    """
    if path:
        from nimakit.labels import report as data_report

        data_report.require()
        check_output(path, data_report.SUFFIXES)


def draw_report(
    path: Path, source: Path, given: "Labels | Ratings", bins: "FloatArray", made: str = ""
) -> None:
    """Draw the report on what was imported.

    Args:
        path: Where to.
        source: The file it comes from.
        given: What is reported on.
        bins: (bins,), the rating each bin stands for.
        made: How the labels were made, where they are not what people said.

    Raises:
        OutputError: It could not be written.
    """
    from nimakit.labels import report as data_report
    from nimakit.labels import summary as data_summary
    from nimakit.labels.label_file import Labels

    if isinstance(given, Labels):
        summary = data_summary.of_labels(given, bins)
    else:
        summary = data_summary.of_ratings(given, bins)
    facts = {"Ratings": str(source), **({"Labels": made} if made else {})}
    data_report.write(path, title=f"Ratings: {source.name}", facts=facts, summary=summary)
    say(f"report: {path}")


def scale(bins: "FloatArray") -> dict[str, Any]:
    """The entries of a summary on what the bins of its label files stand for.

    A model learns, and scores, on 1 to the number of bins, whatever people's ratings ran from and to.

    Args:
        bins: (bins,), the rating each bin stands for.

    Returns:
        ``bins``, and ``rating_of_score``: how a score is turned back into a rating.
    """
    step, steps = bins[1] - bins[0], bins[1:] - bins[:-1]
    if (abs(steps - step) > 1e-9 * step).any():
        formula = "by linear interpolation between the bins, of which the first is score 1"
    elif (bins[0], step) == (1, 1):
        formula = "score"
    else:
        first = bins[0] - step
        product = "score" if step == 1 else f"{step:g} * score"
        formula = product + (f" {'+' if first > 0 else '-'} {abs(first):g}" if first else "")
    return {"bins": bins.tolist(), "rating_of_score": formula}


def finish(summary: dict[str, Any], files: Mapping[Path, int], rows: BadRows) -> None:
    """Put the summary on stdout as JSON, and tell people of bad rows.

    Args:
        summary: What is particular to a command.
        files: The files that were written, each with how many images (or ratings) it holds.
        rows: What became of bad rows.
    """
    written = {str(path): count for path, count in files.items()}
    click.echo(json.dumps({**summary, "files": written, "bad_rows": rows.problems}, indent=2))
    if rows.problems:
        say(str(rows))
