"""Models and encoders that settings offer: the public ones, and the files in known folders."""

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nimakit.models.catalogue import CatalogueEntry, list_models, read_file
from nimakit.models.encoders import PUBLIC_ENCODERS
from nimakit.stats.correlation import FEW_IMAGES, format_figure

TRAINED = ("train_jobs", "models")
"""Folders of trained models in the working folder, as for `nimakit models`."""

_MOST = 100
"""Files that are read, the newest first: each is loaded once to check it."""
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
            entries = [(file, self._read(file)) for file in self._files()]
        models = [Choice(entry.model, f"{entry.model}, public") for entry in list_models([])]
        encoders = [Choice(name, f"{name}, public") for name in PUBLIC_ENCODERS]
        for file, entry in entries:
            problem = "" if entry.name else " ".join(entry.problems)
            choice = Choice(str(file), self._label(file, entry), problem)
            (encoders if entry.status == _ENCODER else models).append(choice)
        return {
            "model": [asdict(choice) for choice in models],
            "encoder": [asdict(choice) for choice in encoders],
        }

    def _files(self) -> list[Path]:
        """The newest files, sorted by path."""
        found = {
            file: file.stat().st_mtime_ns
            for folder in self._folders
            for file in folder.absolute().rglob("[!.]*.onnx")
            if file.is_file()
        }
        return sorted(sorted(found, key=lambda file: -found[file])[:_MOST])

    def _read(self, file: Path) -> CatalogueEntry:
        status = file.stat()
        key = (file, status.st_mtime_ns, status.st_size)
        if key not in self._known:
            self._known[key] = read_file(file)
        return self._known[key]

    def _label(self, file: Path, entry: CatalogueEntry) -> str:
        """The path as people know it, and how well the model predicts."""
        absolute = [folder.absolute() for folder in self._folders]
        name = str(next(file.relative_to(one.parent) for one in absolute if file.is_relative_to(one)))
        figures = entry.metrics.get(entry.measured, {})
        srcc = format_figure(figures.get("srcc_mean"), figures.get("images", FEW_IMAGES), 2)
        return f"{name}, SRCC {srcc} ({entry.measured})" if srcc else name
