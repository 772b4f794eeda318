"""Trace files: what is written is read again, and what is no trace says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.codec import digest
from oslet.codec.traces import read_trace, write_trace
from oslet.errors import DeclarationError
from oslet.model.watch import Trace

LOCK = "ab" * 32
PATHS = st.text(max_size=20).map("/{}".format)


@given(st.lists(PATHS, unique=True))
def test_round_trip(paths: list[str]) -> None:
    trace = Trace(LOCK, tuple(sorted(paths)))
    text = write_trace(trace)
    assert read_trace(text, "x.trace") == trace and digest(read_trace(text, "x.trace")) == digest(trace)
    assert write_trace(Trace(LOCK, tuple(reversed(trace.used)))) == text, "one spelling, whatever the order"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "trace format None"),
        ("format = 1\nused = []", "x.trace: lock"),
        (f'format = 1\nlock = "{LOCK}"\nused = "all"', "x.trace: used"),
        (f'format = 1\nlock = "{LOCK}"\nused = ["relative"]', "absolute"),
        ("format = ", "x.trace:1"),
    ],
)
def test_no_trace(text: str, said: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        read_trace(text, "x.trace")
    assert said in str(refused.value)
