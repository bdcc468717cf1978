"""`nimakit data check`: whether label files and images are what they should be."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import tell
from nimakit.commands.parameters import FILE, recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say, say_once

if TYPE_CHECKING:
    from nimakit.labels.image_checks import ImageCheck, ImageSet
    from nimakit.labels.label_checks import Finding
    from nimakit.labels.label_file import Labels


@click.command()
@click.argument("labels_files", nargs=-1, type=FILE, metavar="[LABELS]...")
@click.option(
    "--image-dir",
    "image_dirs",
    multiple=True,
    type=FILE,
    help="The folder of the images: once for all LABELS, or once for each. Without it only the labels are"
    " checked.",
)
@recursive
@click.option(
    "--similarity",
    type=click.FloatRange(0.2, 1),
    default=0.5,
    show_default=True,
    help="How alike two pictures must be to count as the same one.",
)
@click.option(
    "--min-raters",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Images that fewer people rated are a problem.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Larger images count as unreadable.  [default: 89478485]",
)
def check(
    *,
    labels_files: tuple[Path, ...],
    image_dirs: tuple[Path, ...],
    recursive: bool,
    similarity: float,
    min_raters: int,
    max_pixels: int | None,
) -> int:
    """Check LABELS and their images, training file first, test file last.

    Finds the same picture in several files, or twice in one, though it is resized, re-encoded, grey,
    mirrored, or cropped a little; images that are missing, unreadable or blank; and what is odd about the
    labels. Without LABELS the images of each --image-dir are checked.

    The output on stdout has a list of what to drop, of the same picture all but the one in the last file;
    nimakit data filter --drop takes it. Fingerprints of pictures are kept, so that a second check is quick.

    Exit code: 0 nothing to mend, 1 usage error, 2 problems found.

    \b
    Example:
      nimakit data check labels_train.json labels_test.json --image-dir photos > check.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images import fingerprints
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.labels import image_checks
    from nimakit.labels.label_checks import check_labels, compare_labels
    from nimakit.labels.label_file import read_labels

    if image_dirs:
        fingerprints.require()
    if len({path.resolve() for path in labels_files}) < len(labels_files):
        raise UsageError(f"LABELS are different files. Received: {', '.join(map(str, labels_files))}")
    labels = {str(path): read_labels(path) for path in labels_files}
    sets = _sets(labels, image_dirs, recursive=recursive)
    checks = {name: check_labels(one, min_raters=min_raters) for name, one in labels.items()}
    about = {name: one for name, one in checks.items() if one is not None}
    images = image_checks.check_images(sets, similarity=similarity, max_pixels=max_pixels or MAX_PIXELS)
    findings = [(name, finding) for name, one in about.items() for finding in one.findings]
    findings += [("all files", finding) for finding in compare_labels(about)]
    problems = images.problems + sum(finding.problem for _, finding in findings)
    result = {
        "problems": problems,
        "files": {one.file: len(one.image_ids) for one in sets},
        **images.to_dict(),
        "labels": {name: one.figures() for name, one in about.items()},
        "findings": [{"file": name, **finding.to_dict()} for name, finding in findings],
    }
    click.echo(json.dumps(result, indent=2))
    _tell_people(images, findings, problems)
    return ImageError.exit_code if problems else 0


def _sets(labels: Mapping[str, "Labels"], image_dirs: Sequence[Path], *, recursive: bool) -> list["ImageSet"]:
    """The images of each label file, or of each folder where there are no label files."""
    from nimakit.labels import image_checks

    if not labels and not image_dirs:
        raise UsageError(
            "Label files are checked, or a folder, or both. Received: no LABELS and no --image-dir"
        )
    if labels and len(image_dirs) not in (0, 1, len(labels)):
        raise UsageError(
            f"--image-dir is given once, or once for each of LABELS. Received: {len(image_dirs)} folders for"
            f" {len(labels)} label files"
        )
    for folder in image_dirs:
        if not folder.is_dir():
            raise UsageError(f"--image-dir is a folder of images. Received: {folder}")
    notify = say_once()
    if not labels:
        return [image_checks.unlabelled(folder, recursive=recursive, notify=notify) for folder in image_dirs]
    folders = image_dirs if len(image_dirs) > 1 else (*image_dirs, None)[:1] * len(labels)
    return [
        image_checks.labelled(name, one.image_ids, folder, recursive=recursive, notify=notify)
        for (name, one), folder in zip(labels.items(), folders, strict=True)
    ]


def _tell_people(images: "ImageCheck", findings: Sequence[tuple[str, "Finding"]], problems: int) -> None:
    """What was found in sentences, the worst first."""
    tell("the same picture in several files", [str(one) for one in images.leaks])
    tell("the same picture more than once in a file", [str(one) for one in images.duplicates])
    tell("missing images", [str(entry) for entry in images.missing])
    tell(
        "image_ids that several files share",
        [f"{entry}: {', '.join(paths)}" for entry, paths in images.ambiguous],
    )
    tell("images that cannot be read", [f"{entry}: {error}" for entry, error in images.unreadable])
    tell("blank images", [str(entry) for entry in images.blank])
    for name, finding in findings:
        say(f"{name}: {finding}")
    say(f"problems found: {problems or 'none'}")
