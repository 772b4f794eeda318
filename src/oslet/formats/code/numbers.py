"""Numbers: what a register holds at an instruction, looked for backwards through one function.

An answer is a set: of constants, of what the function was entered with (``Outside``, ``STACK``), and of ``UNKNOWN``.
Nothing is left out: whoever might jump to a place is followed, and what isn't understood is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Literal, NamedTuple, TypeAlias

from oslet.formats.code.sweep import Insn

UNKNOWN, STACK = "unknown", "the stack"
_MOST = 4000
"""Steps of one search."""

WIDE = {
    name: wide
    for wide, names in {
        "rax": "eax ax al ah", "rbx": "ebx bx bl bh", "rcx": "ecx cx cl ch", "rdx": "edx dx dl dh",
        "rsi": "esi si sil", "rdi": "edi di dil", "rbp": "ebp bp bpl", "rsp": "esp sp spl",
        **{f"r{n}": f"r{n}d r{n}w r{n}b" for n in range(8, 16)},
        **{f"x{n}": f"w{n}" for n in range(31)},
    }.items()
    for name in (wide, *names.split())
}  # fmt: skip
ARGUMENTS = {
    "x86_64": frozenset(["rdi", "rsi", "rdx", "rcx", "r8", "r9"]),
    "aarch64": frozenset(f"x{n}" for n in range(8)),
}
"""Registers that say something to who is called. What others hold then is none of a function's business."""
_LOST = {
    "x86_64": frozenset(["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"]),
    "aarch64": frozenset(f"x{n}" for n in range(19)),
}
"""Registers that a call may change."""
PADDING = frozenset(["nop", "nopw", "nopl", "xchg", "int3"])
_READERS = "cmp test push nop bt ucomiss ucomisd comiss comisd ret endbr64 leave prefetcht0 cmn tst"
_ONLY_READ = frozenset(_READERS.split())
_ALSO = {
    "cpuid": "rax rbx rcx rdx", "rdtsc": "rax rdx", "rdtscp": "rax rcx rdx", "xgetbv": "rax rdx",
    "syscall": "rax rcx r11",
    "cqo": "rdx", "cdq": "rdx", "cdqe": "rax", "cwde": "rax", "mul": "rax rdx", "div": "rax rdx", "idiv": "rax rdx",
    "cmpxchg": "rax", "svc": "x0", "leave": "rsp rbp", "lodsb": "rax rsi", "lodsd": "rax rsi", "lodsq": "rax rsi",
}  # fmt: skip
"""Registers that an instruction changes without naming them first."""
_SWAPS = ("xchg", "xadd")
_MOVES = frozenset(["mov", "movz", "movabs", "movsxd", "movzx", "sxtw", "uxtw"])
ENDS = frozenset(["ret", "jmp", "br", "b", "ud2", "hlt", "udf", "brk"])
_IMMEDIATE = re.compile(r"#?(-?0x[0-9a-f]+|-?\d+)\Z")
_ON_STACK = re.compile(r".*\[(rsp|rbp|sp|x29)(?: ([+-]) (0x[0-9a-f]+|\d+))?\]\Z")
_AMOUNT = re.compile(r"rsp, (-?0x[0-9a-f]+|-?\d+)\Z")


class Outside(NamedTuple):
    """A register as whoever comes to ``address`` from another function leaves it."""

    address: int
    register: str


class Cell(NamedTuple):
    """What lies at an address of the file."""

    address: int


class Function(NamedTuple):
    """One function's instructions, and by index who comes before each: -1 for who comes from outside."""

    machine: str
    insns: list[Insn]
    before: list[tuple[int, ...]]
    depths: list[int]


Value: TypeAlias = int | str | Outside | Cell
"""A constant; a register as it came; what lies in a cell; STACK, the first argument in memory; or UNKNOWN."""
Returns: TypeAlias = Callable[[int], bool]
"""Whether what begins at an address may return to who called it."""


def function(machine: str, insns: list[Insn], entered: Collection[int], returns: Returns) -> Function:
    """``entered`` are the addresses that other functions come to. To a place that nobody is seen to come to may come
    whoever jumps through a register, and the unwinder from any call."""
    at = {insn.address: index for index, insn in enumerate(insns)}
    before: list[list[int]] = [[] for _ in insns]
    for index, insn in enumerate(insns):
        if insn.kind == "jump" and insn.target in at:
            before[at[insn.target]].append(index)
        if index == 0 or insn.address in entered:
            before[index].append(-1)
        if index and _goes_on(insns[index - 1], returns):
            before[index].append(index - 1)
    dark = [index for index, insn in enumerate(insns) if insn.kind in ("jump through", "call", "call through")]
    for insn, comes in zip(insns, before, strict=True):
        if not comes and base(insn.mnemonic) not in PADDING:
            comes.extend([*dark, -1])
    return Function(machine, insns, [tuple(c) for c in before], _depths(insns, before))


def _goes_on(insn: Insn, returns: Returns) -> bool:
    return base(insn.mnemonic) not in ENDS and not (insn.kind == "call" and insn.target and not returns(insn.target))


