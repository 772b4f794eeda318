"""The examples' transcripts by name; in which forms they agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.machines import servers, small
from bench.machines.forms import Host
from bench.machines.transcript import Hearing, Transcript

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
