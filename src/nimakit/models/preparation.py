"""Decode an image and make the views that a model scores, without loading the model."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nimakit.errors import ImageError, machine_fault
from nimakit.images.measures import Measures, measure
from nimakit.images.photo import ImageInput, Photo, PixelArray, Preprocessing, open_photo, prepare, unread

Augmentation = Literal["none", "flips", "crops"]
AUGMENTATIONS: tuple[str, ...] = get_args(Augmentation)

_CROP = 0.875
_CENTRE = (0.5, 0.5)
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))

Views = dict[Preprocessing, PixelArray]
"""The views of images, for each of the inputs of a model: (views, height, width, 3) uint8."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One decoded image, ready to be scored.

    Attributes:
        views: Its views.
        measures: Its technical measures; None if they are not wanted.
    """

    views: Views
    measures: Measures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Decodes images and makes the views that a scorer scores; it can be pickled.

    Attributes:
        preprocessings: Those of the model's inputs.
        tta: Test-time augmentation.
        measures: Whether to measure the images.
        max_pixels: Largest width times height of an image.
        formats: Formats to decode.
    """

    preprocessings: tuple[Preprocessing, ...]
    tta: Augmentation
    measures: bool = False
    max_pixels: int
    formats: tuple[str, ...]

    @property
    def views(self) -> int:
        """Number of views of each image."""
        return {"none": 1, "flips": 2, "crops": 2 * len((_CENTRE, *_CORNERS))}[self.tta]

    def make(self, source: ImageInput, *, briefly: bool = False) -> Prepared | ImageError:
        """Decode an image and make its views.

        Args:
            source: The image.
            briefly: As for `nimakit.images.photo.open_photo`.
        """
        try:
            photos = self._open(source, briefly)
            views = {wanted: self._of(photo, wanted) for wanted, photo in photos.items()}
            return Prepared(views, self._measure(source, photos, briefly) if self.measures else None)
        except ImageError as error:
            return error
        except MemoryError as error:
            return unread(machine_fault(error))

    def _open(self, source: ImageInput, briefly: bool) -> dict[Preprocessing, Photo]:
        """Decode an image for each of the inputs: once, unless they need different reductions."""
        photos: dict[Preprocessing, Photo] = {}
        for wanted in self.preprocessings:
            suitable = (photo for photo in photos.values() if photo.suits(wanted, self._zoom))
            photos[wanted] = next(suitable, None) or open_photo(
                source,
                max_pixels=self.max_pixels,
                preprocessing=wanted,
                zoom=self._zoom,
                formats=self.formats,
                briefly=briefly,
            )
        return photos

    def _measure(self, source: ImageInput, photos: dict[Preprocessing, Photo], briefly: bool) -> Measures:
        """Measure an image at its full size: decoded once more if no model sees all of its pixels."""
        whole = next((photo for photo in photos.values() if photo.reduction == 1), None)
        if whole is None:
            whole = open_photo(source, max_pixels=self.max_pixels, formats=self.formats, briefly=briefly)
        return measure(whole.pixels)

    @property
    def _zoom(self) -> float:
        return _CROP if self.tta == "crops" else 1.0

    def _of(self, photo: Photo, wanted: Preprocessing) -> PixelArray:
        places = (_CENTRE, *_CORNERS) if self.tta == "crops" else (_CENTRE,)
        views = [prepare(photo, wanted, self._zoom, at) for at in places]
        if self.tta != "none":
            views += [view[:, ::-1] for view in views]
        return np.stack(views)
