"""nimakit.explain.head and nimakit.explain.derivatives: what is behind the averages of maps."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from nimakit.explain.derivatives import RULES
from nimakit.explain.head import find_head

_RANDOM = np.random.default_rng(0)
_W, _B, _C = _RANDOM.normal(size=(3, 4)), _RANDOM.normal(size=4), _RANDOM.uniform(0.5, 1, size=3)


def _graph(*nodes: Any, **constants: Any) -> Any:
    """A graph of a pool over maps, and nodes from its output ``x``, (1, 3), to ``y``."""
    constants = {"space": np.array([1, 2]), **constants}
    pool = helper.make_node("ReduceMean", ["maps", "space"], ["x"], keepdims=0)
    return helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["maps"]), pool, *nodes],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def _node(operation: str, *inputs: str, output: str = "y", **options: Any) -> Any:
    return helper.make_node(operation, inputs, [output], **options)


_CHAINS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    **{
        name: ([_node(name, "x")], {})
        for name in ("Exp", "Identity", "Neg", "Relu", "Sigmoid", "Sqrt", "Tanh")
    },
    **{name: ([_node(name, "x", "c")], {"c": _C}) for name in ("Add", "Sub", "Mul", "Div", "Sum")},
    "Div by": ([_node("Div", "c", "x")], {"c": _C}),
    "Sub from": ([_node("Sub", "c", "x")], {"c": _C}),
    "Gemm": ([_node("Gemm", "x", "w", "b", alpha=-2.0, transB=1)], {"w": _W.T, "b": _B}),
    "MatMul": ([_node("MatMul", "x", "w")], {"w": _W}),
    "Softmax": ([_node("Softmax", "x", axis=-1)], {}),
    "Concat": ([_node("Exp", "x", output="e"), _node("Concat", "x", "e", axis=1)], {}),
    "ReduceSumSquare": ([_node("ReduceSumSquare", "x", "one", keepdims=1)], {"one": np.array([1])}),
    "ReduceMean": ([_node("ReduceMean", "x", "one", keepdims=0)], {"one": np.array([1])}),
    "ReduceSum": ([_node("ReduceSum", "x", axes=[1], keepdims=0)], {}),
    "Reshape": ([_node("Reshape", "x", "s")], {"s": np.array([0, 3, -1])}),
    "Flatten": ([_node("Flatten", "x")], {}),
    "Squeeze": ([_node("Squeeze", "x", "zero")], {"zero": np.array([0])}),
    "Cast": ([_node("Cast", "x", to=TensorProto.FLOAT)], {}),
    "Dropout": ([_node("Dropout", "x")], {}),
    "used twice": ([_node("Exp", "x", output="e"), _node("Mul", "x", "e")], {}),
}


def test_derivatives_are_those_of_the_values() -> None:
    """Of every operator, and where a value is used twice: compared with differences."""
    assert {node.op_type for nodes, _ in _CHAINS.values() for node in nodes} == set(RULES)
    for name, (nodes, constants) in _CHAINS.items():
        head = find_head(_graph(*nodes, **constants), ["y"])
        assert head is not None, name
        x = np.array([0.3, 1.2, 0.7])
        y = head.evaluate({"x": x})[0]["y"]
        slope = _RANDOM.normal(size=y.shape)
        found = head.gradients({"x": x}, {"y": slope})["x"]
        for place in range(3):
            step = 1e-6 * (np.arange(3) == place)
            low, high = (head.evaluate({"x": x + sign * step})[0]["y"] for sign in (-1, 1))
            assert ((high - low) * slope).sum() / 2e-6 == pytest.approx(found[place], abs=1e-6), name


@pytest.mark.parametrize(
    "nodes",
    [
        [_node("Erf", "x")],  # no rule
        [_node("Add", "x", "image")],  # the image by another way
        [_node("MatMul", "x", "x")],  # weights that are none
    ],
)
def test_finds_no_head_where_there_is_none(nodes: list[Any]) -> None:
    """The score depends on more than averages, or in a way without known derivatives."""
    assert find_head(_graph(*nodes), ["y"]) is None


def test_values_of_a_person_replace_constants() -> None:
    """Optional inputs of the graph, as adapters are, have other values for each person."""
    graph = _graph(_node("Add", "x", "c"), c=_C)
    head = find_head(graph, ["y"], {"c": np.zeros((1, 3), np.float32), "other": np.zeros(2, np.float32)})
    assert head is not None
    np.testing.assert_array_equal(head.evaluate({"x": np.ones(3)})[0]["y"], np.ones((1, 3)))
