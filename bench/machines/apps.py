"""Twenty applications, each on a kernel whose options a program derived from its image, each asked to serve."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from bench.cases import Case, Failed, Tried, cases
from bench.machines.forms import WORDS, Form
from bench.measure import say

TOGETHER = ("memcached", "haproxy", "apache2", "lighttpd", "dnsmasq", "unbound", "mosquitto")
"""Those that stand in bench/breadth-packages.toml."""
LEVEL = "safe"
MEMORY = ("--memory", "256MiB")
"""A guest's, for files are in it: initdb alone writes 50 MB."""


class Row(msgspec.Struct):
    """One application: its kernel's class, how many options were derived, what was said where something failed."""

    name: str
    kernel: str = ""
    options: int = 0
    seconds: float = 0.0
    faults: dict[str, str] = {}

    @property
    def passed(self) -> bool:
        return not any(self.faults.values())


def applications() -> tuple[Case, ...]:
    """All of them. None has a word about its kernel."""
    own = msgspec.toml.decode((Path(__file__).parent / "apps.toml").read_text("utf-8"), type=dict[str, list[Case]])
    found = (*own["case"], *(case for case in cases("packages") if case.name in TOGETHER))
    assert not any("machine" in case.declaration(LEVEL) for case in found)
    return found


def tried(case: Case, home: Path, folder: Path, forms: Iterable[Form]) -> Row:
    """Build it, derive its kernel, and let it serve in each form; what is wrong is told, not raised."""
    import time

    row, oslet = Row(case.name), Tried(home, folder, {})
    try:
        image = oslet.build(case, LEVEL)
    except Failed as failed:
        row.faults["build"] = str(failed)
        return row
    row.faults["kernel"] = derived(row, oslet, image.digest)
    for form in forms:
        began = time.monotonic()
        words = (*WORDS[form], *(MEMORY if form != "container" else ()))
        verdict = Tried(home, folder, {}, words).check(case, image.digest)
        row.faults[form] = "" if verdict.passed else verdict.said or "failed"
        row.seconds = round(time.monotonic() - began, 1)
    return row


def derived(row: Row, oslet: Tried, image: str) -> str:
    """Write down the class and the count of the options that were derived; why there are none."""
    try:
        done = oslet.oslet("kernel", image, "--json")
    except Failed as failed:
        return str(failed)
    if done.returncode:
        return done.stderr.strip()[-300:]
    told = json.loads(done.stdout)
    row.kernel, row.options = told["class"], len(told["derived"])
    return ""


def table(rows: Iterable[Row], forms: Sequence[Form]) -> str:
    """A Markdown table, and how many pass."""
    rows = list(rows)
    lines = [("application", "kernel", "derived options", *forms, "what was said"), ("---",) * (4 + len(forms))]
    for row in rows:
        words = ["–" if n not in row.faults else "**failed**" if row.faults[n] else "serves" for n in forms]
        said = " / ".join(f"{n}: {fault}" for n, fault in row.faults.items() if fault)
        lines.append((row.name, row.kernel or "–", str(row.options or "–"), *words, said.replace("|", "/")[:300]))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{text}\n\n{sum(row.passed for row in rows)} of {len(rows)} serve, with no option written by hand for any."


def every(home: Path, room: Path, forms: Sequence[Form], names: Sequence[str] = ()) -> list[Row]:
    """Each application, or those named, one after another."""
    found = []
    for case in applications():
        if names and case.name not in names:
            continue
        row = tried(case, home, room, forms)
        faults = "; ".join(f"{n}: {fault[:200]}" for n, fault in row.faults.items() if fault)
        say(f"{row.name}: {row.kernel or '–'}, {row.options} options, {row.seconds:.0f} s {faults}")
        found.append(row)
    return found
