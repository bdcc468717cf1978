"""A joined model file taken apart: what its encoders give, and its head as a graph of its own.

So features of a photograph that are known already, from any file that contains the same encoders, are scored
without a run of the encoders.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime

from nimakit.images.photo import Preprocessing
from nimakit.models.graph import ancestors, feature_identity, subgraphs
from nimakit.models.session import INPUT
from nimakit.stats.histogram import Float32Array


class Joined:
    """The parts of a joined model file.

    Args:
        model: The graph.
        blocks: Names of the outputs that are features of its encoders, in order; at least one.
        output: "histogram" or "score".
        preprocessing: How images are prepared.

    Attributes:
        blocks: As given.
        identities: Everything on which each block depends, other than the photograph's content.

    Raises:
        ValueError: The output depends on more than the blocks, or its graph may run forever.
    """

    def __init__(
        self, model: onnx.ModelProto, blocks: Sequence[str], output: str, preprocessing: Preprocessing
    ) -> None:
        self.blocks = tuple(blocks)
        self.identities = tuple(
            feature_identity(model, block, preprocessing, prefix=block.removesuffix("features"))
            for block in blocks
        )
        self._output = output
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content = _head(model, blocks, output).SerializeToString()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def values(self, blocks: Sequence[Float32Array]) -> Float32Array:
        """What the head makes of features.

        Args:
            blocks: (N, D) float32 of each encoder.

        Returns:
            (N, bins) float32, rows sum to 1; from a regression head (N, 1) float32.
        """
        [values] = self._session.run([self._output], dict(zip(self.blocks, blocks, strict=True)))
        return np.asarray(values.reshape(len(blocks[0]), -1))


def _head(model: onnx.ModelProto, blocks: Sequence[str], output: str) -> onnx.ModelProto:
    """The graph from the blocks to the output."""
    nodes, needed = ancestors(model.graph, {output}, beyond=blocks)
    if INPUT in needed or any(True for node in nodes for _ in subgraphs(node)):
        raise ValueError(f"{output} must depend on {', '.join(blocks)} only, and without loops")
    shapes = {value.name: value for value in model.graph.output}
    graph = onnx.helper.make_graph(
        nodes,
        "head",
        [shapes[block] for block in blocks],
        [shapes[output]],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
