"""Work on sources of any size, in memory that does not grow, resumed where it stopped."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import IO

from nimakit.errors import UsageError, require_extra
from nimakit.images.photo import MAX_PIXELS
from nimakit.models.engine import Model, Scorer
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Record, Score, Scores
from nimakit.models.side_by_side import SideBySide
from nimakit.progress import say, track
from nimakit.scoring import outputs
from nimakit.scoring.growing import open_growing
from nimakit.scoring.items import score_entries, to_record
from nimakit.scoring.outputs import Layout, Output
from nimakit.scoring.records import RecordWriter
from nimakit.scoring.shards import Rows, Shard, open_rows
from nimakit.sources import Entry, Reader, Source
from nimakit.sources.tar import Tars

_MOST_FAILURES = 1000
"""Failures remembered for messages; every one is in its record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A Ray cluster, and the part of it that each actor takes.

    Attributes:
        address: ``auto`` or ``HOST:PORT`` of a running cluster with this machine as a node; None for one on
            this machine that ends with the run.
        cpus: CPU cores of an actor.
        gpus: GPUs of an actor, or the part of one.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float = 0.0

    def check(self, source: Source) -> None:
        """Refuse what would fail only later.

        Raises:
            UsageError: Its nodes cannot read the source.
            MissingExtraError: Ray is not installed.
        """
        if isinstance(source, Tars):
            raise UsageError(
                "--engine ray needs photos that every node can open by itself. Received: tar files."
                " Share them out with --shard, such as --shard 0/4, without --engine."
            )
        require_extra("ray", "--engine ray needs Ray.", "ray.data")


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What became of the rows of a source.

    Attributes:
        scored: Number of images with a score.
        failed: Number of images without.
        finished: Number of rows that an earlier run had finished.
        repeated: Number of rows left out because their id is that of an earlier row.
        seconds: Duration.
        failures: A line for each of the first images without a score, with the reason.
    """

    scored: int = 0
    failed: int = 0
    finished: int = 0
    repeated: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def count(self, record: Record) -> None:
        """Count an image."""
        if "error" not in record:
            self.scored += 1
            return
        self.failed += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(f"{record.get('image', record['image_id'])}: {record['error']}")

    def to_dict(self) -> dict[str, float]:
        """The numbers as plain values."""
        return {
            "scored": self.scored,
            "failed": self.failed,
            "finished_before": self.finished,
            "repeated_ids": self.repeated,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """The rows of a source to work on, and where their records go.

    Attributes:
        source: The images.
        output: A file or a folder of Parquet parts, here or in a store; None for stdout.
        shard: The part of the source to work on.
        resume: Whether to go on with an output that exists.
    """

    source: Source
    output: str | None = None
    shard: Shard = field(default_factory=Shard)
    resume: bool = False

    def run(
        self,
        layout: Layout,
        records: Callable[[Iterable[Entry], ExitStack], Iterator[Record]],
        doing: str,
        stdout: IO[str] | None = None,
    ) -> Outcome:
        """Write the records of the images that are not finished.

        Args:
            layout: What the records contain.
            records: Makes them of entries; what it opens ends with the stack.
            doing: Name of the work, for its progress.
            stdout: Receives a JSON array of the records if there is no other output.

        Raises:
            UsageError: The source cannot be read, or the output must not be written.
            OutputError: The output could not be written; what was written before is complete.
        """
        started = time.monotonic()
        outcome = Outcome()
        with ExitStack() as stack:
            rows = stack.enter_context(open_rows(self.shard))
            output = self._open(stack, layout, rows, stdout)
            made = records(rows.choose(self.source), stack)
            for record in track(made, self._total(), doing):
                outcome.count(record)
                output.write(record)
        outcome.finished, outcome.repeated = rows.finished, rows.repeated
        outcome.seconds = time.monotonic() - started
        if rows.repeated:
            say(
                f"left out because an earlier row has the same id: {rows.repeated}"
                f" ({', '.join(rows.examples)}{', ...' if rows.repeated > len(rows.examples) else ''})"
            )
        return outcome

    def _open(self, stack: ExitStack, layout: Layout, rows: Rows, stdout: IO[str] | None) -> Output:
        if self.output is None:
            writer = RecordWriter(stdout or sys.stdout, "stdout", ".json")
            stack.push(lambda error, *_: None if error and not writer.count else writer.close())
            return writer
        if outputs.can_grow(self.output):
            return stack.enter_context(
                open_growing(self.output, layout, self.shard, resume=self.resume, finish=rows.finish)
            )
        return stack.enter_context(outputs.open_whole(self.output, layout))

    def _total(self) -> int | None:
        count = self.source.count()
        return None if count is None else count // self.shard.count


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkRun:
    """Settings of scoring a source.

    Attributes:
        task: The images, and where their records go.
        tta: Test-time augmentation.
        measures: Whether to add technical ``measures`` to the records.
        max_pixels: Largest width times height of an image.
        cluster: Where to score, through Ray; None for this process.
    """

    task: Task
    tta: Augmentation = "none"
    measures: bool = False
    max_pixels: int = MAX_PIXELS
    cluster: Cluster | None = None

    def check(self) -> None:
        """Refuse what would fail only later.

        Raises:
            UsageError: The output cannot be written, or a cluster cannot read the source.
            MissingExtraError: A package for it is not installed.
        """
        if self.task.output:
            outputs.check(self.task.output, growing=self.task.resume)
        if self.cluster:
            self.cluster.check(self.task.source)

    def score(self, model: Model | SideBySide, layout: Layout, stdout: IO[str]) -> Outcome:
        """Score the images that are not finished.

        Args:
            model: The model, or several side by side.
            layout: What the records contain.
            stdout: Receives a JSON array of score records if there is no other output.

        Raises:
            UsageError: The source cannot be read, or the output must not be written.
            OutputError: The output could not be written; what was written before is complete.
        """

        def records(entries: Iterable[Entry], stack: ExitStack) -> Iterator[Record]:
            if self.cluster is None:
                scorer: Scorer[Score | Scores] = Scorer(
                    model, tta=self.tta, measures=self.measures, max_pixels=self.max_pixels
                )
                reader = stack.enter_context(closing(Reader()))
                return (to_record(*scored) for scored in score_entries(scorer, reader, entries))
            from nimakit.scoring import distributed

            stack.enter_context(distributed.connected(self.cluster))
            settings = distributed.Settings(
                tta=self.tta, measures=self.measures, max_pixels=self.max_pixels, workers=self.cluster.cpus
            )
            return distributed.score(entries, model, to_record, self.cluster, settings)

        return self.task.run(layout, records, "scoring", stdout)
