"""The start contract and the policy of a declaration: each arrow gives the value of one field."""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET

from oslet.codec.conform import Faults
from oslet.codec.kinds import KindError, is_absolute, kind_name, parse, told
from oslet.codec.nearest import nearest, suggestion
from oslet.codec.parts import PACKAGE, Texts, items
from oslet.codec.places import Key
from oslet.model.oslet import Exec, Health, Http, Machine, Rule, Tcp, Warm
from oslet.model.param import IntKind, PortKind, SizeKind

_CAPABILITY_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_SIGNAL_NAMES = """
SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO
SIGPWR SIGSYS
"""
_CAPABILITIES = tuple(_CAPABILITY_NAMES.split())  # capabilities(7)
_SIGNALS = tuple(_SIGNAL_NAMES.split())  # signal(7)


def command(table: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    written = table.get("command")
    if written == []:
        texts.faults.add(("command",), "there is no program in it", 'write the program and its arguments: ["…", "…"]')
    found = items(table, "command")
    if found and not found[0][1].strip():
        texts.faults.add(found[0][0], "the program has no name", "begin with the program")
    return tuple(texts.check(key, word) for key, word in found)


def env(table: dict[str, Any], texts: Texts) -> tuple[tuple[str, str], ...]:
    """Variables sorted by name: their order says nothing, so it takes no part in identity."""
    for name, value in table.get("env", {}).items():
        key: Key = ("env", name)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", name):
            better = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_0123456789")
            texts.faults.add(key, f"{told(name)} can't name a variable", f"write {better}" if better else "")
        texts.check(key, value)
    return tuple(sorted(table.get("env", {}).items()))


def workdir(table: dict[str, Any], texts: Texts) -> str:
    return _path(("workdir",), table.get("workdir", "/"), texts)


def volumes(table: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    found = items(table, "volumes")
    for i, (key, path) in enumerate(found):
        _path(key, path, texts, root=False)
        if path in [other for _, other in found[:i]]:
            texts.faults.add(key, f"{told(path)} is named twice", "leave one out")
    return tuple(path for _, path in found)


def _path(key: Key, path: str, texts: Texts, *, root: bool = True) -> str:
    texts.check(key, path)
    literal = re.sub(r"\{\w+\}", "x", path)
    if "{" in path and path.startswith("{"):
        return path  # wholly a param's: its value is checked when it is bound
    if not is_absolute(literal) or (literal == "/" and not root):
        better = "/" + path.strip("/. ")
        texts.faults.add(
            key,
            f"{told(path)} isn't an absolute path" + ("" if root else " below /"),
            f'write "{better}"' if len(better) > 1 else 'write such as "/var/lib/app"',
        )
    return path


def user(table: dict[str, Any], faults: Faults) -> str:
    name: str = table.get("user", "root")
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}\$?|\d{1,9}", name):
        faults.add(("user",), f"{told(name)} can't name a user", 'write a user of the image, such as "www-data"')
    return name


def ports(table: dict[str, Any], texts: Texts) -> tuple[str, ...]:
    found = [_port(key, port, texts) for key, port in items(table, "ports")]
    for i, port in enumerate(found):
        if port in found[:i]:
            texts.faults.add(("ports", i), f"{told(port)} is named twice", "leave one out")
    return tuple(found)


def _port(key: Key, written: str | int, texts: Texts) -> str:
    port = str(written)
    names = texts.names(key, port)
    texts.known(key, names, secrets=False)
    if not names:
        if "{" not in port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
            inside = port.split("/")[0].rpartition(":")[2]
            hint = f"write {inside}; which port of the machine it is, is said at start" if inside != port else ""
            texts.faults.add(key, f"{told(written)} isn't a port", hint or 'write 1 to 65535, or "{port}" for a param')
    elif port != f"{{{names[0]}}}":
        texts.faults.add(key, f"{told(port)} isn't one param", f'write "{{{names[0]}}}"')
    elif (param := texts.params.get(names[0])) and not isinstance(param.kind, PortKind | IntKind):
        texts.faults.add(
            key, f"the param {names[0]!r} is of type {kind_name(param.kind)}, not port", 'make its type "port"'
        )
    return port


def health(table: dict[str, Any], texts: Texts) -> Health | None:
    written = table.get("health")
    if written is None:
        return None
    ways = [way for way in ("http", "tcp", "exec") if way in written]
    if len(ways) != 1:
        if not ways and texts.faults.under(("health",)):
            return None
        said = f"{' and '.join(ways)} are two ways to ask" if ways else "says no way to ask"
        texts.faults.add(("health",), said, 'write one of http = "/…", tcp = "{port}", exec = ["…"]')
        return None
    if ways != ["http"] and "port" in written:
        hint = "write tcp = the port" if ways == ["tcp"] else "leave it out"
        texts.faults.add(("health", "port"), "belongs to http", hint)
    if ways == ["exec"]:
        return Exec(tuple(texts.check(key, word) for (_, i), word in items(written, "exec")
                          for key in [("health", "exec", i)]))  # fmt: skip
    if ways == ["tcp"]:
        return Tcp(_port(("health", "tcp"), written["tcp"], texts))
    texts.check(("health", "http"), written["http"])
    if "port" not in written and not table.get("ports"):
        texts.faults.add(("health",), "no port to ask: ports is empty", 'write ports = ["{port}"], or port = … here')
    return Http(written["http"], _port(("health", "port"), written["port"], texts) if "port" in written else "")


def capabilities(table: dict[str, Any], faults: Faults) -> tuple[str, ...]:
    """Capabilities as capabilities(7) spells them, ``CAP_`` in front, sorted."""
    found = set()
    for key, written in items(table, "capabilities"):
        name = written.upper().removeprefix("CAP_")
        if name not in _CAPABILITIES:
            near = nearest(name, _CAPABILITIES)
            hint = f"did you mean {f'CAP_{near}'!r}?" if near else "capabilities(7) lists them"
            faults.add(key, f"{told(written)} is no capability", hint)
        found.add(f"CAP_{name}")
    return tuple(sorted(found))


def stop_signal(table: dict[str, Any], faults: Faults) -> str:
    name: str = table.get("stop_signal", "SIGTERM")
    if name not in _SIGNALS and not re.fullmatch(r"SIGRTMIN\+([0-9]|[12][0-9]|30)", name):
        near = nearest(name if name.upper().startswith("SIG") else f"SIG{name}", _SIGNALS)
        faults.add(("stop_signal",), f"{told(name)} is no signal", f"did you mean {near!r}?" if near else "")
    return name


def url(table: dict[str, Any], texts: Texts) -> str:
    """What a client connects with; ``{host}`` is known when it is asked for."""
    written: str = table.get("url", "")
    names = texts.names(("url",), written)
    texts.known(("url",), tuple(n for n in names if n != "host"), secrets=True)
    if written and "://" not in written:
        texts.faults.add(("url",), f"{told(written)} isn't a URL", 'write such as "redis://{host}:{port}"')
    return written


def warm(table: dict[str, Any], texts: Texts) -> Warm:
    written = table.get("warm", {})
    modules = tuple(word for _, word in items(written, "modules"))
    for i, word in enumerate(modules):
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", word):
            texts.faults.add(("warm", "modules", i), f"{told(word)} isn't a Python module", "write it as import does")
    found = Warm(
        modules,
        written.get("snapshot", ""),
        tuple(texts.check(("warm", *key), word) for key, word in items(written, "prepare")),
    )
    if bool(found.snapshot) != bool(found.prepare):
        texts.faults.add(("warm",), "snapshot and prepare go together", "say which volume is filled, and by what")
    elif found.snapshot and found.snapshot not in table.get("volumes", []):
        texts.faults.add(("warm", "snapshot"), f"{told(found.snapshot)} is not among volumes", "name it there")
    return found


_LEAST, _MOST = 16 << 20, 1 << 40
"""Bytes of memory that a guest may be given."""


def machine(table: dict[str, Any], faults: Faults) -> Machine:
    written = table.get("machine", {})
    plain = Machine()
    memory = plain.memory
    try:
        memory = parse(SizeKind(min=_LEAST, max=_MOST), written.get("memory", memory))
    except KindError as error:
        faults.add(("machine", "memory"), error.what, error.hint)
    return Machine(written.get("kernel", plain.kernel), memory)


def inside(table: dict[str, Any], name: str, faults: Faults) -> tuple[str, ...]:
    """Absolute paths of the image, as ``keep`` and ``setuid`` list them."""
    for key, path in items(table, name):
        if not is_absolute(path):
            faults.add(key, f"{told(path)} isn't an absolute path", "begin it with / and leave out . and ..")
    return tuple(path for _, path in items(table, name))


def scripts(table: dict[str, Any], faults: Faults) -> tuple[tuple[str, Any], ...]:
    found: list[tuple[str, Any]] = []
    for package, answer in table.items():
        key: Key = ("scripts", package)
        if not re.fullmatch(PACKAGE, package):
            faults.add(key, f"{told(package)} isn't a Debian package", "name the package whose scripts this answers")
        if isinstance(answer, dict):
            found.append((package, _rule(key, answer, faults)))
        elif answer in ("ignore", "run"):
            found.append((package, answer))
        else:
            hint = suggestion(answer, ("ignore", "run"))
            faults.add(key, f"{told(answer)} is no answer to a script", f"{hint}; or write a table: {{ users = […] }}")
    return tuple(sorted(found, key=lambda each: each[0]))


def _rule(key: Key, written: dict[str, Any], faults: Faults) -> Rule:
    directories = written.get("directories", [])
    paths = [((*key, "directories", i), str(each).partition(":")[0]) for i, each in enumerate(directories)]
    paths += [((*key, name, path), path) for name in ("links", "files") for path in written.get(name, {})]
    for at, path in paths:
        if not is_absolute(path) or path == "/":
            faults.add(at, f"{told(path)} isn't an absolute path below /", "begin it with / and leave out . and ..")
    for i, each in enumerate(written.get("users", [])):
        if each is not UNSET and not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}(:[a-z_][a-z0-9_-]{0,31}(:/[^:]*)?)?", each):
            faults.add((*key, "users", i), f"{told(each)} isn't a user", 'write "name" or "name:group:home"')
    return Rule(
        users=tuple(each for each in written.get("users", []) if each is not UNSET),
        directories=tuple(each for each in directories if each is not UNSET),
        links=dict(written.get("links", {})),
        files=dict(written.get("files", {})),
    )
