"""The shell's own commands (POSIX.1-2024, XCU 2.15 and the regular built-ins)."""

from __future__ import annotations

import re

from oslet.build.scripts.conditions import holds
from oslet.build.scripts.shell import Command, Shell
from oslet.build.scripts.signals import Exit, Loop, Return

_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_OPTIONS = {"errexit": "e", "nounset": "u", "noglob": "f", "allexport": "a", "noexec": "n"}


def unescape(text: str) -> str:
    """What ``printf`` and dash's ``echo`` make of backslashes."""

    def one(match: re.Match[str]) -> str:
        if match[1] is not None:
            return chr(int(match[1], 8))
        return _ESCAPES.get(match[2], match[0])

    return re.sub(r"\\(?:0?([0-7]{1,3})|(.))", one, text)


def _set(shell: Shell, args: list[str]) -> int:
    while args and re.fullmatch(r"[-+][a-zA-Z]+", args[0]):
        on, letters = args[0][0] == "-", set(args[0][1:])
        args = args[1:]
        if "o" in letters and args:
            letters.add(_OPTIONS.get(args[0], args[0]))
            args = args[1:]
        if "n" in letters:
            raise shell.unreadable(None, "set -n isn't understood")
        shell.options = shell.options | letters if on else shell.options - letters
        if "e" in letters:
            shell.errexit = on
    if args:
        shell.args = args[1:] if args[0] == "--" else args
    return 0


def _shift(shell: Shell, args: list[str]) -> int:
    shell.args = shell.args[int(args[0]) if args else 1 :]
    return 0


def _exit(shell: Shell, args: list[str]) -> int:
    raise Exit(_status(shell, args))


def _return(shell: Shell, args: list[str]) -> int:
    raise Return(_status(shell, args))


def _status(shell: Shell, args: list[str]) -> int:
    return int(args[0]) & 255 if args and args[0].isdigit() else shell.status


def _break(shell: Shell, args: list[str]) -> int:
    raise Loop(again=False, levels=int(args[0]) if args else 1)


def _continue(shell: Shell, args: list[str]) -> int:
    raise Loop(again=True, levels=int(args[0]) if args else 1)


def _echo(shell: Shell, args: list[str]) -> int:
    end = "\n"
    while args and args[0] in ("-n", "-e", "-ne", "-en"):
        end = "" if "n" in args[0] else end
        args = args[1:]
    text = " ".join(args)
    shell.write((unescape(text) if "\\" in text else text) + end)
    return 0


