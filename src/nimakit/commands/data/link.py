"""`nimakit data link`: make a folder tree of links to the images of label files."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import finish_links, how, new_folder
from nimakit.commands.parameters import FOLDER, image_source, label_bins, recursive
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.labels.label_file import Labels
    from nimakit.labels.link_tree import How
    from nimakit.stats.histogram import FloatArray


@click.command()
@click.option(
    "--part",
    "parts",
    multiple=True,
    required=True,
    metavar="NAME=LABELS",
    help="A folder and the label file of its images: train=labels_train.json. Give it once for each part.",
)
@image_source("image_dir", FOLDER, required=True, help="The folder of the images.")
@recursive
@new_folder
@click.option(
    "--by-class", is_flag=True, help="Make a folder for each bin, of the images rated nearest to it."
)
@click.option(
    "--cut",
    "cuts",
    type=float,
    multiple=True,
    help="Make two folders: images with mean ratings below this, and from this on. Given several times: more"
    " folders.",
)
@label_bins
@how
def link(
    *,
    parts: tuple[str, ...],
    image_dir: Path,
    recursive: bool,
    output_dir: Path,
    by_class: bool,
    cuts: tuple[float, ...],
    bins: "FloatArray | None",
    how: "How",
) -> int:
    """Make a folder tree of links to images, such as train/ and test/, for trainers that read folders.

    Exit code: 0 all linked, 2 some images are missing or could not be linked (all others are linked).

    \b
    Example:
      nimakit data link --part train=labels_train.json --part test=labels_test.json \\
        --image-source photos --output-dir tree --cut 5
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import match_images
    from nimakit.labels import link_tree
    from nimakit.labels.label_file import read_labels

    if by_class and cuts:
        raise UsageError("Classes are made by either --by-class or --cut. Received: both")
    link_tree.check_new(output_dir)
    files = _label_files(parts)
    labels = {part: read_labels(path) for part, path in files.items()}
    names = [name for one in labels.values() for name in one.image_ids]
    several = [name for name, count in Counter(names).items() if count > 1]
    if several:
        raise UsageError(
            f"Each image must be in one part only. Received: {len(several)} in several, {several[0]!r} first"
        )
    paths = match_images(names, image_dir, recursive=recursive, notify=say)
    links: dict[str, Path] = {}
    for part, one in labels.items():
        folders = _folders(one, files[part], by_class, cuts, bins)
        for name, folder in zip(one.image_ids, folders, strict=True):
            if path := paths[name]:
                links[f"{part}/{folder}{path.name}"] = path
    with link_tree.new_folder(output_dir) as tree:
        failed = link_tree.link_files(tree, links, how)
    linked = [name for name in links if name not in failed]
    summary = {
        "images": len(linked),
        "folders": Counter(str(output_dir / Path(name).parent) for name in linked),
    }
    return finish_links(summary, image_dir, [name for name, path in paths.items() if path is None], failed)


def _label_files(parts: Sequence[str]) -> dict[str, Path]:
    """The label file of each part."""
    matches = [re.fullmatch(r"([\w-]+)=(.+)", text, re.ASCII) for text in parts]
    files = {match[1]: Path(match[2]) for match in matches if match}
    if len(files) < len(parts):
        raise UsageError(
            "--part must be NAME=LABELS, such as train=labels_train.json, with each name once. Received:"
            f" {', '.join(parts)}"
        )
    return files


def _folders(
    labels: "Labels", path: Path, by_class: bool, cuts: Sequence[float], bins: "FloatArray | None"
) -> list[str]:
    """The class folder of each image, with a slash; empty if there are no classes."""
    from nimakit.labels import link_tree, sets

    if not (by_class or cuts):
        return [""] * len(labels.image_ids)
    means = sets.mean_ratings(labels, path, bins)
    classes = link_tree.classes_by_cut(means, cuts) if cuts else link_tree.classes_by_bin(means, bins)
    return [f"{name}/" for name in classes]
