"""Which nodes of a directed graph can be reached from each other."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def strong(source: Indices, target: Indices, count: int) -> Indices:
    """The strongly connected component of each node, in linear time.

    Tarjan, "Depth-First Search and Linear Graph Algorithms", SIAM Journal on Computing 1, 1972; without his
    recursion, as chains may be longer than Python's stack.

    Args:
        source: (E,), the node each edge leaves, from 0 to count - 1.
        target: (E,), the node it leads to.
        count: How many nodes there are.

    Returns:
        (count,) intp, numbers from 0: nodes have the same where a path leads from each to the other.

    >>> strong(np.array([0, 1, 1]), np.array([1, 0, 2]), 4)
    array([1, 1, 0, 2])
    """
    order = np.argsort(source, kind="stable")
    ends = np.searchsorted(source[order], np.arange(1, count + 1)).tolist()
    edge, targets = [0, *ends][:count], target[order].tolist()
    number, lowest, component = [0] * count, [0] * count, [-1] * count
    open_nodes: list[int] = []
    visited = found = 0
    for root in range(count):
        path = [] if number[root] else [root]
        while path:
            node = path[-1]
            if not number[node]:
                visited += 1
                number[node] = lowest[node] = visited
                open_nodes.append(node)
            if edge[node] < ends[node]:
                following = targets[edge[node]]
                edge[node] += 1
                if not number[following]:
                    path.append(following)
                elif component[following] < 0:
                    lowest[node] = min(lowest[node], number[following])
                continue
            path.pop()
            if path:
                lowest[path[-1]] = min(lowest[path[-1]], lowest[node])
            if lowest[node] == number[node]:
                while component[node] < 0:
                    component[open_nodes.pop()] = found
                found += 1
    return np.array(component, np.intp)