def _printf(shell: Shell, args: list[str]) -> int:
    if args and args[0] == "--":
        args = args[1:]
    form, values = unescape(args[0]), list(args[1:])
    spec = re.compile(r"%([-0 +#]*\d{0,4}(?:\.\d{1,4})?)([sdiuxXocbq%])")
    takes = any(m[2] != "%" for m in spec.finditer(form))

    def one(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        value = values.pop(0) if values else ""
        if match[2] in "diuxXo":
            return written(f"%{match[1]}{'d' if match[2] in 'iu' else match[2]}" % int(value or "0", 0))
        value = unescape(value) if match[2] == "b" else value[:1] if match[2] == "c" else value
        return written(f"%{match[1]}s" % value)

    def written(text: str) -> str:
        shell.spend(len(text))
        return text

    while True:
        shell.write(spec.sub(one, form))
        if not values or not takes:
            return 0


def _read(shell: Shell, args: list[str]) -> int:
    names = [a for a in args if not a.startswith("-")] or ["REPLY"]
    line = shell.input.line()
    separators = shell.variable("IFS")
    separators = " \t\n" if separators is None else separators
    parts = re.split(f"[{re.escape(separators)}]+", (line or "").strip(separators), maxsplit=len(names) - 1)
    for index, name in enumerate(names):
        shell.assign(name, parts[index] if index < len(parts) else "")
    return 0 if line is not None else 1


def _cd(shell: Shell, args: list[str]) -> int:
    target = shell.path(args[-1] if args else "/")
    if not shell.install.is_dir(target):
        return 1
    shell.cwd = target
    return 0


def _pwd(shell: Shell, args: list[str]) -> int:
    shell.write(shell.cwd + "\n")
    return 0


def _eval(shell: Shell, args: list[str]) -> int:
    tree = shell.parse(" ".join(args))
    if tree.has_error:
        raise shell.unreadable(None, "eval of something that isn't understood")
    return shell.run(tree)


def _source(shell: Shell, args: list[str]) -> int:
    path = shell.path(args[0])
    if path == "/usr/share/debconf/confmodule":
        return 0
    if not shell.install.is_file(path):
        raise shell.unreadable(None, f"it reads {path}, which isn't in the image")
    return shell.include(shell.install.text(path), path)


def _command(shell: Shell, args: list[str]) -> int:
    if args and args[0] in ("-v", "-V"):
        return _which(shell, args[1:])
    if args and args[0] == "-p":
        args = args[1:]
    return shell.call(args) if args else 0


def _which(shell: Shell, args: list[str]) -> int:
    status = 0
    for name in (a for a in args if not a.startswith("-")):
        if name in shell.functions or name in TABLE:
            shell.write(name + "\n")
        elif (path := shell.install.find_program(name)) is not None:
            shell.write(path + "\n")
        elif shell.known_program(name):
            shell.write(f"/usr/bin/{name}\n")
        else:
            status = 1
    return status


def _exec(shell: Shell, args: list[str]) -> int:
    if not args:
        return 0
    raise Exit(shell.call(args))


def _test(shell: Shell, args: list[str]) -> int:
    return 0 if holds(shell, args) else 1


def _bracket(shell: Shell, args: list[str]) -> int:
    return 0 if holds(shell, args[:-1]) else 1


def _trap(shell: Shell, args: list[str]) -> int:
    if len(args) > 1 and {"0", "EXIT"} & set(args[1:]):
        shell.at_exit = "" if args[0] == "-" else args[0]
    return 0


def _umask(shell: Shell, args: list[str]) -> int:
    if not args:
        shell.write(f"{shell.umask:04o}\n")
    elif re.fullmatch("[0-7]+", args[0]):
        shell.umask = int(args[0], 8)
    else:
        raise shell.unreadable(None, "a umask in symbols")
    return 0


def _true(shell: Shell, args: list[str]) -> int:
    return 0


def _false(shell: Shell, args: list[str]) -> int:
    return 1


def _env(shell: Shell, args: list[str]) -> int:
    while args and ("=" in args[0] or args[0].startswith("-")):
        name, equals, value = args[0].partition("=")
        if equals:
            shell.assign(name, value)
        args = args[1:]
    return shell.call(args) if args else 0


def _getopts(shell: Shell, args: list[str]) -> int:
    """POSIX getopts: OPTIND counts words, ``_OPTAT`` letters within a word."""
    letters, name, words = args[0], args[1], args[2:] or shell.args
    index, at = int(shell.variable("OPTIND") or 1), int(shell.variable("_OPTAT") or 1)
    word = words[index - 1] if index <= len(words) else ""
    if not word.startswith("-") or word == "-" or word == "--":
        shell.assign("OPTIND", str(index + (word == "--")))
        shell.assign(name, "?")
        return 1
    letter = word[at]
    known = letters.lstrip(":").find(letter) if letter != ":" else -1
    takes = known >= 0 and letters.lstrip(":")[known + 1 : known + 2] == ":"
    shell.assign("OPTARG", "")
    if takes and at + 1 == len(word):
        index += 1
        shell.assign("OPTARG", words[index - 1] if index <= len(words) else "")
    elif takes:
        shell.assign("OPTARG", word[at + 1 :])
    at = 1 if takes or at + 1 >= len(word) else at + 1
    shell.assign("OPTIND", str(index + (at == 1)))
    shell.assign("_OPTAT", str(at))
    shell.assign(name, letter if known >= 0 else "?")
    return 0


TABLE: dict[str, Command] = {
    ":": _true, "true": _true, "false": _false, "set": _set, "shift": _shift, "exit": _exit, "return": _return,
    "break": _break, "continue": _continue, "echo": _echo, "printf": _printf, "read": _read, "cd": _cd, "pwd": _pwd,
    "eval": _eval, ".": _source, "source": _source, "command": _command, "which": _which, "type": _which,
    "exec": _exec, "test": _test, "[": _bracket, "trap": _trap, "umask": _umask, "env": _env, "wait": _true,
    "sleep": _true, "sync": _true, "ulimit": _true, "hash": _which, "getopts": _getopts, "nice": _env, "ionice": _env,
}  # fmt: skip
