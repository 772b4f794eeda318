"""What the behaviour tests share: one declaration at two levels, asked the same things."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ..conftest import Oslet

HERE = Path(__file__).parent
WHOLE, TRIMMED = "packages", "safe"

Answers: TypeAlias = dict[str, Any]
Probe: TypeAlias = Callable[[], Any]


def at_level(oslet: Oslet, folder: Path, level: str) -> Path:
    """A copy of the declaration in ``folder`` at one level of trim, in the test's folder; its path."""
    copy = oslet.folder / level / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.lock", "__pycache__"))
    declaration = copy / f"{folder.name}.toml"
    declaration.write_text(f'trim = "{level}"\n{declaration.read_text()}')
    other = oslet.folder / (WHOLE if level == TRIMMED else TRIMMED) / folder.name / f"{folder.name}.lock"
    if other.exists():  # both levels are of the very same packages
        shutil.copyfile(other, declaration.with_suffix(".lock"))
    return declaration


def ask(probes: Mapping[str, Probe]) -> Answers:
    """Every probe's answer; one that raises answers with what it raised."""

    def one(probe: Probe) -> Any:
        try:
            return probe()
        except Exception as error:  # any exception is an answer
            return {"raised": type(error).__name__, "said": re.sub(r"0x\w+|\d{4,}", "", str(error))[:300]}

    return {name: one(probe) for name, probe in probes.items()}


def differences(whole: Answers, trimmed: Answers) -> dict[str, Any]:
    """The probes that answer otherwise in the trimmed image, with both answers."""
    return {n: {WHOLE: whole[n], TRIMMED: trimmed.get(n)} for n in whole if whole[n] != trimmed.get(n)}


def failures(answers: Answers, expected: Iterable[str] = ()) -> Answers:
    """The probes that raise and aren't expected to: a probe that fails everywhere compares nothing."""
    raised = {n: a for n, a in answers.items() if isinstance(a, dict) and ("raised" in a or "ended" in a)}
    return {n: a for n, a in raised.items() if n not in set(expected)}
