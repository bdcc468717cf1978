"""Score how good photographs look, with models that learn from people's ratings.

    import nimakit
    nimakit.predict("photo.jpg")
    nimakit.predict(["a.jpg", "b.png"], augmented=True)
    model = nimakit.load_model("aesthetic")
    nimakit.Scorer(model).score(paths)

Importing the package loads nothing heavy; its functions do on their first call.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nimakit.images.photo import ImageInput
    from nimakit.models.engine import Model, Scorer
    from nimakit.models.loading import load_weights
    from nimakit.models.preparation import Augmentation

__all__ = ["Scorer", "load_model", "load_weights", "predict"]
__version__ = "0.1.0"

# Otherwise ONNX Runtime sends usage data to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_loaded: "dict[tuple[object, ...], Model]" = {}
_LAZY = {"Scorer": "nimakit.models.engine", "load_weights": "nimakit.models.loading"}
"""Public names -> modules that are imported on first use, because they take long to load."""


if not TYPE_CHECKING:  # a type checker shall know the names above and no others

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return getattr(import_module(_LAZY[name]), name)
        raise AttributeError(f"module 'nimakit' has no attribute {name!r}")


def predict(
    images: "ImageInput | Sequence[ImageInput]",
    augmented: bool = False,
    *,
    model: "str | os.PathLike[str]" = "aesthetic",
    tta: "Augmentation | bool" = False,
    measures: bool = False,
) -> list[Any]:
    """Score images in one call; the model is loaded once, and again if its file changes.

    Args:
        images: One image or several: paths, encoded bytes, Pillow images, or arrays (H, W, 3) uint8 or
            float, 0-255, RGB. A folder stands for the images in it.
        augmented: Whether to return records (mean, standard deviation, distribution, percentile) rather than
            distributions.
        model: A public model, an .onnx file, or an ensemble .json.
        tta: Test-time augmentation: True or "flips", or "crops".
        measures: Whether records contain technical measures such as sharpness; needs `augmented`.

    Returns:
        As `nimakit.models.engine.Model.predict`: a list in the order of the images, of (bins,) float64
        arrays that sum to 1, or of dicts.

    Raises:
        NimakitError: The model cannot be loaded or, unless `augmented`, an image cannot be scored.

    Example:
        >>> import nimakit
        >>> [histogram] = nimakit.predict("data/samples/portrait.jpg")
        >>> histogram.shape
        (10,)
    """
    key = _identity(model)
    if key not in _loaded:
        _loaded[key] = load_model(model)
    return _loaded[key].predict(images, augmented, tta=tta, measures=measures)


def load_model(name: "str | os.PathLike[str]" = "aesthetic") -> "Model":
    """Load a model for repeated use.

    Args:
        name: A public model ("aesthetic", "technical"), an .onnx file, a job folder, or an ensemble .json.

    Returns:
        The model; its ``predict`` takes the same arguments as `predict`.

    Raises:
        ModelError: No such model, or an invalid file.
        DownloadError: The public weights are neither cached nor reachable.

    Example:
        >>> import nimakit
        >>> nimakit.load_model("aesthetic").name
        'aesthetic'
    """
    from nimakit.models import loading

    return loading.load_model(name)


def _identity(model: "str | os.PathLike[str]") -> tuple[object, ...]:
    """Identity of a model: its name, and its files with the times of their last change."""
    from nimakit.models import loading

    states = [
        (str(path.resolve()), path.stat().st_mtime_ns) for path in loading.model_files(model) if path.exists()
    ]
    return (str(model), *states)
