"""Which system calls machine code makes, on both kinds of processor: programs of a few lines, without a C library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oslet.formats.code import calls
from oslet.formats.code.calls import Calls
from oslet.formats.code.names import by_number
from oslet.trim.calls import Who, profile

MACHINES = ("x86_64", "aarch64")
CALL = """
#if defined(__x86_64__)
#define CALL(n) ({ long r; __asm__ volatile("syscall" : "=a"(r) : "a"((long)(n)), "D"(0) : "rcx", "r11"); r; })
enum { READ = 0, WRITE = 1, GETPID = 39, EXIT = 60, GETUID = 102 };
#else
#define CALL(n) ({ register long r __asm__("x0") = 0; register long c __asm__("x8") = (n); \\
    __asm__ volatile("svc #0" : "+r"(r) : "r"(c) : "memory"); r; })
enum { READ = 63, WRITE = 64, GETPID = 172, EXIT = 93, GETUID = 174 };
#endif
#define API __attribute__((visibility("default"), noinline))
#define OWN __attribute__((noinline)) static
"""


def compiled(folder: Path, machine: str, text: str, *flags: str, name: str = "made") -> Path:
    (folder / f"{name}.c").write_text(CALL + text)
    made = folder / f"{name}.{machine}"
    words = ["-target", f"{machine}-linux-gnu.2.36", "-nostdlib", "-O2", "-fno-sanitize=all", *flags]
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *words, "-o", made, folder / f"{name}.c"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return made


def named(found: Calls, numbers: tuple[int, ...]) -> set[str]:
    return {by_number(found.machine)[n] for n in numbers}


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_followed_to_where_they_are_said(tmp_path: Path, machine: str) -> None:
    """In the same function, by way of a branch, and through a function that is given the number."""
    text = """
    OWN long wrapped(long a, long b, long number) { return CALL(number) + b; }
    void _start(long *stack) {
        long n = stack[1] ? GETPID : GETUID;
        CALL(n);
        wrapped(1, 2, READ); wrapped(stack[1], 2, WRITE);
        for (;;) CALL(EXIT);
    }
    """
    found = calls.read(compiled(tmp_path, machine, text, "-static").read_bytes())
    assert found.machine == machine and not found.dark
    assert named(found, found.always) == {"getpid", "getuid", "read", "write", "exit"}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_number_that_cant_be_told_makes_a_file_dark(tmp_path: Path, machine: str) -> None:
    text = "void _start(long *stack) { CALL(stack[3]); for (;;) CALL(EXIT); }"
    found = calls.read(compiled(tmp_path, machine, text, "-static").read_bytes())
    assert named(found, found.always) == {"exit"} and found.dark
    assert [path for path, _ in profile({"/bin/dark": found}, machine).dark] == ["/bin/dark"]


LIBRARY = """
API long syscall(long number) { return CALL(number); }
OWN long inner(void) { return CALL(WRITE); }
API long reader(void) { return CALL(READ); }
API long writer(void) { return inner() + 1; }
static long (*const table[])(void) = {reader};
API long by_table(int which) { return table[which](); }
API long any(long *which) { return CALL(*which); }
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_only_what_is_asked_of_a_c_library_counts(tmp_path: Path, machine: str) -> None:
    library = compiled(tmp_path, machine, LIBRARY, "-shared", "-fPIC", "-Wl,-soname,libc.so.6", name="libc")
    user = """
    extern long writer(void), syscall(long);
    API long used(void) { return writer() + syscall(GETUID); }
    API long jumps(void) { return syscall(GETPID); }
    """
    plugin = compiled(tmp_path, machine, user, "-shared", "-fPIC", name="plugin")
    told = {"/lib/libc.so.6": calls.read(library.read_bytes()), "/lib/plugin.so": calls.read(plugin.read_bytes())}
    libc = told["/lib/libc.so.6"]
    assert named(libc, libc.named["writer"]) == {"write"} and list(libc.dark_named) == ["any"]
    found = profile(told, machine)
    assert found.names >= {"write", "getuid", "getpid"} and not found.dark
    by = {each.name: each.by for each in found.reached}
    assert by["write"] == (Who("/lib/plugin.so", "writer", "/lib/libc.so.6"),) and by["getuid"] == (
        Who("/lib/plugin.so"),
    )
    script = calls.read(b"import ctypes\nctypes.CDLL(None).any(1)\n")
    assert [path for path, _ in profile({**told, "/app.py": script}, machine).dark] == ["/app.py"]


def test_what_is_no_program_calls_nothing() -> None:
    assert calls.read(b"") == calls.read(b"print(1)\n") == calls.read(b"\x7fELF") == calls.NONE


@pytest.mark.parametrize("machine", MACHINES)
def test_damaged_files_are_told_apart_from_none(tmp_path: Path, machine: str) -> None:
    """Cut anywhere, or with a byte changed in its tables, a file is read or not; nothing else happens."""
    whole = compiled(tmp_path, machine, LIBRARY, "-shared", "-fPIC", "-s").read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        calls.read(whole[:cut])
    for at in range(0, 0x400, 7):
        calls.read(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
