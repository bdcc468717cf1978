"""Edits of an exported graph: normalisation in front of it, vectors and vectors of patches behind it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor

from nimakit.errors import ModelError, shortened
from nimakit.models.encoders.encoder import PATCHES, VECTOR, Size
from nimakit.models.graph import GraphBuilder, all_nodes, rename_tensor, subgraphs
from nimakit.models.session import INPUT

Layout = Literal["nchw", "nhwc"]
Channels = tuple[float, float, float]
Shape = tuple[int, ...]

_OWN = "nimakit_own_"
"""Beginning of the name of a tensor of the graph that had a name of the contract."""
_OLDEST_OPSET = 11
_STANDARD = ("", "ai.onnx")
_DOMAINS = (*_STANDARD, "ai.onnx.ml", "com.microsoft")
"""Of the operators that ONNX Runtime has."""
_MAX_EXTRA_TOKENS = 16
"""Most tokens in front of those of the patches: a class token, and registers."""
_LISTED = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """How an exported network sees a photograph, and what it gives.

    Attributes:
        mean: Subtracted from the values of each channel.
        std: Divides the differences.
        largest: Largest value of a pixel that mean and std refer to, 1 or 255.
        layout: Order of the dimensions of its input; None to read it from the file.
        channels: Order of its channels.
        output: Name of the tensor with the vector: (N, D), tokens (N, T, D), or maps; None for the only
            output.
        tokens: Name of the tensor with the vectors of the patches, tokens or maps; None for none.
        patch: Side of a patch in pixels, for tokens.
    """

    mean: Channels
    std: Channels
    largest: int = 1
    layout: Layout | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    output: str | None = None
    tokens: str | None = None
    patch: int | None = None


def check_operators(model: onnx.ModelProto) -> None:
    """Refuse operators that ONNX Runtime does not have, and graphs too old to be edited.

    Raises:
        ModelError: There are some.
    """
    own = {(function.domain, function.name) for function in model.functions}
    parts = (model.graph.node, *(function.node for function in model.functions))
    used = {(node.domain, node.op_type) for part in parts for node in all_nodes(part)}
    custom = sorted(f"{domain}:{name}" for domain, name in used - own if domain not in _DOMAINS)
    if custom:
        raise ModelError(
            "An encoder must consist of standard ONNX operators. Received custom ones:"
            f" {shortened(custom, _LISTED)}; export the network without them."
        )
    if opset(model) < _OLDEST_OPSET:
        raise ModelError(
            f"An encoder must have opset {_OLDEST_OPSET} or later. Received: {opset(model)}; export it again"
            " with a later opset."
        )


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators in a graph."""
    return max((entry.version for entry in model.opset_import if entry.domain in _STANDARD), default=0)


def wrap_input(model: onnx.ModelProto, exported: Exported, size: Size) -> Layout:
    """Let a graph take RGB pixels 0-255, ``image`` (N, height, width, 3), and any number of images.

    Args:
        model: Changed in place.
        exported: How the network sees a photograph.
        size: (height, width) in pixels.

    Returns:
        The layout of the network's own input.

    Raises:
        ModelError: The graph has several inputs, or one that is no image of that size.
    """
    image = _image_input(model.graph)
    sides = [dim.dim_value or None for dim in image.type.tensor_type.shape.dim]
    layout = exported.layout or ("nhwc" if sides[3] == 3 and sides[1] != 3 else "nchw")
    order = (2, 3, 1) if layout == "nchw" else (1, 2, 3)
    height, width, channels = (sides[place] for place in order)
    if channels not in (None, 3) or (height or size[0], width or size[1]) != size:
        received = ", ".join(str(side or "any") for side in sides)
        raise ModelError(
            f"The input must be images of {size[0]}x{size[1]} pixels and 3 channels, {layout.upper()}."
            f" Received: {image.name} ({received}); give its --size and, if its dimensions have another"
            " order, --layout."
        )
    rename_tensor(model.graph, image.name, "nimakit_input")
    for name in (INPUT, VECTOR, PATCHES):
        rename_tensor(model.graph, name, f"{_OWN}{name}")
    before = GraphBuilder("nimakit_in_")
    _add_normalisation(before, exported, layout, image.type.tensor_type.elem_type)
    shape = ["batch", height or "height", width or "width", 3]
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape))
    del model.graph.value_info[:]  # shapes that may be those of one image
    _set_nodes(model.graph, [*before.nodes, *model.graph.node], before.constants)
    return layout


