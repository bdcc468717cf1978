"""Feature vectors of photographs: computed once by encoders, and kept by content in one store."""

from nimakit.features.extraction import VIEWS, FeatureTable, extract, stream
from nimakit.features.scores import KeptScorer, make_scorer, score_files

__all__ = ["VIEWS", "FeatureTable", "KeptScorer", "extract", "make_scorer", "score_files", "stream"]
