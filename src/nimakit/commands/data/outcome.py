"""Checks before, and summaries after, the work of a `nimakit data` command."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.parameters import FILE, Decorated, Finite, skip_bad
from nimakit.errors import ImageError, UsageError, first_few
from nimakit.io.atomic import atomic_folder, check_output, make_folder
from nimakit.io.tables import BadRows
from nimakit.progress import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nimakit.labels.label_file import Labels
    from nimakit.labels.ratings import Ratings
    from nimakit.labels.summary import Summary
    from nimakit.stats.histogram import FloatArray

_LISTED = 20

MAX_ENTROPY = "maximum-entropy distributions with the right means: the spread is not real"

how = click.option(
    "--how",
    type=click.Choice(["symlink", "hardlink", "copy"]),
    default="symlink",
    help="symlink points to the absolute path of the photo; hardlink survives a move of the photo, but needs"
    " the same file system; copy takes disk space.",
)
new_folder = click.option(
    "--output-dir", required=True, type=FILE, help="The folder to create; it must be new or empty."
)


def test_share(default: float) -> Callable[[Decorated], Decorated]:
    """The option --test-share."""
    return click.option(
        "--test-share",
        type=Finite(0, 1, min_open=True, max_open=True),
        default=default,
        help="The share of the test set.",
    )


def output_dir(default: str) -> Callable[[Decorated], Decorated]:
    """The option --output-dir of a command that writes several files."""
    return click.option(
        "--output-dir",
        type=FILE,
        default=Path(default),
        help="The folder to write to; it is created if missing.",
    )


def importer(command: Decorated) -> Decorated:
    """Add --report and --skip-bad to a command that makes label files; it gets an `Import` as `outcome`."""

    @wraps(command)
    def run(*, report_file: Path | None, skip_bad: bool, **given: Any) -> Any:
        return command(outcome=Import(report_file, skip_bad=skip_bad), **given)

    report = click.option(
        "--report",
        "report_file",
        type=FILE,
        help="Also write a report on the ratings: .html, or .png for its charts only.",
    )
    wrapped: Any = report(skip_bad(run))
    return wrapped  # type: ignore[no-any-return]


class Import:
    """The bad rows, files and report of a command that makes label files.

    Args:
        report_file: Where the report goes; None for no report.
        skip_bad: Whether bad rows are left out.

    Attributes:
        rows: The bad rows.
        files: Each file written -> how many images (or ratings) it contains.

    Raises:
        MissingExtraError: A package that reports need is not installed.
        UsageError: The report cannot be written there.
    """

    def __init__(self, report_file: Path | None, *, skip_bad: bool) -> None:
        self.rows = BadRows(skip=skip_bad)
        self.files: dict[Path, int] = {}
        self._report_file = report_file
        if report_file:
            check_report(report_file)

    def write_parts(
        self, image_ids: Sequence[str], labels: "FloatArray", parts: Mapping[Path, "NDArray[Any]"]
    ) -> None:
        """Write a label file for each part of a data set, all of them or none.

        Args:
            image_ids: N names.
            labels: (N, bins).
            parts: File -> (N,) bool, which images are in it; all files are in one folder.
        """
        from nimakit.labels.label_file import write_labels

        with atomic_folder(next(iter(parts)).parent) as folder:
            for path, part in parts.items():
                names = [name for name, chosen in zip(image_ids, part, strict=True) if chosen]
                write_labels(folder / path.name, names, labels[part])
                self.files[path] = len(names)

    def report(self, source: Path, given: "Labels | Ratings", bins: "FloatArray", made: str = "") -> None:
        """Write the report, if one was asked for.

        Args:
            source: The file the ratings come from.
            given: What to report on.
            bins: (bins,), the rating of each bin.
            made: How the labels were made, unless they are people's own ratings.

        Raises:
            OutputError: It could not be written.
        """
        from nimakit.labels.label_file import Labels
        from nimakit.labels.summary import of_labels, of_ratings

        if self._report_file is None or not given.image_ids:
            return
        summary = of_labels(given, bins) if isinstance(given, Labels) else of_ratings(given, bins)
        write_report(self._report_file, source, summary, {"Labels": made} if made else {})
        self.files[self._report_file] = len(given.image_ids)

    def finish(self, summary: dict[str, Any], bins: "FloatArray") -> None:
        """Print the summary as JSON, with the scale of the label files.

        Args:
            summary: The figures of this command.
            bins: (bins,), the rating of each bin.
        """
        finish({**summary, **scale(bins)}, self.files, self.rows)


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before any work is done.

    Raises:
        MissingExtraError: A package that reports need is not installed.
        UsageError: It cannot be written there.
    """
    from nimakit.labels import report

    report.require()
    check_output(path, report.SUFFIXES)


