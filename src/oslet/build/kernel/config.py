"""Configurations: a kernel's options as Kconfig reads them, and the result held against what was asked for.

Kconfig drops an option whose dependencies aren't met without a word (Documentation/kbuild/kconfig.rst), so nothing is
believed: each option is looked up in the .config that came out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from oslet.errors import BuildError
from oslet.model.kernel import Kernel, Option

_SET = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)
_SHOWN = 4
MAX_KCONFIG = 1 << 20


def fragment(kernel: Kernel) -> str:
    """The options as a file for KCONFIG_ALLCONFIG: ``make allnoconfig`` sets these and turns all else off."""
    return "".join(_line(option) for option in kernel.options)


def _line(option: Option) -> str:
    if option.value == "n":
        return f"# CONFIG_{option.symbol} is not set\n"
    return f"CONFIG_{option.symbol}={option.value}\n"


def read(text: str) -> dict[str, str]:
    """A .config's options that are set, with their values."""
    return {m[1]: m[2] for m in _SET.finditer(text)}


def differing(options: Iterable[Option], config: Mapping[str, str]) -> tuple[Option, ...]:
    """The options that aren't as they were asked for. What is built in serves where a module is asked for."""
    return tuple(o for o in options if config.get(o.symbol, "n") != o.value)


def agree(kernel: Kernel, config: Mapping[str, str], depends: Callable[[str], str]) -> None:
    """BuildError with every option that vanished or changed: its symbol, why it was wanted, and what it depends on
    (``depends`` tells, of a symbol)."""
    wrong = differing(kernel.options, config)
    if not wrong:
        return
    lines = [f"{o.symbol} is {config.get(o.symbol, 'n')}, not {o.value} ({o.why}){depends(o.symbol)}" for o in wrong]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    raise BuildError(
        "; ".join([*lines[:_SHOWN], *more]),
        where=f"kernel {kernel.target}/{kernel.name}: .config",
        hint="Kconfig drops what it can't have; the tables of options are wrong for this source (build/kernel/rows)",
    )


def dependencies(symbol: str, texts: Iterable[tuple[str, str]]) -> str:
    """What a symbol depends on, in the words of the source's Kconfig files (path, text), to be said after a sentence.

    Kconfig's grammar: an entry begins with ``config NAME`` or ``menuconfig NAME`` and ends where the next begins
    (Documentation/kbuild/kconfig-language.rst).
    """
    begins = re.compile(rf"^[ \t]*(?:menu)?config {re.escape(symbol)}$", re.MULTILINE)
    needs: dict[str, str] = {}
    for path, text in texts:
        for match in begins.finditer(text):
            entry = re.split(r"^[ \t]*(?:menuconfig|config|menu|endmenu|choice|endchoice|if|endif|source)\b",
                             text[match.end() :], maxsplit=1, flags=re.MULTILINE)[0]  # fmt: skip
            said = re.findall(r"^[ \t]+depends on (.+)$", entry, re.MULTILINE)
            needs[path] = f"it depends on {' and '.join(said)}" if said else "it has no dependencies of its own"
    if not needs:
        return ": there is no such symbol in this source"
    return "".join(f"; {what} ({path})" for path, what in sorted(needs.items())[:2])
