"""What `nimakit cull` prints and writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nimakit.culling.changes import Done, Wanted
    from nimakit.culling.shoot import Culled

_VERBS = {
    "copy": ("would copy {} to", "copied {} to"),
    "move": ("would move {} to", "moved {} to"),
    "link": ("would link to {} in", "linked to {} in"),
}
"""Before and after it is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Files that are written without --apply.

    Attributes:
        report: The page; None for none.
        list_file: The names of the picks; None for none.
        max_pixels: Largest width times height of an image.
    """

    report: Path | None
    list_file: Path | None
    max_pixels: int

    def check(self) -> None:
        """Refuse a page that cannot be rendered before any work is done.

        Raises:
            MissingExtraError: Jinja2 is not installed.
        """
        from nimakit.reports import html

        if self.report:
            html.require_jinja()

    def write(self, culled: "Culled", *, model: str, refresh: int | None = None) -> None:
        """Write them.

        Raises:
            OutputError: One could not be written.
        """
        from nimakit.culling import report
        from nimakit.culling.shoot import name_below
        from nimakit.io.atomic import atomic_writer

        if self.list_file:
            with atomic_writer(self.list_file) as stream:
                stream.writelines(f"{name_below(path, culled.folder)}\n" for path in culled.kept)
        if self.report:
            report.write(culled, self.report, model=model, max_pixels=self.max_pixels, refresh=refresh)


def summary_lines(culled: "Culled") -> Iterator[str]:
    """What was found, and what is kept."""
    from nimakit.culling.report import summary

    kept, total = len(culled.selection.kept), len(culled.frames)
    yield f"{kept} of {total} photo{'' if total == 1 else 's'} kept: {summary(culled.grouping)}"
    yield f"groups by {culled.grouping.basis}"
    counts = [(number, culled.selection.stars.count(number)) for number in (5, 4, 3, 2, 1)]
    yield "stars: " + ", ".join(f"{count} with {number}" for number, count in counts if count)


def changed_lines(wanted: "Wanted", done: "Done", *, is_done: bool) -> Iterator[str]:
    """What was written, or would be."""
    if wanted.style:
        verb = "wrote" if is_done else "would write"
        yield f"{verb} stars and picks for {wanted.style} into {done.marked} files"
        if done.kept:
            yield (
                f"{len(done.kept)} photos keep the stars, pick or label that a person gave"
                " (--overwrite-ratings replaces them)"
            )
    if wanted.folder:
        action = _VERBS[wanted.how][is_done].format(f"{done.placed} picks")
        present = f" ({done.present} were there already)" if done.present else ""
        yield f"{action} {wanted.folder}{present}"
    if wanted.changes_files and not is_done:
        yield "nothing was changed: add --apply"
