"""Issue 3's bar "behaviour": what an image does, it does trimmed as well, probe by probe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import ROOT, Oslet
from .services import nginx_probes, postgres_probes, redis_probes
from .world import HERE, TRIMMED, WHOLE, Answers, Probe, ask, at_level, differences, failures

pytestmark = [pytest.mark.slow, pytest.mark.network]

Port = Callable[[], int]


def python_answers(oslet: Oslet, level: str) -> Answers:
    said = oslet("run", str(at_level(oslet, HERE / "python", level))).stdout
    return {row["name"]: row["answer"] for row in map(json.loads, said.splitlines())}


def test_python_does_the_same(oslet: Oslet) -> None:
    whole = python_answers(oslet, WHOLE)
    assert not failures(whole)
    assert len(whole) >= 130
    assert not differences(whole, python_answers(oslet, TRIMMED))


def served(oslet: Oslet, declaration: Path, *words: str, probes: Callable[[str], dict[str, Probe]]) -> Answers:
    name = oslet.start(declaration, *words)
    answers = ask(probes(name))
    oslet("rm", "--force", name)
    return answers


def test_postgres_does_the_same(oslet: Oslet, free_port: Port, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse")

    def answers(level: str) -> Answers:
        port = free_port()
        words = ("--port", str(port), "--password", f"@{tmp_path}/password")
        volume = ("-v", f"{tmp_path.name}-{level}:/var/lib/postgresql/data")
        declaration = at_level(oslet, ROOT / "examples" / "postgres", level)
        return served(oslet, declaration, *words, *volume, probes=lambda _: postgres_probes(port))

    whole = answers(WHOLE)
    assert not failures(whole, ["dynamic_libraries"])
    assert len(whole) >= 40
    assert not differences(whole, answers(TRIMMED))


def test_redis_does_the_same(oslet: Oslet, free_port: Port, certificate: tuple[Path, Path]) -> None:
    def answers(level: str) -> Answers:
        port, tls = free_port(), free_port()
        words = ("-p", f"127.0.0.1:{port}:6379", "-p", f"127.0.0.1:{tls}:6380", *secrets(certificate))
        volume = ("-v", f"{oslet.folder.name}-{level}:/var/lib/redis")
        declaration = at_level(oslet, HERE / "redis", level)
        return served(oslet, declaration, *words, *volume, probes=lambda _: redis_probes(port, tls, certificate[0]))

    whole = answers(WHOLE)
    assert not failures(whole)
    assert len(whole) >= 15
    assert not differences(whole, answers(TRIMMED))


def test_nginx_does_the_same(oslet: Oslet, free_port: Port, certificate: tuple[Path, Path]) -> None:
    def answers(level: str) -> Answers:
        port, tls = free_port(), free_port()
        words = ("-p", f"127.0.0.1:{port}:8080", "-p", f"127.0.0.1:{tls}:8443", *secrets(certificate))
        declaration = at_level(oslet, HERE / "nginx", level)
        return served(oslet, declaration, *words, probes=lambda _: nginx_probes(port, tls, certificate[0]))

    whole = answers(WHOLE)
    assert not failures(whole)
    assert len(whole) >= 25
    assert not differences(whole, answers(TRIMMED))


def secrets(certificate: tuple[Path, Path]) -> tuple[str, ...]:
    return ("--certificate", f"@{certificate[0]}", "--key", f"@{certificate[1]}")
