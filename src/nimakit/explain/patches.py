"""The score as a sum over the patches of a picture, for models whose features are averages of maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import EncodeError

from nimakit.errors import ModelError
from nimakit.explain.head import Head, find_head
from nimakit.explain.score_map import Layer, ScoreMap, Size, combine, explained
from nimakit.images.photo import PixelArray, Placement, place
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network, Outputs
from nimakit.models.preparation import Views
from nimakit.models.session import Session
from nimakit.models.taste import personal_means
from nimakit.stats.histogram import FloatArray

_STEP = 1e-5
"""Of the numerical derivative of the curve that keeps a person's scores inside the scale."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchNetwork:
    """A network that also gives the maps whose averages are its features.

    Attributes:
        network: The network.
        session: Its graph with the maps as outputs.
        head: What is behind the averages.
    """

    network: Network
    session: Session
    head: Head

    @classmethod
    def of(cls, network: Network) -> "PatchNetwork | None":
        """Prepare a network; None if its score depends on the image by more than averages of maps."""
        graph = network.graph()
        head = find_head(graph.graph, network.outputs, network.adapters)
        if head is None:
            return None
        maps = {pool.maps for pool in head.pools.values()}
        graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(maps))
        try:
            session = Session(graph.SerializeToString(), name=network.metadata.name)
        except (ModelError, ValueError, EncodeError):  # over 2 GiB, or a type that is no output
            return None
        wanted = network.metadata.preprocessing
        found = cls(network, session, head)
        sample = np.zeros((1, wanted.height, wanted.width, 3), np.uint8)
        return found if found._has_maps(sample) else None

    def run(self, pixels: PixelArray) -> tuple[Outputs, dict[str, FloatArray]]:
        """Score one prepared image, (1, height, width, 3).

        Returns:
            The outputs of the network, and (rows, columns, channels) for each average.
        """
        names = [*self.network.outputs, *(pool.maps for pool in self.head.pools.values())]
        unique = list(dict.fromkeys(names))
        arrays = dict(zip(unique, self.session.run(unique, pixels, None, self.network.adapters), strict=True))
        values, features = (arrays[name].reshape(1, -1) for name in self.network.outputs)
        grids = {name: pool.grid(arrays[pool.maps]) for name, pool in self.head.pools.items()}
        return Outputs(values=values, features=features), grids

    def _has_maps(self, pixels: PixelArray) -> bool:
        """Whether the averages are of maps, and the head gives what the network gives."""
        maps = [pool.maps for pool in self.head.pools.values()]
        try:
            if any(a.ndim != 4 for a in self.session.run(maps, pixels, None, self.network.adapters)):
                return False
            outputs, grids = self.run(pixels)
            found, *_ = self.head.evaluate({name: g.mean(axis=(0, 1)) for name, g in grids.items()})
        except (ModelError, ValueError, IndexError):
            return False
        values = found[self.network.outputs[0]].reshape(1, -1)
        return values.shape == outputs.values.shape and np.allclose(values, outputs.values, 1e-3, 1e-3)


def patch_networks(model: Model) -> list[PatchNetwork] | None:
    """The networks of a model, prepared; None if one of them cannot be."""
    found = []
    for member in model.members:
        network = PatchNetwork.of(member.network)
        if network is None:
            return None
        found.append(network)
    return found


def explain_patches(
    model: Model,
    networks: Sequence[PatchNetwork],
    views: Views,
    *,
    picture: Size,
    size: Size,
    at_least: float | None,
) -> ScoreMap:
    """Compute what each patch adds to the score.

    The score is a function ``f`` of averages over P patches, ``x = sum(x_p) / P``. Patch ``p`` adds
    ``f'(x) (x_p - x) / P``, which is exact where ``f`` is linear, and sums to 0; the difference to a middling
    photograph is shared by all patches alike. So the sum of all is always exact.

    Args:
        model: The model.
        networks: From `patch_networks`.
        views: The picture, prepared.
        picture: Size of the upright picture in its file.
        size: Size of the map.
        at_least: Explain the probability of this rating and above; the mean score if None.
    """
    runs = [network.run(views[network.network.metadata.preprocessing]) for network in networks]
    outputs = [run[0] for run in runs]
    [score] = model.score_outputs(outputs)
    total = level = explained(score, model.bins, at_least)
    if at_least is None and model.reference_quantiles is not None:
        level = float(np.median(model.reference_quantiles))
    layers = []
    for member, network, (_, grids), weight, slopes in zip(
        model.members, networks, runs, model.weights, _slopes(model, outputs, at_least), strict=True
    ):
        means = {name: grid.mean(axis=(0, 1)) for name, grid in grids.items()}
        gradients = network.head.gradients(means, slopes)
        wanted = member.network.metadata.preprocessing
        placement, input_size = place(picture, wanted), (wanted.width, wanted.height)
        inside = Placement(placement.box, placement.size)  # padding has no share of what all patches share
        layers.append(Layer(np.full((1, 1), weight * (total - level)), placement.size, inside))
        for name, grid in grids.items():
            cells = (grid - means[name]) @ gradients[name] / (grid.shape[0] * grid.shape[1])
            layers.append(Layer(cells, input_size, placement))
    parts, values = combine(layers, picture, size)
    return ScoreMap(
        method="patches",
        values=values,
        scale=float(np.nanmax(np.abs(values))),
        mean=score.mean,
        probability=None if at_least is None else total,
        parts=parts,
        constant=level + sum(float(layer.cells.sum()) for layer in layers) - float(parts.sum()),
    )


def _slopes(model: Model, outputs: Sequence[Outputs], at_least: float | None) -> list[dict[str, FloatArray]]:
    """Derivatives of what is explained by each network's outputs: name -> (columns,)."""
    slopes = [
        {member.network.outputs[0]: weight * _member_slope(model, member, at_least)}
        for member, weight in zip(model.members, model.weights, strict=True)
    ]
    if model.taste is None:
        return slopes
    features = np.concatenate([output.features for output in outputs], axis=1)
    generic = np.array([Model(model.members).score_outputs(outputs)[0].mean])
    shift = model.taste.shift(generic, features)
    ends = [personal_means(generic, shift + step, model.bins)[0] for step in (_STEP, -_STEP)]
    bend = (ends[0] - ends[1]) / (2 * _STEP)
    own = model.taste.feature_weights
    ends_of_blocks = np.cumsum([output.features.shape[1] for output in outputs])[:-1]
    blocks = [None] * len(outputs) if own is None else np.split(own, ends_of_blocks)
    found = []
    for slope, block in zip(slopes, blocks, strict=True):
        moved = {name: bend * (1 + model.taste.slope) * array for name, array in slope.items()}
        found.append(moved if block is None else {**moved, "features": bend * block})
    return found


def _member_slope(model: Model, member: Member, at_least: float | None) -> FloatArray:
    """Derivative of what is explained by the output of a member of weight 1."""
    if at_least is not None:
        return np.asarray(model.bins >= at_least, np.float64)
    bins = np.asarray(member.network.metadata.bins, np.float64)
    stretch = (model.bins[-1] - model.bins[0]) / (bins[-1] - bins[0])
    return np.asarray(stretch * (np.ones(1) if member.network.is_regression else bins))
