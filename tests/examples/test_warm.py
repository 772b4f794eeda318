"""Warm slots: a Python that imported the application's modules before it knew its arguments is no other application."""

from __future__ import annotations

import json

import pytest

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

DECLARATION = """
name = "warmed"
packages = ["python3"]
command = ["python3", "-u", "-m", "told", "{word}"]
workdir = "/app"
network = "none"
env = { PYTHONPATH = "/app", A = "1" }

[files]
"/app/told.py" = "./told.py"
"/app/slow.py" = "./slow.py"
"/etc/told" = { template = "./told.txt" }

[params]
word = { type = "str" }
key = { type = "secret" }

[warm]
modules = ["slow", "json", "not_there"]
"""
TOLD = """
import json, os, random, sys, tempfile
import slow
if __name__ == "__main__":
    print(json.dumps({
        "argv": sys.argv, "orig": sys.orig_argv, "path": sys.path[0], "cwd": os.getcwd(), "main": __name__,
        "env": dict(os.environ), "file": open("/etc/told").read(), "stdin": sys.stdin.read(), "pid": os.getpid(),
        "at": slow.AT, "fds": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "random": random.random(),
        "tmp": os.listdir("/tmp"), "comm": open("/proc/self/comm").read().strip(),
    }))
    sys.exit(7)
"""
SLOW = "import os\nAT = open('/proc/self/stat').read().split()[21]\nopen(f'/tmp/{os.getpid()}-imported', 'w').close()\n"


def told(oslet: Oslet, *words: str) -> dict[str, object]:
    done = oslet("run", "warmed", "--key", "env:KEY", *words, code=7, stdin="given")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_warm_start_is_a_cold_one_but_for_the_time(oslet: Oslet) -> None:
    for name, text in (("warmed.toml", DECLARATION), ("told.py", TOLD), ("slow.py", SLOW), ("told.txt", "{{ word }}")):
        (oslet.folder / name).write_text(text)
    oslet.environment["KEY"] = "hush"
    oslet("build", "warmed.toml")
    first = told(oslet, "--word", "one")  # which leaves a warm one waiting
    second = told(oslet, "--word", "two")
    third = told(oslet, "--word", "three")
    for found, word in ((first, "one"), (second, "two"), (third, "three")):
        assert found["argv"] == ["/app/told.py", word] and found["file"] == word
        assert found["orig"] == ["python3", "-u", "-m", "told", word]
        assert (found["path"], found["cwd"], found["main"], found["stdin"]) == ("/app", "/app", "__main__", "given")
        assert found["env"]["A"] == "1" and not [n for n in found["env"] if "OSLET" in n]  # type: ignore[index,attr-defined]
        assert (found["fds"], found["pid"]) == ([0, 1, 2], 1)
        assert str(found["comm"]).startswith("python3")
        assert "hush" not in json.dumps(found)
    assert len({str(found["random"]) for found in (first, second, third)}) == 3
    assert second["tmp"] == third["tmp"] == ["1-imported"]  # each its own


def test_what_differs_is_never_run_by_the_wrong_python(oslet: Oslet) -> None:
    (oslet.folder / "warmed.toml").write_text(DECLARATION)
    for name, text in (("told.py", TOLD), ("slow.py", SLOW), ("told.txt", "{{ word }}")):
        (oslet.folder / name).write_text(text)
    oslet.environment["KEY"] = "hush"
    oslet("build", "warmed.toml")
    told(oslet, "--word", "one")
    other = oslet("run", "warmed", "--key", "env:KEY", "--word", "x", "-e", "PYTHONHASHSEED=3", "--",
                  "python3", "-S", "-c", "import sys; print(sys.flags.no_site, hash('a'))")  # fmt: skip
    again = oslet("run", "warmed", "--key", "env:KEY", "--word", "x", "-e", "PYTHONHASHSEED=3", "--",
                  "python3", "-S", "-c", "import sys; print(sys.flags.no_site, hash('a'))")  # fmt: skip
    assert other.stdout == again.stdout and other.stdout.startswith("1 ")
