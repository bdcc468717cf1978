"""Where training computes: one device or several, in 32 or 16 bits, the same way twice."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

_FAST_16_BIT = 7
"""Major compute capability from which NVIDIA GPUs have units for 16 bits (Volta)."""


def scope(devices: Sequence[str] | None = None) -> Callable[[], AbstractContextManager[Any]]:
    """What models are built and compiled under: copies on several devices that share each batch, or nothing.

    Args:
        devices: Names of logical devices; all GPUs where None.

    Returns:
        Opens it, as often as it is called: models that belong together need the very same one.
    """
    if devices is None:
        devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    if len(devices) < 2:
        return nullcontext
    open_scope: Callable[[], AbstractContextManager[Any]] = tf.distribute.MirroredStrategy(
        list(devices)
    ).scope
    return open_scope


def set_precision(wanted: bool | None) -> bool:
    """Choose the number format of all models built from now on.

    Args:
        wanted: Whether to compute in 16 bits; None for wherever all GPUs have units for it.

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
    """Make the same job give the same metrics again, on a CPU to the last bit."""
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
