"""A single .onnx model file: checked on loading, then run on pixels for scores or histograms."""

import copy
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread

import numpy as np
import onnxruntime

from nimakit.errors import ModelError, first_line, machine_fault
from nimakit.images.photo import PixelArray
from nimakit.io.threads import result
from nimakit.models import external_data
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.stats.histogram import Float32Array

_INPUT = "image"
_DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_LOG_FATAL = 4
"""Severity of the runtime's log: errors are raised, so they need not also be printed."""
_CHECK_INTERVAL_S = 0.5
_SECONDS_PER_IMAGE = 30.0
"""Limit of a run: the largest backbones take a second or two on one core, a first run on a GPU longer."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of one run.

    Attributes:
        values: (N, bins) float32, rows sum to 1; from a regression head (N, 1) float32, scores on the scale
            of the bins.
        features: (N, D) float32.
    """

    values: Float32Array
    features: Float32Array


class Stop:
    """Ends the runs it was passed to, once it is set; otherwise a bad model could run forever."""

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()

    def set(self) -> None:
        """End the runs in progress, each before its next operator."""
        self.options.terminate = True


_running: dict[object, tuple[float, Stop]] = {}
"""Runs in progress: their deadlines, and what ends them."""


@cache
def _start_watchdog() -> Thread:
    """Start the one thread that ends overdue runs: a thread per run would cost as much as a small model."""

    def watch() -> None:
        never = Event()
        while not never.wait(_CHECK_INTERVAL_S):
            for end, stop in list(_running.values()):
                if time.monotonic() >= end:
                    stop.set()

    thread = Thread(target=watch, name="nimakit-watchdog", daemon=True)
    thread.start()
    return thread


@contextmanager
def _time_limit(stop: Stop, seconds: float) -> Iterator[None]:
    """End a run after some seconds, and raise TimeoutError."""
    _start_watchdog()
    run, end = object(), time.monotonic() + seconds
    _running[run] = (end, stop)
    try:
        yield
    except Exception:
        if time.monotonic() >= end:
            raise TimeoutError from None
        raise
    finally:
        del _running[run]


