"""`nimakit compare`: models and configs of heads, side by side on the same ratings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.models import align
from nimakit.commands.parameters import FILE, OutputFile, image_source, max_pixels, recursive
from nimakit.errors import ImageError, LabelError, UsageError, first_few
from nimakit.progress import printable, say

if TYPE_CHECKING:
    from nimakit.scoring.comparison import Comparison
    from nimakit.stats.bootstrap import Interval
    from nimakit.stats.histogram import IntArray

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
    help="The config of a head, which is cross-validated; repeat for more.",
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
@click.option("--output", type=OutputFile(".json"), help="Also write all figures to this file: .json.")
@max_pixels
def compare(
    *,
    models: tuple[str, ...],
    config_files: tuple[Path, ...],
    samples_file: Path,
    image_dir: Path,
    recursive: bool,
    folds: int,
    seed: int,
    groups_file: Path | None,
    output: Path | None,
    max_pixels: int,
) -> int:
    """Compare models, and configs of heads, by their agreement with people's ratings.

    A model scores the images; a config with "head_only" is cross-validated, so that no image is predicted by
    a head that learned from it. Each figure has a 95 % interval, and so has its difference to the best
    candidate by SRCC. PAIRS is the share of pairs in the right order, among those on which people agree. The
    ceiling is what a perfect model would reach with ratings by so many people.

    Exit code: 0 all images compared, 1 usage or model error, 2 some images were left out.

    \b
    Example:
      nimakit compare --model aesthetic --config-file models/EfficientNetLite2/config_head.json \\
        --samples-file labels.json --image-source photos --output comparison.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import atomic_bytes
    from nimakit.labels.label_file import read_labels
    from nimakit.scoring import candidates, comparison

    if not models and not config_files:
        raise UsageError("A comparison needs at least one --model or --config-file.")
    if not image_dir.is_dir():
        raise UsageError(f"--image-source must be a folder of images. Received: {image_dir}")
    images, failures = candidates.labelled_images(
        read_labels(samples_file), image_dir, recursive=recursive, notify=say
    )
    groups = _groups(groups_file, images.image_ids) if groups_file else None
    outcomes = [
        candidates.cross_validated(
            images, path, folds=folds, seed=seed, groups=groups, max_pixels=max_pixels, notify=say
        )
        for path in config_files
    ]
    outcomes += [candidates.scored(images, name, max_pixels=max_pixels, notify=say) for name in models]
    predictions, rows = candidates.common(outcomes)
    found = comparison.compare(
        predictions,
        images.labels[rows],
        images.bins,
        counts=None if images.counts is None else images.counts[rows],
        groups=None if groups is None else groups[rows],
        seed=seed,
    )
    for outcome in outcomes:
        failures |= outcome.failures
    notes = _notes(models, images.image_ids)
    if output:
        values = found.to_dict() | {"left_out": failures, "folds": folds, "seed": seed, "notes": notes}
        atomic_bytes(f"{json.dumps(values, indent=2)}\n".encode(), output)
    click.echo(printable("\n".join([*_lines(found), *notes])))
    if failures:
        listed = first_few([f"{name}: {reason}" for name, reason in failures.items()], _MAX_LISTED)
        say(f"{len(failures)} images are left out: {'; '.join(listed)}")
    return ImageError.exit_code if failures else 0


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


def _groups(file: Path, image_ids: Sequence[str]) -> "IntArray":
    """The group of each image; an image without one is a group of its own.

    Raises:
        LabelError: The table cannot be read, or names none of the images.
    """
    import numpy as np

    from nimakit.io.tables import BadRows, read_rows

    rows = BadRows(remedy="Correct them.")
    group_of: Mapping[str, str] = {
        row.values[0]: row.values[1] for row in read_rows(file, ["image_id", "group"], rows)
    }
    rows.refuse()
    if not set(group_of) & set(image_ids):
        raise LabelError(f"The table of groups must name the images of the label file. Received: {file}")
    names = [f"group {group_of[name]}" if name in group_of else f"image {name}" for name in image_ids]
    found: IntArray = np.unique(names, return_inverse=True)[1]
    return found


def _lines(found: "Comparison") -> list[str]:
    """The table, and what is below it."""
    header = ["CANDIDATE", *_TITLES.values(), "SRCC - BEST", "SECONDS"]
    table = [header]
    for row in found.rows:
        difference = "best" if row.name == found.best else _shown(row.differences["srcc"])
        seconds = "-" if row.seconds is None else f"{row.seconds:.3f}"
        table.append([row.name, *(_shown(row.figures[key]) for key in _TITLES), difference, seconds])
    known = "unknown" if found.ceiling is None else f"{found.ceiling:.3f}"
    return [
        *align(table),
        f"{found.images} images, {found.agreed_pairs} pairs on which people agree. In brackets:"
        f" 95 % intervals. Ceiling of PLCC by the number of ratings: {known}",
    ]


def _shown(figure: "Interval") -> str:
    if figure.value != figure.value:  # NaN
        return "-"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
