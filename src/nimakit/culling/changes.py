"""Changes to a shoot: marks in its files, and picks in another folder, with one undo file for all of them."""

from dataclasses import dataclass
from pathlib import Path

from nimakit.culling import journal, marks, placing
from nimakit.culling.journal import Failure
from nimakit.culling.shoot import Culled
from nimakit.culling.shots import Style
from nimakit.io.atomic import make_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be done with a culled shoot.

    Attributes:
        style: Where stars, picks and labels go; None to write none.
        overwrite_ratings: Whether to replace what people gave.
        folder: Where the picks go; None to leave them where they are.
        how: Whether copies, the picks themselves, or links go there.
    """

    style: Style | None = None
    overwrite_ratings: bool = False
    folder: Path | None = None
    how: placing.How = "copy"

    @property
    def changes_files(self) -> bool:
        """Whether anything is to be done."""
        return self.style is not None or self.folder is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What was done, or would be.

    Attributes:
        marked: Number of files with new marks.
        kept: Pictures with a rating, a pick or a label that a person gave, which is not replaced.
        placed: Number of picks in their folder.
        present: Number of picks that were there before.
        moved: Old -> new place of the picks that were moved.
        failures: Files left as they were, with the reason.
    """

    marked: int = 0
    kept: tuple[marks.Kept, ...] = ()
    placed: int = 0
    present: int = 0
    moved: dict[Path, Path]
    failures: tuple[Failure, ...] = ()


def preview(culled: Culled, wanted: Wanted) -> Done:
    """What `apply` would do; nothing is written.

    Raises:
        UsageError: As for `nimakit.culling.placing.plan`.
    """
    planned = _plan_marks(culled, wanted)
    places = _plan_places(culled, wanted)
    return Done(
        marked=len(planned.changes) if planned else 0,
        kept=planned.kept if planned else (),
        placed=len(places.placements) if places else 0,
        present=len(places.present) if places else 0,
        moved={},
        failures=(*(planned.failures if planned else ()), *(places.failures if places else ())),
    )


def apply(culled: Culled, wanted: Wanted, undo_file: Path) -> Done:
    """Write marks, then place the picks with the sidecars that have them.

    Args:
        culled: The shoot.
        wanted: What to do.
        undo_file: A new file, for `undo`; not written if nothing changes. Its folder is made if missing.

    Raises:
        UsageError: The undo file exists, or as for `nimakit.culling.placing.plan`; nothing is written then.
        OutputError: The undo file or the folder could not be written.
    """
    _plan_places(culled, wanted)  # a folder without room is refused before marks are written
    make_folder(undo_file.parent)
    planned = _plan_marks(culled, wanted)
    written: tuple[Path, ...] = ()
    failures: list[Failure] = []
    if planned:
        applied = marks.apply(planned, undo_file)
        written = applied.written
        failures += [*planned.failures, *applied.failures]
    places = _plan_places(culled, wanted)
    outcome = placing.Outcome()
    if places:
        journal.add_transfers(undo_file, placing.records(places))
        outcome = placing.apply(places)
        failures += outcome.failures
    moved = {
        placement.picture: placement.files[placement.picture]
        for placement in (places.placements if places and places.how == "move" else ())
        if placement.picture in outcome.done
    }
    return Done(
        marked=len(written),
        kept=planned.kept if planned else (),
        placed=len(outcome.done),
        present=len(places.present) if places else 0,
        moved=moved,
        failures=tuple(failures),
    )


def undo(undo_file: Path) -> journal.Undone:
    """Undo a run, the last change first: picks go back, then files get their old content.

    Raises:
        UsageError: The undo file is missing or is none.
    """
    placed = placing.undo(journal.read_transfers(undo_file))
    restored = marks.undo(undo_file)
    return journal.Undone(
        restored=(*placed.done, *restored.restored),
        unchanged=restored.unchanged,
        failures=(*placed.failures, *restored.failures),
    )


def _plan_marks(culled: Culled, wanted: Wanted) -> marks.Plan | None:
    if wanted.style is None:
        return None
    return marks.plan(culled.marks(), wanted.style, overwrite_ratings=wanted.overwrite_ratings)


def _plan_places(culled: Culled, wanted: Wanted) -> placing.Plan | None:
    if wanted.folder is None:
        return None
    judged = [*(frame.path for frame in culled.frames), *culled.failures]
    return placing.plan(culled.kept, wanted.folder, wanted.how, judged=judged)
