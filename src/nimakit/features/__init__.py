"""Feature vectors of photographs: computed once by encoders, and kept by content in one store."""

from nimakit.features.extraction import VIEWS, FeatureTable, extract, stream

__all__ = ["VIEWS", "FeatureTable", "extract", "stream"]
