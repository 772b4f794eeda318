"""Programs that turn text into text, as far as maintainer scripts use them; an option beyond that is Unreadable."""

from __future__ import annotations

import hashlib
import re
from itertools import groupby
from typing import Any

from oslet.build.scripts.own import unescape
from oslet.build.scripts.shell import Command, Shell

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "digit": "0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z",
    "blank": " \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9a-fA-F", "print": r"\x20-\x7e",
}  # fmt: skip
_PATTERN_MEMORY = 8 << 20
_MAX_RANGES = 100


def options(shell: Shell, args: list[str], flags: str, valued: str = "") -> tuple[dict[str, list[str]], list[str]]:
    """Short options as in getopt(3): name → values, and the operands. Raises Unreadable for an unknown one."""
    found: dict[str, list[str]] = {}
    operands: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return found, operands + rest
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in LONG:
                found.setdefault(LONG[name], []).append(
                    value if equals else (rest.pop(0) if LONG[name] in valued else "")
                )
                continue
            raise shell.unreadable(None, f"{word} isn't understood")
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                if not letters and not rest:
                    raise shell.unreadable(None, f"-{letter} lacks its value")
                found.setdefault(letter, []).append(letters or rest.pop(0))
                letters = ""
            elif letter in flags:
                found.setdefault(letter, []).append("")
            else:
                raise shell.unreadable(None, f"-{letter} isn't understood")
    return found, operands


LONG = {
    "quiet": "q", "silent": "q", "invert-match": "v", "extended-regexp": "E", "fixed-strings": "F", "expression": "e",
    "ignore-case": "i", "mode": "m", "parents": "p", "recursive": "R", "force": "f", "verbose": "v", "owner": "o",
    "group": "g", "directory": "d", "preserve": "p", "no-dereference": "h", "symbolic": "s", "archive": "a",
    "word-regexp": "w", "line-regexp": "x", "count": "c", "in-place": "i", "regexp-extended": "r", "no-messages": "s",
    "no-clobber": "n", "reference": "r", "changes": "c",
}  # fmt: skip


def regex(shell: Shell, text: str, *, extended: bool) -> str:
    """A POSIX regular expression as one of Python's (XBD 9)."""
    if len(text) > 1000:
        raise shell.unreadable(None, "a regular expression that is too long")
    out = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "[":
            end = text.find("]", at + 2 + text.startswith("[^", at))
            while end > 0 and text.rfind("[:", at, end) > text.rfind(":]", at, end) and text[end - 1] == ":":
                end = text.find("]", end + 1)
            if end < 0:
                raise shell.unreadable(None, "a regular expression with an open bracket")
            inside = text[at + 1 : end]
            inside = inside.replace("\\", "\\\\").replace("[", "\\[")
            inside = re.sub(r"\\\[:(\w+):\]?", lambda m: _CLASSES.get(m[1], ""), inside)
            out += f"[{inside}]"
            at = end + 1
            continue
        if char == "\\" and at + 1 < len(text):
            following = text[at + 1]
            at += 2
            if not extended and following in "(){}|+?":
                out += following
            elif following in "<>":
                out += r"\b"
            else:
                out += "\\" + following
            continue
        if not extended and char in "(){}|+?":
            out += "\\" + char
        elif char == "*" and out in ("", "^"):
            out += r"\*"
        else:
            out += char
        at += 1
    return out


def compiled(shell: Shell, pattern: str, *, ignore_case: bool = False) -> Any:
    """A pattern, ready to search with, in time that grows with the text only. Raises Unreadable for what is none.

    RE2's: Python's own matcher backtracks, so that eleven characters can keep it busy for ever.
    """
    import re2

    options = re2.Options()
    options.log_errors, options.case_sensitive, options.max_mem = False, not ignore_case, _PATTERN_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise shell.unreadable(None, "a regular expression that isn't understood") from None


def sources(shell: Shell, paths: list[str]) -> list[str] | None:
    """The texts of the operands, or standard input; None when one is missing."""
    if not paths:
        return [shell.input.all()]
    texts = []
    for path in paths:
        if path == "-":
            texts.append(shell.input.all())
        elif path == "/dev/null":
            texts.append("")
        elif shell.install.is_file(shell.path(path)):
            texts.append(shell.install.text(shell.path(path)))
        else:
            return None
    return texts


