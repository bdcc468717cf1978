"""nimakit.models.network: a single .onnx file, checked and run."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from nimakit.errors import ModelError
from nimakit.models import session
from nimakit.models.network import Network
from nimakit.models.session import Stop
from samples import SIDE, metadata, random_pixels, write_endless_model, write_model

BATCH = np.stack([random_pixels(SIDE, SIDE, seed) for seed in range(5)])


def test_gives_distributions_and_features(tiny_file: Path) -> None:
    """A histogram head gives (N, bins) rows that sum to 1, and (N, D) features."""
    network = Network(tiny_file)
    outputs = network.run(BATCH)
    assert not network.is_regression
    assert outputs.values.dtype == np.float32
    assert outputs.values.shape == (5, 10)
    np.testing.assert_allclose(outputs.values.sum(axis=1), 1, rtol=1e-6)
    ramp = np.linspace(0.5, 1.5, SIDE).reshape(1, 1, SIDE, 1)
    np.testing.assert_allclose(outputs.features, (BATCH * ramp / 255).mean(axis=(1, 2)), rtol=1e-5)


def test_a_copy_for_one_person_loads_no_file_again(tiny_file: Path) -> None:
    """Both share one session and its memory, however many people there are."""
    network = Network(tiny_file)
    assert network.with_adapters({})._session is network._session


def test_gives_scores_of_a_regression_head(score_file: Path) -> None:
    """A regression head gives a column of scores on the scale of the bins."""
    network = Network(score_file)
    values = network.run(BATCH).values
    assert (network.is_regression, values.shape) == (True, (5, 1))
    assert ((values > 1) & (values < 10)).all()


def test_scores_an_image_the_same_in_any_batch(tiny_file: Path) -> None:
    """Scores do not depend on the other images in the batch."""
    network = Network(tiny_file)
    alone = np.concatenate([network.run(BATCH[i : i + 1]).values for i in range(5)])
    np.testing.assert_allclose(network.run(BATCH).values, alone, atol=1e-6)


def test_takes_models_with_integer_pixels(tmp_path: Path, tiny_file: Path) -> None:
    """A uint8 input is as good as a float one."""
    path = write_model(tmp_path / "m.onnx", input_type=TensorProto.UINT8)
    np.testing.assert_allclose(Network(path).run(BATCH).values, Network(tiny_file).run(BATCH).values)


def test_reads_the_metadata(tmp_path: Path) -> None:
    """The metadata travels in the file."""
    about = metadata(bins=(1, 2, 3), fit="crop", resize_filter="lanczos", name="mine")
    assert Network(write_model(tmp_path / "m.onnx", about)).metadata == about


def test_a_run_that_fails_writes_nothing_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The runtime prints nothing: the error is in the exception."""
    path = write_model(tmp_path / "m.onnx", input_shape=["batch", "height", "width", 3])
    network = Network(path)
    with pytest.raises(Exception, match="running Mul node"):
        network.run(BATCH[:, :, : SIDE - 1])
    assert capfd.readouterr() == ("", "")


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    """A missing file is named in the error."""
    with pytest.raises(ModelError, match=r"must exist. Received: .*none\.onnx"):
        Network(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07" + bytes(range(256))])
def test_rejects_a_corrupt_file(tmp_path: Path, content: bytes) -> None:
    """A file that is not an ONNX model is named in the error."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"must be a valid ONNX model. Received: .*broken\.onnx"):
        Network(path)


def test_rejects_a_truncated_file(tmp_path: Path, tiny_file: Path) -> None:
    """A truncated file is refused."""
    path = tmp_path / "half.onnx"
    path.write_bytes(tiny_file.read_bytes()[: tiny_file.stat().st_size // 2])
    with pytest.raises(ModelError, match="must be a valid ONNX model"):
        Network(path)


def test_rejects_a_model_without_metadata(tmp_path: Path) -> None:
    """A model without preprocessing is refused, and the message says where to add it."""
    path = write_model(tmp_path / "bare.onnx", written=None)
    with pytest.raises(ModelError, match=r"under the metadata key 'nimakit'. Received: .*bare\.onnx"):
        Network(path)


def test_rejects_text_that_is_no_utf_8(tmp_path: Path, tiny_file: Path) -> None:
    """A file with a flipped bit in its metadata is refused like any other damaged one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_file.read_bytes().replace(b'"format_version', b"\xff\xfeormat_version"))
    with pytest.raises(ModelError, match="UTF-8"):
        Network(path)


