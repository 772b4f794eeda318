"""A graph of one file's functions: who reaches whom, and which system calls each makes by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oslet.formats.code import numbers
from oslet.formats.code.names import by_number
from oslet.formats.code.numbers import STACK, Function, Outside, base
from oslet.formats.code.sweep import SYSCALL, Code, Insn
from oslet.formats.code.tables import Tables

NUMBER = {"x86_64": "rax", "aarch64": "x8"}
"""The register that says which call is meant: syscall(2)."""
FIRST = {"x86_64": "rdi", "aarch64": "x0"}
"""The register of a function's first argument, in which ``syscall(3)`` gets the number."""
BY_NUMBER = "syscall"
_DEEP = 12
"""How many callers up a number is followed, and how many calls down one that may not return."""
_IDS = frozenset(["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups"])
"""The calls that C libraries make in every thread, by a number and three ids that lie in memory."""
_ID_FIELDS = {
    "x86_64": (
        {"eax, dword ptr [{}]", "rdi, qword ptr [{} + 8]", "rsi, qword ptr [{} + 0x10]", "rdx, qword ptr [{} + 0x18]"},
        {"rax, dword ptr [{} + 0xc]", "rdi, dword ptr [{}]", "rsi, dword ptr [{} + 4]", "rdx, dword ptr [{} + 8]"},
    ),
    "aarch64": (
        {"x8, [{}]", "x0, x1, [{}, #8]", "x2, [{}, #0x18]"},
        {"x8, [{}, #0xc]", "x0, [{}]", "x1, x2, [{}, #4]"},
    ),
}
"""How they are taken from there: glibc's ``struct xid_command`` (nptl), musl's ``struct ctx`` (setxid.c)."""
_EFFORT = 3_000_000
"""The same for all calls of a file."""
_ASKS = 20_000
"""How many callers are asked for the numbers of a file's calls, before they can't be told."""
_SEARCHES = 12
"""How often a file is searched for who comes to an address, before all of it is read."""
_PATIENCE = 3000
"""Instructions that are read for whether one call returns; it may, after that."""


class Site(NamedTuple):
    """Where a number is given to the kernel, or to ``syscall(3)``: a function, an index in it (``at``), a register."""

    start: int
    at: int
    register: str


class Own(NamedTuple):
    """What functions do by themselves: ``calls`` numbers by function; ``dark``, the functions that give the kernel a
    number which can't be told, with where; ``given``, those that give it what they are called with."""

    calls: dict[int, set[int]]
    dark: dict[int, int]
    given: set[int]


