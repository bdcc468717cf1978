"""`nimakit data balance`: rare ratings as often as common ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import tell
from nimakit.commands.parameters import FILE, recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.labels.link_tree import How


@click.command()
@click.argument("labels_file", type=FILE, metavar="LABELS")
@click.option("--image-dir", required=True, type=FILE, help="The folder of the images.")
@recursive
@click.option("--output-dir", required=True, type=FILE, help="The folder to make; it must be new, or empty.")
@click.option(
    "--groups",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Parts of the range of mean ratings that are to have as many images as the fullest.",
)
@click.option(
    "--most-copies",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="An image is there at most so often, even where its part of the range stays smaller then.",
)
@click.option(
    "--how",
    type=click.Choice(["symlink", "hardlink", "copy"]),
    default="symlink",
    show_default=True,
    help="As for nimakit data link.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another seed, other pictures once more than others of their group.",
)
def balance(
    *,
    labels_file: Path,
    image_dir: Path,
    recursive: bool,
    output_dir: Path,
    groups: int,
    most_copies: int,
    how: "How",
    seed: int,
) -> int:
    """Make a folder in which images of rare mean ratings are there several times: labels.json and images/.

    It is for trainers that have no such setting. To train with nimakit set balance_ratings in the config
    instead: it draws rare images more often and needs no further files. A copy is a link with a name of its
    own, name~2.jpg: split first, or a picture gets into train and test.

    Exit code: 0 all linked, 2 some images are missing or could not be linked (all others are linked).

    \b
    Example:
      nimakit data balance labels_train.json --image-dir photos --output-dir balanced
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.images.files import match_images
    from nimakit.labels import balancing, link_tree, sets
    from nimakit.labels.label_file import read_labels, write_labels

    link_tree.check_new(output_dir)
    labels = read_labels(labels_file)
    paths = match_images(labels.image_ids, image_dir, recursive=recursive, notify=say)
    missing = [name for name, path in paths.items() if path is None]
    if len(missing) == len(paths):
        raise UsageError(f"--image-dir holds the images of LABELS. Received: {image_dir}, with none of them")
    there = sets.only(labels, np.array([paths[name] is not None for name in labels.image_ids]))
    counts = sets.counts_of(there, labels_file)
    means = sets.mean_ratings(there, labels_file)
    times = balancing.copies(means, groups=groups, most=most_copies, seed=seed)
    names = balancing.copy_names(there.image_ids, times)
    with link_tree.new_folder(output_dir) as folder:
        links: dict[str, Path] = {}
        for image_id, own in zip(there.image_ids, names, strict=True):
            if path := paths[image_id]:
                links |= {f"images/{name}{path.suffix}": path for name in own}
        failed = link_tree.link_files(folder, links, how)
        linked = np.array([name not in failed for name in links])
        all_names = [name for own in names for name in own]
        labelled = [name for name, is_linked in zip(all_names, linked, strict=True) if is_linked]
        write_labels(folder / "labels.json", labelled, np.repeat(counts, times, axis=0)[linked])
    group = balancing.rating_groups(means, groups)
    summary = {
        "images": len(there.image_ids),
        "images_by_rating": np.bincount(group, minlength=groups).tolist(),
        "links": len(labelled),
        "links_by_rating": np.bincount(np.repeat(group, times)[linked], minlength=groups).tolist(),
        "files": {str(output_dir / "labels.json"): len(labelled)},
        "missing": missing,
        "failed": failed,
    }
    click.echo(json.dumps(summary, indent=2))
    tell(f"images that are not in {image_dir}", missing)
    tell("images that could not be linked", [*failed.values()])
    return ImageError.exit_code if missing or failed else 0
