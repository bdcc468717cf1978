"""`nimakit data pairs`: make scores and a label file from comparisons of two images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import MAX_ENTROPY, Import, importer, refuse_inputs
from nimakit.commands.parameters import FILE, Bins, Finite, OutputFile, labels_output
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.stats.bradley_terry import Comparisons, Scores
    from nimakit.stats.histogram import FloatArray


@click.command()
@click.argument("pairs_file", type=FILE, metavar="PAIRS")
@labels_output
@click.option(
    "--scores-file", type=OutputFile(".csv"), help="Also write scores, standard errors and ranks, .csv."
)
@click.option("--left-column", default="left", help="Column of one image.")
@click.option("--right-column", default="right", help="Column of the other image.")
@click.option(
    "--chosen-column",
    default="chosen",
    help="Column of the choice: the name of either image, left, right, or a tie.",
)
@click.option(
    "--tie", "ties", multiple=True, default=("tie", "-1"), help="A value that means a tie; can be repeated."
)
@click.option(
    "--prior-sd",
    type=Finite(0, 100),
    default=2.0,
    help="Standard deviation, in logits, of the normal prior of the scores. 0 fits without a prior, which"
    " leaves out images that have no finite score.",
)
@click.option("--bins", type=Bins(), default="1-10", help="The scale of the labels.")
@importer
def pairs(
    *,
    pairs_file: Path,
    output: Path,
    scores_file: Path | None,
    prior_sd: float,
    bins: "FloatArray",
    outcome: Import,
    **columns: Any,
) -> None:
    """Fit Bradley-Terry scores to comparisons of two images. PAIRS is a .csv, .tsv or .jsonl.

    Each label is a maximum-entropy distribution. Its mean lies as far up the scale as the image's average
    probability of being chosen over another. The scores file also has the ranks with 95 % intervals.

    \b
    Example:
      nimakit data pairs pairs.csv --output labels.json --scores-file scores.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.labels.comparisons import read_comparisons, write_scores
    from nimakit.labels.label_file import Labels, write_labels
    from nimakit.stats.bradley_terry import fit, groups
    from nimakit.stats.histogram import max_entropy

    if scores_file:
        refuse_inputs([scores_file], [pairs_file])
    given = read_comparisons(pairs_file, **columns, rows=outcome.rows, notify=say)
    scores = fit(given, prior_sd=prior_sd or None)
    ids = tuple(given.image_ids[place] for place in scores.images)
    labels = max_entropy(bins[0] + scores.chance * (bins[-1] - bins[0]), bins)
    write_labels(output, ids, labels)
    outcome.files[output] = len(ids)
    if scores_file:
        write_scores(scores_file, given, scores)
        outcome.files[scores_file] = len(given.image_ids)
    outcome.report(pairs_file, Labels(ids, labels, labels), bins, MAX_ENTROPY)
    summary = _summary(given, scores, [len(group) for group in groups(given)])
    outcome.finish({**summary, "prior_sd": prior_sd}, bins)


def _summary(given: "Comparisons", scores: "Scores", group_sizes: list[int]) -> dict[str, Any]:
    """The figures of the result; also warns about images without a score."""
    import numpy as np

    from nimakit.stats.ranking import WANTED_CERTAINTY, forecast

    left_out = {
        reason: [given.image_ids[place] for place in places] for reason, places in scores.left_out.items()
    }
    for reason, names in left_out.items():
        say(f"left out ({reason}): {len(names)} of {len(given.image_ids)} images")
    if len(group_sizes) > 1 and not left_out:
        say(
            f"the comparisons form {len(group_sizes)} separate groups; only the prior relates the scores"
            " of one group to those of another"
        )
    progress = forecast(scores.score, scores.variance)
    say(
        f"neighbours in the ranking are in the right order with a probability of {progress.certainty:.0%};"
        f" about {progress.more:,} more comparisons are needed for {WANTED_CERTAINTY:.0%}"
    )
    return {
        "comparisons": len(given.share),
        "ties": int((given.share == 0.5).sum()),
        "images": len(given.image_ids),
        "images_of_groups": group_sizes,
        "scored": len(scores.images),
        "left_out": left_out,
        "median_standard_error": float(np.median(scores.standard_error)),
        "reliability": progress.reliability,
        "certainty_of_neighbours": progress.certainty,
        "comparisons_needed": progress.more,
        "careless": _careless(given),
    }


def _careless(given: "Comparisons") -> list[str] | None:
    """Raters who agree with the others no better than chance; None where there are no others."""
    from nimakit.stats.careless import conformity

    if len(given.user_ids) < 2:
        return None
    names = [*conformity(given).careless]
    if names:
        say(
            f"{len(names)} of {len(given.user_ids)} raters agree with the ranking by the others no better"
            " than chance; they are listed as careless in the summary, and their comparisons count"
        )
    return names