def _grep(shell: Shell, args: list[str], *, extended: bool = False, fixed: bool = False) -> int:
    found, operands = options(shell, args, "qEFGvwxicshlnHo", "em")
    patterns = found.get("e") or [operands.pop(0)]
    extended, fixed = extended or "E" in found, fixed or "F" in found
    body = "|".join(re.escape(p) if fixed else regex(shell, p, extended=extended) for p in patterns)
    if "w" in found:
        body = rf"(?:^|\W)({body})(?:\W|$)"
    search = compiled(shell, rf"({body})" if "x" not in found else rf"^({body})$", ignore_case="i" in found).search
    part = 2 if "w" in found else 1
    texts = sources(shell, operands)
    if texts is None:
        return 2
    hits = []
    for text in texts:
        for line in text.splitlines():
            shell.spend(len(line))
            match = search(line)
            if (match is None) == ("v" in found):
                hits.append(match[part] if "o" in found and match else line)
    if "c" in found:
        shell.write(f"{len(hits)}\n")
    elif "l" in found and hits:
        shell.write("\n".join(operands) + "\n")
    elif "q" not in found:
        shell.write("".join(f"{line}\n" for line in hits))
    return 0 if hits else 1


def _egrep(shell: Shell, args: list[str]) -> int:
    return _grep(shell, args, extended=True)


def _fgrep(shell: Shell, args: list[str]) -> int:
    return _grep(shell, args, fixed=True)


def _plain_grep(shell: Shell, args: list[str]) -> int:
    return _grep(shell, args)


def _cat(shell: Shell, args: list[str]) -> int:
    texts = sources(shell, [a for a in args if a == "-" or not a.startswith("-")])
    shell.write("".join(texts or []))
    return 0 if texts is not None else 1


def _cut(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "s", "dfc")
    mark = (found.get("d") or ["\t"])[0]
    ranges = []
    for part in (found.get("f") or found.get("c") or ["1"])[0].split(","):
        low, dash, high = part.partition("-")
        ranges.append((int(low or 1), int(high or 10**6) if dash else int(low)))
    if len(ranges) > _MAX_RANGES:
        raise shell.unreadable(None, "too many ranges")
    for text in sources(shell, operands) or []:
        for line in text.splitlines():
            cells = list(line) if "c" in found else line.split(mark)
            shell.spend(len(line) * len(ranges))
            kept = [c for i, c in enumerate(cells, 1) if any(a <= i <= b for a, b in ranges)]
            shell.write(
                line + "\n" if len(cells) == 1 and "f" in found else ("" if "c" in found else mark).join(kept) + "\n"
            )
    return 0


def _tr(shell: Shell, args: list[str]) -> int:
    found, sets = options(shell, args, "ds")

    def spread(text: str) -> str:
        text = re.sub(r"\[:(\w+):\]", lambda m: _CLASSES[m[1]].replace(r"\s", " \t\n"), unescape(text))
        return re.sub(r"(.)-(.)", lambda m: "".join(chr(c) for c in range(ord(m[1]), ord(m[2]) + 1)), text)

    text = shell.input.all()
    first = spread(sets[0])
    if "d" in found:
        shell.write(text.translate(dict.fromkeys(map(ord, first))))
        return 0
    second = spread(sets[1]) if len(sets) > 1 else first
    second += second[-1:] * (len(first) - len(second))
    text = text.translate({ord(a): b for a, b in zip(first, second)})
    shell.write(re.sub(f"([{re.escape(second)}])\\1+", r"\1", text) if "s" in found else text)
    return 0


def _head(shell: Shell, args: list[str]) -> int:
    return _part(shell, args, last=False)


def _tail(shell: Shell, args: list[str]) -> int:
    return _part(shell, args, last=True)


def _part(shell: Shell, args: list[str], *, last: bool) -> int:
    args = [re.sub(r"^-(\d+)$", r"-n\1", a) for a in args]
    found, operands = options(shell, args, "q", "n")
    count = (found.get("n") or ["10"])[0]
    texts = sources(shell, operands)
    if texts is None or not count.isdigit():
        return 1
    lines = "".join(texts).splitlines()
    shell.write("".join(f"{x}\n" for x in (lines[-int(count) :] if last and int(count) else lines[: int(count)])))
    return 0


