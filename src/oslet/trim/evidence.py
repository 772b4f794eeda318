"""Evidence: what one file's content says that it needs. Bytes → value, pure; what it means in a tree is reach's to say.

ELF files say it in headers (elf(5)), in notes (https://systemd.io/ELF_DLOPEN_METADATA) and in texts that they hold;
scripts in their first line (execve(2)) and their words; Python modules in what they import; configuration in paths.
Everything here errs towards too much: a name that leads nowhere in the tree costs nothing.
"""

from __future__ import annotations

import io
import re
import string
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from oslet.errors import IntegrityError
from oslet.formats import elf
from oslet.trim import source

MAX_NAMES = 20_000
"""Names of one kind that are kept of one file."""
MAX_TEXT = 4 << 20
"""Bytes of a text file that are looked through."""

MAX_PATH = 4096

_PATH = re.compile(rb"/(?:usr|etc|bin|sbin|lib|lib64|opt|var|srv|run)/[A-Za-z0-9._+@%:~/-]*[A-Za-z0-9_+@%/-]")
_LIBRARY = re.compile(rb"\.so(?:\.[0-9]+)*\0")
_PLUGIN = re.compile(rb"\.so\b(?:\.[0-9]+)*")
_NAME = re.compile(rb"[A-Za-z0-9_.+-]+\Z")
_IN_NAMES = (string.ascii_letters + string.digits + "_.+-").encode()
_LIB = re.compile(r"\blib")
_LONGEST = 96
"""Of a library's name, in bytes."""
_CALLS = (b"iconv_open", b"system", b"popen", b"wordexp", b"dlopen", b"getaddrinfo", b"getpwnam", b"getservbyname")
_COMMAND_LINE = re.compile(rb"\0([a-z][a-z0-9_.+-]{1,30}) (?=[-/%\"'<>|&2$])[^\0]{0,200}\0")
"""In an ELF file that runs a shell, a text that reads as a command line: a word, and then an option or a path."""
_HYPHENED = re.compile(rb"\0([a-z][a-z0-9]{1,20}(?:-[a-z0-9]{2,20}){1,3})(?=\0)")
"""In an ELF file that starts programs, a text that may name one: with a hyphen, since others are words too."""
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_BEFORE = "then|do|else|elif|if|while|until|exec|xargs|env|nice|nohup|command|eval|trap|time|gosu"
_WORD = re.compile(
    rf"(?m)(?:^|[;|&(`!{{]|[\"'](?![ \t])|\b(?:{_BEFORE})\b)"
    r"(?=[ \t]*+(?:[A-Za-z_]\w*+=\S{0,100}+[ \t]++){0,8}+([A-Za-z0-9_][A-Za-z0-9_.+-]*+)(?![\w=(/.+-]))"
)
"""A word where a shell script has commands: first in a line, a list, a substitution or a quoted text."""
_TAIL = re.compile(r"[})\w\"']/([A-Za-z0-9_][A-Za-z0-9_.+-]*)")
_RUN = re.compile(r"(?:\bsystem|\bexec|\bqx|\bpopen|\bspawn)\W{1,4}([A-Za-z0-9_./+-]+)|`\s*([A-Za-z0-9_./+-]+)")
SHELLS = frozenset({"sh", "dash", "bash", "ksh", "zsh", "busybox", "ash"})


class Evidence(Struct, frozen=True, omit_defaults=True):
    """What one file asks for, by kind; each name once, in the order found.

    ``interpreter`` is the program that the kernel starts for it, with the words after ``#!``. ``needed``, ``rpath``,
    ``runpath``, ``soname`` and ``machine`` are the ELF header's; ``notes`` the sonames of its dlopen notes, ``loads``
    names of libraries in its texts, ``plugins`` those that a configuration names, ``calls`` C functions of interest.
    ``paths`` are absolute paths in its texts, ``commands`` words that may be programs, ``helpers`` a program's own
    texts that may name others, ``imports`` Python modules (``.x`` relative), ``mentions`` dotted names in Python texts,
    ``shell`` whether Python code asks for one.
    Its defaults are omitted when it is spelled: it is remembered, and is no part of any identity.
    """

    interpreter: tuple[str, ...] = ()
    machine: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    shell: bool = False


NONE = Evidence()


def read(path: str, data: bytes) -> Evidence:
    """What ``data``, the file at ``path``, says that it needs; nothing of a file that is no whole ELF file or text."""
    if data[:4] == b"\x7fELF":
        return _of_elf(path, data)
    if data[:2] == b"#!":
        return _of_script(path, data)
    if path.endswith((".py", ".pth", ".pyw")):
        return _of_python((), data)
    return of_text(data[:MAX_TEXT]) if _is_configuration(path) else NONE