class Network:
    """A loaded model file, safe to run from several threads at once.

    Args:
        path: The .onnx file, or its content.
        threads: Threads per run on a CPU. One by default: several runs at once keep all cores busy without
            waiting for each other.

    Attributes:
        metadata: The metadata in the file.
        provider: The execution provider in use (``CUDAExecutionProvider`` if available).
        is_regression: Whether the head gives a score instead of a histogram.

    Raises:
        ModelError: Not an ONNX model, without nimakit metadata, with references to files that are not its
            own, or with inputs and outputs other than those of docs/models.md.
    """

    def __init__(self, path: str | os.PathLike[str] | bytes, *, threads: int = 1) -> None:
        source = path if isinstance(path, bytes) else Path(path)
        path = Path("the model in a taste file") if isinstance(path, bytes) else Path(path)
        if isinstance(source, Path) and not source.is_file():
            raise ModelError(f"A model file must exist. Received: {path}")
        external_data.check(source, str(path))
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(
            "session.load_model_format", "ONNX"
        )  # the only format that was checked
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _LOG_FATAL
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=_providers())
        except Exception as error:  # the exception classes of the runtime are not public
            if machine_fault(error, path):
                raise
            reason = first_line(error)
            raise ModelError(f"The file must be a valid ONNX model. Received: {path} ({reason})") from error
        self.provider: str = self._session.get_providers()[0]
        self.metadata = self._read_metadata(path)
        head = self._check_graph(path)
        self.is_regression = head == "score"
        self._outputs = [head, "features"]
        self._dtype = _DTYPES[self._session.get_inputs()[0].type]
        self._adapters: dict[str, Float32Array] = {}

    def run(self, pixels: PixelArray | Float32Array, stop: Stop | None = None) -> Outputs:
        """Score prepared images.

        Args:
            pixels: (N, height, width, 3), RGB, 0-255, preprocessed as in `Metadata.preprocessing`.
            stop: Ends this run, and others it was passed to, when it is set.

        Raises:
            ModelError: The graph fails, takes more than 30 seconds per image, or its output is not a score.
        """
        name = self.metadata.name
        seconds = _SECONDS_PER_IMAGE * len(pixels)
        try:
            values, features = self._run_in_time(
                pixels.astype(self._dtype, copy=False), stop or Stop(), seconds
            )
            values = values.reshape(len(pixels), -1)
            features = features.reshape(len(pixels), -1)
        except MemoryError:  # not the model's fault
            raise
        except TimeoutError:
            raise ModelError(
                f"A model must score {len(pixels)} images within {seconds:g} seconds. Received: {name}, which"
                " took longer"
            ) from None
        except Exception as error:
            raise ModelError(
                f"The model must run on any number of images. {name}: {first_line(error)}"
            ) from error
        if not np.isfinite(values).all() or (self.is_regression and values.shape[1] != 1):
            shape = values.shape
            raise ModelError(
                f"A model must give finite numbers, one score per image. Received from {name}: {shape}"
            )
        return Outputs(values=values, features=features)

    def with_adapters(self, adapters: Mapping[str, Float32Array]) -> "Network":
        """A copy with one person's adapters; both share one session and its memory.

        Args:
            adapters: Arrays for optional inputs of the graph, by name.

        Raises:
            ModelError: The graph has no such inputs, or with other shapes.
        """
        known = {value.name: tuple(value.shape) for value in self._session.get_overridable_initializers()}
        wanted = {name: array.shape for name, array in adapters.items()}
        if not wanted.items() <= known.items():
            raise ModelError(
                "A person's adapters need the model file made for adapters, which nimakit personalise"
                " printed: usually adaptable.onnx next to the model.onnx. Received:"
                f" {self.metadata.name}, which takes {len(known)} arrays, and {len(wanted)} others"
            )
        twin = copy.copy(self)
        twin._adapters = dict(adapters)
        return twin

    def _run_in_time(
        self, pixels: PixelArray | Float32Array, stop: Stop, seconds: float
    ) -> list[Float32Array]:
        def run() -> list[Float32Array]:
            with _time_limit(stop, seconds):
                values: list[Float32Array] = self._session.run(
                    self._outputs, {_INPUT: pixels, **self._adapters}, stop.options
                )
            return values

        if current_thread() is not main_thread():
            return run()
        # In a thread, because Python handles no signals while its main thread is in the runtime.
        pool = ThreadPoolExecutor(1, thread_name_prefix="nimakit-run")
        try:
            return result(pool.submit(run))
        finally:
            stop.set()  # in case of an interruption
            pool.shutdown()

    def _read_metadata(self, path: Path) -> Metadata:
        try:
            custom = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelError(f"The text in an ONNX model must be UTF-8. Received: {path}") from error
        if METADATA_KEY not in custom:
            raise ModelError(
                f"A model file must contain its preprocessing under the metadata key {METADATA_KEY!r}."
                f" Received: {path}, without it; docs/models.md explains how to add it."
            )
        try:
            return Metadata.from_json(custom[METADATA_KEY])
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    def _check_graph(self, path: Path) -> str:
        prepared = self.metadata.preprocessing
        wanted = [prepared.height, prepared.width, 3]
        inputs = self._session.get_inputs()
        if (
            [i.name for i in inputs] != [_INPUT]
            or inputs[0].type not in _DTYPES
            or len(inputs[0].shape) != 4
            or isinstance(inputs[0].shape[0], int)
            or any(isinstance(n, int) and n != w for n, w in zip(inputs[0].shape[1:], wanted, strict=True))
        ):
            received = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise ModelError(
                f"A model must have one input {_INPUT!r}, (N, {prepared.height}, {prepared.width}, 3) float"
                f" or uint8, with any N. Received: {path} with {received}"
            )
        outputs = {o.name: o.shape for o in self._session.get_outputs()}
        heads = [name for name in ("histogram", "score") if name in outputs]
        if len(heads) != 1 or "features" not in outputs:
            raise ModelError(
                "A model must have the outputs 'histogram' or 'score', and 'features'."
                f" Received: {path} with {', '.join(outputs)}"
            )
        width = outputs["histogram"][-1] if heads == ["histogram"] else None
        if isinstance(width, int) and width != len(self.metadata.bins):
            raise ModelError(
                f"The histogram must have as many columns as the metadata has bins"
                f" ({len(self.metadata.bins)}). Received: {path} with {width}"
            )
        return heads[0]


def _providers() -> list[str]:
    """CUDA if the installed runtime supports it and there is a device, else the CPU."""
    available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in available or not _has_nvidia_device():
        return ["CPUExecutionProvider"]
    # Without this call the GPU build does not find CUDA libraries installed by pip.
    onnxruntime.preload_dlls()
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _has_nvidia_device() -> bool:
    return Path("/dev/nvidiactl").exists() or os.name == "nt"
