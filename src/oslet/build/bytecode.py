"""Byte code: every source on ``sys.path`` compiled once, when the image is built, by the image's own Python.

``.pyc`` files are of PEP 552's unchecked-hash kind: they hold no time stamp, and Python takes them without looking at
the source's. Where one stands is PEP 3147's rule. The same source at the same path gives the same bytes on any
machine, in any order, with any number of workers.

A package's sources are compiled in batches, a declaration's own each for itself: so one that changes is compiled alone.

The compiler reads, for each batch, how many paths it has, and for each path its length and the path itself; it writes,
for each, its index over all batches, a length, a byte (0: byte code follows, 1: why there is none), and the rest.
Numbers are of 4 bytes, little endian; answers come in any order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count, groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from oslet.build.files import Files
from oslet.build.sandbox import Sandbox
from oslet.codec import canonical, decode, digest
from oslet.errors import BuildError, IntegrityError
from oslet.model.tree import Entry

if TYPE_CHECKING:
    from oslet.store import Store

ORIGIN = "made:bytecode"
HEADER = 16
"""Bytes before the code: magic, flags, the source's hash (PEP 552)."""
UNCHECKED_HASH = b"\x01\x00\x00\x00"
MAX_PATH = 4096
MAX_SOURCE = 64 << 20
TIMEOUT = 600
BATCH = 32
"""Sources compiled in one process; part of what byte code depends on (``compiler.py`` says why)."""


class Source(NamedTuple):
    """One module: the path that Python imports, its content's digest, and who brought it."""

    path: str
    digest: str
    origin: str


class Code(Struct, frozen=True, array_like=True):
    """What became of one source: its byte code's digest and size, or why there is none."""

    path: str
    digest: str
    size: int
    why: str = ""


class Compiled(NamedTuple):
    """How many sources have byte code, how many of them were compiled now, and which couldn't be, with the reason."""

    files: int
    now: int
    skipped: tuple[tuple[str, str], ...]


def compile_bytecode(
    files: Files, python: str, interpreter_digest: str, sandbox: Sandbox, rootfs: Callable[[], Path], store: Store
) -> Compiled:
    """Add the byte code of every module that ``python`` (``3.13``) would import from ``files``, and of its own files.

    ``interpreter_digest`` is of the package that holds the interpreter: with a source's digest and path it is all that
    byte code depends on, and what the store remembers it under. ``rootfs`` lays down a tree with that Python; it is
    called, and the sandbox started, only when something has to be compiled. Raises BuildError when it doesn't answer.
    A source that Python can't compile (a template, a module for another version) is left as it is.
    """
    key = digest((interpreter_digest, python, BATCH, hashlib.sha256(_compiler().encode()).hexdigest()))
    sources = _sources(files, python)
    batches = _batches(sources)
    codes = [_recall(store, key, batch) for batch in batches]
    missing = [batch for batch, known in zip(batches, codes) if known is None]
    made = iter(_compile(store, missing, python, sandbox, rootfs()) if missing else ())
    known: dict[str, Code] = {}
    for batch, found in zip(batches, codes):
        if found is None:
            found = next(made)
            store.remember("bytecode", _name(key, batch), canonical(found))
        known.update({code.path: code for code in found})
    for source in sources:
        code = known[source.path]
        if not code.why:
            reason = f"byte code of {source.path}, so that a start need not compile it"
            path = cached(source.path, python)
            files.place(Entry(path, "file", 0o644, size=code.size, digest=code.digest, origin=ORIGIN, reason=reason))
    skipped = tuple((s.path, known[s.path].why) for s in sources if known[s.path].why)
    return Compiled(len(sources) - len(skipped), sum(map(len, missing)), skipped)


def cached(path: str, python: str) -> str:
    """Where the byte code of the source at ``path`` stands (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{python.replace('.', '')}.pyc"


def _sources(files: Files, python: str) -> list[Source]:
    """Every module on ``sys.path`` and every module among the declaration's own files, that has no byte code yet."""
    places = (f"/usr/lib/python{python}/", "/usr/lib/python3/dist-packages/", f"/usr/local/lib/python{python}/")
    found = []
    for entry in files:
        own = entry.origin == "files"
        if entry.kind == "dir" or not entry.path.endswith(".py") or not (own or entry.path.startswith(places)):
            continue
        here = cached(entry.path, python)
        if (
            len(entry.path) > MAX_PATH
            or entry.size > MAX_SOURCE
            or (not own and here in files and _fresh(files, entry, here))
        ):
            continue
        source = files.at(entry.path)
        if source is not None and source.kind == "file":
            found.append(Source(entry.path, source.digest, entry.origin))
    return sorted(found)


