"""find(1), as far as maintainer scripts use it: tests joined by and, or, not and parentheses; then one action."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import TypeAlias

from oslet.build.scripts.shell import Command, Shell
from oslet.build.scripts.texts import compiled, regex
from oslet.build.scripts.words import matches
from oslet.model.tree import Entry

MAX_WORDS = 200
MAX_FORM = 1000
"""Words of one find, and characters of what it prints of each entry."""
Test: TypeAlias = Callable[[Entry, str], bool]
"""Whether an entry, spelled so, is meant."""


def find(shell: Shell, args: list[str]) -> int:
    roots = []
    while args and not args[0].startswith(("-", "(", "!")):
        roots.append(args.pop(0))
    wanted = _Wanted(shell, args[:MAX_WORDS])
    files = shell.install.files
    for root in roots or ["."]:
        base = files.resolve(shell.path(root))
        for entry in sorted(files, key=lambda e: e.path, reverse=wanted.deletes):
            if entry.path != base and not entry.path.startswith(f"{base.rstrip('/')}/"):
                continue
            shell.spend()
            spelled = root + entry.path[len(base) :]
            if not wanted.least <= entry.path[len(base) :].count("/") <= wanted.most or not wanted.test(entry, spelled):
                continue
            if wanted.deletes:
                shell.install.remove(entry.path, shell.evidence())
            else:
                shell.write(wanted.form.replace("%f", posixpath.basename(entry.path)).replace("%p", spelled))
    return 0


class _Wanted:
    """What the words after the roots say: depths, a test, what is printed of each, or that it is deleted."""

    def __init__(self, shell: Shell, words: list[str]) -> None:
        self.shell = shell
        self.words = words
        self.least, self.most = 0, 10**6
        self.form = "%p\n"
        self.deletes = False
        self.test = self._either()
        if self.words:
            raise self._strange(self.words[0])

    def _strange(self, word: str) -> Exception:
        return self.shell.unreadable(None, f"find's {word} isn't understood")

    def _take(self) -> str:
        if not self.words:
            raise self._strange("end")
        return self.words.pop(0)

    def _either(self) -> Test:
        tests = [self._all()]
        while self.words and self.words[0] in ("-o", "-or"):
            self._take()
            tests.append(self._all())
        return lambda entry, spelled: any(t(entry, spelled) for t in tests)

    def _all(self) -> Test:
        tests = []
        while self.words and self.words[0] not in (")", "-o", "-or"):
            if self.words[0] in ("-a", "-and"):
                self._take()
            tests.append(self._one())
        return lambda entry, spelled: all(t(entry, spelled) for t in tests)

    def _one(self) -> Test:
        word = self._take()
        if word in ("!", "-not"):
            inner = self._one()
            return lambda entry, spelled: not inner(entry, spelled)
        if word == "(":
            group = self._either()
            if self._take() != ")":
                raise self._strange("(")
            return group
        if word in ("-mindepth", "-maxdepth", "-printf", "-print", "-delete", "-xdev", "-mount", "-depth"):
            self._option(word)
            return lambda entry, spelled: True
        return self._plain(word)

    def _option(self, word: str) -> None:
        if word in ("-mindepth", "-maxdepth"):
            setattr(self, "least" if word == "-mindepth" else "most", int(self._take()))
        elif word == "-printf":
            self.form = self._take().replace("\\n", "\n")
            if set(re.findall(r"%(.)", self.form)) - {"f", "p"} or "\\" in self.form or len(self.form) > MAX_FORM:
                raise self._strange(word)
        elif word == "-delete":
            self.deletes = True

    def _plain(self, word: str) -> Test:
        files = self.shell.install.files
        if word == "-empty":
            return lambda entry, spelled: not entry.size and not files.names(entry.path)
        value = self._take()
        if word == "-type":
            kind = {"f": "file", "d": "dir", "l": "link"}.get(value)
            return lambda entry, spelled: entry.kind == kind
        if word == "-name":
            return lambda entry, spelled: matches(posixpath.basename(entry.path), value)
        if word == "-path":
            return lambda entry, spelled: matches(spelled, value)
        if word == "-regex":
            pattern = compiled(self.shell, regex(self.shell, value, extended=False))
            return lambda entry, spelled: bool(pattern.fullmatch(spelled))
        raise self._strange(word)


TABLE: dict[str, Command] = {"find": find}
