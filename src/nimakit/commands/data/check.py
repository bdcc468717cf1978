"""`nimakit data check`: find problems in label files and their images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import print_json, report_list
from nimakit.commands.parameters import FILE, FolderOrSource, image_source, max_pixels, recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say, say_once

if TYPE_CHECKING:
    from nimakit.labels.image_checks import ImageCheck, ImageSet
    from nimakit.labels.label_checks import Finding
    from nimakit.labels.label_file import Labels
    from nimakit.labels.listed_images import ListedImages
    from nimakit.sources import Source


@click.command()
@click.argument("labels_files", nargs=-1, type=FILE, metavar="[LABELS]...")
@image_source(
    "image_sources",
    FolderOrSource(),
    multiple=True,
    help="The images: once for all LABELS, or once for each. A folder; a pattern such as"
    " 'photos/**/*.jpg'; a manifest (.txt, .csv, .tsv, .jsonl or .parquet) of paths and URLs; tar files; or"
    " one of these in a store: s3://, gs:// or az://. Without it only the labels are checked.",
)
@click.option(
    "--image-column",
    default="image",
    show_default=True,
    help="Column of a manifest with the path or URL of the photo; a relative path counts from the manifest.",
)
@click.option(
    "--id-column",
    help="Column of a manifest with the image_id.  [default: the path or URL, and with LABELS the name of the"
    " file]",
)
@recursive
@click.option(
    "--similarity",
    type=click.FloatRange(0.2, 1),
    default=0.5,
    help="How similar two images must be to count as the same picture.",
)
@click.option(
    "--min-raters",
    type=click.IntRange(min=0),
    default=5,
    help="Report images with fewer ratings than this as a problem.",
)
@max_pixels
def check(
    *,
    labels_files: tuple[Path, ...],
    image_sources: tuple[Path | str, ...],
    image_column: str,
    id_column: str | None,
    recursive: bool,
    similarity: float,
    min_raters: int,
    max_pixels: int,
) -> int:
    """Check LABELS and their images. Name the training file first and the test file last.

    Finds the same picture in several files, or twice in one, even if it was resized, re-encoded, converted to
    grey, mirrored or cropped a little; images that are missing, unreadable or blank; and mistakes in the
    labels. Without LABELS, checks the images of each --image-source.

    The output on stdout lists images to drop: of the same picture, all but the one in the last file. You can
    pass it to nimakit data filter --drop. Fingerprints of the images are cached, so a second check is fast.

    Exit code: 0 no problems, 1 usage error, 2 problems found.

    \b
    Example:
      nimakit data check labels_train.json labels_test.json --image-source photos > check.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images import fingerprints
    from nimakit.labels import image_checks
    from nimakit.labels.label_checks import check_labels, compare_labels
    from nimakit.labels.label_file import read_labels
    from nimakit.sources import open_source

    if image_sources:
        fingerprints.require()
    if len({path.resolve() for path in labels_files}) < len(labels_files):
        raise UsageError(f"LABELS must be different files. Received: {', '.join(map(str, labels_files))}")
    labels = {str(path): read_labels(path) for path in labels_files}
    open_listed = partial(open_source, image_column=image_column, id_column=id_column, notify=say)
    sets = _image_sets(labels, image_sources, open_listed, recursive=recursive, max_pixels=max_pixels)
    checks = {
        name: found for name, one in labels.items() if (found := check_labels(one, min_raters=min_raters))
    }
    images = image_checks.check_images(sets, similarity=similarity, max_pixels=max_pixels)
    findings = [(name, finding) for name, found in checks.items() for finding in found.findings]
    findings += [("all files", finding) for finding in compare_labels(checks)]
    problems = images.problems + sum(finding.problem for _, finding in findings)
    result = {
        "problems": problems,
        "files": {one.file: len(one.image_ids) for one in sets},
        **asdict(images),
        "labels": {name: found.figures() for name, found in checks.items()},
        "findings": [{"file": name, **asdict(finding)} for name, finding in findings],
    }
    print_json(result)
    _report(images, findings)
    say(f"problems found: {problems or 'none'}")
    return ImageError.exit_code if problems else 0


def _image_sets(
    labels: Mapping[str, "Labels"],
    image_sources: Sequence[Path | str],
    open_listed: "Callable[..., Source]",
    *,
    recursive: bool,
    max_pixels: int,
) -> list["ImageSet"]:
    """The images of each label file, or of each source if there are no label files."""
    from nimakit.labels import image_checks

    if not labels and not image_sources:
        raise UsageError("A check needs LABELS, --image-source, or both. Received: neither")
    if labels and len(image_sources) not in (0, 1, len(labels)):
        raise UsageError(
            "--image-source must be given once, or once for each of LABELS. Received:"
            f" {len(image_sources)} sources for {len(labels)} label files"
        )
    notify = say_once()
    sources = image_sources if len(image_sources) > 1 else (*image_sources, None)[:1] * len(labels or [1])
    listed = _read_listed(labels, sources, open_listed, recursive=recursive, max_pixels=max_pixels)
    if not labels:
        return [
            image_checks.unlabelled(source, recursive=recursive, notify=notify)
            if isinstance(source, Path)
            else listed[str(source)].unlabelled()
            for source in sources
        ]
    return [
        listed[source].labelled(name, one.image_ids)
        if isinstance(source, str)
        else image_checks.labelled(name, one.image_ids, source, recursive=recursive, notify=notify)
        for (name, one), source in zip(labels.items(), sources, strict=True)
    ]


def _read_listed(
    labels: Mapping[str, "Labels"],
    sources: Sequence[Path | str | None],
    open_listed: "Callable[..., Source]",
    *,
    recursive: bool,
    max_pixels: int,
) -> "dict[str, ListedImages]":
    """The images of the sources that are no folders, of which each is read once."""
    from nimakit.images.files import canonical
    from nimakit.labels.listed_images import read_listed

    wanted: dict[str, set[str]] = {}
    for source, one in zip(sources, labels.values(), strict=False):
        wanted.setdefault(str(source), set()).update(map(canonical, one.image_ids))
    return {
        name: read_listed(
            name, open_listed(name, recursive=recursive), wanted.get(name), max_pixels=max_pixels
        )
        for name in dict.fromkeys(sources)
        if isinstance(name, str)
    }


def _report(images: "ImageCheck", findings: Sequence[tuple[str, "Finding"]]) -> None:
    """Print what was found on stderr, the worst first."""
    shared = [f"{entry}: {', '.join(entry.paths)}" for entry in images.ambiguous]
    unreadable = [f"{entry}: {entry.error}" for entry in images.unreadable]
    report_list("the same picture in several files", [str(group) for group in images.leaks])
    report_list("the same picture more than once in a file", [str(group) for group in images.duplicates])
    report_list("missing images", [str(entry) for entry in images.missing])
    report_list("image_ids that match several files", shared)
    report_list("images that cannot be read", unreadable)
    report_list("blank images", [str(entry) for entry in images.blank])
    for name, finding in findings:
        say(f"{name}: {finding}")
