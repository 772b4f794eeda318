"""Kernel options by program: from what files do and declarations say to options with reasons, and to a class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.build.kernel import config, evidence
from oslet.build.kernel.derive import class_of, derive, kernel, of_class
from oslet.build.kernel.source import changed
from oslet.build.kernel.tables import TARGETS, Edit, base, within
from oslet.errors import BuildError
from oslet.formats.code import calls
from oslet.model.kernel import SHARED, Evidence, Option, Target
from oslet.model.oslet import Exec, Http, Start
from oslet.trim.calls import profile

FACTS = sorted({fact for target in TARGETS for row in base(target).rows for fact in row.on | row.given} | {"dark"})
found = st.lists(st.sampled_from(FACTS), max_size=12).map(lambda facts: [Evidence(f, f"shown by {f}") for f in facts])
targets = st.sampled_from(TARGETS)


def program(folder: Path, name: str, *numbers: int) -> bytes:
    """A static program for x86-64 that makes these calls."""
    body = "".join(f'__asm__ volatile("syscall" : "=a"(r) : "a"({n}L) : "rcx", "r11");' for n in numbers)
    (folder / f"{name}.c").write_text(f"void _start(void) {{ long r; {body} for (;;); }}")
    words = ["-target", "x86_64-linux-gnu.2.36", "-nostdlib", "-static", "-O2", "-fno-sanitize=all"]
    made = folder / name
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *words, "-o", made, folder / f"{name}.c"], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return made.read_bytes()


EPOLL, EVENTFD, SHMGET, IO_URING, EXIT, SOCKET, UNSHARE = 291, 290, 29, 425, 60, 41, 272


def test_a_world_of_programs(tmp_path: Path) -> None:
    """What each program does shows as an option, with the program as its reason; what none does isn't there."""
    files = {
        "/usr/bin/waiter": program(tmp_path, "waiter", EPOLL, EVENTFD, EXIT),
        "/usr/bin/sharer": program(tmp_path, "sharer", SHMGET, UNSHARE, EXIT),
        "/usr/bin/ringer": program(tmp_path, "ringer", IO_URING, EXIT),
    }
    read = profile({path: calls.read(data) for path, data in files.items()}, "x86_64")
    facts = [*evidence.of_calls(read), *evidence.of_file("/usr/bin/run", 0o755, b"#!/usr/bin/waiter\n", own=False)]
    options = {o.symbol: o for o in derive(facts, "microvm")}
    assert set(options) == {"EPOLL", "EVENTFD", "SYSVIPC", "IO_URING", "BINFMT_SCRIPT"}
    assert options["EPOLL"].why.endswith("epoll_create1 by /usr/bin/waiter itself")
    assert options["SYSVIPC"].why.endswith("shmget by /usr/bin/sharer itself")
    assert options["BINFMT_SCRIPT"].why.endswith("/usr/bin/run begins with #!")
    # namespaces are asked for only by who may make them
    allowed = derive([*facts, *evidence.of_start(Start(network="none", capabilities=("CAP_SYS_ADMIN",)))], "microvm")
    assert {"NAMESPACES", "PID_NS"} <= {o.symbol for o in allowed}


def test_a_program_that_cant_be_read_may_make_the_usual_calls() -> None:
    options = {o.symbol: o.why for o in derive([Evidence("dark", "/bin/go may make any call (at 0x1)")], "microvm")}
    assert {"EPOLL", "SYSVIPC", "UNIX", "INET"} <= set(options)
    assert not {"IO_URING", "EXT4_FS", "NETDEVICES"} & set(options)  # rare calls; and a device is no call
    assert options["EPOLL"].endswith("/bin/go may make any call (at 0x1)")


def test_what_is_declared() -> None:
    start = Start(
        command=("serve", "--host", "[::]:80"),
        ports=("80",),
        volumes=("/data",),
        health=Http(),
        capabilities=("NET_RAW",),
    )
    options = {o.symbol: o.why for o in derive(evidence.of_start(start), "microvm")}
    assert {"NET", "INET", "NETDEVICES", "VIRTIO_NET", "SYN_COOKIES", "EXT4_FS", "IPV6", "PACKET"} <= set(options)
    assert options["EXT4_FS"].endswith("volume /data is declared")
    assert options["IPV6"].endswith("command says [::]")
    assert "UML_NET_VECTOR" in {o.symbol for o in derive(evidence.of_start(start), "uml")}
    alone = Start(network="none", health=Exec(("true",)))
    assert derive(evidence.of_start(alone), "microvm") == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen [::]:80;", {"[::]"}),
        ("bind 127.0.0.1 -::1", {"::1"}),
        ("socket.socket(socket.AF_INET6)", {"AF_INET6"}),
        ("a[::2] std::string ::before x::1 AF_INET6_ISH", set()),
    ],
)
def test_words_of_the_application(text: str, words: set[str]) -> None:
    assert {e.fact for e in evidence.of_text(text, "here")} == {f"text:{word}" for word in words}


