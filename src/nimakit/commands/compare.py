"""`nimakit compare`: models and training configs, side by side on the same ratings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.models import align
from nimakit.commands.parameters import FILE, OutputFile, image_source, max_pixels, recursive, tta
from nimakit.errors import ImageError, UsageError, first_few
from nimakit.io.atomic import atomic_bytes
from nimakit.progress import printable, say

if TYPE_CHECKING:
    from nimakit.models.preparation import Augmentation
    from nimakit.scoring.compared import Compared
    from nimakit.scoring.comparison import Comparison
    from nimakit.scoring.grouping import GroupBy
    from nimakit.stats.bootstrap import Interval

_TITLES = {"srcc": "SRCC", "lcc": "PLCC", "mae": "MAE", "emd": "EMD", "pairs": "PAIRS"}
_MAX_LISTED = 5


@click.command()
@click.option(
    "--model", "models", multiple=True, metavar="MODEL", help="A model to compare; repeat for more."
)
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    type=FILE,
    help="A training config, which is cross-validated; repeat for more.",
)
@click.option(
    "--samples-file", required=True, type=FILE, help="Label file: the images and people's ratings of them."
)
@image_source("image_dir", required=True, help="The folder of those images.")
@recursive
@click.option(
    "--folds",
    type=click.IntRange(2, 100),
    default=5,
    show_default=True,
    help="Folds of the cross-validation of configs.",
)
@click.option(
    "--only-fold",
    "only",
    multiple=True,
    type=click.IntRange(1),
    help="Compare only on the images of this fold, counted from 1; repeat for more.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the folds and the intervals.",
)
@click.option(
    "--groups",
    "groups_file",
    type=FILE,
    help="Table (.csv, .tsv or .jsonl) with the columns image_id and group: images of a group stay in one"
    " fold, and are resampled together.",
)
@click.option(
    "--group-column",
    default="group",
    show_default=True,
    help="Column of that table with the groups, such as that of the photographer.",
)
@click.option(
    "--group-by",
    multiple=True,
    type=click.Choice(["duplicates", "folder"]),
    help="Also keep together copies of the same picture, or the images of a folder; repeat for both.",
)
@click.option(
    "--jobs-dir",
    type=FILE,
    default=Path("train_jobs/cross_validation"),
    show_default=True,
    help="Where configs of whole networks are trained, a job for each fold; complete jobs are used again.",
)
@tta
@click.option("--average", is_flag=True, help="Also compare the average of all candidates.")
@click.option("--output", type=OutputFile(".json"), help="Also write all figures to this file: .json.")
@click.option(
    "--report",
    type=OutputFile(".html", ".htm"),
    help="Write a page here with the figures, calibration, and the pictures on which candidates disagree:"
    " .html, one file.",
)
@max_pixels
def compare(
    *,
    models: tuple[str, ...],
    config_files: tuple[Path, ...],
    samples_file: Path,
    image_dir: Path,
    recursive: bool,
    folds: int,
    only: tuple[int, ...],
    seed: int,
    groups_file: Path | None,
    group_column: str,
    group_by: "tuple[GroupBy, ...]",
    jobs_dir: Path,
    tta: "Augmentation",
    average: bool,
    output: Path | None,
    report: Path | None,
    max_pixels: int,
) -> int:
    """Compare models and training configs by their agreement with people's ratings.

    A model scores the images. A config is cross-validated, so that no image is predicted by a network that
    learned from it: with "head_only" in seconds, else by a training job for each fold.

    Each figure has a 95 % interval, and so has its difference to the best candidate by SRCC. PAIRS is the
    share of pairs in the right order, among those on which people agree. FOLDS is the median SRCC of the
    folds. MS is the time for an image on one core, HEAD that of a head on its features. The ceiling is what a
    perfect model would reach with ratings by so many people.

    Exit code: 0 all images compared, 1 usage or model error, 2 some images were left out.

    \b
    Example:
      nimakit compare --model aesthetic --config-file models/EfficientNetLite2/config_head.json \\
        --samples-file labels.json --image-source photos --report comparison.html
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.heads.cross_validation import assign_folds
    from nimakit.labels.label_file import read_labels
    from nimakit.scoring import candidates, grouping
    from nimakit.scoring.compared import compare_outcomes
    from nimakit.training.cross_validation import Jobs, cross_validated

    _check([*models, *config_files], image_dir, report)
    labels = read_labels(samples_file)
    images, failures = candidates.labelled_images(labels, image_dir, recursive=recursive, notify=say)
    groups = grouping.group_images(
        images.image_ids,
        images.paths,
        table=groups_file,
        column=group_column,
        by=group_by,
        max_pixels=max_pixels,
    )
    # Models have folds only to be compared with configs, or to show how much figures vary.
    count = len(images.paths) if groups is None else int(groups.max()) + 1
    divided = assign_folds(len(images.paths), folds if config_files else min(folds, count), seed, groups)
    folds = int(divided.max()) + 1
    only = _chosen(only, folds)
    settings = candidates.Settings(folds=divided, only=only, tta=tta, max_pixels=max_pixels, notify=say)
    jobs = Jobs(labels=labels, image_dir=image_dir, recursive=recursive, folder=jobs_dir, seed=seed)
    outcomes = [
        cross_validated(images, file, name, settings, jobs)
        for file, name in zip(config_files, candidates.names(config_files), strict=True)
    ]
    outcomes += [candidates.scored(images, name, settings) for name in models]
    compared = compare_outcomes(images, outcomes, settings, groups=groups, with_average=average, seed=seed)
    for outcome in outcomes:
        failures |= outcome.failures
    grouped = {} if groups is None else {"groups": count}
    facts: dict[str, Any] = {"folds": folds, "seed": seed, "tta": tta, **grouped}
    notes = _notes(models, images.image_ids)
    if output:
        values = compared.comparison.to_dict() | {"left_out": failures, **facts, "notes": notes}
        atomic_bytes(f"{json.dumps(values, indent=2)}\n".encode(), output)
    click.echo(printable("\n".join([*_lines(compared.comparison), *notes])))
    if report:
        shown = {"labels": str(samples_file)} | {name: str(value) for name, value in facts.items()}
        _write_report(report, compared, facts=shown, notes=notes, failures=failures, max_pixels=max_pixels)
    return _exit_code(failures)


