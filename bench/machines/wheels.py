"""Wheels with compiled modules, children, threads and signals: a probe after another, the same in each form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machines.forms import Form, Host
from bench.measure import say

FOLDER = Path(__file__).parent / "wheeled"
MEMORY = ("--memory", "512MiB")


def image(host: Host, room: Path) -> str:
    """The probes' image, built; its digest."""
    shutil.copytree(FOLDER, room / "wheels", dirs_exist_ok=True)
    built: str = json.loads(host("build", str(room / "wheels/wheels.toml"), "--json", timeout=1800).out)["digest"]
    return built


def answers(host: Host, built: str, names: Sequence[str] = ()) -> dict[str, Any]:
    """Each probe's answer; of a life that ended early, what it said, too."""
    words = () if host.form == "container" else MEMORY
    done = Host(host.home, host.form, words).run(built, "--", "python3", "/app/probes.py", *names, timeout=1800)
    found = {row["name"]: row["answer"] for row in map(json.loads, done.out.decode().splitlines())}
    return found if done.code == 0 else {**found, "end": [done.code, done.err.decode("utf-8", "replace")[-500:]]}


def failed(answer: object) -> bool:
    return isinstance(answer, dict) and ("raised" in answer or "ended" in answer)


def compared(home: Path, room: Path, forms: Sequence[Form]) -> tuple[str, bool]:
    """A table of the probes that don't answer as a container's do, and the count of the wheels that work in each."""
    built = image(Host(home, "container"), room)
    heard = {form: answers(Host(home, form), built) for form in dict.fromkeys(("container", *forms))}
    expected = heard["container"]
    lines, good = ["| form | wheels | other probes | what differs |", "| --- | --- | --- | --- |"], True
    for form, found in heard.items():
        wrong = [n for n in (*expected, "end") if found.get(n) != expected.get(n) or failed(found.get(n))]
        wheels = [n for n in expected if n.startswith("wheel_")]
        others = [n for n in expected if n not in wheels]
        counts = [f"{sum(n not in wrong for n in names)} of {len(names)}" for names in (wheels, others)]
        told = "; ".join(f"{n}: {json.dumps(found.get(n))[:160]}" for n in wrong).replace("|", "/")
        lines.append(f"| {form} | {' | '.join(counts)} | {told or '–'} |")
        good &= not wrong
        say(f"{form}: {counts[0]} wheels, {counts[1]} others")
    return "\n".join(lines), good
