"""nimakit.nn.training.frozen_features: the features of a frozen backbone, computed once."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from nimakit.nn.training import frozen_features


def test_computes_the_features_of_pictures_and_their_mirror_images(tmp_path: Path) -> None:
    """One row a picture in the order of the batches; the first view is the whole, the second its mirror."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    hidden = keras.layers.Flatten()(keras.layers.Dropout(0.9)(keras.layers.Conv2D(2, 3)(image)))
    backbone = keras.Model(image, hidden)
    pictures = np.random.default_rng(0).normal(size=(7, 6, 6, 3)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((pictures, np.zeros(7))).batch(3)
    for mirrored in (True, False):
        found = frozen_features.compute(
            backbone, batches, 7, mirrored=mirrored, scratch=tmp_path / f"{mirrored}"
        )
        assert found.shape == (7, 1 + mirrored, 32)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, 0], np.asarray(backbone(pictures)), atol=1e-5)
        if mirrored:
            expected = np.asarray(backbone(pictures[:, :, ::-1]))
            np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)
        assert (tmp_path / f"{mirrored}").stat().st_size == found.nbytes
