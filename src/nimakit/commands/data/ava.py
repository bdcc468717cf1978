"""`nimakit data ava`: AVA.txt to label files."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import (
    check_report,
    draw_report,
    finish,
    output_dir,
    prepare_folder,
    refuse_leftovers,
    report,
    scale,
    seed,
    test_share,
)
from nimakit.commands.parameters import FILE, skip_bad
from nimakit.errors import UsageError
from nimakit.progress import say

_FILES = ("ava_labels_train_entire.json", "ava_labels_test.json", "ava_labels_train.json")


@click.command()
@click.argument("ava_file", type=FILE, metavar="AVA.TXT")
@output_dir("data/AVA")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME|NUMBER",
    help="Also write a train file of the images with this semantic tag, such as interior; several times: with"
    " any of the tags.",
)
@click.option("--tags-file", type=FILE, help="tags.txt of the data set.  [default: beside AVA.TXT]")
@click.option(
    "--test-ids",
    type=FILE,
    help="The test images: a label file, or a text file with an image id a line; instead of a random split.",
)
@test_share(0.1)
@seed
@report
@skip_bad
def ava(
    *,
    ava_file: Path,
    output_dir: Path,
    tags: tuple[str, ...],
    tags_file: Path | None,
    test_ids: Path | None,
    test_share: float,
    seed: int,
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Make label files of the AVA data set, on its scale from 1 to 10.

    Writes ava_labels_train_entire.json and ava_labels_test.json; with --tag also ava_labels_train.json, the
    train images with that tag.

    \b
    Example:
      nimakit data ava AVA/AVA.txt --tag interior --tags-file AVA/tags.txt
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.datasets.ava import BINS, read_ava, read_tags, resolve_tags
    from nimakit.io.atomic import together
    from nimakit.io.tables import BadRows
    from nimakit.labels.label_file import Labels, draw, write_labels
    from nimakit.stats.histogram import default_bins, normalise

    wanted = resolve_tags(tags, read_tags(tags_file or ava_file.with_name("tags.txt"))) if tags else []
    entire, test, tagged = prepare_folder(output_dir, _FILES)
    check_report(report_file)
    rows = BadRows(skip=skip_bad)
    images = read_ava(ava_file, rows)
    ids = np.array(images.image_ids)
    if test_ids is None:
        tested = draw(len(ids), test_share, seed)
    else:
        listed = _listed(test_ids)
        tested = np.isin(ids, listed)
        say(f"{int(tested.sum())} of the {len(listed)} ids in {test_ids} are in {ava_file}")
    parts = {entire: ~tested, test: tested}
    if wanted:
        parts[tagged] = ~tested & images.tagged(wanted)
    for path, part in parts.items():
        if not part.any():
            raise UsageError(f"Each file gets at least one image. Received: none for {path}")
    refuse_leftovers({tagged} - parts.keys())
    with together(output_dir) as folder:
        for path, part in parts.items():
            write_labels(folder / path.name, ids[part].tolist(), images.counts[part])
    summary = {"images": len(ids), "ratings": int(images.counts.sum()), **scale(default_bins(BINS))}
    files = {path: int(part.sum()) for path, part in parts.items()}
    if report_file:
        given = Labels(images.image_ids, normalise(images.counts), images.counts)
        draw_report(report_file, ava_file, given, default_bins(BINS))
        files[report_file] = len(ids)
    finish(summary, files, rows)
    return 0


def _listed(test_ids: Path) -> list[str]:
    """The ids of a label file, or of a text file with one a line."""
    from nimakit.io.tables import read_lines
    from nimakit.labels.label_file import read_labels

    if test_ids.suffix.lower() == ".json":
        return list(read_labels(test_ids).image_ids)
    return [text for _, text in read_lines(test_ids)]
