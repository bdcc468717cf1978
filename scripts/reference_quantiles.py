"""Print quantiles of the mean ratings in a label file, as JSON. Percentiles are computed from them.

python scripts/reference_quantiles.py ava_labels_test.json > src/nimakit/data/aesthetic_quantiles.json
"""

import json
import sys

from nimakit.labels.label_file import read_labels
from nimakit.stats import histogram

labels = read_labels(sys.argv[1])
if labels.histograms is None:
    sys.exit(f"{sys.argv[1]} has no labels")
means = histogram.mean(labels.histograms, histogram.default_bins(labels.histograms.shape[1]))
json.dump(histogram.quantiles(means).round(4).tolist(), sys.stdout)
print()
