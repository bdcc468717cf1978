"""`nimakit cull --watch`: photos are scored and grouped as they come."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.cull.results import Outputs, summary_lines
from nimakit.progress import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nimakit.commands.frame_reader import Read
    from nimakit.culling.frames import Frame
    from nimakit.culling.shoot import Culled, Rules
    from nimakit.culling.watching import State
    from nimakit.errors import ImageError

_REFRESH_SECONDS = 5
"""How often a browser loads the page again."""


def watch_folder(
    folder: Path, read: "Read", rules: "Rules", outputs: Outputs, *, model: str, recursive: bool
) -> int:
    """Cull a folder again and again as photos come, until Ctrl-C or SIGTERM.

    Prints a line of JSON for each new photo.

    Args:
        folder: The folder.
        read: Reads photos.
        rules: How to cull.
        outputs: Written after each change.
        model: Name of the model.
        recursive: Whether to look into sub-folders.
    """
    from nimakit.culling.watching import watch

    session = _Session(folder, read, rules)
    say(f"watching {folder}; Ctrl-C stops")
    try:
        for whole in watch(folder, recursive=recursive, notify=say):
            new, culled = session.update(whole)
            outputs.write(culled, model=model, refresh=_REFRESH_SECONDS)
            for frame in new:
                click.echo(json.dumps(_record(culled, frame)))
    except KeyboardInterrupt:  # also sent by SIGTERM
        pass
    if session.culled:
        outputs.write(session.culled, model=model)
        for line in summary_lines(session.culled):
            say(line)
    say("stopped watching")
    return 0


class _Session:
    """Photos of a watched folder; each is read once, and again when its file changes."""

    def __init__(self, folder: Path, read: "Read", rules: "Rules") -> None:
        self._folder = folder
        self._read = read
        self._rules = rules
        self._states: dict[Path, State] = {}
        self._results: dict[Path, Frame | ImageError] = {}
        self.culled: Culled | None = None

    def update(self, whole: "Mapping[Path, State]") -> "tuple[list[int], Culled]":
        """Read what is new, and cull all.

        Args:
            whole: From `nimakit.culling.watching.watch`.

        Returns:
            The indices of the new frames, and the culled shoot.
        """
        from nimakit.culling.frames import Reading
        from nimakit.culling.shoot import cull
        from nimakit.errors import ImageError

        new = [path for path, state in whole.items() if self._states.get(path) != state]
        reading = self._read(new) if new else Reading(frames=(), failures={})
        self._results |= {frame.path: frame for frame in reading.frames}
        self._results |= reading.failures
        self._results = {path: self._results[path] for path in whole}
        self._states = dict(whole)
        for path, error in reading.failures.items():
            say(f"{path}: {error}")
        frames = [result for result in self._results.values() if not isinstance(result, ImageError)]
        failures = {path: error for path, error in self._results.items() if isinstance(error, ImageError)}
        self.culled = cull(self._folder, Reading(frames=tuple(frames), failures=failures), self._rules)
        added = {frame.path for frame in reading.frames}
        return [place for place, frame in enumerate(frames) if frame.path in added], self.culled


def _record(culled: "Culled", frame: int) -> dict[str, Any]:
    """A new photo, for programs."""
    number = next(n for n, group in enumerate(culled.grouping.groups) if frame in group.frames)
    group, choice = culled.grouping.groups[number], culled.selection.choices[number]
    [ranked] = (ranked for ranked in culled.rankings[number] if ranked.frame == frame)
    found = culled.frames[frame]
    score = found.score if found.taste is None else found.taste
    return {
        "image": culled.name(frame),
        "score": None if score is None else round(score, 4),
        "group": group.kind,
        "frames": len(group.frames),
        "best": culled.name(choice.best),
        "kept": frame in culled.selection.kept,
        "stars": culled.selection.stars[frame],
        "reasons": ranked.reasons,
    }
