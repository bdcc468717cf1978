"""Values and derivatives of the operators that heads consist of, in NumPy, by reverse accumulation.

Griewank and Walther, "Evaluating Derivatives", 2008. ONNX Runtime gives no derivatives without its training
package.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

from nimakit.stats.histogram import FloatArray

Pullback = Callable[[FloatArray], Sequence[FloatArray]]
"""From the derivative by an operator's output to those by its inputs: all of them, or only the first."""
Rule = Callable[..., tuple[FloatArray, Pullback]]
"""Called with a node's attributes and the values of its inputs."""

Attributes = dict[str, Any]


def attributes(node: onnx.NodeProto) -> Attributes:
    """The attributes of a node, by name."""
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def matched(gradient: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """The derivative by an input that was broadcast to the shape of a gradient."""
    added = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(added)))
    stretched = tuple(i for i, side in enumerate(shape) if side == 1 and gradient.shape[i] != 1)
    return np.asarray(gradient.sum(axis=stretched, keepdims=True))


def _elementwise(
    function: Callable[[FloatArray], FloatArray], slope: Callable[[FloatArray, FloatArray], FloatArray]
) -> Rule:
    """The rule of a function whose slope is known from its input and output."""

    def rule(_: Attributes, x: FloatArray) -> tuple[FloatArray, Pullback]:
        y = function(x)
        return y, lambda g: (g * slope(x, y),)

    return rule


def _reshaped(shape: Callable[..., tuple[int, ...]]) -> Rule:
    """The rule of an operator that only changes the shape."""

    def rule(options: Attributes, x: FloatArray, *more: FloatArray) -> tuple[FloatArray, Pullback]:
        return x.reshape(shape(options, x, *more)), lambda g: (g.reshape(x.shape),)

    return rule


def _reduced(value: Callable[..., FloatArray], slope: Callable[[FloatArray, int], FloatArray]) -> Rule:
    """The rule of an operator that reduces axes; the slope gets the input and the number of values."""

    def rule(options: Attributes, x: FloatArray, *axes: FloatArray) -> tuple[FloatArray, Pullback]:
        along = tuple(np.asarray(axes[0] if axes else options.get("axes", range(x.ndim)), int).tolist())
        y = np.asarray(value(x, axis=along, keepdims=True))

        def pullback(g: FloatArray) -> Sequence[FloatArray]:
            return (g.reshape(y.shape) * slope(x, x.size // y.size),)

        return y if options.get("keepdims", 1) else y.squeeze(along), pullback

    return rule


def _add(_: Attributes, *x: FloatArray) -> tuple[FloatArray, Pullback]:
    return np.asarray(sum(x)), lambda g: [g] * len(x)


def _subtract(_: Attributes, x: FloatArray, y: FloatArray) -> tuple[FloatArray, Pullback]:
    return x - y, lambda g: (g, -g)


def _multiply(_: Attributes, x: FloatArray, y: FloatArray) -> tuple[FloatArray, Pullback]:
    return x * y, lambda g: (g * y, g * x)


def _divide(_: Attributes, x: FloatArray, y: FloatArray) -> tuple[FloatArray, Pullback]:
    return x / y, lambda g: (g / y, -g * x / y**2)


def _concatenate(options: Attributes, *x: FloatArray) -> tuple[FloatArray, Pullback]:
    axis = options["axis"]
    ends = np.cumsum([part.shape[axis] for part in x])[:-1]
    return np.concatenate(x, axis=axis), lambda g: np.split(g, ends, axis=axis)


def _softmax(_: Attributes, x: FloatArray) -> tuple[FloatArray, Pullback]:
    shares = np.exp(x - x.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares, lambda g: (shares * (g - (g * shares).sum(axis=-1, keepdims=True)),)


def _matrix(_: Attributes, x: FloatArray, weights: FloatArray) -> tuple[FloatArray, Pullback]:
    return x @ weights, lambda g: (g @ weights.T,)


def _general_matrix(
    options: Attributes, x: FloatArray, weights: FloatArray, bias: FloatArray | float = 0.0
) -> tuple[FloatArray, Pullback]:
    weights = options.get("alpha", 1.0) * (weights.T if options.get("transB") else weights)
    return x @ weights + options.get("beta", 1.0) * bias, lambda g: (g @ weights.T,)


def _flat(options: Attributes, x: FloatArray) -> tuple[int, ...]:
    rows = int(np.prod(x.shape[: options.get("axis", 1)]))
    return rows, x.size // rows


def _squeezed(options: Attributes, x: FloatArray, *axes: FloatArray) -> tuple[int, ...]:
    given = axes[0] if axes else options.get("axes")
    return x.squeeze(None if given is None else tuple(np.asarray(given, int).tolist())).shape


def _new_shape(_: Attributes, x: FloatArray, shape: FloatArray) -> tuple[int, ...]:
    return tuple(x.shape[i] if side == 0 else int(side) for i, side in enumerate(shape))


def _same(_: Attributes, x: FloatArray, *__: FloatArray) -> tuple[int, ...]:
    return x.shape


RULES: dict[str, Rule] = {
    "Add": _add,
    "Cast": _reshaped(_same),
    "Concat": _concatenate,
    "Div": _divide,
    "Dropout": _reshaped(_same),
    "Exp": _elementwise(np.exp, lambda _, y: y),
    "Flatten": _reshaped(_flat),
    "Gemm": _general_matrix,
    "Identity": _reshaped(_same),
    "MatMul": _matrix,
    "Mul": _multiply,
    "Neg": _elementwise(np.negative, lambda _, y: -np.ones_like(y)),
    "ReduceMean": _reduced(np.mean, lambda x, count: np.full_like(x, 1 / count)),
    "ReduceSum": _reduced(np.sum, lambda x, _: np.ones_like(x)),
    "ReduceSumSquare": _reduced(lambda x, **along: np.sum(x**2, **along), lambda x, _: 2 * x),
    "Relu": _elementwise(lambda x: np.maximum(x, 0), lambda x, _: np.asarray(x > 0, np.float64)),
    "Reshape": _reshaped(_new_shape),
    "Sigmoid": _elementwise(lambda x: 1 / (1 + np.exp(-x)), lambda _, y: y * (1 - y)),
    "Softmax": _softmax,
    "Sqrt": _elementwise(np.sqrt, lambda _, y: 0.5 / y),
    "Squeeze": _reshaped(_squeezed),
    "Sub": _subtract,
    "Sum": _add,
    "Tanh": _elementwise(np.tanh, lambda _, y: 1 - y**2),
}
"""Operator -> its rule. Matrix products and changes of shape have derivatives by their first input only."""

CONSTANT_TAIL = ("Gemm", "MatMul", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Reshape", "Squeeze")
"""Operators whose further inputs must be constants."""
