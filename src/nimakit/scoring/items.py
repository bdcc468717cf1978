"""Images to score, with their labels, and their results in order."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import ImageError
from nimakit.features import KeptScorer
from nimakit.images.files import find_images, image_id, match_images
from nimakit.io.atomic import escaped
from nimakit.labels.label_file import Labels
from nimakit.models.engine import Result, Scorer
from nimakit.models.pretrained import Notify
from nimakit.models.score import Record, Score, Scores, error_record, score_record
from nimakit.sources import Content, Entry, Reader
from nimakit.stats.histogram import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An image to score.

    Attributes:
        image_id: File name without its last suffix.
        path: The file; None if the folder has no image with that image_id.
        image: Path relative to the image source, if several files share an image_id; else None.
        label: (bins,) float64, sums to 1: people's ratings; None if unknown.
        ratings: Number of people's ratings; None if unknown.
    """

    image_id: str
    path: Path | None
    image: str | None = None
    label: FloatArray | None = None
    ratings: float | None = None


def list_items(
    source: Path, labels: Labels | None = None, *, recursive: bool = False, notify: Notify | None = None
) -> list[Item]:
    """List the images of a run, in order.

    Args:
        source: A photo or a folder.
        labels: Images to score, in this order. If the source is a photo, only its own label is used.
        recursive: Whether to look into sub-folders.
        notify: As for `nimakit.images.files.match_images`.

    Returns:
        At least one item.

    Raises:
        UsageError: The source is missing, unreadable, or contains no image.
    """
    if labels is None:
        paths = find_images(source, recursive=recursive, notify=notify)
        repeated = max(Counter(map(image_id, paths)).values()) > 1
        return [
            Item(
                image_id=image_id(p),
                path=p,
                image=escaped(p.relative_to(source).as_posix()) if repeated else None,
            )
            for p in paths
        ]
    wanted: Sequence[str] = labels.image_ids
    rows: Sequence[FloatArray | None] = (
        [None] * len(wanted) if labels.histograms is None else [*labels.histograms]
    )
    counts: Sequence[float | None] = (
        [None] * len(wanted) if labels.ratings is None else labels.ratings.tolist()
    )
    if not source.is_dir():
        known = dict(zip(wanted, zip(rows, counts, strict=True), strict=True))
        wanted = [image_id(source)]
        label, count = known.get(wanted[0], (None, None))
        rows, counts = [label], [count]
    paths_of = match_images(wanted, source, recursive=recursive, notify=notify)
    return [
        Item(image_id=name, path=paths_of[name], label=label, ratings=count)
        for name, label, count in zip(wanted, rows, counts, strict=True)
    ]


def score_items(
    scorer: Scorer[Result] | KeptScorer[Result], items: Sequence[Item]
) -> Iterator[tuple[Item, Result | ImageError]]:
    """Score items in order; an item without a file gets an error."""
    missing = ImageError("The image source has no image with this image_id.")
    yield from zip(items, scorer.score(item.path or missing for item in items), strict=True)


def score_entries(
    scorer: Scorer[Result], reader: Reader, entries: Iterable[Entry]
) -> Iterator[tuple[Entry, Result | ImageError]]:
    """Score the photographs of a source in order; a bounded number is read ahead."""
    ahead: deque[Entry] = deque()

    def contents() -> Iterator[Content]:
        for entry, content in reader.read_ahead(entries):
            ahead.append(entry)
            yield content

    for result in scorer.score(contents()):
        yield ahead.popleft(), result


def to_record(item: Item | Entry, result: Score | Scores | ImageError) -> Record:
    """The score record of an item, or its record with the error."""
    record: Record = {"image_id": item.image_id}
    if item.image is not None:
        record["image"] = item.image
    record |= error_record(result) if isinstance(result, ImageError) else score_record(result)
    return record
