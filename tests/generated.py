"""Generated inputs for parsers: some of them in the fast tests, 10,000 with --exhaustive, always the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

FEW, MANY = 25, 10_000
LONGEST_MESSAGE = 2000

amounts = pytest.mark.parametrize("amount", [FEW, pytest.param(MANY, marks=pytest.mark.exhaustive)])

_HUGE = (10**4000, -(10**4000), 10**400, 2**63, -(2**63) - 1, 2**31, 1e308, -1e308, 5e-324, -0.0)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "\ud800", "\u202e", "9" * 4000, "9" * 5000, "-1", "1e999", "nan", "٣", "²", "x" * 4000]
    ),
)
"""Lone surrogates, digits of other scripts, and numbers of many digits among them."""

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from(_HUGE))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)
"""What JSON can say."""

_DEEP = st.tuples(st.sampled_from(["[", '{"a":']), st.sampled_from([30, 70, 500, 900, 980, 1200, 100_000]))


def mostly(strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """What belongs in a place, and sometimes anything else."""
    return st.one_of(strategy, strategy, strategy, VALUES)


def objects(**members: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """Objects of such members, some of them missing or wrong, and sometimes others."""
    known = st.fixed_dictionaries({}, optional={name: mostly(value) for name, value in members.items()})
    return st.builds(lambda some, more: more | some, known, st.dictionaries(TEXTS, VALUES, max_size=1))


def json_texts(strategy: SearchStrategy[Any]) -> SearchStrategy[str]:
    """JSON of such values, some of it nested deep, cut off, or no JSON at all."""
    whole = strategy.map(json.dumps)
    return st.one_of(
        whole,
        whole,
        whole,
        st.builds(lambda text, deep: text.replace("null", deep[0] * deep[1] + "1", 1), whole, _DEEP),
        st.builds(lambda text, end: text[:end], whole, st.integers(0, 100)),
        _DEEP.map(lambda deep: deep[0] * deep[1] + "1" + {"[": "]"}.get(deep[0], "}") * deep[1]),
        st.text(max_size=40),
    )


def tried(
    amount: int,
    strategy: SearchStrategy[Any],
    check: Callable[[Any], None],
    refusals: type[Exception] | tuple[type[Exception], ...] = (),
) -> None:
    """Check so many generated inputs; each refusal says something, and is no longer than a few lines."""

    @settings(
        max_examples=amount,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def ask(value: Any) -> None:
        message = "taken"
        try:
            check(value)
        except refusals as refusal:
            message = str(refusal)
        assert 0 < len(message) < LONGEST_MESSAGE

    ask()
