"""The features of a job with ``head_only``: of its photographs, or stored ones in their place."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nimakit.config import HeadConfig
from nimakit.errors import ImageError, first_few
from nimakit.features import VIEWS, extract
from nimakit.jobs import Job
from nimakit.models.encoders import Encoder
from nimakit.scoring.items import Item
from nimakit.stats.histogram import Float32Array
from nimakit.training.labelled_set import JobData

_MAX_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Learned:
    """Features of N training images.

    Attributes:
        rows: Their places among the items of the job.
        blocks: For each encoder (views, N, D) float32.
        paths: Their files; none if the features were stored without them.
        others: If so, "validation" and "test" -> items, and blocks as above.
    """

    rows: Sequence[int]
    blocks: Sequence[Float32Array]
    paths: Sequence[Path]
    others: Mapping[str, tuple[Sequence[Item], Sequence[Float32Array]]]


@contextmanager
def open_features(
    job: Job, config: HeadConfig, data: JobData, encoders: Sequence[Encoder]
) -> Iterator[Learned]:
    """The features that a head learns from, and those of the sets it is evaluated on if they were stored.

    Raises:
        ImageError: Photographs cannot be decoded, and may not be left out; the error lists them.
        UsageError: Stored features cannot be read, or are those of other encoders.
        ModelError: An encoder fails.
    """
    views = VIEWS if config.random_flip else VIEWS[:1]
    if not data.features:
        yield _extract(data, encoders, views)
        return
    rows = data.parts["training"]
    sets = {
        "training": [data.items[row] for row in rows],
        "validation": [data.items[row] for row in data.parts["validation"]],
        "test": data.test,
    }
    image_ids = [item.image_id for items in sets.values() for item in items]
    with data.features.load(image_ids, encoders, views, job.folder) as blocks:
        given = {}
        start = 0
        for name, items in sets.items():
            given[name] = (items, [block[:, start : start + len(items)] for block in blocks])
            start += len(items)
        _, learned = given.pop("training")
        yield Learned(rows=rows, blocks=learned, paths=(), others=given)


def _extract(data: JobData, encoders: Sequence[Encoder], views: Sequence[str]) -> Learned:
    """Compute the features of the training images, or take them from the store."""
    training = data.parts["training"]
    paths = [path for row in training if (path := data.items[row].path)]
    table = extract(encoders, paths, views=views)
    if table.errors and (not data.allow_missing or not table.paths):
        listed = "\n  ".join(
            first_few([f"{path}: {error}" for path, error in table.errors.items()], _MAX_LISTED)
        )
        raise ImageError(
            f"{len(table.errors)} photographs cannot be decoded (leave them out with --allow-missing):\n"
            f"  {listed}"
        )
    found = set(table.paths)
    rows = [row for row in training if data.items[row].path in found]
    return Learned(rows=rows, blocks=table.blocks, paths=table.paths, others={})
