"""`nimakit data tid2013`: make label files from TID2013's mean opinion scores."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import (
    MAX_ENTROPY,
    Import,
    importer,
    output_dir,
    prepare_folder,
    test_share,
)
from nimakit.commands.parameters import FILE, seed
from nimakit.errors import LabelError
from nimakit.progress import say

_FILES = ("tid2013_labels_train.json", "tid2013_labels_test.json")


@click.command()
@click.argument("mos_file", type=FILE, metavar="MOS_WITH_NAMES.TXT")
@output_dir("data/TID2013")
@test_share(0.2)
@seed
@importer
def tid2013(*, mos_file: Path, output_dir: Path, test_share: float, seed: int, outcome: Import) -> None:
    """Make label files from the TID2013 data set, whose mean opinion scores (MOS) run from 0 to 9.

    Each label is the maximum-entropy distribution over ten bins whose mean is the image's MOS. The first bin
    stands for MOS 0: a model scores from 1 to 10, and its score minus 1 is the MOS. All versions of a
    reference image are in the same file; --test-share is a share of the reference images.

    \b
    Example:
      nimakit data tid2013 TID2013/mos_with_names.txt
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.datasets.tid2013 import BINS, read_tid2013
    from nimakit.labels.label_file import Labels
    from nimakit.labels.splitting import draw
    from nimakit.stats.histogram import max_entropy

    train, test = prepare_folder(output_dir, _FILES)
    images = read_tid2013(mos_file, outcome.rows)
    references, reference = np.unique(images.references, return_inverse=True)
    if len(references) < 2:
        raise LabelError(f"A split needs two or more reference images. Received: only {references[0]}")
    is_test = draw(len(references), test_share, seed)[reference]
    labels = max_entropy(images.mos, BINS)
    outcome.write_parts(images.image_ids, labels, {train: ~is_test, test: is_test})
    outcome.report(mos_file, Labels(images.image_ids, labels, labels), BINS, MAX_ENTROPY)
    say("a model trained on these labels scores from 1 to 10; subtract 1 to get the MOS")
    summary = {
        "images": len(images.image_ids),
        "references": len(references),
        "test_references": np.unique(np.array(images.references)[is_test]).tolist(),
    }
    outcome.finish(summary, BINS)
