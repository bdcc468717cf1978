"""Pictures of what a model looks at, made on demand: one at a time, by a process of its own, and kept."""

import hashlib
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from nimakit.progress import say

State = Literal["none", "working", "busy", "ready", "failed"]

_SIDE = 1200
"""Longer side of the pictures, in pixels."""

_SECONDS = 300
"""A picture takes seconds; a process that takes this long is stuck."""

_NICENESS = "10"
_MOST_KEPT = 1000
_MOST_REASONS = 100

_NEEDS_TENSORFLOW = (
    "What the model looks at is computed with TensorFlow, which is not installed where this app runs."
    " Install it (pip install 'nimakit[train]'), or start the app with NIMAKIT_RUNTIME=native ./rate;"
    " ./nimakit explain draws the same picture."
)
# -P: a keras.py beside the photographs is none of ours, and is not to be run.
_COMMAND = (sys.executable, "-P", "-m", "nimakit", "explain")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """How far an explanation is.

    Attributes:
        state: "none" was asked for; it is "working" on it, or "busy" with another picture; it is "ready",
            or has "failed".
        reason: Why it failed, and what to do, in a sentence.
        file: The picture, a PNG, where it is ready.
    """

    state: State
    reason: str = ""
    file: Path | None = None


class Explainer:
    """Explains one picture at a time; who asks meanwhile is told so.

    Args:
        folder: Where explanations are kept; made where missing.
        command: What draws them, with the options of `nimakit explain`.
    """

    def __init__(self, folder: Path, *, command: tuple[str, ...] = _COMMAND) -> None:
        self._folder = folder
        self._command = command
        self._lock = threading.Lock()
        self._working: str | None = None
        self._reasons: dict[str, str] = {}

    def find(self, version: str, model: str) -> Explanation:
        """How far the explanation of a picture is.

        Args:
            version: Changes when the picture does.
            model: As `nimakit explain` takes it.
        """
        key = _key(version, model)
        with self._lock:
            if self._working == key:
                return Explanation(state="working")
            reason = self._reasons.get(key)
        if reason:
            return Explanation(state="failed", reason=reason)
        kept = self._kept(key)
        return Explanation(state="ready", file=kept) if kept.is_file() else Explanation(state="none")

    def ask(self, picture: Path, version: str, model: str) -> Explanation:
        """Have a picture explained, unless it is already, or another one is being explained; does not wait.

        Args:
            picture: The file.
            version: As for `find`.
            model: Likewise.
        """
        found = self.find(version, model)
        if found.state in ("ready", "working"):
            return found
        if any(util.find_spec(name) is None for name in ("tensorflow", "keras")):
            return Explanation(state="failed", reason=_NEEDS_TENSORFLOW)
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
        reason = "Something went wrong: the app's log says what."
        try:
            reason = self._draw(key, picture, model)
        except OSError as error:
            reason = f"The picture could not be kept: {error.strerror or error}."
        finally:
            self._done(key, reason)

    def _done(self, key: str, reason: str) -> None:
        with self._lock:
            self._working = None
            if reason:
                self._reasons[key] = reason
                for oldest in list(self._reasons)[:-_MOST_REASONS]:
                    del self._reasons[oldest]

    def _draw(self, key: str, picture: Path, model: str) -> str:
        """Draw and keep one; why it could not be, else nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="partial-", dir=self._folder) as folder:
            # Its own name may leave no room for what the command adds to it.
            link = Path(folder) / f"picture{picture.suffix}"
            link.symlink_to(picture.absolute())
            options = (f"--image-source={link}", f"--model={model}", f"--output-dir={folder}")
            command = [*_gently(), *self._command, *options, f"--max-side={_SIDE}"]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS
                )
            except subprocess.TimeoutExpired:
                return (
                    f"It took more than {_SECONDS} seconds, and was stopped. Try again when less is going on."
                )
            drawn = list(Path(folder).glob("*_side_by_side.png"))
            if done.returncode or not drawn:
                say(f"{picture}: not explained (exit code {done.returncode}): {done.stderr.strip()[-2000:]}")
                return _last_error(done.stderr)
            drawn[0].replace(self._kept(key))
        self._prune()
        return ""

    def _kept(self, key: str) -> Path:
        return self._folder / f"{key}.png"

    def _prune(self) -> None:
        """The longest kept go once there are too many, and what an app that was killed had begun."""
        for begun in self._folder.glob("partial-*"):
            shutil.rmtree(begun, ignore_errors=True)
        kept = sorted(self._folder.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)
        for file in kept[:-_MOST_KEPT]:
            file.unlink(missing_ok=True)


def _key(version: str, model: str) -> str:
    """Another one for another picture, and for another model of the same name."""
    try:
        changed = Path(model).stat().st_mtime_ns
    except OSError:  # a public model, which has a name and no file
        changed = 0
    return hashlib.sha256(f"{version} {changed} {model}".encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _gently() -> tuple[str, ...]:
    """Raters come first."""
    return ("nice", "-n", _NICENESS) if shutil.which("nice") else ()


def _last_error(output: str) -> str:
    """What the command said last, without its name before it."""
    lines = [
        line.removeprefix("nimakit: ").removeprefix("error: ") for line in output.splitlines() if line.strip()
    ]
    return lines[-1] if lines else "The process that computes it was ended. Is there enough memory?"
