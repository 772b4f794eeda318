"""Escapes: the attempts of tests/escape/probes.c from inside oslet, a slot of it, runc's default and docker's, side by
side. Written into docs/security.md, between its marks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.escape.probes import Said, program, read

from bench.measure import ROOT, Skip, command, say
from bench.peers import dockerd, need, need_root

PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- escapes: by ./dev bench escapes -->", "<!-- /escapes -->"
DECLARATION = """
name = "escapes"
packages = ["busybox-static"]
command = ["/bin/probes"]
network = "none"

[files]
"/bin/probes" = "./probes"
"""


def section(room: Path) -> str:
    """Attempts to escape from instances: a table for docs/security.md."""
    contestants: dict[str, Callable[[Path, str], str]] = {
        "oslet": oslet,
        "runc spec": runc,
        "docker run": docker,
    }
    found: dict[str, dict[str, Said]] = {}
    skipped = []
    with socket.socket(socket.AF_UNIX) as door:
        name = f"oslet-{uuid.uuid4().hex}"
        door.bind(f"\0{name}")
        door.listen()
        for who, run in contestants.items():
            folder = room / who.replace(" ", "-")
            folder.mkdir()
            try:
                found[who] = read(run(folder, name))
            except Skip as reason:
                skipped.append(f"{who}: skipped, {reason}")
            say(f"{who}: {len(found.get(who, {}))} attempts")
    text = table(found) + "".join(f"\n\n{line}." for line in skipped)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    counts = ", ".join(f"{who} {sum(s.outcome == 'open' for s in f.values())}" for who, f in found.items())
    return f"Open, of {max(map(len, found.values()))} attempts: {counts}. The table is in docs/security.md."


def table(found: dict[str, dict[str, Said]]) -> str:
    """Markdown; what is open in bold, with why."""
    names = list(next(iter(found.values())))
    rows = [["attempt", *found], ["---"] * (len(found) + 1)]
    for name in names:
        said = [each.get(name) for each in found.values()]
        text = next(s.text for s in said if s)
        rows.append([text, *(_cell(s) if s else "–" for s in said)])
    total = [f"{sum(s.outcome == 'open' for s in each.values())} open" for each in found.values()]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*rows, ["", *total]])


def _cell(said: Said) -> str:
    if said.outcome == "open":
        return "**open**"
    return said.outcome if said.outcome == "refused" else f"contained ({said.why})"


def oslet(room: Path, name: str) -> str:
    shutil.copyfile(program(), room / "probes")
    (room / "probes").chmod(0o755)
    (room / "escapes.toml").write_text(DECLARATION)
    words = [sys.executable, "-m", "oslet", "run", str(room / "escapes.toml"), "--", "/bin/probes", name]
    environment = {**os.environ, "OSLET_HOME": str(room / "home")}
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Skip(done.stderr[-300:])
    return done.stdout


def rootfs(room: Path) -> Path:
    root = room / "root"
    for place in ("bin", "etc", "proc", "dev", "sys", "tmp"):
        (root / place).mkdir(parents=True)
    for file, mode in (("probes", 0o755), ("setid", 0o4755)):
        shutil.copyfile(program(), root / "bin" / file)
        (root / "bin" / file).chmod(mode)
    return root


def runc(room: Path, name: str) -> str:
    """``runc spec`` as it is, but for the command and without a terminal."""
    need("runc")
    need_root()
    rootfs(room).rename(room / "rootfs")
    command(["runc", "spec"], cwd=room)
    told = json.loads((room / "config.json").read_text())
    told["process"] |= {"terminal": False, "args": ["/bin/probes", name]}
    told["root"]["readonly"] = False  # as docker's is; the attempts make files
    (room / "config.json").write_text(json.dumps(told))
    return command(["runc", "--root", room / "state", "run", f"escapes-{name[-8:]}"], cwd=room).stdout


def docker(room: Path, name: str) -> str:
    need("docker", "dockerd")
    command(["tar", "-C", rootfs(room), "-cf", room / "root.tar", "."])
    with dockerd(room) as environment:
        command(["docker", "import", room / "root.tar", "escapes"], env=environment)
        words = ["docker", "run", "--rm", "--network=none", "escapes", "/bin/probes", name]
        return command(words, env=environment).stdout
