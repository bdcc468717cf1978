"""Which models there are: the public ones, and the files below some folders, with what is known of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from nimakit.errors import NimakitError, UsageError
from nimakit.io.rules import is_number, read_json
from nimakit.jobs import Job, part_name
from nimakit.models.network import Network
from nimakit.models.pretrained import public_models
from nimakit.stats.correlation import FEW_IMAGES, format_figure

Result = TypeVar("Result")
Figures = Mapping[str, Mapping[str, Any]]

_SETS = ("test", "validation", "training")
"""Whose figures say most about a model, best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A model, and what is known of it.

    Attributes:
        model: What ``--model`` takes: a public name, or the path of a file.
        status: "public", "file", the status of the job it came from, or "damaged".
        name: What people call it; empty where unknown, as all text here.
        base_model: Backbone.
        bins: Value of each bin; None where only the file would tell, and it is not here or not readable.
        input_size: (height, width) in pixels; None likewise.
        trained_on: The data it learned from.
        licence: SPDX identifier.
        metrics: Name of the set -> figures, from the metrics.json beside the file.
        problems: What is wrong with the file, or with what lies beside it.
    """

    COLUMNS: ClassVar = ("MODEL", "STATUS", "BASE MODEL", "BINS", "INPUT", "SRCC", "EMD", "SET", "TRAINED ON")

    model: str
    status: str
    name: str = ""
    base_model: str = ""
    bins: tuple[float, ...] | None = None
    input_size: tuple[int, int] | None = None
    trained_on: str = ""
    licence: str = ""
    metrics: Figures = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Field -> plain JSON value."""
        return asdict(self)

    def row(self) -> tuple[str, ...]:
        """The cells of `COLUMNS`; a dash where nothing is known."""
        measured = next((name for name in _SETS if name in self.metrics), "")
        figures = self.metrics.get(measured, {})
        images = figures.get("images", FEW_IMAGES)
        cautions = [f"{images} image{'s' if images > 1 else ''}"] if images < FEW_IMAGES else []
        if measured == "test" and figures.get("training_images"):
            cautions.append(f"{figures['training_images']} trained on")
        cells = (
            self.model,
            self.status,
            self.base_model,
            f"{len(self.bins)} ({self.bins[0]:g} to {self.bins[-1]:g})" if self.bins else "",
            f"{self.input_size[1]}x{self.input_size[0]}" if self.input_size else "",
            format_figure(figures.get("srcc_mean"), images, 3),
            format_figure(figures.get("emd"), images, 3),
            f"{measured} ({', '.join(cautions)})" if cautions else measured,
            self.trained_on,
        )
        return tuple(" ".join(cell.split()) or "-" for cell in cells)


def list_models(folders: Sequence[Path]) -> list[Entry]:
    """The public models, then every .onnx file below the folders, by path.

    Args:
        folders: Looked into with all their sub-folders.

    Returns:
        An entry a model; one that cannot be used says why.

    Raises:
        UsageError: A folder that does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"Models are listed below a folder. Received: {folder}")
    public = [
        Entry(
            model=name,
            status="public",
            name=name,
            base_model=weights.base_model,
            trained_on=weights.trained_on,
            licence=weights.licence,
        )
        for name, weights in public_models().items()
    ]
    files = dict.fromkeys(path for folder in folders for path in sorted(folder.rglob("[!.]*.onnx")))
    return public + [_read(path) for path in files]


def _read(path: Path) -> Entry:
    job = Job(path.parent)
    problems: list[str] = []

    def attempt(read: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return read()
        except NimakitError as error:
            problems.append(str(error))
            return otherwise

    metadata = attempt(lambda: Network(path).metadata, None)
    status = attempt(lambda: str(job.run()["status"]), "file") if job.run_file.is_file() else "file"
    unmeasured: Figures = {}
    measured = (
        attempt(lambda: _read_metrics(job.metrics_file), unmeasured)
        if job.metrics_file.is_file()
        else unmeasured
    )
    if metadata is None:
        return Entry(model=str(path), status="damaged", metrics=measured, problems=tuple(problems))
    prepared = metadata.preprocessing
    return Entry(
        model=str(path),
        status=status,
        name=metadata.name,
        base_model=metadata.base_model,
        bins=metadata.bins,
        input_size=(prepared.height, prepared.width),
        trained_on=metadata.trained_on,
        licence=metadata.licence,
        metrics=measured,
        problems=tuple(problems),
    )


def _read_metrics(path: Path) -> Figures:
    """The figures of each set, of a job; or of one set, as `nimakit evaluate` writes them."""
    values = read_json(path, UsageError, "metrics.json")
    if isinstance(values, dict) and {"images", "emd"} <= set(values):
        counts = (values.get("training_images"), values.get("validation_images"))
        values = {part_name(values["images"], *counts): values}
    number = is_number()
    if not isinstance(values, dict) or not all(
        isinstance(figures, dict)
        and all(value is None or number(value) for key, value in figures.items() if key != "notes")
        for figures in values.values()
    ):
        raise UsageError(f"metrics.json holds the figures of each set, or those of one. Received: {path}")
    return values
