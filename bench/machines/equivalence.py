"""The examples' transcripts by name; in which forms they agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.machines import servers, small
from bench.machines.forms import Form, Host
from bench.machines.transcript import Hearing, Transcript, difference
from bench.measure import ROOT, say
from bench.peer import certificate

EXAMPLES: Mapping[str, Callable[[Hearing, Path], None]] = {
    "hello": lambda hearing, _: small.hello(hearing),
    "redis": lambda hearing, _: small.redis(hearing),
    "nginx": servers.nginx,
    "web": lambda hearing, _: servers.web(hearing),
    "flask": lambda hearing, _: servers.flask(hearing),
    "postgres": servers.postgres,
}


def transcript(name: str, host: Host, image: str, folder: Path) -> Transcript:
    """What an example's ``image`` answers in the host's form. ``folder`` has ``cert.pem`` and ``key.pem``."""
    # what is made for a first start is told of, and belongs to no answer
    host.run(image, "--fresh", "--", "/no-such-program")
    hearing = Hearing(host, image)
    hearing.hear("all", partial(_heard, name, hearing, folder))
    return Transcript(name, hearing.steps)


def _heard(name: str, hearing: Hearing, folder: Path) -> str:
    """A form in which the example doesn't even start answers with that."""
    EXAMPLES[name](hearing, folder)
    return "heard"


REFUSED = {"redis": {"wrong"}}
"""Steps that are answered by an error, as they should be."""


def faults(heard: Transcript) -> dict[str, object]:
    """The steps that failed: what failed everywhere compares nothing."""
    failed = {n: a for n, a in heard.steps.items() if isinstance(a, dict) and "raised" in a}
    return {n: a for n, a in failed.items() if n not in REFUSED.get(heard.example, set())}


def compared(home: Path, room: Path, forms: Sequence[Form], names: Sequence[str] = ()) -> tuple[str, bool]:
    """Each example's transcript in each form beside the container's: a table, and the differences."""
    room.mkdir(exist_ok=True)
    pem = certificate(room).read_text()
    cut = pem.index("-----BEGIN PRIVATE")
    (room / "cert.pem").write_text(pem[:cut])
    (room / "key.pem").write_text(pem[cut:])
    lines, told = ["| example | form | steps | agrees |", "| --- | --- | --- | --- |"], []
    for name in names or EXAMPLES:
        shutil.copytree(ROOT / "examples" / name, room / name)
        plain = Host(home, "container")
        image = json.loads(plain("build", str(room / name / f"{name}.toml"), "--json", timeout=1800).out)["digest"]
        first = transcript(name, plain, image, room)
        for form in forms:
            heard = first if form == "container" else transcript(name, Host(home, form), image, room)
            wrong = difference(first, heard, ("container", form)) or "\n".join(
                f"{n}: {a}" for n, a in faults(heard).items()
            )
            lines.append(f"| {name} | {form} | {len(heard.steps)} | {'**no**' if wrong else 'yes'} |")
            told += [f"{name}, {form}:\n{wrong}"] if wrong else []
            say(lines[-1])
    return "\n\n".join(["\n".join(lines), *told]), not told
