"""Encoders by name: public ones, converted from published weights without TensorFlow, and files."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nimakit.errors import ModelError
from nimakit.images.photo import Preprocessing
from nimakit.io.atomic import atomic_bytes
from nimakit.io.cache import find_cached, writable_cache
from nimakit.models.conversion import cache_name
from nimakit.models.encoders.encoder import Encoder
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.pretrained import PUBLIC, Notify, fetch_weights

if TYPE_CHECKING:
    import onnx

_SQUARES = {
    "efficientnet-lite0": 224,
    "efficientnet-lite1": 240,
    "efficientnet-lite2": 260,
    "aesthetic": 224,
    "technical": 224,
}
"""Public encoder -> published input size in pixels; the last two are the networks of NIMA models."""

PUBLIC_ENCODERS = tuple(_SQUARES)
"""Names of the public encoders."""


def load_encoder(name: str | os.PathLike[str], *, notify: Notify | None = None) -> Encoder:
    """Load an encoder by name or file.

    Args:
        name: One of `PUBLIC_ENCODERS`, or an .onnx file: from `nimakit encoder import`, or a model, of which
            the features are used.
        notify: Called with a sentence before a download.

    Raises:
        ModelError: No such encoder or file, or one that breaks the contract.
        DownloadError: Public weights are neither cached nor reachable.

    Example:
        >>> from nimakit.models.encoders import load_encoder
        >>> load_encoder("aesthetic").dimension
        1024
    """
    if str(name) in _SQUARES:
        return Encoder(_converted(str(name), notify))
    if Path(name).suffix.lower() != ".onnx":
        raise ModelError(
            f"An encoder must be a public one ({', '.join(PUBLIC_ENCODERS)}) or an .onnx file."
            f" Received: {name}; nimakit encoder import makes one from an exported network."
        )
    return Encoder(name)


def _converted(name: str, notify: Notify | None) -> Path:
    """The file of a public encoder, converted once."""
    metadata = _metadata(name)
    file_name = cache_name(f"encoder-{name}", PUBLIC[name].digest, metadata.to_dict())
    cached = find_cached(file_name)
    if cached:
        return cached
    model = _build(name, fetch_weights(name, notify))
    model.metadata_props.add(key=METADATA_KEY, value=metadata.to_json())
    output = writable_cache() / file_name
    atomic_bytes(model.SerializeToString(), output)
    return output


def _metadata(name: str) -> Metadata:
    public, side = PUBLIC[name], _SQUARES[name]
    preprocessing = Preprocessing(height=side, width=side, resize_filter="bicubic", fit="squash")
    if public.kind == "model":  # as its weights were trained
        preprocessing = replace(preprocessing, resize_filter="nearest")
    return Metadata(
        name=name,
        base_model=public.base_model,
        bins=(),
        preprocessing=preprocessing,
        trained_on=public.trained_on,
        licence=public.licence,
    )


def _build(name: str, weights: Path) -> "onnx.ModelProto":
    from nimakit.models import efficientnet_lite, mobilenet  # not at import: onnx takes a while

    base_model = PUBLIC[name].base_model
    if base_model in efficientnet_lite.VARIANTS:
        return efficientnet_lite.build_encoder(base_model, weights)
    return mobilenet.build_encoder(mobilenet.read_backbone(weights))
