"""What a rater decided in a cull, for other programs: XMP, a list of picks, and copies of them."""

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.culling.companions import Companions
from nimakit.culling.journal import Change
from nimakit.culling.marks import Mark, Plan, plan
from nimakit.culling.shots import Style
from nimakit.images.xmp.splices import spliced
from nimakit.web.cull.groups import decisions
from nimakit.web.db.tables import OK, PICK, REJECT, Collection, Image, Rater
from nimakit.web.pictures.inventory import is_inside

REPORT = "not copied.txt"
"""Name of the file in an archive that lists what is not in it."""
_REJECTED = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A picture that a rater decided about.

    Attributes:
        image: The picture.
        flag: `PICK`, `REJECT`, `UNFLAG` or None.
        stars: 1 to 5, or None.
    """

    image: Image
    flag: str | None
    stars: int | None


def decided(session: Session, collection: Collection, rater: Rater) -> list[Decided]:
    """The pictures that a rater flagged or gave stars, by path.

    Args:
        session: From `Database.read`.
        collection: A cull.
        rater: The rater.
    """
    found = decisions(session, collection, rater)
    wanted = select(Image).where(Image.collection_id == collection.id, Image.state == OK)
    images = session.scalars(wanted.order_by(Image.path))
    return [
        Decided(image=image, flag=found[image.id].flag, stars=found[image.id].stars)
        for image in images
        if image.id in found
    ]


def picks(session: Session, collection: Collection, rater: Rater) -> list[Image]:
    """The pictures that a rater picked, by path."""
    return [one.image for one in decided(session, collection, rater) if one.flag == PICK]


def planned(
    collection: Collection, found: Iterable[Decided], style: Style, *, overwrite_ratings: bool
) -> Plan:
    """Plan to write decisions as XMP; a reject has the rating -1, as photo programs expect.

    Args:
        collection: A cull.
        found: The decisions, from `decided`.
        style: Where XMP goes.
        overwrite_ratings: Whether to replace ratings that people gave in other programs.
    """
    root = Path(os.path.realpath(collection.folder))
    marks = [
        Mark(
            path=root / one.image.path,
            rating=_REJECTED if one.flag == REJECT else one.stars,
            pick={PICK: True, REJECT: False}.get(one.flag or ""),
        )
        for one in found
        if (one.stars is not None or one.flag in (PICK, REJECT)) and is_inside(root, one.image.path)
    ]
    return plan(marks, style, overwrite_ratings=overwrite_ratings)


def archive_changes(collection: Collection, found: Plan) -> IO[bytes]:
    """A .zip of the files that a plan would write: sidecars, and pictures with XMP inside.

    Returns:
        A temporary file at its beginning, which is deleted when it is closed.
    """
    root = Path(os.path.realpath(collection.folder))
    problems = [f"{path.name}: {reason}" for path, reason in found.failures]
    problems += [f"{kept.path.name}: rated in {kept.where.name} already" for kept in found.kept]
    return _archive(((_inside(root, change.path), _content(change)) for change in found.changes), problems)


def archive_picks(collection: Collection, images: Iterable[Image], others: Iterable[str]) -> IO[bytes]:
    """A .zip of copies of pictures, with their companions, such as RAW files and sidecars.

    Args:
        collection: A cull.
        images: The pictures.
        others: Paths of all pictures of the collection, which are nobody's companions.

    Returns:
        A temporary file at its beginning, which is deleted when it is closed.
    """
    root, problems = Path(os.path.realpath(collection.folder)), list[str]()
    companions = Companions(root / path for path in others)

    def files() -> Iterator[tuple[str, Iterator[bytes]]]:
        for image in images:
            if not is_inside(root, image.path):
                problems.append(f"{image.path}: it leads out of the folder")
                continue
            picture = root / image.path
            try:
                for path in (picture, *companions.of(picture)):
                    with path.open("rb") as stream:
                        yield _inside(root, path), spliced(stream, ())
            except OSError as error:
                problems.append(f"{image.path}: {error.strerror}")

    return _archive(files(), problems)


def _archive(files: Iterable[tuple[str, Iterator[bytes]]], problems: list[str]) -> IO[bytes]:
    """A .zip of files: names and contents. Pictures are compressed already.

    Args:
        files: Two pictures may share a sidecar, which is written once.
        problems: What is not among them and why; read at the end.
    """
    stream, names = cast("IO[bytes]", tempfile.TemporaryFile()), set[str]()  # noqa: SIM115 - the caller's
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, parts in files:
            if name in names:
                continue
            names.add(name)
            with archive.open(name, "w", force_zip64=True) as entry:
                for part in parts:
                    entry.write(part)
        if problems:
            archive.writestr(REPORT, "\n".join(problems) + "\n")
    stream.seek(0)
    return stream


def _content(change: Change) -> Iterator[bytes]:
    """The content of a file after a change."""
    if not change.path.exists():
        yield from (part.content for part in change.splices)
        return
    with closing(change.path.open("rb")) as stream:
        yield from spliced(stream, change.splices)


def _inside(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
