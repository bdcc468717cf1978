"""Conversion of Keras weights to cached .onnx model files.

MobileNet is converted without Keras. Other networks need it once, in a separate process. Scoring never does.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from importlib import resources, util
from pathlib import Path
from typing import Any

from nimakit.config import LAYOUT_KEYS, TrainConfig
from nimakit.errors import MissingExtraError, ModelError, WeightsError
from nimakit.io.cache import find_cached, sha256, writable_cache
from nimakit.models.metadata import FORMAT_VERSION
from nimakit.models.pretrained import Notify, fetch_weights, public_models

_EXPORTER_VERSION = 1
"""To be raised when nimakit.nn.networks.export writes another graph for the same weights."""

_PREPROCESSING_KEYS = {"input_size", "resize_filter", "fit", "decode"}
"""Keys of a layout that change no layer."""

# -P: a keras.py in the working directory must not be imported.
_PYTHON = (sys.executable, "-P")


def fetch(name: str, *, notify: Notify | None = None) -> Path:
    """The model file of a public model; unless cached, its weights are downloaded, checked and converted.

    Raises:
        ModelError: There is no public model of this name.
        DownloadError: Its weights are not reachable.
        WeightsError: The downloaded weights have the wrong hash.
    """
    models = public_models()
    if name not in models:
        raise ModelError(
            f"A model must be a public one ({', '.join(models)}), a job folder, an .onnx file, or an ensemble"
            f" .json. Received: {name}; nimakit export creates an .onnx file from Keras weights."
        )
    public = models[name]
    file_name = cache_name(name, public.digest, _metadata(name))
    cached = find_cached(file_name)
    if cached:
        return cached
    config = TrainConfig(base_model_name=public.base_model)
    return _convert(fetch_weights(name, notify), config, file_name, _metadata(name), notify)


def convert(
    weights_file: Path,
    base_model_name: str,
    *,
    config: TrainConfig | None = None,
    notify: Notify | None = None,
) -> Path:
    """The model file of Keras weights, converted once and cached by content.

    Args:
        weights_file: .hdf5, .h5, .weights.h5, or a .keras archive without code.
        base_model_name: Their backbone.
        config: Their head and preprocessing; those of published NIMA models if None.
        notify: Called with a sentence before the conversion starts.

    Raises:
        WeightsError: A missing or unsafe file, or weights of another network.
        MissingExtraError: TensorFlow is not installed.
    """
    if not weights_file.is_file():
        raise WeightsError(f"A weights file must exist. Received: {weights_file}")
    config = replace(config or TrainConfig(base_model_name=base_model_name), base_model_name=base_model_name)
    digest = sha256(weights_file)
    name, metadata = base_model_name, {"name": weights_file.name}
    layout = _layout(config)
    file_name = cache_name(name, digest, layout)  # the same for any name of the weights file
    for public_name, public in public_models().items():
        if layout or public.base_model != base_model_name:
            continue
        if public.digest_of(weights_file) == public.digest:
            name, metadata = public_name, _metadata(public_name)
            file_name = cache_name(name, public.digest, metadata)
    cached = find_cached(file_name)
    return cached or _convert(weights_file, config, file_name, metadata, notify)


def _layout(config: TrainConfig) -> dict[str, Any]:
    """Differences of a config from published NIMA models; n_classes only if the weights do not tell it."""
    plain = TrainConfig(base_model_name=config.base_model_name)
    keys = [key for key in LAYOUT_KEYS if getattr(config, key) != getattr(plain, key)]
    return {key: getattr(config, key) for key in keys if key != "n_classes" or config.head == "regression"}


def cache_name(name: str, digest: str, metadata: dict[str, Any]) -> str:
    """A file name that depends on everything that determines a converted file.

    Args:
        name: Of the model, the first part of the file name.
        digest: Hash of the weights.
        metadata: What the file says besides its graph.
    """
    sources = json.dumps([digest, metadata, FORMAT_VERSION, _EXPORTER_VERSION], sort_keys=True)
    return f"{name}-{hashlib.sha256(sources.encode()).hexdigest()[:16]}.onnx"


def _metadata(name: str) -> dict[str, Any]:
    """Fields of `nimakit.models.metadata.Metadata` for a public model, with any reference quantiles."""
    public = public_models()[name]
    metadata: dict[str, Any] = {
        "name": name,
        "trained_on": public.trained_on,
        "licence": public.licence,
    }
    if not public.reference:
        return metadata
    text = resources.files("nimakit.models").joinpath("data", f"{name}_quantiles.json").read_text("utf-8")
    return metadata | {"reference": public.reference, "reference_quantiles": json.loads(text)}


def _convert(
    weights: Path,
    config: TrainConfig,
    file_name: str,
    metadata: dict[str, Any],
    notify: Notify | None,
) -> Path:
    folder = writable_cache()
    output = folder / file_name
    layout = _layout(config)
    if _convert_here(weights, config, layout, output, metadata):
        return output
    _require_keras()
    if notify:
        notify(f"converting {config.base_model_name} weights to ONNX, once; kept in {folder}")
    request = {
        "weights_file": str(weights.resolve()),
        "output": str(output.resolve()),
        "metadata": metadata,
        "config": {"base_model_name": config.base_model_name, **layout},
    }
    result = subprocess.run(
        [*_PYTHON, "-m", "nimakit.nn.networks.export"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0 and output.is_file():
        return output
    try:
        message = json.loads(result.stdout)["error"]
    except (json.JSONDecodeError, KeyError):
        tail = _tail(result.stderr)
        raise ModelError(
            f"The conversion of {weights} failed (exit code {result.returncode}):\n{tail}"
        ) from None
    raise WeightsError(message)


def _convert_here(
    weights: Path, config: TrainConfig, layout: dict[str, Any], output: Path, metadata: dict[str, Any]
) -> bool:
    """Convert weights without Keras, where that is possible."""
    if config.base_model_name != "MobileNet" or not layout.keys() <= _PREPROCESSING_KEYS:
        return False
    try:
        from nimakit.models import mobilenet  # not at import: onnx takes a while
    except ImportError as error:
        raise MissingExtraError(
            "Converting MobileNet weights, once, needs the packages h5py and onnx, which the serving image"
            " leaves out: convert them where nimakit is installed (nimakit fetch, nimakit export), or build"
            " the image with the converted model (docs/serving.md)."
        ) from error
    return mobilenet.export_weights(weights, output, metadata, config)


def _tail(log: str) -> str:
    """The end of a failed process's log; of a traceback only the last line, which has the error."""
    _, traceback, last = log.rpartition("Traceback (most recent call last):")
    lines = last.strip().splitlines()
    return "\n".join(lines[-1:] if traceback else lines[-5:])


def _require_keras() -> None:
    if any(util.find_spec(name) is None for name in ("tensorflow", "keras", "tf2onnx")):
        raise MissingExtraError(
            "Converting these weights, once, needs Keras: without it, only MobileNet with a head of 2 or more"
            " outputs can be converted. Install it: pip install 'nimakit[train]'"
        )