def select_outputs(model: onnx.ModelProto, exported: Exported) -> list[str]:
    """Make the named tensors, which may be inside the graph, its only outputs.

    Returns:
        Their names in the graph: of the vector, and of the tokens if they are another tensor.

    Raises:
        ModelError: There are no such tensors.
    """
    outputs = [value.name.removeprefix(_OWN) for value in model.graph.output]
    tensors = {name.removeprefix(_OWN): name for node in model.graph.node for name in node.output if name}
    output = exported.output or (outputs[0] if len(outputs) == 1 else "")
    wanted = [output, exported.tokens or output]
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise ModelError(
            f"The vector must be a tensor of the graph. Received: {missing[0] or 'none'}; the outputs are"
            f" {shortened(outputs, _LISTED)}: name one with --output."
        )
    names = list(dict.fromkeys(tensors[name] for name in wanted))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return names


def wrap_outputs(
    model: onnx.ModelProto, exported: Exported, layout: Layout, size: Size, shapes: Mapping[str, Shape]
) -> None:
    """Give a graph the output ``features`` and, where there are vectors of patches, ``patches``.

    Args:
        model: From `select_outputs`; changed in place.
        exported: What the network gives.
        layout: From `wrap_input`; maps are in the same.
        size: (height, width) in pixels.
        shapes: Name -> shape of the selected tensors, for images of that size.

    Raises:
        ModelError: They are neither vectors, tokens nor maps; or the patches do not fit the size.
    """
    names = list(shapes)
    after = GraphBuilder("nimakit_out_")
    outputs = []
    for name, contract in ((names[0], VECTOR), (names[-1], PATCHES)):
        shape = shapes[name]
        x = after.add("Cast", name, to=TensorProto.FLOAT)
        if len(shape) == 3:
            x, dims = _add_tokens(after, x, contract, shape, _patch_grid(name, shape, exported.patch, size))
        elif len(shape) == 4:
            x, dims = _add_maps(after, x, contract, shape, layout)
        elif contract == VECTOR and len(shape) == 2:
            dims = [shape[1]]
        elif len(shape) == 2 and not exported.tokens:
            continue
        else:
            raise ModelError(
                "The output must be vectors (N, D), tokens (N, T, D) or maps, and that of the patches tokens"
                f" or maps. Received: {name.removeprefix(_OWN)} {shape}"
            )
        after.add("Identity", x, output=contract)
        outputs.append(helper.make_tensor_value_info(contract, TensorProto.FLOAT, ["batch", *dims]))
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    _set_nodes(model.graph, [*model.graph.node, *after.nodes], after.constants)
    if any(len(shape) == 3 for shape in shapes.values()):
        fix_size(model, size)


def fix_size(model: onnx.ModelProto, size: Size) -> None:
    """Let a graph take images of one size only."""
    for place, side in zip((1, 2), size, strict=True):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = side


def has_free_size(model: onnx.ModelProto) -> bool:
    """Whether a graph claims to take images of any size."""
    return not all(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:])


def pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of a graph that its outputs depend on: without a classifier that nobody needs."""
    if any(True for node in model.graph.node for _ in subgraphs(node)) or model.graph.sparse_initializer:
        return model  # the extractor does not see what subgraphs use
    model.graph.ClearField("quantization_annotation")
    return Extractor(model).extract_model([INPUT], [value.name for value in model.graph.output])


def _image_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The only input of a graph that is not a weight."""
    weights = {weight.name for weight in graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [v for v in graph.input if v.name not in weights]
    received = ", ".join(f"{value.name} ({_dimensions(value)})" for value in inputs)
    if len(inputs) != 1:
        raise ModelError(
            f"An encoder must have one input, the images. Received: {received or 'none'}; export only the"
            " part of the network that sees images."
        )
    if len(inputs[0].type.tensor_type.shape.dim) != 4:
        raise ModelError(f"The input must be images, of 4 dimensions. Received: {received}")
    return inputs[0]


def _dimensions(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return ", ".join(dim.dim_param or str(dim.dim_value or "any") for dim in dims)


def _add_normalisation(part: GraphBuilder, exported: Exported, layout: Layout, element_type: int) -> None:
    mean, std = (np.array(values, np.float64) for values in (exported.mean, exported.std))
    x = INPUT
    if exported.channels == "bgr":
        x = part.add("Gather", x, part.constant(np.array([2, 1, 0])), axis=3)
    x = part.add("Mul", x, part.constant((exported.largest / 255 / std).astype(np.float32)))
    x = part.add("Sub", x, part.constant((mean / std).astype(np.float32)))
    if layout == "nchw":
        x = part.add("Transpose", x, perm=[0, 3, 1, 2])
    part.add("Cast", x, output="nimakit_input", to=element_type)


def _patch_grid(name: str, shape: Shape, patch: int | None, size: Size) -> tuple[int, int]:
    """Rows and columns of patches, after a check that there are tokens for them."""
    if patch is None:
        raise ModelError(
            f"Tokens need the side of a patch, to tell those of the patches from others. Received: {name}"
            f" {shape}; give --patch."
        )
    rows, columns = size[0] // patch, size[1] // patch
    if not 0 <= shape[1] - rows * columns <= _MAX_EXTRA_TOKENS:
        raise ModelError(
            f"{size[0]}x{size[1]} pixels in patches of {patch} are {rows}x{columns} tokens and at most"
            f" {_MAX_EXTRA_TOKENS} others. Received: {name.removeprefix(_OWN)} {shape}"
        )
    return rows, columns


def _add_tokens(
    part: GraphBuilder, x: str, contract: str, shape: Shape, grid: tuple[int, int]
) -> tuple[str, list[int | str]]:
    """The first token, or the mean if all are of patches; or the tokens of the patches on their grid."""
    _, count, dimension = shape
    extra = count - grid[0] * grid[1]
    if contract == VECTOR and extra:
        return part.add("Gather", x, part.constant(np.int64(0)), axis=1), [dimension]
    bounds = (part.constant(np.array([value])) for value in (extra, count, 1))
    x = part.add("Slice", x, *bounds)
    x = part.add("Reshape", x, part.constant(np.array([0, *grid, dimension])))
    return _add_maps(part, x, contract, (0, *grid, dimension), "nhwc", grid=grid)


def _add_maps(
    part: GraphBuilder,
    x: str,
    contract: str,
    shape: Shape,
    layout: Layout,
    *,
    grid: tuple[int | str, int | str] = ("rows", "columns"),
) -> tuple[str, list[int | str]]:
    """The mean of maps; or the maps, one vector per place."""
    channels = shape[1 if layout == "nchw" else 3]
    if contract == PATCHES:
        x = part.add("Transpose", x, perm=[0, 2, 3, 1]) if layout == "nchw" else x
        return x, [*grid, channels]
    if layout == "nhwc":
        x = part.add("Transpose", x, perm=[0, 3, 1, 2])
    return part.add("Flatten", part.add("GlobalAveragePool", x)), [channels]


def _set_nodes(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], constants: Iterable[onnx.TensorProto]
) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    graph.initializer.extend(constants)