def test_only_the_applications_own_files_are_read_for_words() -> None:
    text = b"import socket\nsocket.socket(socket.AF_INET6)\n"
    assert [e.fact for e in evidence.of_file("/app/a.py", 0o644, text, own=True)] == ["text:AF_INET6"]
    assert not list(evidence.of_file("/usr/lib/python3/socket.py", 0o644, text, own=False))


# --- laws -----------------------------------------------------------------------------------------------------------


@given(found, found, targets)
def test_more_evidence_never_means_fewer_options(some: list[Evidence], more: list[Evidence], target: Target) -> None:
    assert {o.symbol for o in derive(some, target)} <= {o.symbol for o in derive([*some, *more], target)}


@given(found, targets)
def test_the_kernel_has_all_that_was_derived(facts: list[Evidence], target: Target) -> None:
    """With a reason for each; and the class is the smallest that does, or there is an option that none has."""
    options = derive(facts, target)
    made = kernel(options, target)
    has = {(o.symbol, o.value) for o in made.options}
    assert {(o.symbol, o.value) for o in options} <= has
    assert all(o.why for o in (*options, *made.options))
    smallest, beyond = class_of(options, target)
    assert made.name == ("own" if beyond else smallest)
    for name in SHARED[: SHARED.index(smallest)]:
        with pytest.raises(BuildError, match=f"class {name} lacks"):
            kernel(options, target, name)


@pytest.mark.parametrize("target", TARGETS)
def test_each_class_has_the_smaller_ones(target: Target) -> None:
    have = [{(o.symbol, o.value) for o in of_class(name, target).options} for name in SHARED]
    assert have[0] < have[1] < have[2]
    assert all(len({o.symbol for o in of_class(name, target).options}) == len(h) for name, h in zip(SHARED, have))
    assert within("tiny", "full") and not within("full", "net") and not within("own", "full")


def test_an_option_that_no_class_has_makes_a_kernel_of_ones_own() -> None:
    wish = derive([Evidence("text:AF_CAN", "/app/bus.py says AF_CAN"), Evidence("network", "")], "microvm")
    made = kernel(wish, "microvm")
    extra = {o.symbol for o in made.options} - {o.symbol for o in of_class("net", "microvm").options}
    assert (made.name, extra) == ("own", {"CAN", "CAN_RAW"})


# --- the configuration ----------------------------------------------------------------------------------------------


KCONFIG = [
    ("net/Kconfig", "menuconfig NET\n\tbool \"Networking\"\n\nconfig UNIX\n\tbool\n\tdepends on NET\n"),
    ("fs/Kconfig", "config EROFS_FS\n\ttristate \"EROFS\"\n\tdepends on BLOCK\n\tdepends on !SMALL\n\thelp\n\t  x\n"),
]  # fmt: skip


def test_a_symbol_that_vanished_is_an_error_that_says_why_it_was_wanted() -> None:
    wish = of_class("tiny", "microvm")
    text = config.fragment(wish)
    assert "CONFIG_EPOLL=y\n" in text and "# CONFIG_SMP is not set\n" in text
    config.agree(wish, config.read(text), lambda symbol: "")
    lost = config.read(text.replace("CONFIG_EROFS_FS=y\n", "").replace("# CONFIG_SMP is not set", "CONFIG_SMP=y"))
    with pytest.raises(BuildError) as error:
        config.agree(wish, lost, lambda symbol: config.dependencies(symbol, KCONFIG))
    assert "EROFS_FS is n, not y (the root is an erofs disk" in str(error.value)
    assert "it depends on BLOCK and !SMALL (fs/Kconfig)" in str(error.value)
    assert "SMP is y, not n" in str(error.value) and "there is no such symbol" in str(error.value)
    assert config.dependencies("NET", KCONFIG) == "; it has no dependencies of its own (net/Kconfig)"


def test_a_value_that_changed_is_an_error() -> None:
    assert config.differing([Option("LOG_BUF_SHIFT", "14", "small")], {"LOG_BUF_SHIFT": "17"})


# --- the source's changes -------------------------------------------------------------------------------------------


def test_an_edit_fits_one_place_or_none() -> None:
    edit = Edit("a.c", "SIZE 2", "SIZE 4", "frames grew")
    assert changed("#define SIZE 2\n", edit) == "#define SIZE 4\n"
    for text in ("#define SIZE 3\n", "SIZE 2 SIZE 2"):
        with pytest.raises(BuildError, match=r"stands there [02] times, not once") as error:
            changed(text, edit)
        assert "a.c" in error.value.where and "frames grew" in error.value.hint
    assert [e.file for e in base("uml").edits] and not base("microvm").edits
