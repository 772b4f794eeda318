"""Runs inside the image, on its own Python, and imports nothing of oslet: sources' paths in, byte code out.

It is handed over as text (``python3 -c``). ``bytecode.py`` describes both streams. Each file is compiled in a child
of its own, forked from this process in its first state, because what CPython's marshal writes depends on what was
compiled before in the same process (cpython#129724: an object that something else holds too is written as a reference).
Only built-in and frozen modules are imported, so that the first state is the same whatever else the image holds.
"""

import _frozen_importlib_external as external
import _imp
import gc
import os
import sys

MAX_SOURCE = 64 << 20


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def read_all(descriptor: int) -> bytes:
    found: list[bytes] = []
    while True:
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            return b"".join(found)
        found.append(chunk)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def tasks(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def compiled(path: bytes) -> bytes:
    """The .pyc of the source at ``path`` (bytes): unchecked hash (PEP 552), so that no time stamp takes part."""
    descriptor = os.open(path, os.O_RDONLY)
    source = read_all(descriptor)
    if len(source) > MAX_SOURCE:
        raise ValueError("too large to compile")
    code = compile(source, os.fsdecode(path), "exec", 0, True, 0)
    key = int.from_bytes(external.MAGIC_NUMBER, "little")
    return bytes(external._code_to_hash_pyc(code, _imp.source_hash(key, source), False))  # type: ignore[attr-defined]


def answer(path: bytes, descriptor: int) -> None:
    try:
        data = b"\0" + compiled(path)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        data = b"\1" + text.encode("utf-8", "replace")[:1000]
    write_all(descriptor, data)


def main() -> None:
    sys.dont_write_bytecode = True
    todo = tasks(read_all(0))
    gc.disable()
    gc.freeze()
    width = max(1, len(os.sched_getaffinity(0)))
    running: list[tuple[int, int, int]] = []
    for index, path in enumerate(todo):
        if len(running) >= width:
            collect(running)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            answer(path, writer)
            os._exit(0)
        os.close(writer)
        running.append((index, child, reader))
    while running:
        collect(running)


def collect(running: list[tuple[int, int, int]]) -> None:
    """Pass on the answer of the oldest child; younger ones run on meanwhile, until their pipes are full."""
    index, child, reader = running.pop(0)
    data = read_all(reader)
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if status:
        data = f"\1the compiler died (wait status {status})".encode()
    write_all(1, number(index) + number(len(data)) + data)


main()
