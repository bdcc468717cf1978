"""`nimakit data ava`: make label files from AVA.txt."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import (
    Import,
    importer,
    output_dir,
    prepare_folder,
    refuse_leftovers,
    test_share,
)
from nimakit.commands.parameters import FILE, seed
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
    help="Also write a train file of the images with this semantic tag, such as interior. Repeat it for"
    " images with any of several tags.",
)
@click.option("--tags-file", type=FILE, help="tags.txt of the data set.  [default: next to AVA.TXT]")
@click.option(
    "--test-ids",
    type=FILE,
    help="The test images, instead of a random split: a label file, or a text file with an id per line.",
)
@test_share(0.1)
@seed
@importer
def ava(
    *,
    ava_file: Path,
    output_dir: Path,
    tags: tuple[str, ...],
    tags_file: Path | None,
    test_ids: Path | None,
    test_share: float,
    seed: int,
    outcome: Import,
) -> None:
    """Make label files from the AVA data set, on its scale from 1 to 10.

    Writes ava_labels_train_entire.json and ava_labels_test.json; with --tag also ava_labels_train.json, the
    train images with that tag.

    \b
    Example:
      nimakit data ava AVA/AVA.txt --tag interior --tags-file AVA/tags.txt
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.datasets.ava import BINS, read_ava, read_tags, resolve_tags
    from nimakit.labels.label_file import Labels
    from nimakit.labels.splitting import draw
    from nimakit.stats.histogram import default_bins, normalise

    chosen_tags = resolve_tags(tags, read_tags(tags_file or ava_file.with_name("tags.txt"))) if tags else []
    entire, test, tagged = prepare_folder(output_dir, _FILES)
    images = read_ava(ava_file, outcome.rows)
    if test_ids is None:
        is_test = draw(len(images.image_ids), test_share, seed)
    else:
        listed = _read_ids(test_ids)
        is_test = np.isin(images.image_ids, listed)
        say(f"{int(is_test.sum())} of the {len(listed)} ids in {test_ids} are in {ava_file}")
    parts = {entire: ~is_test, test: is_test}
    if chosen_tags:
        parts[tagged] = ~is_test & images.tagged(chosen_tags)
    for path, part in parts.items():
        if not part.any():
            raise UsageError(f"Each file must get at least one image. Received: none for {path}")
    refuse_leftovers({tagged} - parts.keys())
    outcome.write_parts(images.image_ids, images.counts, parts)
    bins = default_bins(BINS)
    outcome.report(ava_file, Labels(images.image_ids, normalise(images.counts), images.counts), bins)
    outcome.finish({"images": len(images.image_ids), "ratings": int(images.counts.sum())}, bins)


def _read_ids(path: Path) -> list[str]:
    """The ids of a label file, or of a text file with one per line."""
    from nimakit.io.tables import read_lines
    from nimakit.labels.label_file import read_labels

    if path.suffix.lower() == ".json":
        return list(read_labels(path).image_ids)
    return [text for _, text in read_lines(path)]
