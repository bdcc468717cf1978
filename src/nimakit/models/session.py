"""A loaded .onnx file that takes photographs: the checks and the time limit of models and encoders."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from nimakit.errors import ModelError, first_line, machine_fault
from nimakit.images.photo import PixelArray, Preprocessing
from nimakit.io.cache import sha256
from nimakit.io.threads import result
from nimakit.models import external_data
from nimakit.models.intervals import INTERVALS_KEY, KnownErrors
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.stats.histogram import Float32Array

if TYPE_CHECKING:
    import onnx

INPUT = "image"
"""Name of the input: (N, height, width, 3), RGB, 0-255."""

_DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_LOG_FATAL = 4
"""Severity of the runtime's log: errors are raised, so they need not also be printed."""
_CHECK_INTERVAL_S = 0.5
_SECONDS_PER_IMAGE = 30.0
BATCH_SIZES = {"CPU": 8, "GPU": 32}
"""Device -> images per run."""
"""Limit of a run: the largest backbones take a second or two on one core, a first run on a GPU longer."""


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


class Session:
    """A loaded .onnx file with nimakit's metadata, safe to run from several threads at once.

    Args:
        source: The .onnx file, or its content.
        name: Name of the file in messages; its path if None.
        threads: Threads per run on a CPU. One by default: several runs at once keep all cores busy without
            waiting for each other.

    Attributes:
        metadata: The metadata in the file.
        known_errors: Errors of the model, from which scores get intervals; None if the file has none.
        provider: The execution provider in use (``CUDAExecutionProvider`` if available).
        outputs: Name -> shape of each output; a dimension that depends on the input is not an integer.

    Raises:
        ModelError: Not an ONNX model, without nimakit metadata, with references to files that are not its
            own, or without an input ``image``.
    """

    def __init__(
        self, source: str | os.PathLike[str] | bytes, *, name: str | None = None, threads: int = 1
    ) -> None:
        source = source if isinstance(source, bytes) else Path(source)
        self._source = source
        self._name = name or str(source)
        if isinstance(source, Path) and not source.is_file():
            raise ModelError(f"A model file must exist. Received: {self._name}")
        external_data.check(source, self._name)
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
            if machine_fault(error, source if isinstance(source, Path) else None):
                raise
            reason = first_line(error)
            raise ModelError(
                f"The file must be a valid ONNX model. Received: {self._name} ({reason})"
            ) from error
        self.provider: str = self._session.get_providers()[0]
        self.metadata, self.known_errors = self._read_metadata()
        self.outputs: dict[str, list[int | str | None]] = {
            output.name: output.shape for output in self._session.get_outputs()
        }
        self.check_input(self.metadata.preprocessing)
        self._dtype = _DTYPES[self._session.get_inputs()[0].type]

    @cached_property
    def sha256(self) -> str:
        """Hash of the file's content, in hexadecimal."""
        if isinstance(self._source, bytes):
            return hashlib.sha256(self._source).hexdigest()
        return sha256(self._source)

    def content(self) -> bytes:
        """The file's content, with the weights that are in files of their own."""
        if isinstance(self._source, bytes):
            return self._source
        content = self._source.read_bytes()
        if not external_data.has_files(content):
            return content
        return bytes(self.graph().SerializeToString())

    def run(
        self,
        outputs: Sequence[str],
        pixels: PixelArray | Float32Array,
        stop: Stop | None = None,
        optional: Mapping[str, Float32Array] | None = None,
    ) -> list[Float32Array]:
        """Run the graph on prepared images.

        Args:
            outputs: Names of outputs.
            pixels: (N, height, width, 3), RGB, 0-255, preprocessed as in `Metadata.preprocessing`.
            stop: Ends this run, and others it was passed to, when it is set.
            optional: Arrays for the graph's optional inputs, by name.

        Returns:
            The array of each output.

        Raises:
            ModelError: The graph fails, or takes more than 30 seconds per image.
        """
        name = self.metadata.name
        seconds = _SECONDS_PER_IMAGE * len(pixels)
        feeds = {INPUT: pixels.astype(self._dtype, copy=False), **(optional or {})}
        try:
            values = self._run_in_time(outputs, feeds, stop or Stop(), seconds)
            if any(len(array) != len(pixels) for array in values):
                raise ValueError(f"the first dimension of each output must be {len(pixels)}")
            return values
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

    def graph(self) -> "onnx.ModelProto":
        """The graph in the file, with metadata and all weights in it."""
        import onnx  # not at import: it takes a while

        return (
            onnx.load_from_string(self._source)
            if isinstance(self._source, bytes)
            else onnx.load(self._source)
        )

    def optional_inputs(self) -> dict[str, tuple[int | str | None, ...]]:
        """Name -> shape of each optional input."""
        return {value.name: tuple(value.shape) for value in self._session.get_overridable_initializers()}

    def check_input(self, preprocessing: Preprocessing) -> None:
        """Refuse a graph that does not take images prepared in this way.

        Raises:
            ModelError: It takes something else.
        """
        wanted = [preprocessing.height, preprocessing.width, 3]
        inputs = self._session.get_inputs()
        if (
            [i.name for i in inputs] != [INPUT]
            or inputs[0].type not in _DTYPES
            or len(inputs[0].shape) != 4
            or isinstance(inputs[0].shape[0], int)
            or any(isinstance(n, int) and n != w for n, w in zip(inputs[0].shape[1:], wanted, strict=True))
        ):
            received = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise ModelError(
                f"A model must have one input {INPUT!r}, (N, {wanted[0]}, {wanted[1]}, 3) float"
                f" or uint8, with any N. Received: {self._name} with {received}"
            )

    def _run_in_time(
        self,
        outputs: Sequence[str],
        feeds: Mapping[str, PixelArray | Float32Array],
        stop: Stop,
        seconds: float,
    ) -> list[Float32Array]:
        def run() -> list[Float32Array]:
            with _time_limit(stop, seconds):
                values: list[Float32Array] = self._session.run(outputs, feeds, stop.options)
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

    def _read_metadata(self) -> tuple[Metadata, KnownErrors | None]:
        try:
            custom = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelError(f"The text in an ONNX model must be UTF-8. Received: {self._name}") from error
        if METADATA_KEY not in custom:
            raise ModelError(
                f"A model file must contain its preprocessing under the metadata key {METADATA_KEY!r}."
                f" Received: {self._name}, without it; docs/models.md explains how to add it to a model, and"
                " nimakit encoder import makes an encoder."
            )
        try:
            known = INTERVALS_KEY in custom
            return Metadata.from_json(custom[METADATA_KEY]), (
                KnownErrors.from_json(custom[INTERVALS_KEY]) if known else None
            )
        except ModelError as error:
            raise ModelError(f"{self._name}: {error}") from error


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
