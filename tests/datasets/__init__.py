"""Tests of what needs TensorFlow and Keras."""
