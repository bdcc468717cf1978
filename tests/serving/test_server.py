"""nimakit.serving.server: gunicorn with our settings, as a process."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clients import noise
from samples import metadata, write_model
from servers import Server, running

pytestmark = pytest.mark.slow

IMAGE = {"Content-Type": "image/png"}


def _serve(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A server that is expected to end by itself."""
    command = [sys.executable, "-m", "nimakit", "serve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_process_that_forks_has_no_runtime_loaded() -> None:
    """ONNX Runtime starts threads when it is imported, and those do not survive a fork."""
    code = "import sys, nimakit.serving.server; print('onnxruntime' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_server_without_a_model_that_works_ends() -> None:
    """With exit code 1 and the reason, reported once, and nothing on stdout."""
    ended = _serve("--model", "nowhere.onnx", "--port", 0)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "nimakit: error: A server needs at least one model that works."
        " Received: nowhere: A model file must exist. Received: nowhere.onnx\n"
    )


def test_an_address_in_use_is_refused_at_once(tiny_file: Path) -> None:
    """With exit code 1 and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _serve("--model", tiny_file, "--port", port)
    assert ended.returncode == 1
    assert f"127.0.0.1, port {port} (Address already in use); choose others with --host" in ended.stderr


def test_a_broken_model_is_told_of_and_the_others_are_served(tmp_path: Path, tiny_file: Path) -> None:
    """On stderr as over HTTP."""
    (tmp_path / "broken.onnx").write_text("no model", "utf-8")
    with running(tmp_path, models=[str(tiny_file), "broken.onnx"]) as server:
        assert "model broken is not served: The file must be a valid ONNX model" in server.err.read_text(
            "utf-8"
        )
        assert server.ask("POST", "/predict", noise(), IMAGE)[0] == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_ends_well(tmp_path: Path, tiny_file: Path, how: signal.Signals) -> None:
    """Exit code 0; stdout holds the requests' lines and nothing else."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        server.ask("GET", "/models")
        assert server.stop(how) == 0
        [line] = server.lines()
        assert (line["route"], line["status"]) == ("/models", 200)
        assert "Traceback" not in server.err.read_text("utf-8")


def test_models_are_loaded_anew_on_request(tmp_path: Path) -> None:
    """SIGHUP starts a worker with the files as they are now, and only then ends the one before."""
    path = write_model(tmp_path / "m.onnx", metadata(name="first"))
    with running(tmp_path, models=["m.onnx"]) as server:
        assert _name(server) == "first"
        write_model(path, metadata(name="second"))
        server.process.send_signal(signal.SIGHUP)
        started = time.monotonic()
        while _name(server) != "second":
            assert time.monotonic() - started < 20
            time.sleep(0.05)


def test_a_broken_file_replaces_no_model(tmp_path: Path) -> None:
    """SIGHUP with a file that cannot be served says so, and the model that was loaded goes on."""
    path = write_model(tmp_path / "m.onnx", metadata(name="first"))
    with running(tmp_path, models=["m.onnx"]) as server:
        worker = server.worker
        path.write_bytes(b"no model")
        server.process.send_signal(signal.SIGHUP)
        started = time.monotonic()
        while "the previous ones stay" not in server.err.read_text("utf-8"):
            assert _name(server) == "first"
            assert time.monotonic() - started < 20
        assert (server.worker, _name(server)) == (worker, "first")
        assert "m.onnx" in server.err.read_text("utf-8")
        write_model(path, metadata(name="second"))
        server.process.send_signal(signal.SIGHUP)
        while _name(server) != "second":
            assert time.monotonic() - started < 40
            time.sleep(0.05)


def _name(server: Server) -> str:
    """What the one model's file calls itself; every request is answered."""
    status, _, body = server.ask("GET", "/models/m")
    assert status == 200
    return str(json.loads(body)["members"][0]["name"])


def test_nothing_is_written_but_to_memory(tmp_path: Path, tiny_file: Path) -> None:
    """A container's root may be read-only: the worker has no file open for writing outside /dev."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        body = (
            b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
            + 5_000_000 * b"x"
            + b"\r\n--x--"
        )
        assert (
            server.ask("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=x"})[0]
            == 422
        )
        for process in (server.process.pid, server.worker):
            folder = Path(f"/proc/{process}/fd")
            targets = {str(entry.readlink()) for entry in folder.iterdir()}
            files = {name for name in targets if name.startswith("/") and not name.startswith("/dev/")}
            assert files <= {str(server.out), str(server.err)}


def test_the_parent_s_end_is_the_worker_s(tmp_path: Path, tiny_file: Path) -> None:
    """Nothing goes on serving once the process that was started is gone."""
    with running(tmp_path, models=[str(tiny_file)]) as server:
        server.process.kill()
        server.process.wait()
        started = time.monotonic()
        while True:
            try:
                server.ask("GET", "/v2/health/live")
            except (OSError, http.client.HTTPException):
                break
            assert time.monotonic() - started < 10
            time.sleep(0.1)
