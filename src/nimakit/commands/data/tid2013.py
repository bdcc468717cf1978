"""`nimakit data tid2013`: mean opinion scores to label files."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import (
    MAX_ENTROPY,
    check_report,
    draw_report,
    finish,
    output_dir,
    prepare_folder,
    report,
    scale,
    seed,
    test_share,
)
from nimakit.commands.parameters import FILE, skip_bad
from nimakit.errors import LabelError
from nimakit.progress import say

_FILES = ("tid2013_labels_train.json", "tid2013_labels_test.json")


@click.command()
@click.argument("mos_file", type=FILE, metavar="MOS_WITH_NAMES.TXT")
@output_dir("data/TID2013")
@test_share(0.2)
@seed
@report
@skip_bad
def tid2013(
    *,
    mos_file: Path,
    output_dir: Path,
    test_share: float,
    seed: int,
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Make label files of the TID2013 data set, whose mean opinion scores (MOS) run from 0 to 9.

    A label is the maximum-entropy distribution over ten bins that has the image's MOS for a mean. The first
    bin stands for MOS 0: a model scores from 1 to 10, and its score less 1 is the MOS. All pictures of a
    reference image are on one side of the split; --test-share is of references.

    \b
    Example:
      nimakit data tid2013 TID2013/mos_with_names.txt
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.datasets.tid2013 import BINS, read_tid2013
    from nimakit.io.atomic import together
    from nimakit.io.tables import BadRows
    from nimakit.labels.label_file import Labels, draw, write_labels
    from nimakit.stats.histogram import max_entropy

    train, test = prepare_folder(output_dir, _FILES)
    check_report(report_file)
    rows = BadRows(skip=skip_bad)
    images = read_tid2013(mos_file, rows)
    references, reference = np.unique(images.references, return_inverse=True)
    if len(references) < 2:
        raise LabelError(f"A split needs two reference images or more. Received: {references[0]} alone")
    tested = draw(len(references), test_share, seed)[reference]
    labels = max_entropy(images.mos, BINS)
    ids = np.array(images.image_ids)
    parts = {train: ~tested, test: tested}
    with together(output_dir) as folder:
        for path, part in parts.items():
            write_labels(folder / path.name, ids[part].tolist(), labels[part])
    summary = {
        "images": len(ids),
        "references": len(references),
        "test_references": np.unique(np.array(images.references)[tested]).tolist(),
        **scale(BINS),
    }
    say("scores of a model trained on these labels run from 1 to 10; less 1, they are on the scale of MOS")
    files = {path: int(part.sum()) for path, part in parts.items()}
    if report_file:
        draw_report(report_file, mos_file, Labels(images.image_ids, labels, labels), BINS, MAX_ENTROPY)
        files[report_file] = len(ids)
    finish(summary, files, rows)
    return 0
