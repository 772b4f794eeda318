"""One reader under atheris, coverage-guided: what ``./dev fuzz`` starts a process for.

A finding is written to the findings' folder, once a place, and the search goes on; only what ends the process (a hang,
a crash of an extension) stops it, and ``fuzz.run`` starts it again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["oslet", "installer", "tomllib", "zipfile", "configparser", "csv", "shlex"]):
    import oslet.build.debian
    import oslet.cli.render  # the rest of ours, imported by what is read below  # noqa: F401
    from fuzz.readers import READERS

from fuzz.guard import MEMORY_DISK, PATIENCE, Guard, bound, peak
from fuzz.judge import Finding, judge


def main(name: str, seconds: int, corpus: Path, findings: Path) -> None:
    reader = READERS[name]
    for data in reader.seeds():
        (corpus / f"seed-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
    words = corpus.with_name(f"{corpus.name}.dict")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in reader.words if word))
    room = tempfile.TemporaryDirectory(prefix="oslet-fuzz-", dir=MEMORY_DISK)
    guard = Guard(Path(room.name))
    seen: set[str] = set()
    counts = {"executions": 0, "taken": 0}

    def one(data: bytes) -> None:
        counts["executions"] += 1
        try:
            counts["taken"] += judge(reader, data, guard)
        except Finding as finding:
            if finding.place not in seen:
                seen.add(finding.place)
                stem = findings / f"{name}-{hashlib.sha256(finding.place.encode()).hexdigest()[:12]}"
                stem.with_suffix(".input").write_bytes(data)
                stem.with_suffix(".txt").write_text(f"{finding}\n", "utf-8", "replace")
        if counts["executions"] % 256 == 0:
            figures = {**counts, "peak": peak()}
            corpus.with_name(f"{corpus.name}.json").write_text(json.dumps(figures))

    bound(seconds)
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-timeout={int(PATIENCE)}",
            "-rss_limit_mb=0",  # judge measures it, input by input
            f"-max_len={reader.longest}",
            f"-dict={words}",
            f"-artifact_prefix={findings}/{name}-",
            "-print_final_stats=1",
            "-report_slow_units=5",
            str(corpus),
        ],
        one,
    )
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(chr(b) if 32 < b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
