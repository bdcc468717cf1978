"""`nimakit data link`: label files as folders of links to their images."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import tell
from nimakit.commands.parameters import FILE, Bins, recursive
from nimakit.errors import ImageError, UsageError
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
    help="A folder, and the label file of its images: train=labels_train.json. Once for each part.",
)
@click.option("--image-dir", required=True, type=FILE, help="The folder of the images.")
@recursive
@click.option("--output-dir", required=True, type=FILE, help="The folder to make; it must be new, or empty.")
@click.option(
    "--by-class",
    is_flag=True,
    help="A folder for each bin, of the images whose mean rating is nearest to it.",
)
@click.option(
    "--cut",
    "cuts",
    type=float,
    multiple=True,
    help="Two folders, of the images with mean ratings below and from here on; several times: more folders.",
)
@click.option("--bins", type=Bins(), help="The rating each bin stands for, where it is not 1, 2, ...: 0-9.")
@click.option(
    "--how",
    type=click.Choice(["symlink", "hardlink", "copy"]),
    default="symlink",
    show_default=True,
    help="symlink points to the photo's absolute path; hardlink outlives a move of the photo, on the same"
    " file system; copy takes the space.",
)
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
    """Make a folder tree of links to images, such as train/ and test/, for trainers that go by folder.

    Exit code: 0 all linked, 2 some images are missing or could not be linked (all others are linked).

    \b
    Example:
      nimakit data link --part train=labels_train.json --part test=labels_test.json \\
        --image-dir photos --output-dir tree --cut 5
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import match_images
    from nimakit.labels import link_tree
    from nimakit.labels.label_file import read_labels

    if by_class and cuts:
        raise UsageError("Classes are made by --by-class or by --cut. Received: both")
    link_tree.check_new(output_dir)
    files = _label_files(parts)
    labels = {part: read_labels(path) for part, path in files.items()}
    _refuse_leaks(labels)
    names = [name for one in labels.values() for name in one.image_ids]
    paths = match_images(names, image_dir, recursive=recursive, notify=say)
    links: dict[str, Path] = {}
    for part, one in labels.items():
        folders = _folders(one, files[part], by_class, cuts, bins)
        for name, folder in zip(one.image_ids, folders, strict=True):
            if path := paths[name]:
                links[f"{part}/{folder}{path.name}"] = path
    with link_tree.new_folder(output_dir) as tree:
        failed = link_tree.link_files(tree, links, how)
    missing = [name for name, path in paths.items() if path is None]
    linked = [name for name in links if name not in failed]
    counts = Counter(str(output_dir / Path(name).parent) for name in linked)
    summary = {"images": len(linked), "folders": counts, "missing": missing, "failed": failed}
    click.echo(json.dumps(summary, indent=2))
    tell(f"images that are not in {image_dir}", missing)
    tell("images that could not be linked", [*failed.values()])
    return ImageError.exit_code if missing or failed else 0


def _label_files(parts: Sequence[str]) -> dict[str, Path]:
    """The label file of each part."""
    matches = [re.fullmatch(r"([\w-]+)=(.+)", text, re.ASCII) for text in parts]
    files = {match[1]: Path(match[2]) for match in matches if match}
    if len(files) < len(parts):
        raise UsageError(
            "A part is NAME=LABELS, such as train=labels_train.json, each name once. Received:"
            f" {', '.join(parts)}"
        )
    return files


def _refuse_leaks(labels: dict[str, "Labels"]) -> None:
    counts = Counter(name for one in labels.values() for name in one.image_ids)
    several = [name for name, count in counts.items() if count > 1]
    if several:
        raise UsageError(
            f"Each image is in one part. Received: {len(several)} in several, {several[0]!r} first"
        )


def _folders(
    labels: "Labels",
    path: Path,
    by_class: bool,
    cuts: Sequence[float],
    bins: "FloatArray | None",
) -> list[str]:
    """The folder of each image below that of its part, with a slash; empty where there are no classes."""
    from nimakit.labels import link_tree, sets

    if not (by_class or cuts):
        return [""] * len(labels.image_ids)
    means = sets.mean_ratings(labels, path, bins)
    classes = link_tree.classes_by_cut(means, cuts) if cuts else link_tree.classes_by_bin(means, bins)
    return [f"{name}/" for name in classes]
