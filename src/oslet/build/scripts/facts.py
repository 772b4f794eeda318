"""Facts about packages' programs and scripts that reading can't tell, kept as data (``build/recipes/debian.toml``)."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oslet.build.scripts.shell import Command, Shell


class Known(NamedTuple):
    """A command line whose answer is known, and why that is all there is to it."""

    use: re.Pattern[str]
    prints: str
    status: int
    why: str


class Recipe(NamedTuple):
    """What to read in a script's stead, and why."""

    package: str
    script: str
    does: str
    why: str


@cache
def _data() -> tuple[tuple[Recipe, ...], tuple[Known, ...], dict[str, str]]:
    text = (Path(__file__).parents[1] / "recipes/debian.toml").read_text("utf-8")
    data = tomllib.loads(text)
    return (
        tuple(Recipe(r["package"], r["script"], r.get("does", ""), r["why"]) for r in data["recipe"]),
        tuple(
            Known(re.compile(k["use"], re.S), k.get("prints", ""), k.get("status", 0), k["why"])
            for k in data["command"]
        ),
        data["answers"],
    )


def answers() -> dict[str, str]:
    """Debconf questions that a ``config`` script answers on a fresh install."""
    return dict(_data()[2])


def recipe_for(package: str, script: str) -> Recipe | None:
    """The recipe for one package's ``preinst`` or ``postinst``, if there is one."""
    return next((r for r in _data()[0] if r.script == script and re.fullmatch(r.package, package)), None)


def known(words: list[str]) -> Command | None:
    """What a command line does, when that is a known fact; its program is compared by its base name."""
    line = " ".join([words[0].rpartition("/")[2], *words[1:]])
    fact = next((k for k in _data()[1] if k.use.fullmatch(line)), None)
    if fact is None:
        return None

    def answer(shell: Shell, args: list[str]) -> int:
        shell.write(fact.prints)
        return fact.status

    return answer