@pytest.mark.parametrize("written", ["{", "{}", '{"format_version": 1, "fit": "stretch"}'])
def test_rejects_broken_metadata(tmp_path: Path, written: str) -> None:
    """Metadata that breaks its rules is refused with the file's name."""
    with pytest.raises(ModelError, match=r"broken\.onnx: .*metadata|broken\.onnx: This nimakit reads"):
        Network(write_model(tmp_path / "broken.onnx", written=written))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_name": "pixels_in"}, "one input 'image'"),
        ({"written": metadata(side=9).to_json()}, r"\(N, 9, 9, 3\)"),
        ({"input_shape": ["batch", 3, "h", "w"]}, r"\(N, 8, 8, 3\)"),
        ({"input_shape": ["batch", 8, 3]}, r"\(N, 8, 8, 3\)"),
        ({"input_shape": [1, 8, 8, 3]}, "with any N"),
        ({"input_type": TensorProto.DOUBLE}, "float or uint8"),
        ({"head": "probabilities"}, "the outputs 'histogram' or 'score'"),
        ({"features": "embedding"}, "and 'features'"),
        ({"columns": 7}, r"as many columns as the metadata has bins \(10\).*with 7"),
    ],
)
def test_rejects_a_graph_that_breaks_the_contract(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """Inputs and outputs are checked when the file is loaded, not when a photograph fails."""
    path = write_model(tmp_path / "model.onnx", **options)
    with pytest.raises(ModelError, match=message):
        Network(path)


def test_takes_a_graph_with_open_sizes(tmp_path: Path) -> None:
    """A model with a free input size gets the size in its metadata."""
    path = write_model(tmp_path / "model.onnx", input_shape=["batch", "h", "w", 3])
    assert Network(path).run(BATCH).values.shape == (5, 10)


def test_memory_that_runs_out_is_not_the_models_fault(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original error is raised, and the model still works afterwards."""
    network = Network(tiny_file)

    class Full:
        def run(self, *_: Any) -> None:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(network, "_session", Full())
        with pytest.raises(MemoryError):
            network.run(BATCH)
    assert len(network.run(BATCH).values) == len(BATCH)


def test_memory_that_runs_out_while_a_model_loads_is_not_the_models_fault(
    tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lack of memory is not blamed on the file."""

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    with pytest.raises(MemoryError):
        Network(tiny_file)


def test_gives_up_a_run_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run beyond its time limit is ended."""
    monkeypatch.setattr(session, "_SECONDS_PER_IMAGE", 0.1)
    network = Network(write_endless_model(tmp_path / "endless.onnx"))
    with pytest.raises(ModelError, match=r"must score 5 images within 0\.5 seconds. Received: tiny"):
        network.run(BATCH)
    _wait_for_no_run()


def test_a_run_can_be_stopped(tmp_path: Path) -> None:
    """Another thread can end a run with its stop."""
    network = Network(write_endless_model(tmp_path / "endless.onnx"))
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(ModelError, match="terminate"):
        network.run(BATCH, stop)
    _wait_for_no_run()


def test_an_interrupt_ends_a_run(tmp_path: Path) -> None:
    """Ctrl-C does not wait for a model."""
    network = Network(write_endless_model(tmp_path / "endless.onnx"))
    main = threading.get_ident()
    threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        network.run(BATCH)
    _wait_for_no_run()


def _wait_for_no_run() -> None:
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("nimakit-run") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
