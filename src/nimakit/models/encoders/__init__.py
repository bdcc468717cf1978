"""Encoders: .onnx files that turn photographs into feature vectors, from which ratings are learned."""

from nimakit.models.encoders.encoder import Encoder
from nimakit.models.encoders.public import PUBLIC_ENCODERS, load_encoder

__all__ = ["PUBLIC_ENCODERS", "Encoder", "load_encoder"]
