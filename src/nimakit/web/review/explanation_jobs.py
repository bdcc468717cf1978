"""Draw explanations of scores on demand, one at a time, in a separate process, and cache them."""

import hashlib
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from nimakit.progress import say

State = Literal["none", "working", "busy", "ready", "failed"]

_SIDE = 1200
"""Longer side of an explanation, in pixels."""

_SECONDS = 300
"""Timeout; an explanation normally takes seconds."""

_NICENESS = "10"
_MAX_CACHED = 1000
_MAX_REASONS = 100

# -P: without it Python would import a keras.py from the working directory.
_COMMAND = (sys.executable, "-P", "-m", "nimakit", "explain")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """State of an explanation.

    Attributes:
        state: "none" has been requested; it is being computed ("working"); another one is being computed
            ("busy"); it is "ready"; or it "failed".
        reason: A sentence on why it failed, and what to do.
        file: The PNG, if ready.
    """

    state: State
    reason: str = ""
    file: Path | None = None


class Explainer:
    """Explains one picture at a time.

    Args:
        folder: Folder for the explanations; created if missing.
        command: The command that draws them, with the options of `nimakit explain`.
    """

    def __init__(self, folder: Path, *, command: tuple[str, ...] = _COMMAND) -> None:
        self._folder = folder
        self._command = command
        self._lock = threading.Lock()
        self._working: str | None = None
        self._reasons: dict[str, str] = {}

    def find(self, version: str, model: str) -> Explanation:
        """State of the explanation of a picture.

        Args:
            version: A text that changes when the picture does.
            model: Name or file of the model, as for `nimakit explain`.
        """
        key = _key(version, model)
        with self._lock:
            if self._working == key:
                return Explanation(state="working")
            reason = self._reasons.get(key)
        if reason:
            return Explanation(state="failed", reason=reason)
        file = self._file(key)
        return Explanation(state="ready", file=file) if file.is_file() else Explanation(state="none")

    def ask(self, picture: Path, version: str, model: str) -> Explanation:
        """Start explaining a picture, unless that is done or another one is being explained; does not wait.

        Args:
            picture: The file.
            version: As for `find`.
            model: As for `find`.
        """
        found = self.find(version, model)
        if found.state in ("ready", "working"):
            return found
        key = _key(version, model)
        with self._lock:
            if self._working is not None:
                return Explanation(state="working" if self._working == key else "busy")
            self._working = key
            self._reasons.pop(key, None)
        threading.Thread(
            target=self._work, args=(key, picture, model), name="nimakit-rate-explain", daemon=True
        ).start()
        return Explanation(state="working")

    def _work(self, key: str, picture: Path, model: str) -> None:
        reason = "An unexpected error occurred; see the app's log."
        try:
            reason = self._draw(key, picture, model)
        except OSError as error:
            reason = f"The explanation could not be stored: {error.strerror or error}."
        finally:
            with self._lock:
                self._working = None
                if reason:
                    self._reasons[key] = reason
                    for oldest in list(self._reasons)[:-_MAX_REASONS]:
                        del self._reasons[oldest]

    def _draw(self, key: str, picture: Path, model: str) -> str:
        """Draw and store an explanation; the reason for a failure, or an empty text."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="partial-", dir=self._folder) as folder:
            # The picture's own name may be too long for the suffix that the command appends.
            link = Path(folder) / f"picture{picture.suffix}"
            link.symlink_to(picture.absolute())
            options = (f"--image-source={link}", f"--model={model}", f"--output-dir={folder}")
            command = [*_low_priority(), *self._command, *options, f"--max-side={_SIDE}"]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS
                )
            except subprocess.TimeoutExpired:
                return f"It took more than {_SECONDS} seconds and was stopped. Try again later."
            drawn = list(Path(folder).glob("*_side_by_side.png"))
            if done.returncode or not drawn:
                say(f"{picture}: not explained (exit code {done.returncode}): {done.stderr.strip()[-2000:]}")
                return _last_error(done.stderr)
            drawn[0].replace(self._file(key))
        self._prune()
        return ""

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.png"

    def _prune(self) -> None:
        """Delete the oldest explanations beyond the limit, and leftovers of an app that was killed."""
        for leftover in self._folder.glob("partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        files = sorted(self._folder.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-_MAX_CACHED]:
            file.unlink(missing_ok=True)


def _key(version: str, model: str) -> str:
    """A key that changes with the picture, the model and the model's file."""
    try:
        changed = Path(model).stat().st_mtime_ns
    except OSError:  # a public model has a name and no file
        changed = 0
    return hashlib.sha256(f"{version} {changed} {model}".encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _low_priority() -> tuple[str, ...]:
    """Let requests go first on busy cores."""
    return ("nice", "-n", _NICENESS) if shutil.which("nice") else ()


def _last_error(output: str) -> str:
    """The last line of the command's output, without its name."""
    lines = [
        line.removeprefix("nimakit: ").removeprefix("error: ") for line in output.splitlines() if line.strip()
    ]
    return lines[-1] if lines else "The process that computes it was killed. Is there enough memory?"
