"""Models and encoders that settings offer: the public ones, and the files in known folders."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nimakit.config import read_ensemble_config, read_object
from nimakit.errors import ConfigError
from nimakit.models.catalogue import CatalogueEntry, list_models, read_file
from nimakit.models.encoders import PUBLIC_ENCODERS
from nimakit.models.loading import model_files
from nimakit.models.pretrained import public_models
from nimakit.stats.correlation import FEW_IMAGES, format_figure

TRAINED = ("train_jobs", "models")
"""Folders of trained models in the working folder, as for `nimakit models`."""

_MOST = 100
"""Files that are read, the newest first: each is loaded once to check it."""
_LARGEST_ENSEMBLE = 1 << 16
"""Most bytes of an ensemble file; larger ones of the same suffix are labels, for example, and not read."""
_ENCODER = "encoder"


@dataclass(frozen=True, slots=True)
class Choice:
    """A model or an encoder to choose.

    Attributes:
        value: For the setting: a public name, or the path of a file.
        label: What people read.
        problem: Why it cannot be chosen; empty if it can.
    """

    value: str
    label: str
    problem: str = ""


class ModelChoices:
    """Lists models and encoders; files that have not changed are read once.

    Args:
        folders: Folders of model files; those that do not exist are left out.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, int, int], CatalogueEntry] = {}

    def find(self) -> dict[str, list[dict[str, Any]]]:
        """The choices of the settings ``model`` and ``encoder``, with the fields of `Choice`.

        A file that cannot be used is listed with the reason, among the models.
        """
        with self._lock:
            entries = [(file, self._read(file)) for file in sorted(self._files(".onnx")[:_MOST])]
            ensembles = list(self._ensembles())
        models = [Choice(entry.model, f"{entry.model}, public") for entry in list_models([])]
        encoders = [Choice(name, f"{name}, public") for name in PUBLIC_ENCODERS]
        for file, entry in entries:
            problem = "" if entry.name else " ".join(entry.problems)
            choice = Choice(str(file), self._label(file, entry), problem)
            (encoders if entry.status == _ENCODER else models).append(choice)
        return {
            "model": [asdict(choice) for choice in models + ensembles],
            "encoder": [asdict(choice) for choice in encoders],
        }

    def _files(self, suffix: str) -> list[Path]:
        """The files in the folders, the newest first."""
        found = {
            file: file.stat().st_mtime_ns
            for folder in self._folders
            for file in folder.absolute().rglob(f"[!.]*{suffix}")
            if file.is_file()
        }
        return sorted(found, key=lambda file: -found[file])

    def _ensembles(self) -> Iterator[Choice]:
        """The ensembles; those that cannot be used with the reason."""
        for file in sorted(self._files(".json")[:_MOST]):
            if file.stat().st_size > _LARGEST_ENSEMBLE:
                continue
            try:
                is_ensemble = "members" in read_object(file, "An ensemble file")
            except ConfigError:  # some other file
                continue
            if is_ensemble:
                yield self._ensemble(file)

    def _ensemble(self, file: Path) -> Choice:
        try:
            members = [member.model for member in read_ensemble_config(file).members]
        except ConfigError as error:
            return Choice(str(file), self._name(file), str(error))
        label = f"{self._name(file)}, ensemble of {' + '.join(members)}"
        problems = (self._member_problem(file.parent, name) for name in members)
        return Choice(str(file), label, " ".join(problem for problem in problems if problem))

    def _member_problem(self, folder: Path, name: str) -> str:
        """Why a member of an ensemble in this folder cannot be used; empty if it can."""
        if name in public_models():
            return ""
        files = [] if name.lower().endswith(".json") else model_files(folder / name)
        if not files or not files[0].is_file():
            return f"A member must be a public model, a job folder or an .onnx file. Received: {name}."
        entry = self._read(files[0])
        if entry.status == _ENCODER:
            return f"A member must be a model, and {name} is an encoder."
        return "" if entry.name else " ".join(entry.problems)

    def _read(self, file: Path) -> CatalogueEntry:
        status = file.stat()
        key = (file, status.st_mtime_ns, status.st_size)
        if key not in self._known:
            self._known[key] = read_file(file)
        return self._known[key]

    def _name(self, file: Path) -> str:
        """The path as people know it."""
        absolute = [folder.absolute() for folder in self._folders]
        return str(next(file.relative_to(one.parent) for one in absolute if file.is_relative_to(one)))

    def _label(self, file: Path, entry: CatalogueEntry) -> str:
        """The path as people know it, and how well the model predicts."""
        name = self._name(file)
        figures = entry.metrics.get(entry.measured, {})
        srcc = format_figure(figures.get("srcc_mean"), figures.get("images", FEW_IMAGES), 2)
        return f"{name}, SRCC {srcc} ({entry.measured})" if srcc else name
