"""Photographs edited file by file: what was done, and what models make of it before and after."""

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
from nimakit.reports import html

SIDECAR_SUFFIX = ".edit.json"

_THUMBNAIL_SIDE = 720
_DIGITS = 6

Edit = Callable[[Photo, Photo | None], tuple[Image.Image, Adjustments | None]]
"""From a photograph to its edited self: RGB, upright; and what was done, where that has values. The second
photo has the colours to edit where those of the first, which networks see, are laid over a background."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Critic:
    """A model whose opinion is asked.

    Attributes:
        name: What people call it.
        took_part: Whether the edit was made to please it.
        score: Its mean score of a photograph.
    """

    name: str
    took_part: bool
    score: Callable[[Photo], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """A critic's mean scores of the original and of the edited file."""

    model: str
    took_part: bool
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One edited photograph.

    Attributes:
        source: The original.
        target: The edited file.
        adjustments: What was done, where that has values.
        opinions: Of every critic.
        pictures: Thumbnails before and after, data URLs; empty where no sheet is asked for.
    """

    source: Path
    target: Path
    adjustments: Adjustments | None
    opinions: tuple[Opinion, ...]
    pictures: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "image_id": image_id(self.source),
            "file": escaped(str(self.target)),
            "adjustments": None if self.adjustments is None else self.adjustments.to_dict(),
            "scores": [_rounded(opinion) for opinion in self.opinions],
        }


def sidecar_of(target: Path) -> Path:
    """The file next to an edited photograph that contains its adjustments."""
    return target.with_suffix(SIDECAR_SUFFIX)


def judge(model: Model) -> Critic:
    """A model that took no part; it sees a photograph and its mirror image, which steadies its scores."""

    def score(photo: Photo) -> float:
        prepared = {}
        for wanted in model.preprocessings:
            pixels = prepare(photo, wanted)
            prepared[wanted] = np.stack([pixels, pixels[:, ::-1]])
        [found] = model.score_prepared(prepared, views=2)
        return found.mean

    return Critic(name=model.name, took_part=False, score=score)


def enhance_file(
    source: Path,
    target: Path,
    edit: Edit,
    critics: Sequence[Critic],
    *,
    about: Mapping[str, Any] | None = None,
    sheet: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Result:
    """Edit one photograph into a file, which appears with its sidecar, whole, or not at all.

    Args:
        source: The original.
        target: Ends in one of `nimakit.images.saving.SUFFIXES`; replaced where it exists.
        edit: What to do.
        critics: Asked for their scores of the original, and of the file as it was written.
        about: For the sidecar beside the target, which holds the adjustments; none is written where None.
        sheet: Whether thumbnails are wanted.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Raises:
        ImageError: The original cannot be decoded, is an animation, or has transparent parts and the target
            can have none.
        OutputError: The target cannot be written.
    """
    photo = open_photo(source, max_pixels=max_pixels)
    origin = saving.read_metadata(source)
    layers = saving.read_layers(source, photo)
    if layers and target.suffix.lower() in saving.OPAQUE:
        raise ImageError(
            "A picture with transparent parts goes to a format that has them: .png, .webp or .tif."
            f" Received: {target}"
        )
    before = [critic.score(photo) for critic in critics]
    picture, adjustments = edit(photo, layers.colours if layers else None)
    if layers:
        done = adjustments or Adjustments()
        alpha = reframe(layers.alpha, done.straighten, done.crop)
        picture.putalpha(alpha.resize(picture.size, "nearest"))
    content = saving.encode(picture, origin, target.suffix)
    written = open_photo(content, max_pixels=max(max_pixels, picture.width * picture.height))
    opinions = tuple(
        Opinion(model=critic.name, took_part=critic.took_part, before=first, after=critic.score(written))
        for critic, first in zip(critics, before, strict=True)
    )
    pictures: tuple[str, ...] = ()
    if sheet:
        sources = [photo.resize(photo.size, "nearest"), written.pixels]
        pictures = tuple(html.thumbnails(sources, side=_THUMBNAIL_SIDE, max_pixels=max_pixels))
    with atomic_folder(target.parent) as partial:
        atomic_bytes(content, partial / target.name)
        if about is not None and adjustments is not None:
            scores = [_rounded(opinion) for opinion in opinions]
            write_sidecar(partial / sidecar_of(target).name, adjustments, {**about, "scores": scores})
    return Result(source=source, target=target, adjustments=adjustments, opinions=opinions, pictures=pictures)


def render_sheet(results: Sequence[Result], how: str) -> str:
    """A page of pictures before and after, with scores and values.

    Args:
        results: With pictures.
        how: What was done, in a sentence.

    Returns:
        HTML, everything inside.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    cards = [
        {
            "name": result.source.name,
            "before": result.pictures[0],
            "after": result.pictures[1],
            "scores": result.opinions,
            "adjustments": [] if result.adjustments is None else list(describe(result.adjustments).items()),
        }
        for result in results
    ]
    return html.fill("before_after.html", cards=cards, how=how)


def describe(adjustments: Adjustments) -> dict[str, str]:
    """What was done, in words: name -> value with its unit; nothing of what was left as it was."""
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


def preferred(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """How many photographs each model that took no part likes better than before, of how many."""
    counts: dict[str, tuple[int, int]] = {}
    for opinion in (one for result in results for one in result.opinions if not one.took_part):
        better, total = counts.get(opinion.model, (0, 0))
        counts[opinion.model] = (better + (opinion.after > opinion.before), total + 1)
    return counts


def _rounded(opinion: Opinion) -> dict[str, Any]:
    return {
        "model": opinion.model,
        "took_part": opinion.took_part,
        "before": round(opinion.before, _DIGITS),
        "after": round(opinion.after, _DIGITS),
    }