def write_report(
    path: Path, source: Path, summary: "Summary", facts: Mapping[str, str], **pictures: Any
) -> None:
    """Write a report on ratings.

    Args:
        path: .html or .png.
        source: The file the ratings come from.
        summary: What to report on.
        facts: Further facts: name -> value.
        **pictures: As for `nimakit.labels.report.write`.

    Raises:
        OutputError: It could not be written.
    """
    from nimakit.labels import report

    facts = {"Ratings": str(source), **facts}
    report.write(path, title=f"Ratings: {source.name}", facts=facts, summary=summary, **pictures)
    say(f"report: {path}")


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse to overwrite an input.

    Raises:
        UsageError: An output is one of the inputs.
    """
    read = {path.resolve() for path in inputs if path}
    for path in outputs:
        if path.resolve() in read:
            raise UsageError(f"An output file must not be an input. Received: {path}")


def prepare_folder(folder: Path, names: Sequence[str]) -> list[Path]:
    """Create the folder of several outputs, before any work is done.

    Args:
        folder: Created if missing.
        names: File names of the outputs.

    Returns:
        The paths of the outputs.

    Raises:
        OutputError: The folder cannot be created.
        UsageError: It cannot be written to.
    """
    make_folder(folder)
    paths = [folder / name for name in names]
    for path in paths:
        check_output(path, (path.suffix,))
    return paths


def refuse_leftovers(paths: Iterable[Path]) -> None:
    """Refuse to mix the files of this run with files of an earlier run that it would not replace.

    Args:
        paths: Files an earlier run may have written and this one does not write.

    Raises:
        UsageError: There are such files.
    """
    left = sorted(str(path) for path in paths if path.exists())
    if left:
        raise UsageError(
            "--output-dir must not contain files of another run that this one would not replace. Remove them,"
            f" or choose another folder. Received: {', '.join(left[:_LISTED])}"
        )


def scale(bins: "FloatArray") -> dict[str, Any]:
    """The entries of a summary that explain the bins of a label file.

    A model learns and scores from 1 to the number of bins, whatever the scale of the ratings.

    Args:
        bins: (bins,), the rating of each bin.

    Returns:
        ``bins``, and ``rating_of_score``: the formula that turns a score back into a rating.
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


def print_json(value: object) -> None:
    """Print the result of a command on stdout."""
    click.echo(json.dumps(value, indent=2))


def report_list(title: str, lines: Sequence[str]) -> None:
    """Print how many items there are, and the first twenty, on stderr; nothing if there are none.

    Args:
        title: What they are, such as "missing images".
        lines: One for each item.
    """
    if lines:
        say("\n  ".join([f"{title} ({len(lines)}):", *first_few(lines, _LISTED)]))


def finish(summary: dict[str, Any], files: Mapping[Path, int], rows: BadRows | None = None) -> None:
    """Print the summary as JSON on stdout, and the bad rows on stderr.

    Args:
        summary: The figures of this command.
        files: Each file written -> how many images (or ratings) it contains.
        rows: The bad rows.
    """
    problems = rows.problems if rows else []
    written = {str(path): count for path, count in files.items()}
    print_json({**summary, "files": written, "bad_rows": problems})
    if problems:
        say(str(rows))


def finish_links(
    summary: dict[str, Any], image_dir: Path, missing: Sequence[str], failed: Mapping[str, str]
) -> int:
    """Print the summary of a command that linked images.

    Args:
        summary: The figures of this command.
        image_dir: The folder of the images.
        missing: Images that are not in it.
        failed: Link -> why it could not be made.

    Returns:
        The exit code.
    """
    print_json({**summary, "missing": missing, "failed": failed})
    report_list(f"images that are not in {image_dir}", missing)
    report_list("images that could not be linked", [*failed.values()])
    return ImageError.exit_code if missing or failed else 0