def of_text(data: bytes) -> Evidence:
    """The paths and libraries that a configuration, or another text, names."""
    if b"\0" in data[:4096]:
        return NONE
    return Evidence(paths=_paths(data), plugins=_once(_plugins(data)))


def _is_configuration(path: str) -> bool:
    return path.startswith("/etc/") or path.endswith(
        (".conf", ".cnf", ".cfg", ".ini", ".json", ".xml", ".yaml", ".control")
    )


def _of_elf(path: str, data: bytes) -> Evidence:
    try:
        header = elf.read(io.BytesIO(data), where=path)
    except IntegrityError:  # the linker won't load it either
        return NONE
    if header is None:
        return NONE
    return replace(
        of_header(header),
        loads=_libraries(data),
        calls=tuple(name.decode() for name in _CALLS if b"\0" + name + b"\0" in data),
        commands=_command_lines(data),
        helpers=_helpers(data),
        paths=_opened(data),
    )


def of_header(header: elf.Elf) -> Evidence:
    """What an ELF file's headers and notes say."""
    return Evidence(
        interpreter=(header.interpreter,) if header.interpreter else (),
        machine=header.machine,
        soname=header.soname,
        needed=_once(header.needed),
        rpath=header.rpath,
        runpath=header.runpath,
        notes=header.dlopen,
    )


def _of_script(path: str, data: bytes) -> Evidence:
    line = data[2:512].partition(b"\n")[0].decode("utf-8", "replace").split()
    if not line:
        return NONE
    name = line[0].rpartition("/")[2]
    if name == "env":  # env(1): -S splits, -i and -u change the environment, NAME=VALUE sets it
        name = next((w for w in line[1:] if not w.startswith("-") and "=" not in w), "")
    if name.startswith("python"):
        return _of_python(tuple(line), data)
    text = data[:MAX_TEXT].decode("utf-8", "replace")
    if name in SHELLS:
        plain = _COMMENT.sub("", text)
        words = _once([*_WORD.findall(plain), *_TAIL.findall(plain)])
    else:
        words = _once(word for pair in _RUN.findall(text) for word in pair if word)
    return Evidence(interpreter=tuple(line), paths=_paths(data[:MAX_TEXT]), commands=words)


def _of_python(interpreter: tuple[str, ...], data: bytes) -> Evidence:
    text = data[:MAX_TEXT].decode("utf-8", "replace")
    found = source.scan(text)
    return Evidence(
        interpreter=interpreter,
        loads=_once(name[m.start() :] for name in _plugins(data[:MAX_TEXT]) if (m := _LIB.search(name))),
        paths=_paths(data[:MAX_TEXT]),
        commands=found.commands,
        imports=found.imports,
        mentions=found.mentions,
        shell=found.shell,
    )


def _plugins(data: bytes) -> Iterator[str]:
    """The names of libraries in a text, each found by its end: a pattern for the whole takes the square of the time."""
    for match in _PLUGIN.finditer(data):
        before = data[max(0, match.start() - _LONGEST) : match.start()]
        if begun := before[len(before.rstrip(_IN_NAMES)) :].lstrip(b"."):
            yield (begun + match[0]).decode()


def _libraries(data: bytes) -> tuple[str, ...]:
    """The names that end in .so or .so.N and stand alone in a file's texts: what dlopen(3) might be given."""
    found: list[str] = []
    for match in _LIBRARY.finditer(data):
        start = max(0, match.start() - _LONGEST)
        name = _NAME.search(data[start : match.end() - 1])
        if name and match.end() - 1 - start - name.start() > 3 and len(found) < MAX_NAMES:
            found.append(name[0].decode())
    return _once(found)


def _command_lines(data: bytes) -> tuple[str, ...]:
    if b"\0popen\0" not in data and b"\0system\0" not in data:
        return ()
    return _once(match[1].decode() for match in _COMMAND_LINE.finditer(data))


def _helpers(data: bytes) -> tuple[str, ...]:
    if b"\0exec" not in data and b"\0posix_spawn" not in data:
        return ()
    return _once(match[1].decode() for match in _HYPHENED.finditer(data))


def _opened(data: bytes) -> tuple[str, ...]:
    """The paths in an ELF file, but for those after an equals sign: configure's words, by which it was built."""
    found = ((data[m.start() - 1 : m.start()], m[0]) for m in _PATH.finditer(data))
    return _once(path.decode() for before, path in found if before != b"=" and len(path) < MAX_PATH)


def _paths(data: bytes) -> tuple[str, ...]:
    return _once(match[0].decode() for match in _PATH.finditer(data) if len(match[0]) < MAX_PATH)


def _once(names: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))[:MAX_NAMES]  # type: ignore[call-overload]
