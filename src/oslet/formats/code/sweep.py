"""Functions of an ELF file as instructions, and where each leads. By capstone; x86-64 and AArch64."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, NamedTuple

from oslet.formats.code.tables import Tables

SYSCALL = {"x86_64": b"\x0f\x05", "aarch64": b"\x01\x00\x00\xd4"}
"""The instruction by which a program calls the kernel: ``syscall``, ``svc #0``."""
_LARGEST = 16 << 10
"""Bytes of a function, on the average, above which a file's table of functions is not one."""
_FAR = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")
_NUMBER = re.compile(r"#?(-?0x[0-9a-f]+|-?\d+)\Z")
_PAGE = re.compile(r"(x\d+), #(0x[0-9a-f]+|\d+)\Z")
_LOW = re.compile(r"\w+, (?:\[(x\d+), #(0x[0-9a-f]+|\d+)\]|(x\d+), #(0x[0-9a-f]+|\d+)\Z)")
_JUMPS = ("b", "cbz", "cbnz", "tbz", "tbnz")


class Insn(NamedTuple):
    """One instruction. ``target`` is the address that it jumps to, calls or names, 0 for none; ``kind`` is how."""

    address: int
    size: int
    mnemonic: str
    operands: str
    kind: str = ""
    target: int = 0


class Code:
    """The executable parts of one file, cut into functions."""

    def __init__(self, tables: Tables) -> None:
        import capstone

        self.tables = tables
        self.machine = tables.machine
        if self.machine == "x86_64":
            self._reader: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        else:
            self._reader = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        self._reader.skipdata = True  # what is no instruction is passed over, one byte or word at a time
        self._running = [s for s in tables.segments if s.runs]
        # GNU's linker puts constants behind the code, in the same segment: the table of functions is among them.
        if tables.ends and any(s.address <= tables.frame < s.address + len(s.data) for s in self._running):
            self._running = [s._replace(data=s.data[: max(0, tables.ends - s.address)]) for s in self._running]
        bounds = {a for s in self._running for a in (s.address, s.address + len(s.data))}
        pointed = {*tables.pointers.values(), *tables.begins}
        bounds |= {tables.ends} if self.runs(tables.ends) else set()
        self.starts = sorted(bounds | {a for a in (*pointed, *tables.starts) if self.runs(a)})

        if sum(len(s.data) for s in self._running) > _LARGEST * len(self.starts):
            self._find()

    def runs(self, address: int) -> bool:
        """Whether an instruction may stand there."""
        if self.machine == "aarch64" and address % 4:
            return False
        return any(s.address <= address < s.address + len(s.data) for s in self._running)

    def _find(self) -> None:
        """Functions of a file that has no table of them: whatever is called, or whose address is named."""
        found = set()
        for start in [s for s in self.starts if self.runs(s)]:
            found |= {i.target for i in self.instructions(start) if i.kind in ("call", "name")}
        self.starts = sorted({*self.starts, *(a for a in found if self.runs(a))})

    def function(self, address: int) -> int:
        """The first address of the function that holds ``address``."""
        return self.starts[bisect_right(self.starts, address) - 1]

    def holding(self, pattern: bytes) -> list[int]:
        """The functions whose bytes hold ``pattern``."""
        found = {}
        for segment in self._running:
            at = segment.data.find(pattern)
            while at >= 0:
                found[self.function(segment.address + at)] = True
                at = segment.data.find(pattern, at + 1)
        return list(found)

    def instructions(self, start: int) -> list[Insn]:
        """The instructions of the function that begins at ``start``, in the order of their addresses."""
        end = self.starts[bisect_right(self.starts, start)]
        segment = next(s for s in self._running if s.address <= start < s.address + len(s.data))
        raw = segment.data[start - segment.address : end - segment.address]
        if raw[:1] == b"\0" and self.machine == "x86_64":  # a signal's trampoline: its unwinding begins a byte early
            start, raw = start + 1, raw[1:]
        lead = _lead_x86 if self.machine == "x86_64" else _Arm()
        return [
            Insn(at, size, name, words, *lead(at, size, name, words))
            for at, size, name, words in self._reader.disasm_lite(raw, start)
        ]

    def near(self, targets: frozenset[int]) -> set[int]:
        """The functions in which an instruction may call, jump to or name one of ``targets``, by distance. x86-64."""
        found = set()
        for segment in self._running:
            for shift in range(4):
                size = (len(segment.data) - shift) // 4 * 4
                words = memoryview(segment.data)[shift : shift + size].cast("i")
                ends = segment.address + shift + 4
                wanted = {t - ends for t in targets}
                hits = [at for at, word in zip(range(0, size, 4), words, strict=True) if word + at in wanted]
                found |= {self.function(ends - 4 + at) for at in hits}
        return found


def _lead_x86(address: int, size: int, mnemonic: str, operands: str) -> tuple[str, int]:
    name = mnemonic.rpartition(" ")[2]  # without a prefix, as in "bnd jmp"
    if name[0] == "j" or name == "call":
        kind = "call" if name == "call" else "jump"
        if _NUMBER.match(operands):
            return kind, int(operands, 0)
        kind = f"{kind} through"
    else:
        kind = "name"
    if "[rip" in operands and (found := _FAR.search(operands)):
        offset = int(found[2], 0)
        return kind, address + size + (offset if found[1] == "+" else -offset)
    return (kind, 0) if kind != "name" else ("", 0)


class _Arm:
    """AArch64 names an address in two steps, ``adrp`` and then the low twelve bits."""

    def __init__(self) -> None:
        self._pages: dict[str, int] = {}

    def __call__(self, address: int, size: int, mnemonic: str, operands: str) -> tuple[str, int]:
        if mnemonic == "bl" or mnemonic in _JUMPS or mnemonic.startswith("b."):
            found = _NUMBER.search(operands.rpartition(" ")[2])
            return ("call" if mnemonic == "bl" else "jump"), int(found[1], 0) if found else 0
        if mnemonic in ("blr", "br"):
            return ("call through" if mnemonic == "blr" else "jump through"), 0
        if mnemonic in ("adrp", "adr") and (page := _PAGE.match(operands)):
            self._pages[page[1]] = int(page[2], 0)
            return ("name", int(page[2], 0)) if mnemonic == "adr" else ("", 0)
        if mnemonic in ("add", "ldr") and (low := _LOW.match(operands)):
            register, offset = low[1] or low[3], low[2] or low[4]
            if register in self._pages:
                return "name", self._pages[register] + int(offset, 0)
        return "", 0
