"""Runs inside the image, on its own Python, and imports nothing of oslet: sources with their paths in, byte code out.

It is handed over as text (``python3 -c``). ``bytecode.py`` describes both streams. Each batch is compiled in a child
of its own, forked from this process in its first state, because what CPython's marshal writes depends on what was
compiled before in the same process (cpython#129724: an object that something else holds too is written as a reference).
So a batch's byte code depends on the batch alone, in whatever order and company it is compiled. One child a file
would do as well, but takes twice as long: a new process pays for each page of memory it touches.
Only built-in and frozen modules are imported, so that the first state is the same whatever else the image holds.
"""

import _frozen_importlib_external as external
import _imp
import gc
import os
import select
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


def batches(data: memoryview) -> list[list[tuple[int, memoryview, memoryview]]]:
    """The batches of (index, path, source) that ``data`` spells."""
    found: list[list[tuple[int, memoryview, memoryview]]] = []
    at = index = 0

    def take() -> memoryview:
        nonlocal at
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        return data[start:at]

    while at < len(data):
        count = int.from_bytes(data[at : at + 4], "little")
        at += 4
        found.append([])
        for _ in range(count):
            found[-1].append((index, take(), take()))
            index += 1
    return found


def compiled(path: memoryview, view: memoryview) -> bytes:
    """The .pyc of a source that stands at ``path``: unchecked hash (PEP 552), so that no time stamp takes part."""
    source = bytes(view)
    if len(source) > MAX_SOURCE:
        raise ValueError("too large to compile")
    code = compile(source, os.fsdecode(bytes(path)), "exec", 0, True, 0)
    key = int.from_bytes(external.MAGIC_NUMBER, "little")
    return bytes(external._code_to_hash_pyc(code, _imp.source_hash(key, source), False))  # type: ignore[attr-defined]


def answer(index: int, path: memoryview, source: memoryview) -> bytes:
    try:
        data = b"\0" + compiled(path, source)
    except Exception as error:
        data = b"\1" + f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:1000]
    return number(index) + number(len(data)) + data


def start(batch: list[tuple[int, memoryview, memoryview]]) -> tuple[int, int]:
    """A child that compiles ``batch``: its process id, and where its answers are read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    for index, path, source in batch:
        write_all(writer, answer(index, path, source))
    os._exit(0)


def whole(data: bytearray) -> tuple[int, int]:
    """How many answers ``data`` holds whole, and their length together."""
    count = at = 0
    while at + 8 <= len(data):
        size = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        if at + size > len(data):
            break
        count, at = count + 1, at + size
    return count, at


def main() -> None:
    sys.dont_write_bytecode = True
    todo = batches(memoryview(read_all(0)))[::-1]
    gc.disable()
    gc.freeze()
    width = max(1, len(os.sched_getaffinity(0)))
    running: dict[int, tuple[int, list[tuple[int, memoryview, memoryview]], bytearray]] = {}
    poll = select.poll()
    while todo or running:
        while todo and len(running) < width:
            batch = todo.pop()
            child, reader = start(batch)
            running[reader] = (child, batch, bytearray())
            poll.register(reader, select.POLLIN)
        for reader, _ in poll.poll():
            child, batch, data = running[reader]
            chunk = os.read(reader, 1 << 16)
            data += chunk
            if chunk:
                continue
            poll.unregister(reader)
            os.close(reader)
            del running[reader]
            status = os.waitpid(child, 0)[1]
            count, size = whole(data)
            write_all(1, bytes(data[:size]))
            if count < len(batch):  # the file that killed the child; those after it get a child of their own
                why = f"\1the compiler died (wait status {status})".encode()
                write_all(1, number(batch[count][0]) + number(len(why)) + why)
                if batch[count + 1 :]:
                    todo.append(batch[count + 1 :])


main()
