"""nimakit.models.graph: graphs built node by node, and edits of any graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from nimakit.models.encoders import load_encoder
from nimakit.models.encoders.importing import import_encoder
from nimakit.models.encoders.wrapping import Exported
from nimakit.models.graph import rename_tensor
from small_encoders import SIDE, WIDTH, encoder_metadata, write_exported


def _branching(path: Path) -> Path:
    """A network whose output is negated in a branch of an If, which uses tensors from outside."""

    def branch(operation: str) -> onnx.GraphProto:
        node = helper.make_node(operation, ["features"], ["chosen"])
        return helper.make_graph([node], operation, [], [onnx.ValueInfoProto(name="chosen")])

    nodes = [
        helper.make_node("Identity", ["embedding"], ["features"]),
        helper.make_node("If", ["yes"], ["out"], then_branch=branch("Neg"), else_branch=branch("Identity")),
    ]
    return write_exported(path, after=nodes, outputs=["out"], constants={"yes": np.array([True])})


def test_a_tensor_is_renamed_inside_branches_too(tmp_path: Path) -> None:
    """The graph gives the same under another name of the tensor."""
    model = onnx.load(_branching(tmp_path / "m.onnx"))
    pixels = np.random.default_rng(0).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    [before] = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pixel_values": pixels})
    rename_tensor(model.graph, "features", "other")
    rename_tensor(model.graph, "pixel_values", "x")
    [after] = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": pixels})
    np.testing.assert_array_equal(before, after)
    assert b"features" not in model.SerializeToString()


def test_a_network_with_branches_is_imported_whole(tmp_path: Path) -> None:
    """What its branches use stays, although only they use it."""
    source = _branching(tmp_path / "m.onnx")
    exported = Exported(mean=(0, 0, 0), std=(1, 1, 1), output="out")
    import_encoder(source, tmp_path / "e.onnx", exported, encoder_metadata())
    encoder, pixels = load_encoder(tmp_path / "e.onnx"), np.full((1, SIDE, SIDE, 3), 255, np.uint8)
    own = onnxruntime.InferenceSession(source)
    [expected] = own.run(None, {"pixel_values": np.ones((1, 3, SIDE, SIDE), np.float32)})
    assert encoder.dimension == WIDTH
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)
    assert onnx.load(encoder.path).graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
