"""Maps of what in a photograph raises and lowers its score, for any model file, without TensorFlow."""

from nimakit.explain.explainer import Explainer
from nimakit.explain.regions import Region, important_region
from nimakit.explain.score_map import ScoreMap

__all__ = ["Explainer", "Region", "ScoreMap", "important_region"]
