"""The report on a set of ratings: an HTML page, or its charts as a PNG."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.images.photo import MAX_PIXELS
from nimakit.io.atomic import ESCAPE, atomic_bytes
from nimakit.labels import charts, interpretation
from nimakit.labels.summary import People, Pictures, Summary, unlike_the_rest
from nimakit.reports import html as page_html
from nimakit.reports import plots
from nimakit.reports.plots import Plot
from nimakit.stats.agreement import spearman_brown
from nimakit.stats.histogram import across_scale

SUFFIXES = (".html", ".png")
PICTURES = 24
"""Maximum number of pictures on the contact sheet."""

_THUMBNAIL_SIDE = 320
_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Chart:
    key: str
    title: str
    plot: Plot
    how_to_read: str

    @property
    def svg(self) -> str:
        return plots.svg(self.key, self.title, self.plot)


def require() -> None:
    """Check the packages that a report needs, before any work is done.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    page_html.require_jinja()
    plots.require_matplotlib()


def write(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    summary: Summary,
    paths: Mapping[str, Path | None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Write a report as .html, or only its charts as .png.

    Args:
        path: The file, which appears whole or not at all.
        title: As for `render`, like all other arguments.
        facts: See there.
        summary: See there.
        paths: See there.
        max_pixels: See there.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
        OutputError: It could not be written.
    """
    if path.suffix.lower() == ".png":
        content = plots.png(title, [(chart.title, chart.plot) for chart in _charts(summary)])
    else:
        html = render(title=title, facts=facts, summary=summary, paths=paths, max_pixels=max_pixels)
        content = html.encode("utf-8", ESCAPE)
    atomic_bytes(content, path)


def render(
    *,
    title: str,
    facts: Mapping[str, str],
    summary: Summary,
    paths: Mapping[str, Path | None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> str:
    """Render a report.

    Args:
        title: The heading.
        facts: Facts about the source of the ratings: name -> value.
        summary: What to report on.
        paths: image_id -> file, or None if it is missing (`nimakit.images.files.match_images`); None shows no
            pictures.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        HTML; the same for the same input.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    people = summary.people
    apart = unlike_the_rest(people) if people else []
    return page_html.fill(
        "data_report.html",
        title=title,
        facts=facts,
        tiles=_tiles(summary),
        sentences=interpretation.in_short(summary),
        rating_charts=list(_rating_charts(summary)),
        agreement=interpretation.agreement_rows(summary),
        more_ratings=_more_ratings(summary),
        complete=summary.agreement is not None and summary.agreement.complete,
        needs=summary.needs,
        images=len(summary.pictures.means),
        people_charts=list(_people_charts(people)) if people else [],
        apart=apart[:_LISTED],
        apart_left=len(apart[_LISTED:]),
        why_unlike=interpretation.why_unlike,
        cards=_cards(summary.pictures, paths, max_pixels) if paths is not None else [],
        missing=0 if paths is None else sum(paths.get(name) is None for name in summary.pictures.image_ids),
        bins=summary.pictures.bins.tolist(),
    )


def _charts(summary: Summary) -> list[_Chart]:
    """All charts, in the order of the page."""
    more = _more_ratings(summary)
    people = _people_charts(summary.people) if summary.people else ()
    return [*_rating_charts(summary), *([more] if more else []), *people]


def _tiles(summary: Summary) -> list[tuple[str, str]]:
    """The headline figures, each with its caption."""
    pictures, people = summary.pictures, summary.people
    tiles = [(f"{len(pictures.means):,}", "picture" if len(pictures.means) == 1 else "pictures")]
    if pictures.counts is not None:
        tiles += [
            (f"{pictures.counts.sum():,.0f}", "ratings"),
            (f"{np.median(pictures.counts):,.0f}", "ratings per picture (median)"),
        ]
    if people:
        tiles.insert(1, (f"{len(people.user_ids):,}", "person" if len(people.user_ids) == 1 else "people"))
    scale = f"{pictures.bins[0]:g} to {pictures.bins[-1]:g}"
    return [*tiles, (f"{pictures.means.mean():.2f}", f"average mean rating, on a scale of {scale}")]


def _rating_charts(summary: Summary) -> Iterator[_Chart]:
    pictures, bins = summary.pictures, summary.pictures.bins
    yield _Chart(
        "means",
        "Mean ratings",
        partial(charts.mean_ratings, pictures.means, bins),
        "How many pictures have which mean. A wide distribution gives a model much to learn; in a narrow one"
        " most pictures look alike to it.",
    )
    yield _Chart(
        "given",
        "All ratings",
        partial(charts.given_ratings, summary.shares, bins),
        "How often each rating was given. Very tall bars at the ends or in the middle may come from people's"
        " habits rather than from the pictures.",
    )
    yield _Chart(
        "classes",
        "Class balance",
        partial(charts.classes, pictures.classes, bins),
        "Pictures by mean, rounded to the scale. A model will be least accurate where pictures are rare.",
    )
    if np.isfinite(pictures.deviations).any():
        yield _Chart(
            "spreads",
            "Agreement by mean",
            partial(charts.spreads, pictures.means, pictures.deviations),
            "Each point is a picture: the higher, the more people disagree on it. Near the ends of the scale"
            " there is less room to disagree, so an arch is normal.",
        )
    if pictures.counts is not None:
        yield _Chart(
            "counts",
            "Ratings per picture",
            partial(charts.rating_counts, pictures.counts, "pictures"),
            "How many pictures have how many ratings. Means of pictures on the left are the least reliable.",
        )
    if summary.people:
        yield _Chart(
            "person-counts",
            "Ratings per person",
            partial(charts.rating_counts, summary.people.raters.counts, "people"),
            "How many people gave how many ratings. If a few gave most, the means reflect their taste.",
        )


def _more_ratings(summary: Summary) -> _Chart | None:
    """The chart of reliability by number of ratings; None if it is undefined."""
    icc = summary.agreement.reliability if summary.agreement else None
    goals = [need.ratings_per_image for need in summary.needs if need.goal == "reliability"]
    if not icc or icc.average is None or not goals:
        return None
    ratings = np.linspace(1, 1.1 * max(icc.ratings, *goals), 200)
    reliability = np.array([spearman_brown(icc.single, count) for count in ratings], np.float64)
    return _Chart(
        "reliability",
        "What more ratings would gain",
        partial(charts.reliabilities, ratings, reliability, (icc.ratings, icc.average)),
        "How reliable a mean is by its number of ratings. The first ratings gain most; above the dashed line,"
        " at 0.9, more pictures are worth more than more ratings.",
    )


def _people_charts(people: People) -> Iterator[_Chart]:
    figures, outliers = people.raters, people.outliers
    if (np.isfinite(figures.bias) & np.isfinite(figures.spread)).any():
        yield _Chart(
            "people",
            "Kindness and spread",
            partial(charts.people, figures.bias, figures.spread, outliers.any),
            "Each point is a person. People on the right rate the same pictures higher than others do,"
            " people on the left lower. People at the bottom always give nearly the same rating.",
        )
    if np.isfinite(figures.consistency).any():
        yield _Chart(
            "consistency",
            "Agreement with the others",
            partial(charts.consistencies, figures.consistency),
            "Whether a person prefers the pictures that others prefer: 1 fully, 0 not at all, negative the"
            " opposite. Someone near 0 may not have paid attention, or simply has different taste.",
        )


def _cards(pictures: Pictures, paths: Mapping[str, Path | None], max_pixels: int) -> list[dict[str, Any]]:
    there = np.array([row for row, name in enumerate(pictures.image_ids) if paths.get(name)], np.intp)
    rows = there[across_scale(pictures.means[there], PICTURES)].tolist()
    shown = [paths[pictures.image_ids[row]] for row in rows]
    thumbnails = page_html.thumbnails(shown, side=_THUMBNAIL_SIDE, max_pixels=max_pixels)
    return [_card(pictures, row, thumbnail) for row, thumbnail in zip(rows, thumbnails, strict=True)]


def _card(pictures: Pictures, row: int, picture: str) -> dict[str, Any]:
    deviation = float(pictures.deviations[row])
    return {
        "name": pictures.image_ids[row],
        "picture": picture,
        "mean": float(pictures.means[row]),
        "deviation": deviation if np.isfinite(deviation) else None,
        "ratings": None if pictures.counts is None else round(pictures.counts[row]),
        "bars": page_html.heights(pictures.histograms[row].tolist()),
    }
