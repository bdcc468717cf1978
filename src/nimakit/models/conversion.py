"""Keras weights to cached model files: the user's own, and those of the public models.

NIMA on MobileNet is converted here. Other networks need Keras once, in a process of its own.
"""

import hashlib
import json
import subprocess
import sys
from importlib import resources, util
from pathlib import Path
from typing import Any

from nimakit.config import LAYOUT_KEYS, TrainConfig, parse_train_config
from nimakit.errors import MissingExtraError, ModelError, WeightsError
from nimakit.io.cache import find_cached, sha256, writable_cache
from nimakit.models.metadata import FORMAT_VERSION
from nimakit.models.pretrained import Notify, fetch_weights, public_models

_EXPORTER_VERSION = 1
"""One more whenever nimakit.nn.networks.export writes another graph from the same weights."""

# -P: a keras.py beside the photographs is none of ours, and is not to be run.
_PYTHON = (sys.executable, "-P")


def fetch(name: str, *, notify: Notify | None = None) -> Path:
    """The model file of a public model: cached, or obtained, hash-checked, converted and cached now.

    Raises:
        ModelError: No public model has the name.
        DownloadError: Its weights are not reachable.
        WeightsError: What came has the wrong hash.
    """
    models = public_models()
    if name not in models:
        raise ModelError(
            f"A model is a public one ({', '.join(models)}), an .onnx file, or an ensemble .json."
            f" Received: {name}; nimakit export makes an .onnx file from Keras weights."
        )
    public = models[name]
    file_name = _file_name(name, public.sha256, _metadata(name))
    cached = find_cached(file_name)
    if cached:
        return cached
    config = {"base_model_name": public.base_model}
    return _convert(fetch_weights(name, notify), config, file_name, _metadata(name), notify)


def convert(
    weights_file: Path,
    base_model_name: str,
    *,
    config: TrainConfig | None = None,
    notify: Notify | None = None,
) -> Path:
    """The model file of Keras weights, made once and cached by their content.

    Args:
        weights_file: .hdf5, .h5, .weights.h5, or a .keras archive without code.
        base_model_name: Backbone they were trained with.
        config: Head and preprocessing they were trained with; where None, those of published NIMA models.
        notify: Told in a sentence when the conversion is about to start.

    Raises:
        WeightsError: A missing or unsafe file, or weights of another network.
        MissingExtraError: TensorFlow is not installed.
    """
    if not weights_file.is_file():
        raise WeightsError(f"A weights file must exist. Received: {weights_file}")
    digest = sha256(weights_file)
    name, metadata = base_model_name, {"name": weights_file.name}
    layout = _layout(config)
    file_name = _file_name(name, digest, layout)  # one file, whatever the weights are called
    for public_name, public in public_models().items():
        if (public.sha256, public.base_model) == (digest, base_model_name) and not layout:
            name, metadata = public_name, _metadata(public_name)
            file_name = _file_name(name, digest, metadata)
    cached = find_cached(file_name)
    return cached or _convert(
        weights_file, {"base_model_name": base_model_name, **layout}, file_name, metadata, notify
    )


def _layout(config: TrainConfig | None) -> dict[str, Any]:
    """Where a config differs from a published NIMA model; n_classes matters where the file does not tell."""
    if config is None:
        return {}
    plain = TrainConfig(base_model_name=config.base_model_name)
    keys = [key for key in LAYOUT_KEYS if getattr(config, key) != getattr(plain, key)]
    return {key: getattr(config, key) for key in keys if key != "n_classes" or config.head == "regression"}


def _file_name(name: str, digest: str, metadata: dict[str, Any]) -> str:
    """Another name for whatever makes another file: weights, metadata, exporter."""
    made_of = json.dumps([digest, metadata, FORMAT_VERSION, _EXPORTER_VERSION], sort_keys=True)
    return f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.onnx"


def _metadata(name: str) -> dict[str, Any]:
    """Fields of `nimakit.models.metadata.Metadata` for a public model, with its reference quantiles."""
    public = public_models()[name]
    text = resources.files("nimakit.models").joinpath("data", f"{name}_quantiles.json").read_text("utf-8")
    return {
        "name": name,
        "trained_on": public.trained_on,
        "licence": public.licence,
        "reference": public.reference,
        "reference_quantiles": json.loads(text),
    }


def _convert(
    weights: Path,
    config: dict[str, Any],
    file_name: str,
    metadata: dict[str, Any],
    notify: Notify | None,
) -> Path:
    folder = writable_cache()
    output = folder / file_name
    if _convert_here(weights, config, output, metadata):
        return output
    _require_converter("these weights")
    if notify:
        notify(f"converting {config['base_model_name']} weights to ONNX, once; kept in {folder}")
    request = {
        "weights_file": str(weights.resolve()),
        "output": str(output.resolve()),
        "metadata": metadata,
        "config": config,
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


def _convert_here(weights: Path, config: dict[str, Any], output: Path, metadata: dict[str, Any]) -> bool:
    """Convert weights without Keras, where that is possible."""
    from nimakit.models import mobilenet

    is_plain = config["base_model_name"] == mobilenet.BASE_MODEL and config.keys() <= mobilenet.CONFIG_KEYS
    parsed = parse_train_config(config, "The config of the weights")
    return is_plain and mobilenet.export_weights(weights, output, metadata, parsed)


def _tail(log: str) -> str:
    """The end of what a process said that died; of a traceback the last line, which has the error."""
    _, traceback, last = log.rpartition("Traceback (most recent call last):")
    lines = last.strip().splitlines()
    return "\n".join(lines[-1:] if traceback else lines[-5:])


def _require_converter(purpose: str) -> None:
    if any(util.find_spec(name) is None for name in ("tensorflow", "keras", "tf2onnx")):
        raise MissingExtraError(
            f"Keras is needed to convert {purpose}, once: without it only MobileNet with a head of 2 or more"
            " outputs is converted. Install it: pip install 'nimakit[train]'"
        )
