"""Export the small encoder with random weights that the tests import, as Keras exports networks.

    pip install 'nimakit[train]'
    python scripts/keras_encoder.py tests/data/encoders/keras_cnn.onnx

A convolutional network that ends in its pooling, (N, 32, 32, 3) with values from -1 to 1 -> (N, 24).
"""

import sys

import keras
import numpy as np

_SIDE, _WIDTHS = 32, (8, 16, 24)

keras.utils.set_random_seed(0)
x = image = keras.Input((_SIDE, _SIDE, 3), name="image")
for width in _WIDTHS:
    x = keras.layers.SeparableConv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("swish")(x)
model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="vector")(x))
model(np.zeros((1, _SIDE, _SIDE, 3)))  # Keras exports only models that were called
model.export(sys.argv[1], format="onnx", verbose=False)
