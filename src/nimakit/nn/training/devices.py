"""Devices, precision and seeds of training."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

_FAST_16_BIT = 7
"""Major compute capability from which NVIDIA GPUs have 16-bit units (Volta)."""


def scope(devices: Sequence[str] | None = None) -> Callable[[], AbstractContextManager[Any]]:
    """The distribution scope in which models are built and compiled, if several devices share each batch.

    Args:
        devices: Names of logical devices; all GPUs if None.

    Returns:
        Opens the scope; models that belong together need the same one.
    """
    if devices is None:
        devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    if len(devices) < 2:
        return nullcontext
    strategy: Any = tf.distribute.MirroredStrategy(list(devices))
    return strategy.scope  # type: ignore[no-any-return] # TensorFlow has no types


def set_precision(wanted: bool | None) -> bool:
    """Set the precision of all models built from now on.

    Args:
        wanted: Whether to compute in 16 bits; None to do so if all GPUs have units for it.

    Returns:
        Whether 16 bits are used.
    """
    if wanted is None:
        gpus = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        wanted = bool(gpus) and all(
            detail.get("compute_capability", (0, 0))[0] >= _FAST_16_BIT for detail in details
        )
    keras.config.set_dtype_policy("mixed_float16" if wanted else "float32")
    return wanted


def set_seed(seed: int) -> None:
    """Make training reproducible: on a CPU bit by bit."""
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
