"""Editing of photo files: the edited file and its sidecar, and scores before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nimakit.enhance.adjustments import WHOLE, Adjustments, write_sidecar
from nimakit.enhance.framing import reframe
from nimakit.errors import ImageError
from nimakit.images import saving
from nimakit.images.files import image_id
from nimakit.images.photo import MAX_PIXELS, Photo, open_photo, prepare
from nimakit.io.atomic import atomic_bytes, atomic_folder, escaped
from nimakit.models.engine import Model
from nimakit.models.score import DIGITS
from nimakit.reports import html

SIDECAR_SUFFIX = ".edit.json"

_THUMBNAIL_SIDE = 720

Edit = Callable[[Photo, Photo | None], tuple[Image.Image, Adjustments | None]]
"""Edits a photo: returns it RGB and upright, and the adjustments, if they describe the edit.

The second photo has the colours to edit if the first, which networks see, has a background behind its
transparent parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringModel:
    """A model that scores photos before and after the edit.

    Attributes:
        name: Its display name.
        took_part: Whether the edit was made to raise its score.
        score: Its mean score of a photo.
    """

    name: str
    took_part: bool
    score: Callable[[Photo], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreChange:
    """A model's mean scores of the original and of the edited file."""

    model: str
    took_part: bool
    before: float
    after: float

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            **asdict(self),
            "before": round(self.before, DIGITS),
            "after": round(self.after, DIGITS),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One edited photo.

    Attributes:
        source: The original.
        target: The edited file.
        adjustments: The edit, if it can be described by them.
        scores: Of every model.
        pictures: Thumbnails before and after, data URLs; empty if no page is asked for.
    """

    source: Path
    target: Path
    adjustments: Adjustments | None
    scores: tuple[ScoreChange, ...]
    pictures: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "image_id": image_id(self.source),
            "file": escaped(str(self.target)),
            "adjustments": None if self.adjustments is None else self.adjustments.to_dict(),
            "scores": [score.to_dict() for score in self.scores],
        }


def sidecar_path(target: Path) -> Path:
    """The file next to an edited photo that contains its adjustments."""
    return target.with_suffix(SIDECAR_SUFFIX)


def independent_model(model: Model) -> ScoringModel:
    """A model that took no part in the edit; it averages a photo and its mirror image to reduce noise."""

    def score(photo: Photo) -> float:
        prepared = {}
        for wanted in model.preprocessings:
            pixels = prepare(photo, wanted)
            prepared[wanted] = np.stack([pixels, pixels[:, ::-1]])
        [found] = model.score_prepared(prepared, views=2)
        return found.mean

    return ScoringModel(name=model.name, took_part=False, score=score)


def enhance_file(
    source: Path,
    target: Path,
    edit: Edit,
    models: Sequence[ScoringModel],
    *,
    about: Mapping[str, Any] | None = None,
    sheet: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Result:
    """Edit one photo into a file, which appears complete with its sidecar, or not at all.

    Args:
        source: The original.
        target: Ends in one of `nimakit.images.saving.SUFFIXES`; replaced if it exists.
        edit: The edit.
        models: Score the original, and the file as it was written.
        about: Information for the sidecar next to the target; None to write no sidecar.
        sheet: Whether to make thumbnails.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Raises:
        ImageError: The original cannot be decoded, is an animation, or has transparent parts and the target's
            format has none.
        OutputError: The target cannot be written.
    """
    photo = open_photo(source, max_pixels=max_pixels)
    origin = saving.read_metadata(source)
    layers = saving.read_layers(source, photo)
    if layers and target.suffix.lower() in saving.OPAQUE:
        raise ImageError(
            "A picture with transparent parts needs a format that supports them: .png, .webp or .tif."
            f" Received: {target}"
        )
    before = [model.score(photo) for model in models]
    picture, adjustments = edit(photo, layers.colours if layers else None)
    if layers:
        done = adjustments or Adjustments()
        alpha = reframe(layers.alpha, done.straighten, done.crop)
        picture.putalpha(alpha.resize(picture.size, "nearest"))
    content = saving.encode(picture, origin, target.suffix)
    written = open_photo(content, max_pixels=max(max_pixels, picture.width * picture.height))
    scores = tuple(
        ScoreChange(model=model.name, took_part=model.took_part, before=first, after=model.score(written))
        for model, first in zip(models, before, strict=True)
    )
    pictures: tuple[str, ...] = ()
    if sheet:
        sources = [photo.resize(photo.size, "nearest"), written.pixels]
        pictures = tuple(html.thumbnails(sources, side=_THUMBNAIL_SIDE, max_pixels=max_pixels))
    with atomic_folder(target.parent) as partial:
        atomic_bytes(content, partial / target.name)
        if about is not None and adjustments is not None:
            about = {**about, "scores": [score.to_dict() for score in scores]}
            write_sidecar(partial / sidecar_path(target).name, adjustments, about)
    return Result(source=source, target=target, adjustments=adjustments, scores=scores, pictures=pictures)


def render_sheet(results: Sequence[Result], title: str) -> str:
    """A page of pictures before and after, with scores and adjustments.

    Args:
        results: With pictures.
        title: A sentence about the edit.

    Returns:
        HTML in one file.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    return html.fill("before_after.html", results=results, how=title, describe=describe)


def describe(adjustments: Adjustments) -> dict[str, str]:
    """Adjustment -> its value with unit; only those that changed something."""
    texts = {}
    for name, value in asdict(adjustments).items():
        if name == "crop":
            if value != WHOLE:
                kept = (value[2] - value[0]) * (value[3] - value[1])
                texts[name] = f"{100 * kept:.0f} % kept"
        elif value:
            unit = {"exposure": " EV", "straighten": "°"}.get(name, "")
            texts[name] = f"{value:+.2f}{unit}"
    return texts


def improvements(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Model that took no part -> number of photos it scores higher than before, and number of photos."""
    counts: dict[str, tuple[int, int]] = {}
    for score in (score for result in results for score in result.scores if not score.took_part):
        better, total = counts.get(score.model, (0, 0))
        counts[score.model] = (better + (score.after > score.before), total + 1)
    return counts
