"""Catalogue of models: the public ones and those in folders, with metadata and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from nimakit.errors import ModelError, NimakitError, UsageError
from nimakit.io.rules import is_number, read_json
from nimakit.jobs import Job, part_name
from nimakit.models.encoders import Encoder
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.models.pretrained import public_models
from nimakit.stats.correlation import FEW_IMAGES, format_figure

SetMetrics = Mapping[str, Mapping[str, Any]]

_METADATA = ("name", "base_model", "bins", "trained_on", "licence")
_SETS = ("test", "leave-one-out", "validation", "training")
"""Sets by how much their metrics tell about a model, best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueEntry:
    """A model in the catalogue; unknown texts are empty.

    Attributes:
        model: Value for ``--model``: a public name, or the path of a file.
        status: "public", "file", "encoder", the status of its job, or "damaged".
        name: Display name.
        base_model: Backbone.
        bins: Value of each bin; None if the file is missing or unreadable, empty for an encoder.
        input_size: (height, width) in pixels; None if the file is missing or unreadable.
        trained_on: The training data.
        licence: SPDX identifier.
        metrics: Name of the set -> metrics, from the metrics.json next to the file.
        problems: Problems with the file, or with the files next to it.
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
    metrics: SetMetrics = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Field -> plain JSON value."""
        return asdict(self)

    @property
    def measured(self) -> str:
        """The set whose metrics tell most about the model; empty without any."""
        return next((name for name in _SETS if name in self.metrics), "")

    def row(self) -> tuple[str, ...]:
        """The cells of `COLUMNS`; a dash if unknown."""
        measured = self.measured
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


def list_models(folders: Sequence[Path]) -> list[CatalogueEntry]:
    """List the public models, then every .onnx file in the folders and their sub-folders, by path.

    Raises:
        UsageError: A folder does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"Models are listed from a folder. Received: {folder}")
    public = [
        CatalogueEntry(
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
    return public + [read_file(path) for path in files]


def read_file(path: Path) -> CatalogueEntry:
    """Read and check a model or encoder file, with the files of its job; problems are part of the result."""
    job = Job(path.parent)
    problems: list[str] = []
    status = "file"
    known: dict[str, Any] = {}
    with _collected(problems):
        metadata, status = _metadata(path)
        known = {name: getattr(metadata, name) for name in _METADATA}
        known["input_size"] = (metadata.preprocessing.height, metadata.preprocessing.width)
    with _collected(problems):
        if job.run_file.is_file():
            status = str(job.run()["status"])
    with _collected(problems):
        if job.metrics_file.is_file():
            known["metrics"] = _read_metrics(job.metrics_file)
    status = status if "name" in known else "damaged"
    return CatalogueEntry(model=str(path), status=status, problems=tuple(problems), **known)


def _metadata(path: Path) -> tuple[Metadata, str]:
    """The metadata of a model, or of an encoder, and which of them it is."""
    try:
        return Network(path).metadata, "file"
    except ModelError:
        with suppress(ModelError):
            metadata = Encoder(path).metadata
            if not metadata.bins:
                return metadata, "encoder"
        raise


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    """Add an error to the list instead of raising it."""
    try:
        yield
    except NimakitError as error:
        problems.append(str(error))


def _read_metrics(path: Path) -> SetMetrics:
    """Read the metrics of each set from a job, or of one set from `nimakit evaluate`."""
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
        raise UsageError(
            f"metrics.json must contain the metrics of each set, or of one set. Received: {path}"
        )
    return values