def _depths(insns: list[Insn], before: list[list[int]]) -> list[int]:
    """How far the stack reaches below the return address before each instruction, by the first way there. x86-64."""
    after: list[list[int]] = [[] for _ in insns]
    for index, comes in enumerate(before):
        for source in comes:
            if source >= 0:
                after[source].append(index)
    depths = [0] * len(insns)
    todo, seen = [0], {0}
    while todo:
        at = todo.pop()
        insn, depth = insns[at], depths[at]
        if insn.mnemonic in ("push", "pop"):
            depth += 8 if insn.mnemonic == "push" else -8
        elif insn.mnemonic in ("sub", "add") and (amount := _AMOUNT.match(insn.operands)):
            depth += int(amount[1], 0) if insn.mnemonic == "sub" else -int(amount[1], 0)
        for following in after[at]:
            if following not in seen:
                seen.add(following)
                depths[following] = depth
                todo.append(following)
    return depths


def held(f: Function, index: int, register: str) -> frozenset[Value]:
    """What ``register`` may hold just before the instruction at ``index``."""
    found: set[Value] = set()
    todo = [(b, register, index) for b in f.before[index]]
    seen = set(todo)
    while todo:
        if len(seen) > _MOST:
            return frozenset({UNKNOWN})
        at, wanted, after = todo.pop()
        if at < 0:
            found.add(Outside(f.insns[after].address, wanted))
            continue
        for answer in _through(f, at, wanted):
            if answer[0] == "is":
                found.add(answer[1])
            else:
                steps = [(b, answer[1], at) for b in f.before[at]]
                todo.extend(step for step in steps if step not in seen)
                seen.update(steps)
    return frozenset(found)


def _through(f: Function, at: int, wanted: str) -> Iterator[tuple[Literal["is"], Value] | tuple[Literal["was"], str]]:
    """What an instruction does for the search: answers, and registers to look for before it."""
    insn = f.insns[at]
    name = base(insn.mnemonic)
    first, _, rest = insn.operands.partition(", ")
    if insn.kind.startswith("call"):
        yield ("is", UNKNOWN) if wanted in _LOST[f.machine] else ("was", wanted)
    elif wanted in _ALSO.get(name, "").split() or (
        name in ("xchg", "xadd") and wanted in (WIDE.get(rest), WIDE.get(first))
    ):
        yield "is", UNKNOWN
    elif WIDE.get(first) != wanted or name in _ONLY_READ or insn.kind.startswith("jump"):
        yield "was", wanted
    elif name in ("xor", "sub", "eor") and rest in (first, f"{first}, {first}"):
        yield "is", 0
    elif name in _MOVES and (number := _IMMEDIATE.match(rest)):
        yield "is", int(number[1], 0) & 0xFFFFFFFF
    elif name in _MOVES and rest in WIDE:
        yield "was", WIDE[rest]
    elif name.startswith("cmov") and rest in WIDE:
        yield "was", wanted
        yield "was", WIDE[rest]
    elif name == "csel" and len(either := rest.split(", ")) == 3:
        for register in either[:2]:
            yield ("is", 0) if register in ("wzr", "xzr") else ("was", WIDE[register])
    elif name == "mov" and (place := _ON_STACK.match(rest)) and _argument(place, f.depths[at]):
        yield "is", STACK
    elif name in ("mov", "ldr") and insn.kind == "name":
        yield "is", Cell(insn.target)
    else:
        yield "is", UNKNOWN


def _argument(place: re.Match[str], depth: int) -> bool:
    """Whether a place on the stack is the first that the caller filled: just above the return address."""
    offset = int(place[3], 0) if place[3] else 0
    return (place[1] == "rsp" and offset == depth + 8) or (place[1] == "rbp" and offset == 16)


def pushed(f: Function, index: int) -> frozenset[Value]:
    """What lies on top of the stack just before the instruction at ``index``, a call."""
    at = index
    for _ in range(40):
        if len(f.before[at]) != 1 or f.before[at][0] < 0:
            break
        at = f.before[at][0]
        insn = f.insns[at]
        first, _, rest = insn.operands.partition(", ")
        written = insn.operands if insn.mnemonic == "push" else rest
        if insn.mnemonic == "push" or (insn.mnemonic == "mov" and first.endswith(("[rsp]",))):
            if number := _IMMEDIATE.match(written):
                return frozenset({int(number[1], 0)})
            place = _ON_STACK.match(written)
            if place and _argument(place, f.depths[at]):
                return frozenset({STACK})
            return held(f, at, WIDE[written]) if written in WIDE else frozenset({UNKNOWN})
        if insn.kind in ("name", "jump"):
            continue
        if insn.kind or insn.mnemonic == "pop" or (insn.mnemonic in ("sub", "add") and first == "rsp"):
            break
    return frozenset({UNKNOWN})


def base(mnemonic: str) -> str:
    """An instruction's name without a prefix."""
    return mnemonic.rpartition(" ")[2]
