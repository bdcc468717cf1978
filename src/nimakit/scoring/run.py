"""Scoring of a photo or folder: records to stdout and files, metrics, contact sheet."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nimakit.errors import ImageError
from nimakit.features import KeptScorer, make_scorer
from nimakit.images.photo import MAX_PIXELS
from nimakit.io import atomic
from nimakit.jobs import Split
from nimakit.labels.label_file import Labels
from nimakit.models.engine import Model, Scorer
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Record, Score, Scores
from nimakit.models.side_by_side import SideBySide
from nimakit.progress import say, track
from nimakit.reports import contact_sheet, html
from nimakit.scoring import metrics, outputs, records
from nimakit.scoring.evaluation import Agreement
from nimakit.scoring.items import Item, list_items, score_items, to_record
from nimakit.scoring.outputs import Output, ScoreLayout
from nimakit.scoring.records import ONLY, RecordWriter


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Outcome of a run.

    Attributes:
        scored: Number of images with a score.
        failures: A line for each image without a score, with the reason.
        known: Number of images scored from kept features, without a run of the encoders.
        metrics: Agreement with the labels: name of the model, or `nimakit.scoring.records.ONLY`, -> metrics;
            empty without labels.
    """

    scored: int
    failures: list[str]
    known: int
    metrics: Mapping[str, metrics.Metrics]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Settings of a run: images, scoring and output files.

    Attributes:
        source: A photo or a folder.
        labels: The images to score, with labels or without; None for all images of the source.
        recursive: Whether to look into sub-folders.
        tta: Test-time augmentation.
        measures: Whether to add technical ``measures`` to the records.
        normalise: Whether to add ``normalized_score`` to the records.
        top: Number of best images to output; None for all, in the order of the source.
        predictions_file: .json, .jsonl, .csv or .parquet, here or in a store; optional.
        metrics_file: .json; optional.
        report_file: .html; optional.
        max_pixels: Largest width times height of an image.
        splits: Name of a model, or `nimakit.scoring.records.ONLY`, -> images it was trained on and validated
            with; unknown for models that are missing.
    """

    source: Path
    labels: Labels | None = None
    recursive: bool = False
    tta: Augmentation = "none"
    measures: bool = False
    normalise: bool = False
    top: int | None = None
    predictions_file: str | None = None
    metrics_file: Path | None = None
    report_file: Path | None = None
    max_pixels: int = MAX_PIXELS
    splits: Mapping[str, Split] = field(default_factory=dict)

    def items(self) -> list[Item]:
        """List the images to score, and refuse what would fail only after scoring.

        Returns:
            At least one item.

        Raises:
            UsageError: The source is missing, unreadable, or contains no image; or an output path cannot be
                written.
            MissingExtraError: A package for the metrics or the report is not installed.
        """
        if self.predictions_file:
            outputs.check(self.predictions_file, growing=False)
        if self.metrics_file:
            atomic.check_output(self.metrics_file, (".json",))
        if self.report_file:
            atomic.check_output(self.report_file, (".html", ".htm"))
            html.require_jinja()
        return list_items(self.source, self.labels, recursive=self.recursive, notify=say)

    def score(self, items: Sequence[Item], model: Model | SideBySide, stdout: IO[str]) -> Summary:
        """Score the images.

        Args:
            items: From `items`.
            model: The model, or several side by side, of which the first decides the order.
            stdout: Receives a JSON array of score records.

        Raises:
            OutputError: A file could not be written.
        """
        models = _by_name(model)
        scorer: Scorer[Score | Scores] | KeptScorer[Score | Scores] = make_scorer(
            model, tta=self.tta, measures=self.measures, max_pixels=self.max_pixels
        )
        agreements = {name: Agreement(one, self.splits.get(name)) for name, one in models.items()}
        failures: list[str] = []

        def scored() -> Iterator[tuple[Item, Record]]:
            results = score_items(scorer, items)
            for item, result in track(results, len(items), "scoring"):
                for name, agreement in agreements.items():
                    agreement.add(item, _score_of(name, result))
                record = to_record(item, result)
                if isinstance(result, ImageError):
                    failures.append(f"{item.image or item.image_id}: {result}")
                yield item, record

        with ExitStack() as files:
            identity = {"model": model.name, "sha256": model.sha256, "tta": self.tta}
            layout = ScoreLayout(
                models=list(models), measures=self.measures, intervals=model.has_intervals, identity=identity
            )
            write = self._open_outputs(stdout, files, layout)
            if self.normalise or self.top or self.report_file:
                self._write_all(list(scored()), models, write)
            else:
                for _, record in scored():
                    write(record)
        evaluations = {name: agreement.evaluation() for name, agreement in agreements.items()}
        found = {name: evaluation.metrics for name, evaluation in evaluations.items() if evaluation}
        if self.metrics_file:
            values: dict[str, Any] = {
                name: found[name].to_dict() if name in found else {"images": 0} for name in models
            }
            text = json.dumps(values.get(ONLY, values), indent=2)
            atomic.atomic_bytes(f"{text}\n".encode(), self.metrics_file)
        known = scorer.known if isinstance(scorer, KeptScorer) else 0
        scored_count = len(items) - len(failures)
        return Summary(scored=scored_count, failures=failures, known=known, metrics=found)

    def _open_outputs(
        self, stdout: IO[str], files: ExitStack, layout: ScoreLayout
    ) -> Callable[[Record], None]:
        """A function that writes a record to all outputs, which are closed with `files`."""
        to_stdout = RecordWriter(stdout, "stdout", ".json")
        opened: list[Output] = [to_stdout]
        if self.predictions_file:
            opened.append(files.enter_context(outputs.open_whole(self.predictions_file, layout)))
        files.callback(to_stdout.close)

        def write(record: Record) -> None:
            for output in opened:
                output.write(record)

        return write

    def _write_all(
        self,
        scored: list[tuple[Item, Record]],
        models: Mapping[str, Model],
        write: Callable[[Record], None],
    ) -> None:
        """Write records where all are needed first: normalisation, the best N, the contact sheet."""
        if self.normalise:
            for name in models:
                records.add_min_max([record for _, record in scored], name)
        first = next(iter(models))
        ranked = sorted(scored, key=lambda pair: records.rank(pair[1], first))
        if self.top:
            best = [pair for pair in ranked if "error" not in pair[1]][: self.top]
            ranked = scored = best + [pair for pair in ranked if "error" in pair[1]]
        for _, record in scored:
            write(record)
        if self.report_file:
            scales = [
                contact_sheet.Scale(
                    key=name, name=name or model.name, bins=model.bins, reference=model.reference
                )
                for name, model in models.items()
            ]
            sheet = contact_sheet.render(
                [record for _, record in ranked],
                [item.path for item, _ in ranked],
                scales,
                file=self.report_file,
                max_pixels=self.max_pixels,
            )
            with atomic.atomic_writer(self.report_file) as stream:
                stream.write(sheet)


def _by_name(model: Model | SideBySide) -> Mapping[str, Model]:
    """Models side by side by name; a single one by `ONLY`."""
    return {ONLY: model} if isinstance(model, Model) else model.models


def _score_of(name: str, result: Score | Scores | ImageError) -> Score | ImageError:
    """The score by one of the models."""
    return result if isinstance(result, Score | ImageError) else result[name]
