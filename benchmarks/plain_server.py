"""The plain way to serve a model, as tutorials have it: Flask, and `model.predict` for each request.

WEIGHTS=weights.hdf5 gunicorn --chdir benchmarks --bind 127.0.0.1:8081 plain_server:app
"""

import os
from typing import Any

import keras
import numpy as np
from flask import Flask, jsonify, request
from PIL import Image

app = Flask(__name__)
base = keras.applications.MobileNet(input_shape=(224, 224, 3), weights=None, include_top=False, pooling="avg")
features = keras.layers.Dropout(0.75)(base.output)
model = keras.Model(base.input, keras.layers.Dense(10, activation="softmax")(features))
model.load_weights(os.environ["WEIGHTS"])


@app.post("/predict")
def predict() -> Any:
    """Score the image in the body."""
    image = Image.open(request.stream).convert("RGB").resize((224, 224), Image.Resampling.NEAREST)
    pixels = np.asarray(image, np.float32)[np.newaxis] / 127.5 - 1
    [histogram] = model.predict(pixels, verbose=0)
    return jsonify([{"mean_score_prediction": float(histogram @ np.arange(1, 11))}])
