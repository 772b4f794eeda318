"""cpio archives: what the kernel's first root is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import cpio

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
MEMBERS = st.builds(
    lambda names, data, mode, uid: cpio.file("/" + "/".join(names), data, mode)._replace(uid=uid),
    st.lists(NAMES.filter(lambda name: name not in (".", "..", "TRAILER!!!")), min_size=1, max_size=4),
    st.binary(max_size=300),
    st.integers(0, 0o7777),
    st.integers(0, 0xFFFFFFFF),
)


@given(st.lists(MEMBERS, max_size=5), st.lists(MEMBERS, max_size=5))
def test_what_is_packed_is_unpacked_and_archives_follow_each_other(
    first: list[cpio.Member], second: list[cpio.Member]
) -> None:
    made = cpio.pack(first)
    assert len(made) % cpio.ALIGN == 0
    assert list(cpio.unpack(made + bytes(512) + cpio.pack(second), where="x")) == [*first, *second]


@given(st.binary(max_size=400))
def test_other_bytes_are_refused_in_words(data: bytes) -> None:
    whole = cpio.pack([cpio.folder("/a"), cpio.file("/a/b", b"content")])
    for damaged in (data, whole[: len(data)], whole[: len(data) // 2] + data):
        try:
            list(cpio.unpack(damaged, where="x"))
        except IntegrityError as error:
            assert error.where.startswith("x")


def test_what_leads_out_or_is_too_much_is_refused() -> None:
    for members, most in (([cpio.file("/../b", b"")], 9), ([cpio.folder(f"/{n}") for n in range(9)], 8)):
        with pytest.raises(IntegrityError):
            list(cpio.unpack(cpio.pack(members), where="x", most=most))
