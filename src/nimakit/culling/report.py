"""The report of a culled shoot: groups side by side, what is kept, and why; one page with its thumbnails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group, Grouping
from nimakit.culling.ranking import Ranked
from nimakit.culling.selection import Choice
from nimakit.culling.shoot import Culled, name_below
from nimakit.io.atomic import atomic_writer
from nimakit.reports import html

_SIDE = 480
"""Longer side of a thumbnail in pixels."""
_KEY_DIGITS = 16
_NAMES = {
    "single": ("single photograph", "single photographs"),
    "duplicates": ("set of duplicates", "sets of duplicates"),
}
"""Kinds whose names are no nouns; one, and several."""


def write(culled: Culled, file: Path, *, model: str, max_pixels: int, refresh: int | None = None) -> None:
    """Write the page, and its thumbnails into a folder next to it: cull.html and cull_files.

    Args:
        culled: The shoot.
        file: The page.
        model: Name of the model.
        max_pixels: As for `nimakit.images.photo.open_photo`.
        refresh: Seconds after which a browser loads the page again; None if it is final.

    Raises:
        MissingExtraError: Jinja2 is not installed.
        OutputError: A file could not be written.
    """
    folder = file.with_name(f"{file.stem}_files")
    keys = [frame.content.hex()[:_KEY_DIGITS] for frame in culled.frames]
    sources = dict(zip(keys, (frame.path for frame in culled.frames), strict=True))
    names = html.write_thumbnails(sources, folder, side=_SIDE, max_pixels=max_pixels)
    thumbnails = [f"{quote(folder.name)}/{names[key]}" if key in names else "" for key in keys]
    links = [html.link_to(frame.path, file) for frame in culled.frames]
    with atomic_writer(file) as stream:
        stream.write(render(culled, thumbnails, links, model=model, refresh=refresh))


def render(
    culled: Culled,
    thumbnails: Sequence[str],
    links: Sequence[str],
    *,
    model: str,
    refresh: int | None = None,
) -> str:
    """Render the page.

    Args:
        culled: The shoot.
        thumbnails: N addresses; empty for no picture.
        links: N addresses of the photographs; empty if browsers cannot show them.
        model: As for `write`.
        refresh: As for `write`.

    Returns:
        HTML.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    kept = set(culled.selection.kept)
    counts = [culled.selection.stars.count(stars) for stars in (5, 4, 3, 2, 1)]
    return html.fill(
        "cull.html",
        culled=culled,
        model=model,
        kept=len(kept),
        summary=summary(culled.grouping),
        scenes=[
            _Scene.of(culled, title, groups, kept=kept, thumbnails=thumbnails, links=links)
            for title, groups in _sections(culled.grouping)
        ],
        counts=counts,
        bars=html.heights(counts),
        unrated=culled.selection.stars.count(None),
        failures={name_below(path, culled.folder): str(error) for path, error in culled.failures.items()},
        refresh=refresh,
    )


def summary(grouping: Grouping) -> str:
    """The number of groups of each kind, and of scenes, in words.

    >>> from nimakit.culling.groups import Group
    >>> groups = (Group(kind="single", frames=(0,), scene=0), Group(kind="burst", frames=(1, 2), scene=0))
    >>> summary(Grouping(groups=groups, scenes=((0, 1),), basis=""))
    '1 single photograph and 1 burst in 1 scene'
    """
    kinds = [group.kind for group in grouping.groups]
    parts = []
    for kind in dict.fromkeys(sorted(kinds, key=lambda kind: -kinds.count(kind))):
        count = kinds.count(kind)
        one, several = _NAMES.get(kind, (kind, f"{kind}s"))
        parts.append(f"{count} {one if count == 1 else several}")
    scenes = len(grouping.scenes)
    listed = " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
    return f"{listed} in {scenes} scene{'' if scenes == 1 else 's'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    """A frame on the page."""

    name: str
    thumbnail: str
    link: str
    score: float | None
    stars: int | None
    is_kept: bool
    is_beaten: bool
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A group on the page: its title is empty for a single photograph."""

    title: str
    is_ranked: bool
    pictures: tuple[_Picture, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """A scene on the page, or several of one photograph each."""

    title: str
    time: str
    rows: tuple[_Row, ...]

    @property
    def pictures(self) -> int:
        return sum(len(row.pictures) for row in self.rows)

    @property
    def kept(self) -> int:
        return sum(picture.is_kept for row in self.rows for picture in row.pictures)

    @classmethod
    def of(
        cls,
        culled: Culled,
        title: str,
        groups: Sequence[int],
        *,
        kept: set[int],
        thumbnails: Sequence[str],
        links: Sequence[str],
    ) -> "_Scene":
        rows = []
        for number in groups:
            group, choice = culled.grouping.groups[number], culled.selection.choices[number]
            pictures = []
            for ranked in culled.rankings[number]:
                frame = culled.frames[ranked.frame]
                pictures.append(
                    _Picture(
                        name=culled.name(ranked.frame),
                        thumbnail=thumbnails[ranked.frame],
                        link=links[ranked.frame],
                        score=frame.score if frame.taste is None else frame.taste,
                        stars=culled.selection.stars[ranked.frame],
                        is_kept=ranked.frame in kept,
                        is_beaten=culled.is_beaten(ranked.frame, number),
                        why="; ".join(_why(culled, ranked, choice)),
                    )
                )
            is_ranked = len(pictures) > 1 and not group.is_whole
            rows.append(_Row(title=_title(group), is_ranked=is_ranked, pictures=tuple(pictures)))
        frames = [frame for number in groups for frame in culled.grouping.groups[number].frames]
        return cls(title=title, time=_time([culled.frames[frame] for frame in frames]), rows=tuple(rows))


def _sections(grouping: Grouping) -> Iterator[tuple[str, list[int]]]:
    """Title and groups of each scene; consecutive scenes of one photograph are one section."""

    def is_single(number: int) -> bool:
        return [len(grouping.groups[group].frames) for group in grouping.scenes[number]] == [1]

    for single, run in groupby(range(len(grouping.scenes)), is_single):
        numbers = [*run]
        if single and len(numbers) > 1:
            yield (
                f"Scenes {numbers[0] + 1} to {numbers[-1] + 1}",
                [group for number in numbers for group in grouping.scenes[number]],
            )
        else:
            yield from ((f"Scene {number + 1}", [*grouping.scenes[number]]) for number in numbers)


def _why(culled: Culled, ranked: Ranked, choice: Choice) -> Iterator[str]:
    """Why a frame is kept or not, in words."""
    yield from ranked.reasons
    if ranked.frame == choice.best:
        if choice.like is not None:
            yield f"resembles {culled.name(choice.like)}, which is kept"
        elif not choice.is_kept:
            yield f"rank {choice.place} of {len(culled.grouping.groups)} by score"


def _title(group: Group) -> str:
    return "" if group.kind == "single" else f"{group.kind} of {len(group.frames)}"


def _time(frames: Sequence[Frame]) -> str:
    """When a scene was taken, as the camera's clock showed it; empty if unknown."""
    times = sorted(frame.taken for frame in frames if frame.taken is not None)
    if not times:
        return ""
    first, last = (datetime.fromtimestamp(time, UTC) for time in (times[0], times[-1]))
    day = f"{first:%Y-%m-%d} "
    if f"{first:%Y%m%d %H%M}" == f"{last:%Y%m%d %H%M}":
        return f"{day}{first:%H:%M}"
    return f"{day}{first:%H:%M} \N{EN DASH} {last:%H:%M}" if first.date() == last.date() else day.strip()
