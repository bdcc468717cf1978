"""A culled shoot: its frames, groups and decisions; and the marks that photo programs get."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nimakit.culling.frames import Frame, Reading
from nimakit.culling.groups import Group, Grouping, group_frames
from nimakit.culling.marks import Mark
from nimakit.culling.ranking import DEFAULT_WEIGHTS, Ranked, Weights, rank_group
from nimakit.culling.selection import DIVERSITY, Keep, Selection, select
from nimakit.errors import ImageError
from nimakit.io.atomic import escaped

REJECTED = -1
"""The rating of a rejected frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How a shoot is culled.

    Attributes:
        keep: As for `nimakit.culling.selection.select`.
        star_shares: As for `nimakit.culling.selection.select`.
        diversity: As for `nimakit.culling.selection.diverse`.
        weights: What counts between the frames of a group.
        rejects: Whether frames that another one of their group beats are rejected.
        label: Colour label of what is kept; None for none.
    """

    keep: Keep | None = None
    star_shares: tuple[float, ...] | None = None
    diversity: float = DIVERSITY
    weights: Weights = DEFAULT_WEIGHTS
    rejects: bool = False
    label: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Culled:
    """A culled shoot.

    Attributes:
        folder: The folder of photographs.
        frames: N frames.
        failures: Photographs that could not be read -> the reason.
        grouping: Their groups.
        rankings: For each group its frames, best first; of a series in the order in which they were taken.
        selection: What is kept, and stars.
        rules: How it was culled.
    """

    folder: Path
    frames: tuple[Frame, ...]
    failures: Mapping[Path, ImageError]
    grouping: Grouping
    rankings: tuple[tuple[Ranked, ...], ...]
    selection: Selection
    rules: Rules

    @property
    def kept(self) -> list[Path]:
        """The files of the frames that are kept, in the order in which they were chosen."""
        return [self.frames[frame].path for frame in self.selection.kept]

    def moved(self, places: Mapping[Path, Path]) -> "Culled":
        """The shoot after files were moved.

        Args:
            places: Old -> new path.
        """
        frames = tuple(replace(frame, path=places.get(frame.path, frame.path)) for frame in self.frames)
        return replace(self, frames=frames)

    def name(self, frame: int) -> str:
        """The path of a frame below the folder."""
        return name_below(self.frames[frame].path, self.folder)

    def is_beaten(self, frame: int, group: int) -> bool:
        """Whether another frame of the group is preferred."""
        return frame not in self.selection.choices[group].frames

    def marks(self) -> Iterator[Mark]:
        """Stars, picks and rejects, of the frames that have any; a RAW file gets those of its JPEG."""
        kept = set(self.selection.kept)
        for number, group in enumerate(self.grouping.groups):
            for frame in group.frames:
                is_rejected = self.rules.rejects and self.is_beaten(frame, number)
                is_kept = frame in kept
                mark = Mark(
                    path=self.frames[frame].path,
                    rating=REJECTED if is_rejected else self.selection.stars[frame],
                    label=self.rules.label if is_kept else None,
                    pick=True if is_kept else False if is_rejected else None,
                )
                if (mark.rating, mark.label, mark.pick) != (None, None, None):
                    yield mark


def cull(folder: Path, reading: Reading, rules: Rules) -> Culled:
    """Group the frames of a shoot, and choose what is kept.

    Args:
        folder: The folder of photographs.
        reading: From `nimakit.culling.frames.read_frames`.
        rules: How.
    """
    frames = reading.frames
    grouping = group_frames(frames)
    rankings = tuple(_rank(group, frames, rules.weights) for group in grouping.groups)
    selection = select(
        frames,
        grouping.groups,
        rankings,
        keep=rules.keep,
        star_shares=rules.star_shares,
        diversity=rules.diversity,
    )
    return Culled(
        folder=folder,
        frames=frames,
        failures=reading.failures,
        grouping=grouping,
        rankings=rankings,
        selection=selection,
        rules=rules,
    )


def _rank(group: Group, frames: Sequence[Frame], weights: Weights) -> tuple[Ranked, ...]:
    """The frames of a group, best first; those of a series as they were taken, because all are needed."""
    if group.is_whole:
        return tuple(Ranked(frame=frame, value=0.0, reasons=()) for frame in group.frames)
    return rank_group(group, frames, weights)


def name_below(path: Path, folder: Path) -> str:
    """The path of a photograph below the folder, for people: valid UTF-8."""
    return escaped((path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix())