def _sort(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "urVn")
    lines = "".join(sources(shell, operands) or []).splitlines()
    lines = sorted(set(lines) if "u" in found else lines, reverse="r" in found)
    shell.write("".join(f"{x}\n" for x in lines))
    return 0


def _uniq(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "cdu")
    lines = "".join(sources(shell, operands) or []).splitlines()
    for line, run in ((line, len(list(run))) for line, run in groupby(lines)):
        if ("d" not in found or run > 1) and ("u" not in found or run == 1):
            shell.write(f"{run:7} {line}\n" if "c" in found else f"{line}\n")
    return 0


def _wc(shell: Shell, args: list[str]) -> int:
    found, operands = options(shell, args, "lwc")
    text = "".join(sources(shell, operands) or [])
    shell.write(f"{text.count(chr(10)) if 'l' in found else len(text.split()) if 'w' in found else len(text)}\n")
    return 0


def _awk(shell: Shell, args: list[str]) -> int:
    """Only ``{print $N}`` and ``/re/ {print $N}``."""
    found, operands = options(shell, args, "", "Fv")
    match = re.fullmatch(r"\s*(?:/((?:[^/\\]|\\.)*)/)?\s*\{\s*print\s*(?:\$(\d+|NF))?\s*;?\s*\}\s*", operands.pop(0))
    if match is None or "v" in found:
        raise shell.unreadable(None, "an awk program that isn't understood")
    wanted = compiled(shell, regex(shell, match[1], extended=True)) if match[1] else None
    for line in "".join(sources(shell, operands) or []).splitlines():
        shell.spend(len(line))
        if wanted is not None and not wanted.search(line):
            continue
        cells = line.split((found.get("F") or [None])[0])  # type: ignore[list-item]
        index = len(cells) if match[2] == "NF" else int(match[2] or 0)
        shell.write((line if index == 0 else cells[index - 1] if index <= len(cells) else "") + "\n")
    return 0


def _basename(shell: Shell, args: list[str]) -> int:
    name = args[0].rstrip("/").rpartition("/")[2] or "/"
    shell.write((name.removesuffix(args[1]) if len(args) > 1 else name) + "\n")
    return 0


def _dirname(shell: Shell, args: list[str]) -> int:
    head = args[0].rstrip("/").rpartition("/")
    shell.write((head[0] or ("/" if head[1] else ".")) + "\n")
    return 0


def _seq(shell: Shell, args: list[str]) -> int:
    numbers = [int(a) for a in args]
    first = numbers[0] if len(numbers) > 1 else 1
    step = numbers[1] if len(numbers) > 2 else 1
    if not step or abs(numbers[-1] - first) > 10_000:
        raise shell.unreadable(None, "a sequence that is too long")
    shell.write("".join(f"{n}\n" for n in range(first, numbers[-1] + (1 if step > 0 else -1), step)))
    return 0


def _digest(name: str) -> Command:
    def run(shell: Shell, args: list[str]) -> int:
        texts = sources(shell, args)
        if texts is None:
            return 1
        for index, text in enumerate(texts):
            data = shell.install.data(shell.path(args[index])) if args else text.encode()
            shell.write(f"{hashlib.new(name, data).hexdigest()}  {args[index] if args else '-'}\n")
        return 0

    return run


def _expr(shell: Shell, args: list[str]) -> int:
    if len(args) == 3 and args[1] == ":":
        pattern = compiled(shell, regex(shell, args[2], extended=False))
        match = pattern.match(args[0])
        result = (match[1] or "" if pattern.groups else str(match.end())) if match else "0"
        shell.write(f"{result}\n")
        return 0 if result not in ("", "0") else 1
    value = shell.arithmetic(" ".join(args), shell.node)  # type: ignore[arg-type]
    shell.write(f"{value}\n")
    return 0 if value != "0" else 1


TABLE: dict[str, Command] = {
    "grep": _plain_grep, "egrep": _egrep, "fgrep": _fgrep, "cat": _cat, "cut": _cut, "tr": _tr,
    "head": _head, "tail": _tail, "sort": _sort, "uniq": _uniq, "wc": _wc, "awk": _awk, "mawk": _awk,
    "basename": _basename, "dirname": _dirname, "seq": _seq, "expr": _expr, "md5sum": _digest("md5"),
    "sha1sum": _digest("sha1"),
    "sha256sum": _digest("sha256"),
}  # fmt: skip
