"""nimakit scores how good photographs look, and learns it from people's ratings.

    import nimakit
    nimakit.predict("photo.jpg")
    nimakit.predict(["a.jpg", "b.png"], augmented=True)
    model = nimakit.load_model("aesthetic")

Importing the package loads nothing heavy; the first call does.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nimakit.images.photo import ImageInput
    from nimakit.models.engine import Augmentation, Model

__all__ = ["load_model", "predict"]
__version__ = "0.1.0"

# ONNX Runtime, once loaded, would tell its makers how it is used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_loaded: "dict[tuple[object, ...], Model]" = {}


def predict(
    images: "ImageInput | Sequence[ImageInput]",
    augmented: bool = False,
    *,
    model: "str | os.PathLike[str]" = "aesthetic",
    tta: "Augmentation | bool" = False,
) -> list[Any]:
    """Score images in one call; the model is loaded once, and anew where its file has changed.

    Args:
        images: One image or several: paths, encoded bytes, Pillow images, or arrays (H, W, 3) uint8 or
            float, 0-255, RGB. A folder stands for the images in it.
        augmented: Whether each result is a record (mean, standard deviation, distribution, percentile)
            rather than a distribution alone.
        model: A public model, an .onnx file, or an ensemble .json.
        tta: Test-time augmentation: True or "flips", or "crops".

    Returns:
        As `nimakit.models.engine.Model.predict`: a list in the order of the images, of (bins,) float64
        arrays that sum to 1, or of dicts.

    Raises:
        NimakitError: A model that cannot be loaded; plain only: an image that cannot be scored.

    Example:
        >>> import nimakit
        >>> [histogram] = nimakit.predict("data/samples/portrait.jpg")
        >>> histogram.shape
        (10,)
    """
    key = _identity(model)
    if key not in _loaded:
        _loaded[key] = load_model(model)
    return _loaded[key].predict(images, augmented, tta=tta)


def load_model(name: "str | os.PathLike[str]" = "aesthetic") -> "Model":
    """Load a model, to score with it many times.

    Args:
        name: A public model ("aesthetic"), an .onnx file, or an ensemble .json.

    Returns:
        The model; its ``predict`` takes what `predict` does.

    Raises:
        ModelError: No such model, or a file that breaks the contract.
        DownloadError: Public weights that are neither cached nor reachable.

    Example:
        >>> import nimakit
        >>> nimakit.load_model("aesthetic").name
        'aesthetic'
    """
    from nimakit.models import loading

    return loading.load_model(name)


def _identity(model: "str | os.PathLike[str]") -> tuple[object, ...]:
    """What tells one model from another: a public one's name, or a file and its last change."""
    from nimakit.models import loading

    states = [
        (str(path.resolve()), path.stat().st_mtime_ns) for path in loading.model_files(model) if path.exists()
    ]
    return (str(model), *states)
