"""Issue 5, part 8: what an example answers as a container it answers as a virtual machine, step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.machines.equivalence import faults, transcript
from bench.machines.forms import Form, Host
from bench.machines.transcript import LONGEST, Transcript, difference, plain, told

from ..conftest import Oslet

ALIKE = ("hello", "redis", "nginx", "web", "flask", "postgres")
FORMS: tuple[Form, ...] = ("uml", "qemu")
SLOW = ("web", "postgres")
"""Under QEMU they take a minute and more; `./dev bench machines equivalence` compares them there, too."""

Hear = Callable[[Form], Transcript]


@pytest.fixture
def image(oslet: Oslet, request: pytest.FixtureRequest) -> str:
    built: str = oslet.json("build", str(oslet.example(request.param)))["digest"]
    return built


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("name", "image"), [(n, n) for n in ALIKE], indirect=["image"], ids=ALIKE)
def test_every_form_answers_alike(
    name: str, image: str, home: Path, kernels: None, certificate: tuple[Path, Path]
) -> None:
    def hear(form: Form) -> Transcript:
        return transcript(name, Host(home, form), image, certificate[0].parent)

    as_container = hear("container")
    assert not faults(as_container)
    for form in FORMS[: 1 if name in SLOW else 2]:
        disagreement = difference(as_container, hear(form), ("container", form))
        assert not disagreement, disagreement


def test_a_difference_is_told_by_its_step() -> None:
    one = Transcript("x", {"a": [0, "same"], "b": {"code": 1}})
    assert difference(one, Transcript("x", {"a": [0, "same"], "b": {"code": 1}})) == ""
    said = difference(one, Transcript("x", {"a": [0, "same"], "b": {"code": 2}}), ("container", "uml"))
    assert [line for line in said.splitlines() if line[0] != "@"] == [
        "--- container", "+++ uml", '-b: "code": 1', '+b: "code": 2'
    ]  # fmt: skip


def test_a_step_that_is_lost_differs() -> None:
    assert "-b" in difference(Transcript("x", {"a": 1, "b": 2}), Transcript("x", {"a": 1}))


def test_an_answer_is_json_and_short() -> None:
    assert plain((b"\xff", {1: {2}}, None, 1.5)) == ["\\xff", {"1": [2]}, None, 1.5]
    assert "sha256" in plain("x" * 1000) and "sha256" in plain("x\n" * LONGEST)
    assert plain("x" * 1000) != plain("x" * 999 + "y")
    json.dumps(plain([object]))


def test_what_changes_with_the_moment_is_not_told() -> None:
    def of(when: str, address: str, number: int) -> list[str]:
        redis = f"{number}:M 26 Nov 2026 {when}.123 * Ready"
        nginx = f'{address} - - [26/Nov/2026:{when} +0000] "GET / HTTP/1.1" 200 82'
        postgres = f"2026-11-26 {when}.1 UTC [{number}] LOG:  ready on 0.0.0.0, PID {number}"
        return told(
            "\n".join([redis, nginx, postgres, f"instance m-{number}", "skipped"]), f"m-{number}", without="skip"
        )

    assert of("01:02:03", "10.0.2.2:40000", 1) == of("04:05:06", "192.168.7.1", 4711)
    assert of("01:02:03", "10.0.2.2", 1)[0].endswith("* Ready") and len(of("01:02:03", "10.0.2.2", 1)) == 4
