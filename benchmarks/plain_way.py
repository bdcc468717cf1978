"""The plain way to score a folder, as most NIMA repositories have it: what benchmarks compare with.

python benchmarks/plain_way.py WEIGHTS.hdf5 FOLDER
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

BATCH_SIZE = 64

base = keras.applications.MobileNet(input_shape=(224, 224, 3), weights=None, include_top=False, pooling="avg")
features = keras.layers.Dropout(0.75)(base.output)
model = keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(features))
model.load_weights(sys.argv[1])

paths = sorted(Path(sys.argv[2]).iterdir())
records = []
for start in range(0, len(paths), BATCH_SIZE):
    batch = paths[start : start + BATCH_SIZE]
    images = [Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.NEAREST) for path in batch]
    pixels = np.stack([np.asarray(image, np.float32) for image in images]) / 127.5 - 1
    for path, histogram in zip(batch, model.predict(pixels, verbose=0), strict=True):
        mean = float(histogram @ np.arange(1, 11))
        records.append({"image_id": path.stem, "mean_score_prediction": mean})
json.dump(records, sys.stdout)
