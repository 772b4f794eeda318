"""sed(1), as far as maintainer scripts use it: ``s``, ``d``, ``p`` and ``q``, with a pattern as address or none."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from oslet.build.scripts.shell import Command, Shell
from oslet.build.scripts.texts import compiled, options, regex, sources

_SED = re.compile(r"\s*(?:/((?:[^/\\]|\\.)*)/|(\d+)|(\$))?\s*(!?)\s*([sdpq{}]?)", re.DOTALL)


def sed(shell: Shell, args: list[str]) -> int:
    in_place = [a for a in args if re.fullmatch(r"-i.*|--in-place.*", a)]
    found, operands = options(shell, [a for a in args if a not in in_place], "nErsu", "e")
    scripts = found.get("e") or [operands.pop(0)]
    texts = None if in_place else sources(shell, operands)
    if texts is not None and not any(texts) and not any("w" in s for s in scripts):
        return 0  # no line, so no command of the script is ever run
    commands = [c for s in scripts for c in _sed_commands(shell, s, extended="E" in found or "r" in found)]
    if in_place:
        for path in operands:
            absolute = shell.path(path)
            if not shell.install.is_file(absolute):
                return 2
            new = _sed_lines(shell, shell.install.text(absolute), commands, quiet="n" in found)
            shell.install.put(absolute, new.encode(), 0o644, shell.evidence())
        return 0
    if texts is None:
        return 2
    shell.write(_sed_lines(shell, "".join(texts), commands, quiet="n" in found))
    return 0


class _Sed(NamedTuple):
    """One command of a sed script: its verb, the lines it is for (or not for), and a substitution's parts."""

    verb: str
    address: Any
    negated: bool
    wanted: Any = None
    replacement: str = ""
    flags: str = ""


def _sed_commands(shell: Shell, script: str, *, extended: bool) -> list[_Sed]:
    commands: list[_Sed] = []
    at = 0
    while at < len(script):
        if script[at] in " \t\n;":
            at += 1
            continue
        match = _SED.match(script, at)
        if match is None or match[5] in ("", "{", "}") or match[2] or match[3]:
            raise shell.unreadable(None, "a sed script that isn't understood")
        address = compiled(shell, regex(shell, match[1], extended=extended)) if match[1] is not None else None
        at = match.end()
        if match[5] != "s":
            commands.append(_Sed(match[5], address, bool(match[4])))
            continue
        mark = script[at]
        parts = re.compile(rf"((?:[^{re.escape(mark)}\\]|\\.)*){re.escape(mark)}", re.DOTALL)
        first = parts.match(script, at + 1)
        second = parts.match(script, first.end()) if first else None
        if first is None or second is None:
            raise shell.unreadable(None, "a sed script that isn't understood")
        flags = re.compile(r"[gIp]*").match(script, second.end())
        assert flags is not None
        at = flags.end()
        wanted = compiled(
            shell,
            regex(shell, first[1].replace(f"\\{mark}", mark), extended=extended),
            ignore_case="I" in flags[0],
        )
        commands.append(_Sed("s", address, bool(match[4]), wanted, second[1].replace(f"\\{mark}", mark), flags[0]))
    return commands


def _sed_lines(shell: Shell, text: str, commands: list[_Sed], *, quiet: bool) -> str:
    out = []
    for original in text.splitlines():
        line, gone, stop = original, False, False
        for verb, address, negated, wanted, replacement, flags in commands:
            shell.spend(len(line))
            if address is not None and bool(address.search(line)) == negated:
                continue
            if verb == "d":
                gone = True
                break
            if verb == "p":
                out.append(line)
            elif verb == "q":
                stop = True
            elif wanted is not None:
                line, count = wanted.subn(
                    lambda m, r=replacement: _sed_put(shell, m, r), line, 0 if "g" in flags else 1
                )
                if count and "p" in flags:
                    out.append(line)
        if not gone and not quiet:
            out.append(line)
        if stop:
            break
    return "".join(f"{line}\n" for line in out)


def _sed_put(shell: Shell, match: Any, replacement: str) -> str:
    def one(part: re.Match[str]) -> str:
        if part[0] == "&":
            return str(match[0])
        if part[1].isdigit():
            return str(match[int(part[1])] or "")
        return "\n" if part[1] == "n" else part[1]

    put = re.sub(r"&|\\(.)", one, replacement, flags=re.DOTALL)
    shell.spend(len(put))
    return put


TABLE: dict[str, Command] = {"sed": sed}
