"""`nimakit data balance`: repeat images of rare ratings."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import finish_links, how, new_folder
from nimakit.commands.parameters import FILE, FOLDER, image_source, recursive, seed
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.labels.link_tree import How


@click.command()
@click.argument("labels_file", type=FILE, metavar="LABELS")
@image_source("image_dir", FOLDER, required=True, help="The folder of the images.")
@recursive
@new_folder
@click.option(
    "--groups",
    type=click.IntRange(min=2),
    default=10,
    help="Divide the range of mean ratings into this many groups, each to get as many images as the largest.",
)
@click.option(
    "--most-copies",
    type=click.IntRange(min=2),
    default=10,
    help="Repeat an image at most this many times, even if its group then stays smaller.",
)
@how
@seed
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
    """Make a folder that repeats images with rare mean ratings: labels.json and images/.

    Use it for trainers that cannot balance ratings themselves. To train with nimakit, set balance_ratings in
    the config instead: it draws rare images more often and needs no further files. A copy is a link with its
    own name, name~2.jpg: split first, or the same picture may end up in both train and test.

    Exit code: 0 all linked, 2 some images are missing or could not be linked (all others are linked).

    \b
    Example:
      nimakit data balance labels_train.json --image-source photos --output-dir balanced
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
        raise UsageError(
            f"--image-source must contain the images of LABELS. Received: {image_dir}, with none"
        )
    found = sets.only(labels, np.array([paths[name] is not None for name in labels.image_ids]))
    counts = sets.counts_of(found, labels_file)
    means = sets.mean_ratings(found, labels_file)
    times = balancing.copies(means, groups=groups, most=most_copies, seed=seed)
    names = balancing.copy_names(found.image_ids, times)
    with link_tree.new_folder(output_dir) as folder:
        links: dict[str, Path] = {}
        for image_id, own in zip(found.image_ids, names, strict=True):
            if path := paths[image_id]:
                links |= {f"images/{name}{path.suffix}": path for name in own}
        failed = link_tree.link_files(folder, links, how)
        is_linked = np.array([name not in failed for name in links])
        linked = np.concatenate(names)[is_linked].tolist()
        write_labels(folder / "labels.json", linked, np.repeat(counts, times, axis=0)[is_linked])
    group = balancing.rating_groups(means, groups)
    summary = {
        "images": len(found.image_ids),
        "images_by_rating": np.bincount(group, minlength=groups).tolist(),
        "links": len(linked),
        "links_by_rating": np.bincount(np.repeat(group, times)[is_linked], minlength=groups).tolist(),
        "files": {str(output_dir / "labels.json"): len(linked)},
    }
    return finish_links(summary, image_dir, missing, failed)