class Graph:
    """A file's functions. ``whole`` reads them all, and then ``reach`` can be asked; else only those that matter."""

    def __init__(self, code: Code, *, whole: bool) -> None:
        self.code = code
        self.tables: Tables = code.tables
        self.functions: dict[int, list[Insn]] = {}
        self._whole = whole or code.machine != "x86_64"
        self._entered: dict[int, list[tuple[int, int]]] = {}
        self._named: set[int] = set()
        self._edges: dict[int, set[int]] = {}
        self._asked: set[int] = set()
        self._returns: dict[int, bool] = {}
        self._patience = 0
        self._effort = _EFFORT
        self._asks = 0
        self._made: dict[int, Function] = {}
        self._exported = {*self.tables.exports.values(), *self.tables.pointers.values()}
        if self._whole:
            for start in self._all():
                self._read(start)

    def _all(self) -> list[int]:
        return [start for start in self.code.starts if self.code.runs(start)]

    def _read(self, start: int) -> list[Insn]:
        """A function's instructions; where they lead to is noted when they are first read."""
        if start not in self.functions:
            self.functions[start] = self.code.instructions(start)
            for index, insn in enumerate(self.functions[start]):
                if insn.kind in ("call", "jump") and self.code.function(insn.target) != start:
                    self._entered.setdefault(insn.target, []).append((start, index))
                elif insn.kind == "name":
                    self._named.add(insn.target)
        return self.functions[start]

    def _sources(self, address: int) -> list[tuple[int, int]]:
        """The functions, and places in them, that call or jump to an address of another."""
        if not self._whole and address not in self._asked:
            self._asked.add(address)
            many = len(self._asked) > _SEARCHES
            self._whole = many
            for start in self._all() if many else self.code.near(frozenset({address})):
                self._read(start)
        return self._entered.get(address, [])

    def sites(self) -> Iterator[Site]:
        """Where system calls are made. A slot of ``syscall(3)`` counts where another file defines it."""
        machine = self.code.machine
        slots = frozenset(at for at, name in self.tables.slots.items() if name == BY_NUMBER)
        if BY_NUMBER in self.tables.exports:
            slots = frozenset()
        if not self._whole:
            for start in {*self.code.holding(SYSCALL[machine]), *(self.code.near(slots) if slots else ())}:
                self._read(start)
        for start, insns in list(self.functions.items()):
            named = False
            for index, insn in enumerate(insns):
                if insn.mnemonic in ("syscall", "svc"):
                    yield Site(start, index, NUMBER[machine])
                elif insn.target in slots and machine == "aarch64":
                    named = True
                elif insn.target in slots and insn.kind == "jump through" and (stub := _stub(insns, index)):
                    yield from self._callers(start, index, stub)
                elif insn.target in slots and insn.kind.endswith("through"):
                    yield Site(start, index, FIRST[machine])
                elif insn.target in slots:
                    yield from self._uses(start, index, insn)
                elif named and insn.kind.endswith("through"):
                    stub = _stub(insns, index - 3) if insn.kind == "jump through" else ()
                    if stub:
                        yield from self._callers(start, index, stub)
                    else:
                        yield Site(start, index, FIRST[machine])
                    named = False

    def _callers(self, start: int, index: int, stub: tuple[int, ...]) -> Iterator[Site]:
        """Who calls the linker's stub that jumps on at an index of a function."""
        for address in stub:
            yield from (Site(*source, FIRST[self.code.machine]) for source in self._sources(address))
            if address in self._named:
                yield Site(start, index, numbers.UNKNOWN)

    def _uses(self, start: int, index: int, taken: Insn) -> Iterator[Site]:
        """What is done with an address that is taken into a register: called, or kept for nobody knows what."""
        made, register = self._function(start), numbers.WIDE.get(taken.operands.partition(", ")[0], "")
        if taken.mnemonic != "mov" or not register:
            yield Site(start, index, numbers.UNKNOWN)
        for at, insn in enumerate(made.insns):
            source = insn.operands.rpartition(", ")[2]
            used = source == register and (insn.kind.endswith("through") or insn.mnemonic in ("mov", "push"))
            if used and numbers.Cell(taken.target) in numbers.held(made, at, register):
                yield Site(start, at, FIRST[self.code.machine] if insn.kind else numbers.UNKNOWN)

    def own(self) -> Own:
        own = Own({}, {}, set())
        for site in self.sites():
            if site.register == numbers.UNKNOWN:
                own.dark[site.start] = self.functions[site.start][site.at].address
                continue
            if site.register == NUMBER[self.code.machine] and _of_ids(self.functions[site.start], site.at):
                ids = {number for number, name in by_number(self.code.machine).items() if name in _IDS}
                own.calls.setdefault(site.start, set()).update(ids)
                continue
            self._take(own, site, numbers.held(self._function(site.start), site.at, site.register), set())
        return own

    def _take(self, own: Own, at: Site, values: Iterable[numbers.Value], seen: set[object]) -> None:
        """Credit values to the function that says them; what it was entered with is for others to say."""
        for value in values:
            if isinstance(value, int):
                own.calls.setdefault(at.start, set()).add(value)
            elif value == numbers.UNKNOWN or isinstance(value, numbers.Cell) or len(seen) > _DEEP or self._asks > _ASKS:
                own.dark[at.start] = self.functions[at.start][at.at].address
            elif (value, at.start) not in seen:
                self._ask(own, at.start, value, {*seen, (value, at.start)})

    def _ask(self, own: Own, start: int, value: numbers.Value, seen: set[object]) -> None:
        """What others enter a function with."""
        self._asks += 1
        address = value.address if isinstance(value, Outside) else self.functions[start][0].address
        says = value == STACK or (isinstance(value, Outside) and value.register in numbers.ARGUMENTS[self.code.machine])
        if says and address in self._exported:
            own.given.add(start)
        for source, index in self._sources(address):
            made = self._function(source)
            if made.insns[index].kind == "call" and not says:
                continue
            if isinstance(value, Outside):
                found = numbers.held(made, index, value.register)
            else:
                found = numbers.pushed(made, index)
            self._take(own, Site(source, index, ""), found, seen)

    def _leads(self, start: int) -> set[int]:
        """The functions that one leads to: called, jumped to, or named."""
        if start not in self._edges:
            cells = (self._cell(self._beyond(insn)) for insn in self._read(start) if insn.target and insn.kind)
            self._edges[start] = {self.code.function(c) for c in cells if c is not None and self.code.runs(c)}
        return self._edges[start]

    def _beyond(self, insn: Insn) -> int:
        """Where an instruction leads: by way of a linker's stub, the cell that it jumps through."""
        target = insn.target
        if insn.kind not in ("call", "jump") or not self.code.runs(target) or self.code.function(target) == target:
            return target
        insns = self._read(self.code.function(target))
        index = next((i for i, each in enumerate(insns) if each.address == target), len(insns))
        for each in insns[index : index + 4]:
            if each.target and each.kind in ("jump through", "name"):
                return each.target
            if each.kind or base(each.mnemonic) not in ("endbr64", "bti", "adrp", "nop"):
                break
        return target

    def _cell(self, address: int) -> int | None:
        """The code at an address, or whose address lies there; None for another file's."""
        if (pointed := self.tables.pointers.get(address)) is not None:
            return pointed
        if (name := self.tables.slots.get(address)) is not None:
            return self.tables.exports.get(name)
        return address

    def reach(self, roots: Iterable[int]) -> set[int]:
        """The functions that ``roots``, addresses, lead to, they among them."""
        found = {self.code.function(r) for r in roots if self.code.runs(r)}
        todo = list(found)
        while todo:
            new = self._leads(todo.pop()) - found
            found |= new
            todo.extend(new)
        return found

    def _function(self, start: int) -> Function:
        if start not in self._made:
            insns = self._read(start)
            entered = {i.address for i in insns if i.address in self._entered}
            self._made[start] = numbers.function(self.code.machine, insns, entered, self.returns)
        return self._made[start]

    def returns(self, address: int) -> bool:
        """Whether the function at ``address`` may return to who called it; True where that can't be told."""
        self._patience = _PATIENCE
        return self._ends(address, ())[0]

    def _ends(self, address: int, above: tuple[int, ...]) -> tuple[bool, bool]:
        """Whether it may return, and whether that is certain: one that calls itself waits for its own answer."""
        if address in self._returns:
            return self._returns[address], True
        if address in above:
            return False, False
        start = self.code.function(address)
        if not self.code.runs(address) or len(above) > _DEEP or self._patience < 0 or self._effort < 0:
            return True, False
        insns = self._read(start)
        at = {insn.address: index for index, insn in enumerate(insns)}
        if address not in at:
            return True, True
        todo, seen, certain = [at[address]], {at[address]}, True
        while todo:
            index = todo.pop()
            self._patience -= 1
            self._effort -= 1
            goes, sure, ends = self._after(insns, index, at, (*above, address))
            certain = certain and sure
            if ends:
                if sure:
                    self._returns[address] = True
                return True, sure
            todo.extend(n for n in goes if n not in seen)
            seen.update(goes)
        if certain:
            self._returns[address] = False
        return False, certain

    def _after(
        self, insns: list[Insn], index: int, at: dict[int, int], above: tuple[int, ...]
    ) -> tuple[list[int], bool, bool]:
        """Where an instruction goes on within its function, whether that is certain, and whether it returns."""
        insn = insns[index]
        name = base(insn.mnemonic)
        following = [index + 1] if index + 1 < len(insns) else []
        if name == "ret" or insn.kind == "jump through":
            return [], True, True
        if name in ("ud2", "hlt", "udf", "brk"):
            return [], True, False
        if insn.kind == "call":
            returns, certain = self._ends(insn.target, above)
            return (following if returns else []), certain, returns and not following
        if insn.kind == "jump":
            goes = [] if name in ("jmp", "b") else following
            if insn.target in at:
                return [*goes, at[insn.target]], True, False
            returns, certain = self._ends(insn.target, above)
            return goes, certain, returns
        return following, True, not following


def _of_ids(insns: list[Insn], index: int) -> bool:
    """Whether the call at ``index`` takes its number and arguments out of a ``struct xid_command``."""
    read = {i.operands for i in insns[max(0, index - 8) : index] if i.mnemonic.startswith(("mov", "ld"))}
    machine = "x86_64" if insns[index].mnemonic == "syscall" else "aarch64"
    registers = {m for operands in read for m in re.findall(r"\[(\w+)", operands)}
    shapes = [{field.format(r) for field in fields} for fields in _ID_FIELDS[machine] for r in registers]
    return any(shape <= read for shape in shapes)


def _stub(insns: list[Insn], index: int) -> tuple[int, ...]:
    """Where a linker's stub begins whose jump, or first step, is at ``index``; nothing where it is none."""
    if index > 0 and insns[index - 1].mnemonic in ("endbr64", "bti"):
        return (insns[index - 1].address, insns[index].address)
    before = base(insns[index - 1].mnemonic) if index > 0 else "ret"
    return (insns[index].address,) if before in numbers.ENDS or before in numbers.PADDING else ()
