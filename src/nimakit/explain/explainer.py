"""Explanations of scores: a model and a method, applied to pictures."""

from typing import Literal, get_args

from nimakit.errors import ModelError, UsageError
from nimakit.explain.occlusion import explain_occlusion
from nimakit.explain.patches import explain_patches, patch_networks
from nimakit.explain.score_map import ScoreMap, Size
from nimakit.images.photo import MAX_PIXELS, ImageInput, Photo, open_photo, prepare
from nimakit.models.engine import Model
from nimakit.stats.histogram import FloatArray

Method = Literal["patches", "occlusion"]
METHODS: tuple[str, ...] = get_args(Method)


class Explainer:
    """Computes maps of what raises and lowers the score of a picture.

    Args:
        model: Any model: one or several networks, for people in general or one person.
        method: "patches" gives an exact sum over the patches of a picture in one run, and needs networks
            whose features are averages of maps; "occlusion" scores the picture 96 times with random halves
            of it hidden, for any model. None for patches where they are possible, else occlusion.

    Attributes:
        name: Display name of the model.
        method: The method.

    Raises:
        ModelError: The method is "patches", and a network is not of that kind.
    """

    def __init__(self, model: Model, *, method: Method | None = None) -> None:
        self._model = model
        self._networks = patch_networks(model) if method != "occlusion" else None
        self.name = model.name
        self.method: Method = "occlusion" if self._networks is None else "patches"
        if method == "patches" and self._networks is None:
            raise ModelError(
                "A sum over patches needs a model whose features are averages of maps. Received:"
                f" {model.name}; use occlusion."
            )

    def explain(
        self,
        image: ImageInput,
        *,
        size: Size | None = None,
        at_least: float | None = None,
        photo: Photo | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> ScoreMap:
        """Compute the map of a picture.

        Args:
            image: See `nimakit.images.photo.open_photo`.
            size: (width, height) of the map; that of the picture in its file if None.
            at_least: Explain the probability of this rating and above; the mean score if None.
            photo: The image, decoded, if it is already.
            max_pixels: See `nimakit.images.photo.open_photo`.

        Raises:
            ImageError: The picture cannot be decoded.
            UsageError: at_least is outside the scale, or the model does not give histograms.
            ModelError: The model fails.

        Example:
            >>> import nimakit
            >>> from nimakit.explain import Explainer
            >>> found = Explainer(nimakit.load_model()).explain("data/samples/otter.jpg", size=(300, 200))
            >>> found.values.shape, f"{found.constant + found.parts.sum() - found.mean:.6f}"
            ((200, 300), '0.000000')
        """
        gives_histograms = self._model.gives_histograms and self._model.taste is None
        check_rating(at_least, self._model.bins, gives_histograms=gives_histograms, name=self.name)
        views = {}
        for wanted in self._model.preprocessings:
            if photo is None or not photo.suits(wanted):
                photo = open_photo(image, max_pixels=max_pixels, preprocessing=wanted)
            picture = photo.whole_size
            views[wanted] = prepare(photo, wanted)[None]
        if self._networks is None:
            return explain_occlusion(
                self._model, views, picture=picture, size=size or picture, at_least=at_least
            )
        return explain_patches(
            self._model, self._networks, views, picture=picture, size=size or picture, at_least=at_least
        )


def check_rating(at_least: float | None, bins: FloatArray, *, gives_histograms: bool, name: str) -> None:
    """Check a rating whose probability is to be explained.

    Args:
        at_least: The rating; None if the mean score is to be explained.
        bins: (bins,), of the model.
        gives_histograms: Whether it predicts distributions.
        name: Its display name.

    Raises:
        UsageError: It is outside the scale, or the model does not give histograms.
    """
    if at_least is None:
        return
    if not gives_histograms:
        raise UsageError(
            "The probability of a rating needs a model that predicts a distribution. Received:"
            f" {name}, which only predicts a score, like any regression head or personal"
            " model; explain the mean score."
        )
    if not bins[0] < at_least <= bins[-1]:
        raise UsageError(
            f"The rating must be above {bins[0]:g} and at most {bins[-1]:g}, the ends of the"
            f" model's scale. Received: {at_least:g}"
        )
