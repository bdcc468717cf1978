"""Scores and features on a Ray cluster: the only module that imports Ray."""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import ray
import ray.data
from ray import cloudpickle
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from nimakit.errors import ClusterError, ImageError, first_line
from nimakit.io.threads import cores
from nimakit.models.engine import Scorer, Scoring
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Record
from nimakit.progress import say
from nimakit.scoring.bulk import Cluster
from nimakit.scoring.items import score_entries
from nimakit.sources import Entry, Reader

_STARTS = 3
"""Tries to start Ray on this machine: its processes wait 15 s for one another, too short if it is busy."""
_BATCH = 64
"""Rows that an actor takes at once."""
_RETRIES = 2
"""Times that a batch is tried again if its actor ends, as by Ray when memory runs out."""
_LOST = 100
"""Batches, or rows tried one by one, that may be lost before the run is given up."""
_ROWS = 250_000
"""Rows of the source that are with Ray at once, so that the memory of the driver does not grow with it."""

_ENDED = (
    f"The image must not end the process that opens it. Received: one that ended {_RETRIES + 1} processes, as"
    " Ray does when memory runs out."
)

ToRecord: TypeAlias = Callable[[Entry, Any | ImageError], Record]
"""Makes the record of a row from what its model gave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How an actor scores.

    Attributes:
        tta: Test-time augmentation.
        measures: Whether to add technical measures.
        max_pixels: Largest width times height of an image.
        workers: Threads of an actor.
    """

    tta: Augmentation
    measures: bool
    max_pixels: int
    workers: int


class _Actor:
    """Scores batches of rows: one model for each actor."""

    def __init__(self, model: Any, to_record: ToRecord, settings: Settings) -> None:
        self._to_record = to_record
        self._scorer: Scorer[Any] = Scorer(
            ray.get(model),
            tta=settings.tta,
            measures=settings.measures,
            max_pixels=settings.max_pixels,
            workers=settings.workers,
        )
        self._reader = Reader()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score a batch; an image that cannot be scored is a record with the error, never an exception."""
        entries = [_entry(row) for row in batch["entry"]]
        records = [self._to_record(*scored) for scored in score_entries(self._scorer, self._reader, entries)]
        made = np.array([cloudpickle.dumps(record) for record in records], object)
        return {"entry": batch["entry"], "record": made}


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine and stop it at the end.

    Raises:
        ClusterError: It cannot be reached or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # otherwise Ray sends usage data to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")  # the only way to limit retries
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of each pool of actors
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # lost blocks are dealt with
    try:
        _connect(cluster)
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.verbose_stats_logs = False
        context.max_errored_blocks = _LOST  # their rows are tried one by one
        yield
    finally:
        ray.shutdown()


def _connect(cluster: Cluster) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not cluster.address:
        settings |= {"num_cpus": cores(), "include_dashboard": False}
    tries = 1 if cluster.address else _STARTS
    for left in reversed(range(tries)):
        try:
            ray.init(address=cluster.address or "local", **settings)
        except Exception as error:  # of many kinds, plain ones among them
            ray.shutdown()
            if left:
                say("Ray did not start in time; trying again")
                continue
            where = cluster.address or "this machine"
            raise ClusterError(
                f"The Ray cluster must be reachable. Received: {where} ({first_line(error)})"
            ) from error
        return


def score(
    entries: Iterable[Entry],
    model: Scoring[Any],
    to_record: ToRecord,
    cluster: Cluster,
    settings: Settings,
) -> Iterator[Record]:
    """Score the rows of a source on the cluster that is `connected`.

    Args:
        entries: Rows with paths or URLs that every node can read; only these are sent, never pixels.
        model: Models or encoders, which are sent to each actor.
        to_record: A function of a module.
        cluster: Where.
        settings: How.

    Yields:
        Records, in any order.

    Raises:
        ClusterError: Ray gave up, as when no actor can load the model.
    """
    run = _Run(ray.put(model), to_record, cluster, settings, _most_actors(cluster))
    remaining = iter(entries)
    is_working = False
    while rows := [_row(entry) for entry in islice(remaining, _ROWS)]:
        left = dict.fromkeys(rows)
        for batch in (_BATCH, 1):  # rows of a lost batch one by one, to find the one that ends its actor
            for row, record in run.records([*left], batch):
                is_working = True
                left.pop(row, None)
                yield record
            if not left:
                break
        if not is_working:
            raise ClusterError(
                "The actors of the Ray cluster must be able to work. Received: none of the first"
                f" {len(rows)} rows came back; Ray's logs tell why."
            )
        for row in left:
            yield to_record(_entry(row), ImageError(_ENDED))


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same for all rows: a reference to the model, and the arguments of `score`."""

    model: Any
    to_record: ToRecord
    cluster: Cluster
    settings: Settings
    most_actors: int

    def records(self, rows: Sequence[str], batch: int) -> Iterator[tuple[str, Record]]:
        """Rows with their records, in any order; those whose actor ended too often are not among them."""
        blocks = -(-len(rows) // batch)
        actors = min(self.most_actors, blocks)
        dataset = ray.data.from_items([{"entry": row} for row in rows], override_num_blocks=blocks)
        made = dataset.map_batches(
            _Actor,
            batch_size=batch,
            batch_format="numpy",
            # A pool of one size would want the actors of a lost node back, and wait until one like it joins.
            compute=ActorPoolStrategy(
                min_size=1,
                max_size=actors,
                initial_size=actors,
                # An actor that ends takes with it what waits for it.
                max_tasks_in_flight_per_actor=1 if batch == 1 else None,
            ),
            num_cpus=self.cluster.cpus,
            num_gpus=self.cluster.gpus or None,
            max_task_retries=_RETRIES,  # without a limit by default
            fn_constructor_args=(self.model, self.to_record, self.settings),
        )
        try:
            for some in made.iter_batches(batch_size=None, batch_format="numpy"):
                if "record" in some:  # not where every block is lost
                    yield from zip(some["entry"], map(cloudpickle.loads, some["record"]), strict=True)
        except RayError as error:
            raise ClusterError(
                f"The Ray cluster must finish its work. Received: {first_line(error)} What was written is"
                " complete: run again with --resume."
            ) from error


def _most_actors(cluster: Cluster) -> int:
    """How many actors fit on the nodes that there are."""
    available = ray.cluster_resources()
    most = int(available.get("CPU", 1) // cluster.cpus)
    if cluster.gpus:
        most = min(most, int(available.get("GPU", 0) // cluster.gpus))
    if most < 1:
        raise ClusterError(
            f"An actor must fit on a node. Received: {cluster.cpus} CPUs and {cluster.gpus:g} GPUs for each,"
            f" and a cluster with {available.get('CPU', 0):g} and {available.get('GPU', 0):g}"
        )
    return most


def _row(entry: Entry) -> str:
    # Actors have working directories of their own.
    place = entry.place if "://" in entry.place else str(Path(entry.place).absolute())
    return json.dumps([entry.image_id, place, entry.image])


def _entry(row: str) -> Entry:
    image_id, place, image = json.loads(row)
    return Entry(image_id=image_id, place=place, image=image)