def _fresh(files: Files, source: Entry, path: str) -> bool:
    """Whether the byte code at ``path`` was made here from this source, which no later step has replaced."""
    code = files.get(path)
    return code is not None and code.origin == ORIGIN and not source.origin.startswith("made:")


def _batches(sources: Sequence[Source]) -> list[list[Source]]:
    """``sources`` by who brought them, in order, at most ``BATCH`` together."""
    found = []
    for origin, group in groupby(sorted(sources, key=lambda s: (s.origin, s.path)), lambda s: s.origin):
        members = list(group)
        width = 1 if origin == "files" else BATCH
        found += [members[at : at + width] for at in range(0, len(members), width)]
    return found


def _compile(
    store: Store, batches: Sequence[Sequence[Source]], python: str, sandbox: Sandbox, rootfs: Path
) -> list[tuple[Code, ...]]:
    """What becomes of each batch's sources, compiled by the Python in ``rootfs``."""
    interpreter = f"/usr/bin/python{python}"
    # pycache_prefix: the compiler itself starts from sources alone, as it did in the first build (see compiler.py)
    flags = ["-I", "-S", "-B", "-W", "ignore", "-X", "utf8", "-X", "pycache_prefix=/dev/null/none"]
    stdin = b"".join(_number(len(batch)) + b"".join(_task(s, store) for s in batch) for batch in batches)
    done = sandbox(rootfs, [interpreter, *flags, "-c", _compiler()], stdin=stdin, timeout=TIMEOUT)
    if done.code:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise BuildError(
            f"{interpreter} compiled no byte code (exit code {done.code}): {' / '.join(last)[:400]}",
            where="bytecode",
            hint="the image must hold a Python that starts; check what trim and keep leave of it",
        )
    answers = dict(_answers(done.stdout, sum(map(len, batches))))
    index = count()
    return [tuple(_code(store, source, *answers[next(index)]) for source in batch) for batch in batches]


def _code(store: Store, source: Source, failed: bool, data: bytes) -> Code:
    if failed:
        return Code(source.path, "", 0, data.decode("utf-8", "replace")[:300])
    return Code(source.path, store.put(data, 0o644), len(data))


def _task(source: Source, store: Store) -> bytes:
    return b"".join(_number(len(part)) + part for part in (source.path.encode(), store.read(source.digest)))


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _answers(data: bytes, expected: int) -> Iterator[tuple[int, tuple[bool, bytes]]]:
    """The compiler's frames, each index from 0 to ``expected`` once. Raises IntegrityError for anything else."""
    at = 0
    seen = set()
    while at < len(data):
        index, size = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
        frame = data[at + 8 : at + 8 + size]
        at += 8 + size
        bad_code = frame[:1] == b"\0" and (len(frame) <= 1 + HEADER or frame[5:9] != UNCHECKED_HASH)
        if index >= expected or index in seen or at > len(data) or frame[:1] not in (b"\0", b"\1") or bad_code:
            raise IntegrityError("the image's Python answers with something else than byte code", where="bytecode")
        seen.add(index)
        yield index, (frame[:1] == b"\1", frame[1:])
    if len(seen) != expected:
        raise IntegrityError(f"byte code of {expected} files was asked for, {len(seen)} came", where="bytecode")


def _recall(store: Store, key: str, batch: Sequence[Source]) -> tuple[Code, ...] | None:
    """What became of ``batch`` when it was compiled before; None when the store doesn't have it (any more)."""
    if (known := store.recall("bytecode", _name(key, batch))) is None:
        return None
    codes = decode(known, tuple[Code, ...], where="the store's memory of byte code")
    return codes if all(code.why or _has(store, code.digest) for code in codes) else None


def _name(key: str, batch: Sequence[Source]) -> str:
    return digest((key, tuple((s.path, s.digest) for s in batch)))


def _has(store: Store, content: str) -> bool:
    """Whether ``content`` is still there: what is remembered is no root that keeps objects."""
    try:
        return bool(store.object(content).exists())
    except (IntegrityError, OSError):
        return False


def _compiler() -> str:
    text = Path(__file__).with_name("compiler.py").read_text("utf-8")
    return re.sub(r'\A"""[\s\S]*?"""\n', "", text)
