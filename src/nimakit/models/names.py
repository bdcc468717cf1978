"""Names for models: ``NAME=MODEL``, or MODEL under its own name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nimakit.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """A model and its name.

    Attributes:
        name: Its name in requests and records: letters, digits, dots, hyphens and underscores.
        model: A public model's name, a job folder, an .onnx file, or an ensemble .json.
    """

    name: str
    model: str


def parse_sources(texts: Sequence[str], folder: Path | None = None) -> tuple[ModelSource, ...]:
    """Parse models with or without names.

    Args:
        texts: Each "MODEL" or "NAME=MODEL". A file without a name has its own, a job's model that of the job.
        folder: Where relative paths of files start; the working directory if None.

    Raises:
        UsageError: A name with other characters, or one that two models have.

    >>> [source.name for source in parse_sources(["aesthetic", "rooms=a.onnx", "jobs/7/model.onnx"])]
    ['aesthetic', 'rooms', '7']
    """
    sources = tuple(_parse(text, folder or Path()) for text in texts)
    names = [source.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(
            f"Each model needs a name of its own. Received: {', '.join(repeated)} more than once; give them"
            " names: NAME=MODEL"
        )
    return sources


def _parse(text: str, folder: Path) -> ModelSource:
    name, _, model = text.partition("=")
    if not model or not _NAME.fullmatch(name):
        path, model = Path(text), text
        name = path.parent.name if path.name == "model.onnx" and path.parent.name else path.stem
    if not _NAME.fullmatch(name):
        raise UsageError(
            "A model name must consist of letters, digits, dots, hyphens and underscores."
            f" Received: {text}; give it a name: NAME={model}"
        )
    is_file = Path(model).suffix.lower() in (".onnx", ".json")
    return ModelSource(name=name, model=str(folder / model) if is_file else model)
