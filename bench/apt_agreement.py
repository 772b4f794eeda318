"""Does our solver choose what apt chooses? Seeded random requests, apt in simulation on an empty system as the oracle.

    python bench/apt_agreement.py [--suite trixie] [--requests 1500] [--seed 7] [--size 1] [--pockets] [--show 20]

Works as an ordinary user, in a folder of its own, with the mirror that oslet uses. Needs Debian's apt-get; with
python3-apt beside it the oracle takes seconds, else ``apt-get --simulate`` runs once a request. Prints the share of
equal answers, the differences by class, and how long our solver took.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from oslet.archive import debian
from oslet.archive.index import Shelves
from oslet.archive.mirror import keyring, mirror
from oslet.archive.transport import HttpTransport
from oslet.errors import OsletError
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.solve import lock
from oslet.solve.relations import groups, relations
from oslet.store import Store

Answer: TypeAlias = dict[str, str] | None
SYSTEM_PYTHON = "/usr/bin/python3"


class Compared(NamedTuple):
    """One request, apt's answer and ours (None: no answer), how long ours took in seconds, and our words if none."""

    names: tuple[str, ...]
    apt: Answer
    ours: Answer
    seconds: float
    said: str


def compare(
    source: Debian, store: Store, folder: Path, *, requests: int, seed: int, size: int = 1
) -> tuple[list[Compared], Shelves]:
    """Ask both the same ``requests`` questions of ``size`` names each."""
    index = debian.index(source, "amd64", store, HttpTransport())
    chance = random.Random(seed)
    names = index.names()
    asked = [tuple(chance.sample(names, size)) for _ in range(requests)]
    answers = oracle(source, folder, asked)
    return [_ours(source, index, question, answer) for question, answer in zip(asked, answers)], index


def _ours(source: Debian, index: Shelves, names: tuple[str, ...], apt: Answer) -> Compared:
    start = time.perf_counter()
    ours: Answer = None
    said = ""
    try:
        ours = {p.name: p.version for p in lock(Wants(names), source, index, "amd64")}
    except OsletError as error:
        said = str(error)
    return Compared(names, apt, ours, time.perf_counter() - start, said)


def oracle(source: Debian, folder: Path, asked: Sequence[tuple[str, ...]]) -> list[Answer]:
    """apt's answers, on an empty package state in ``folder``."""
    config = _apt_folder(source, folder)
    env = {"APT_CONFIG": str(config), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}
    subprocess.run(["apt-get", "update", "-q"], env=env, check=True, capture_output=True)
    script = Path(__file__).with_name("apt_oracle.py")
    if subprocess.run([SYSTEM_PYTHON, "-c", "import apt_pkg"], capture_output=True, check=False).returncode == 0:
        command = [SYSTEM_PYTHON, str(script), str(config)]
        done = subprocess.run(command, input=json.dumps(asked).encode(), env=env, check=True, capture_output=True)
        answers: list[Answer] = json.loads(done.stdout)
        return answers
    return [_simulated(names, env) for names in asked]


def _simulated(names: tuple[str, ...], env: dict[str, str]) -> Answer:
    command = ["apt-get", "--simulate", "install", *names]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    if done.returncode:
        return None
    return dict(re.findall(r"^Inst (\S+) \((\S+)", done.stdout, re.MULTILINE))


def _apt_folder(source: Debian, folder: Path) -> Path:
    """A package state of its own for apt: empty, with the source's pockets and keyring. The configuration's path."""
    for name in ("lists/partial", "cache/archives/partial", "parts", "keys"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    found = mirror(source)
    keys = folder / "keyring.gpg"
    keys.write_bytes(keyring(source, found))
    lines = [
        f"deb [arch=amd64 signed-by={keys}] {p.url} {p.suite} {' '.join(source.components)}"
        for p in debian.pockets(source, found)
    ]
    (folder / "sources.list").write_text("\n".join(lines) + "\n")
    settings = {
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State": str(folder),
        "Dir::State::status": str(folder / "status"),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
        "Dir::Etc::sourcelist": str(folder / "sources.list"),
        "Dir::Etc::sourceparts": str(folder / "parts"),
        "Dir::Etc::parts": str(folder / "parts"),
        "Dir::Etc::preferencesparts": str(folder / "parts"),
        "Dir::Etc::trustedparts": str(folder / "parts"),
        "Debug::NoLocking": "true",
    }
    config = folder / "apt.conf"
    config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    return config


def differences(compared: Sequence[Compared]) -> Iterator[tuple[str, Compared]]:
    """Every unequal pair, with the class it falls in."""
    for one in compared:
        if one.apt is None and one.ours is None:
            continue
        if one.apt is None:
            yield "apt gives up, we answer", one
        elif one.ours is None:
            yield "we give up, apt answers", one
        elif set(one.apt) != set(one.ours):
            word = "fewer" if len(one.ours) < len(one.apt) else "more" if len(one.ours) > len(one.apt) else "as many"
            yield f"another choice, {word} packages", one
        elif one.apt != one.ours:
            yield "other versions", one


def valid(answer: dict[str, str], index: Shelves) -> str:
    """Empty when every dependency of ``answer`` is met and nothing in it conflicts; else the first fault."""
    chosen = [next(c for c in index.candidates(n) if c.version == v) for n, v in answer.items()]
    provided = {r.name for c in chosen for r in relations(c.provides)} | set(answer)
    for candidate in chosen:
        for group in groups(candidate.pre_depends) + groups(candidate.depends):
            if not any(choice.name in provided for choice in group.choices):
                return f"{candidate.name} lacks {group.text}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="trixie")
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--pockets", action="store_true", help="updates and security too")
    parser.add_argument("--show", type=int, default=20, help="differences to print")
    parser.add_argument("--store", type=Path, help="a store to keep the index in")
    options = parser.parse_args()
    source = Debian(options.suite) if options.pockets else Debian(options.suite, pockets=())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Store(options.store or folder / "store")
        compared, index = compare(
            source, store, folder / "apt", requests=options.requests, seed=options.seed, size=options.size
        )
        found = list(differences(compared))
        equal = len(compared) - len(found)
        print(f"{options.suite}: {equal} of {len(compared)} equal ({100 * equal / len(compared):.2f} %)")
        for word, count in Counter(word for word, _ in found).most_common():
            print(f"  {count:4} {word}")
        times = sorted(one.seconds * 1000 for one in compared)
        middle, high = statistics.median(times), times[len(times) * 99 // 100]
        print(f"solve: median {middle:.1f} ms, p99 {high:.1f}, max {times[-1]:.1f}")
        faults = [fault for one in compared if one.ours and (fault := valid(one.ours, index))]
        print(f"answers of ours that lack something: {len(faults)}", *faults[:5])
        for word, one in found[: options.show]:
            print(f"- {' '.join(one.names)}: {word}")
            if one.apt is not None and one.ours is not None:
                print(f"    apt only: {' '.join(sorted(set(one.apt) - set(one.ours)))[:300]}")
                print(f"    ours only: {' '.join(sorted(set(one.ours) - set(one.apt)))[:300]}")
            elif one.said:
                print("    " + one.said.replace("\n", "\n    "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
