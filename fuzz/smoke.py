"""The readers over their seeds and mutations of them, without a fuzzing engine: ``python -m fuzz.smoke``.

The same for the same arguments on any day, so that a failure can be looked into; the suite runs it briefly.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzz.guard import MEMORY_DISK, Guard, bound, peak
from fuzz.judge import Finding, Reader, judge
from fuzz.readers import READERS


def mutated(reader: Reader, seeds: list[bytes], count: int) -> Iterator[bytes]:
    """``count`` inputs, each one to eight mutations away from a seed."""
    chance = random.Random(reader.name)
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            at = chance.randint(0, len(data))
            what = chance.randint(0, 5)
            if what == 0:
                data[at:at] = chance.choice(reader.words) if reader.words else b"\0"
            elif what == 1:
                del data[at : at + chance.randint(1, 16)]
            elif what == 2:
                data[at:at] = data[at : at + chance.randint(1, 64)]
            elif what == 3:
                other = chance.choice(seeds)
                cut = chance.randint(0, len(other))
                data[at:] = other[cut:]
            elif at < len(data):
                data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, data[at] ^ (1 << chance.randint(0, 7))))
        yield bytes(data[: reader.longest])


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz.smoke", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--count", type=int, default=200, help="mutated inputs a reader")
    parser.add_argument("--input", type=Path, action="append", help="only these files' bytes")
    given = parser.parse_args(words)
    faults = 0
    with tempfile.TemporaryDirectory(prefix="oslet-fuzz-", dir=MEMORY_DISK) as room:
        readers = [READERS[name] for name in given.readers or READERS]
        seeds = {reader.name: reader.seeds() for reader in readers}
        guard = Guard(Path(room))
        bound(3600)
        for reader in readers:
            own = seeds[reader.name]
            inputs = [path.read_bytes() for path in given.input or ()]
            taken = count = 0
            for data in inputs or (*own, *mutated(reader, own, given.count)):
                count += 1
                try:
                    taken += judge(reader, data, guard)
                except Finding as finding:
                    faults += 1
                    print(f"{reader.name}: {finding}\n  the input: {data[:400]!r}", file=sys.stderr)
            print(f"{reader.name}: {count} inputs, {taken} taken, {peak() >> 20} MB at most")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
