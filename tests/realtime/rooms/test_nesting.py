"""How deep JSON nests is counted as a reader counts it, on every Python."""

import json
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.rooms.nesting import TOLERANCE, is_deeper, is_far_deeper

TEXTS = st.text(st.sampled_from('[]{}"\\a\u00e9'), max_size=8)
JSON = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)


def depth(value):
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


@settings(max_examples=300, deadline=None)
@example("[", 0, False)
@example([[]], 1, False)
@given(JSON, st.integers(0, 12), st.booleans())
def test_it_is_the_depth_of_the_value(value, levels, escapes):
    data = json.dumps(value, ensure_ascii=escapes).encode()
    assert is_deeper(data, levels) is (depth(value) > levels)


SHAPES = {
    "lists": lambda levels: "[" * levels + "]" * levels,
    "objects": lambda levels: '{"a":' * levels + "1" + "}" * levels,
    "brackets in strings": lambda levels: '{"]}\\"[{\\\\":' * levels + '"[[["' + "}" * levels,
    "a comb": lambda levels: f"[{','.join(['[' * (levels - 1) + ']' * (levels - 1)] * 30)}]",
    "wide": lambda levels: f"[{'[],' * 3_000}{'[' * (levels - 1) + ']' * (levels - 1)}]",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [99, 100, 101, 102, 200])
def test_the_limit_is_exact(shape, levels):
    data = SHAPES[shape](levels).encode()
    assert depth(json.loads(data)) == levels
    assert is_deeper(data, 100) is (levels > 100)


@settings(max_examples=300, deadline=None)
@given(JSON, st.integers(0, 12), st.booleans())
def test_a_long_line_is_never_refused_for_less_than_its_depth(value, levels, escapes):
    data = json.dumps(value, ensure_ascii=escapes).encode()
    if is_far_deeper(data, levels):
        assert depth(value) > levels


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("shift", range(0, 2 * TOLERANCE, 7))
def test_a_long_line_is_refused_for_a_little_more(shape, shift):
    levels = 300
    data = (" " * shift + "[" + "[]," * shift + SHAPES[shape](levels)).encode()
    assert not is_far_deeper(data, levels + 1)
    assert is_far_deeper(data, levels - TOLERANCE)


def test_a_long_line_is_looked_at_in_few_steps():
    """No step for each byte: a megabyte of brackets costs what some thousand short commands do."""
    calls = []
    sys.setprofile(lambda frame, event, called: calls.append(event))
    try:
        is_far_deeper(b"[[[[[[[[]]]]]]]]" * 65_536, 500)
    finally:
        sys.setprofile(None)
    assert len(calls) < 1_048_576 / 10


@pytest.mark.parametrize("data", [b"[" * 2_000_000, b"]" * 200 + b"[" * 200, b'"[[\\' * 400, b""])
def test_what_is_not_json_is_looked_at_quickly(data):
    started = time.monotonic()
    is_deeper(data, 100)
    assert time.monotonic() - started < 5