def _check(candidates: Sequence[str | Path], image_dir: Path, report: Path | None) -> None:
    """Refuse what would fail only later."""
    from nimakit.scoring.report import require

    if not candidates:
        raise UsageError("A comparison needs at least one --model or --config-file.")
    if not image_dir.is_dir():
        raise UsageError(f"--image-source must be a folder of images. Received: {image_dir}")
    if report:
        require()


def _write_report(
    report: Path,
    compared: "Compared",
    *,
    facts: dict[str, str],
    notes: Sequence[str],
    failures: dict[str, str],
    max_pixels: int,
) -> None:
    from nimakit.scoring import comparison_report

    page = comparison_report.render(
        compared, facts=facts, notes=notes, failures=failures, max_pixels=max_pixels
    )
    atomic_bytes(page.encode(), report)
    say(f"report: {report}")


def _exit_code(failures: dict[str, str]) -> int:
    """The exit code, after a message on images that are left out."""
    if not failures:
        return 0
    listed = first_few([f"{name}: {reason}" for name, reason in failures.items()], _MAX_LISTED)
    say(f"{len(failures)} images are left out: {'; '.join(listed)}")
    return ImageError.exit_code


def _chosen(only: Sequence[int], folds: int) -> tuple[int, ...]:
    """The chosen folds, counted from 0."""
    if any(fold > folds for fold in only):
        raise UsageError(f"--only-fold must be a number from 1 to {folds}. Received: {max(only)}")
    return tuple(fold - 1 for fold in only)


def _notes(models: Sequence[str], image_ids: Sequence[str]) -> list[str]:
    """A warning for each model that was trained on some of the images."""
    from nimakit.jobs import read_splits
    from nimakit.models.loading import model_files
    from nimakit.scoring.metrics import training_note

    counts = {
        name: len(read_splits(model_files(name), notify=say).get("training", frozenset()) & {*image_ids})
        for name in models
    }
    return [training_note(name, count, len(image_ids)) for name, count in counts.items() if count]


def _lines(found: "Comparison") -> list[str]:
    """The table, and what is below it."""
    from nimakit.scoring.verdict import in_short

    header = ["CANDIDATE", *_TITLES.values(), "SRCC - BEST", "FOLDS", "MS", "HEAD"]
    table = [header]
    for row in found.rows:
        difference = "best" if row.name == found.best else _shown(row.differences["srcc"])
        cost = ["-", "-"]
        if row.cost:
            head = row.cost.head
            cost = [f"{1000 * row.cost.total:.0f}", "-" if head is None else f"{1000 * head:.1f}"]
        figures = [_shown(row.figures[key]) for key in _TITLES]
        table.append(
            [row.name, *figures, difference, "-" if row.median is None else f"{row.median:.3f}", *cost]
        )
    known = "unknown" if found.ceiling is None else f"{found.ceiling:.3f}"
    return [
        *align(table),
        f"{found.images} images, {found.agreed_pairs} pairs on which people agree. In brackets:"
        f" 95 % intervals. Ceiling of PLCC by the number of ratings: {known}",
        *in_short(found),
    ]


def _shown(figure: "Interval") -> str:
    if not figure.is_defined:
        return "-"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
