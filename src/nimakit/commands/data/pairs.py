"""`nimakit data pairs`: comparisons of two images to scores and a label file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import (
    MAX_ENTROPY,
    check_report,
    draw_report,
    finish,
    refuse_inputs,
    report,
    scale,
)
from nimakit.commands.parameters import FILE, Bins, Finite, skip_bad
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.stats.bradley_terry import Comparisons, Scores
    from nimakit.stats.histogram import FloatArray


@click.command()
@click.argument("pairs_file", type=FILE, metavar="PAIRS")
@click.option("--output", type=FILE, required=True, help="The label file to write, .json.")
@click.option("--scores-file", type=FILE, help="Also write scores and standard errors, .csv.")
@click.option("--left-column", default="left", show_default=True, help="Column of the one image.")
@click.option("--right-column", default="right", show_default=True, help="Column of the other image.")
@click.option(
    "--chosen-column",
    default="chosen",
    show_default=True,
    help="Column of the choice: the name of either image, left, right, or a tie.",
)
@click.option(
    "--tie",
    "ties",
    multiple=True,
    default=("tie", "-1"),
    show_default=True,
    help="What stands for a tie; can be given several times.",
)
@click.option(
    "--prior-sd",
    type=Finite(0.01, 100),
    help="Regularise: a normal prior of this standard deviation (in logits; 2 is mild) on the scores. Images"
    " that are otherwise left out get scores then.",
)
@click.option("--bins", type=Bins(), default="1-10", show_default=True, help="The scale of the labels.")
@report
@skip_bad
def pairs(
    *,
    pairs_file: Path,
    output: Path,
    scores_file: Path | None,
    left_column: str,
    right_column: str,
    chosen_column: str,
    ties: tuple[str, ...],
    prior_sd: float | None,
    bins: "FloatArray",
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Fit Bradley-Terry scores to comparisons of two images. PAIRS is a .csv, .tsv or .jsonl.

    A label is the maximum-entropy distribution whose mean lies as far up the scale as the image's mean chance
    of being chosen over another. Images without a finite score, or that no chain of comparisons connects with
    the largest group, are left out and listed.

    \b
    Example:
      nimakit data pairs pairs.csv --output labels.json --scores-file scores.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.io.tables import BadRows
    from nimakit.labels.comparisons import read_comparisons
    from nimakit.labels.label_file import Labels, write_labels
    from nimakit.stats.bradley_terry import fit, groups
    from nimakit.stats.histogram import max_entropy

    check_output(output, (".json",))
    if scores_file:
        check_output(scores_file, (".csv",))
        refuse_inputs([scores_file], [pairs_file])
    check_report(report_file)
    rows = BadRows(skip=skip_bad)
    given = read_comparisons(
        pairs_file,
        left_column=left_column,
        right_column=right_column,
        chosen_column=chosen_column,
        ties=ties,
        rows=rows,
        notify=say,
    )
    scores = fit(given, prior_sd=prior_sd)
    ids = [given.image_ids[place] for place in scores.images]
    labels = max_entropy(bins[0] + scores.chance * (bins[-1] - bins[0]), bins)
    write_labels(output, ids, labels)
    files = {output: len(ids)}
    if scores_file:
        _write_scores(scores_file, given, scores)
        files[scores_file] = len(given.image_ids)
    if report_file:
        draw_report(report_file, pairs_file, Labels(tuple(ids), labels, labels), bins, MAX_ENTROPY)
        files[report_file] = len(ids)
    summary = _summary(given, scores, [len(group) for group in groups(given)])
    finish({**summary, "prior_sd": prior_sd, **scale(bins)}, files, rows)
    return 0


def _summary(given: "Comparisons", scores: "Scores", group_sizes: list[int]) -> dict[str, Any]:
    """What there was and what came of it; people are told what has no score, or by the prior alone."""
    import numpy as np

    left_out = {
        reason: [given.image_ids[place] for place in places] for reason, places in scores.left_out.items()
    }
    for reason, names in left_out.items():
        say(f"left out, as {reason}: {len(names)} of {len(given.image_ids)} images")
    if len(group_sizes) > 1 and not left_out:
        say(f"comparisons fall into {len(group_sizes)} groups; between them scores rest on --prior-sd alone")
    return {
        "comparisons": len(given.share),
        "ties": int((given.share == 0.5).sum()),
        "images": len(given.image_ids),
        "images_of_groups": group_sizes,
        "scored": len(scores.images),
        "left_out": left_out,
        "median_standard_error": float(np.median(scores.standard_error)),
    }


def _write_scores(path: Path, given: "Comparisons", scores: "Scores") -> None:
    """A row an image."""
    from nimakit.io.atomic import atomic_writer
    from nimakit.io.delimited import TableWriter
    from nimakit.labels.comparisons import SCORE_COLUMNS, score_rows

    with atomic_writer(path) as stream:
        table = TableWriter(stream)
        for row in (SCORE_COLUMNS, *score_rows(given, scores)):
            table.row(row)
