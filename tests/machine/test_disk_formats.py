"""What a disk is made of, byte by byte: partition table, hash tree, sections of a program for EFI."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import gpt, pe
from oslet.formats.verity import BLOCK, table, verity

GUID = "11111111-2222-8333-8444-555555555555"


@given(st.lists(st.integers(1, 1 << 40), min_size=1, max_size=20))
def test_partitions_stand_apart_and_both_tables_agree(sizes: list[int]) -> None:
    made = gpt.gpt(GUID, [gpt.Partition(gpt.DATA, GUID, f"part{n}", size) for n, size in enumerate(sizes)])
    ends = [start + size for start, size in zip(made.starts, sizes)]
    assert all(start % gpt.ALIGN == 0 for start in made.starts)
    assert all(end <= start for end, start in zip(ends, (*made.starts[1:], made.size - len(made.tail))))
    first, second = made.head[512:604], made.tail[-512:][:92]
    for header, entries in ((first, made.head[1024:]), (second, made.tail[:-512])):
        assert zlib.crc32(header[:16] + bytes(4) + header[20:]) == struct.unpack_from("<I", header, 16)[0]
        assert zlib.crc32(entries) == struct.unpack_from("<I", header, 88)[0]
    assert struct.unpack_from("<QQ", first, 24) == struct.unpack_from("<QQ", second, 24)[::-1]


def test_a_hash_tree_speaks_for_every_block() -> None:
    blocks = [bytes([n % 256]) * BLOCK for n in range(300)]  # three hash blocks below one
    one = verity(blocks, b"salt", bytes(16))
    assert len(one.data) == BLOCK * (1 + 1 + 3) and one.blocks == 300
    blocks[299] = bytes(BLOCK - 1) + b"\1"
    assert verity(blocks, b"salt", bytes(16)).root != one.root
    assert verity(blocks[:1], b"", bytes(16)).blocks == 1
    assert table(one, "A", "B").startswith("root,,,ro,0 2400 verity 1 A B 4096 4096 300 1 sha256 ")


@given(st.binary(max_size=2000))
def test_other_files_than_a_stub_are_refused_in_words(data: bytes) -> None:
    for made in (data, b"MZ" + data):
        with pytest.raises(IntegrityError):
            pe.with_sections(made, {".linux": b"x"}, where="stub")


def test_a_disk_has_the_same_name_for_the_same_slot(tmp_path: Path) -> None:
    from oslet.build.machine.disk import guids, slot

    root = tmp_path / "root"
    root.write_bytes(b"x" * 5000)
    one, two = (slot("app", root, "ab" * 32) for _ in range(2))
    assert one == two
    assert "".join(guids(one.tree)).replace("-", "") == one.tree.root.hex()
