"""Monitors of virtual machines: what each is told of one guest, which one it gets, and whether KVM works."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from socketserver import UnixStreamServer
from threading import Thread
from typing import Any

import pytest

from oslet.errors import RunError
from oslet.run.asking import Vmm
from oslet.run.machine import cloud_hypervisor, firecracker, kvm, qemu, rest, uml
from oslet.run.machine.choosing import choose
from oslet.run.machine.guest import MIB, Disk, Forward, Guest
from oslet.run.machine.kvm import Kvm

GUEST = Guest(
    kernel="/k",
    initramfs="/i",
    root="/r",
    memory=48 * MIB + 1,
    disks=(Disk("/d,0", serial="volume0"),),
    network="fd",
    mac="02:01:0a:00:00:02",
    hold=True,
    words=("oslet.from=initramfs",),
)
BARE = Guest("/k")


def after(words: tuple[str, ...], option: str) -> list[str]:
    """What follows each such option."""
    return [value for word, value in pairwise(words) if word == option]


def test_qemu_is_told_all_of_a_guest() -> None:
    words = qemu.command(GUEST, "/qemu", kvm=False)
    assert words[0] == "/qemu"
    assert after(words, "-m") == ["49M"]
    assert after(words, "-append") == [
        "console=ttyS0 panic=-1 quiet reboot=t nolapic_timer no_timer_check lpj=1500000"
        " oslet.root=/dev/vda oslet.agent=virtio oslet.hold oslet.from=initramfs"
    ]
    assert after(words, "-drive") == [
        "id=d0,if=none,format=raw,read-only=on,file=/r,file.locking=off",
        "id=d1,if=none,format=raw,read-only=off,file=/d,,0,file.locking=auto",
    ]
    assert after(words, "-device") == [
        "virtio-serial-device,max_ports=2",
        "virtserialport,chardev=agent,name=org.oslet.agent",
        "virtio-rng-device",
        "virtio-blk-device,drive=d0,serial=root",
        "virtio-blk-device,drive=d1,serial=volume0",
        "virtio-net-device,netdev=net,mac=02:01:0a:00:00:02",
    ]


def test_an_emulated_processor_moves_no_strings_of_bytes() -> None:
    assert {"-erms", "-fsrm"} < set(after(qemu.command(BARE, "/qemu", kvm=False), "-cpu")[0].split(","))
    assert after(qemu.command(BARE, "/qemu", kvm=True), "-cpu") == ["host"]


def test_with_kvm_a_guest_is_not_told_to_leave_its_clocks_alone() -> None:
    assert "lpj" not in after(qemu.command(BARE, "/qemu", kvm=True), "-append")[0]


def test_a_distributions_kernel_finds_its_devices_by_pci() -> None:
    words = qemu.command(GUEST._replace(bus="pci"), "/qemu", kvm=False)
    assert after(words, "-M")[0].startswith("pc,")
    assert {w.partition(",")[0] for w in after(words, "-device")} == {
        "virtio-serial-pci",
        "virtserialport",
        "virtio-rng-pci",
        "virtio-blk-pci",
        "virtio-net-pci",
    }


def test_a_clone_has_the_devices_and_neither_kernel_nor_words() -> None:
    words = qemu.clone(GUEST, "/qemu", kvm=False, memory="/s/memory", script="/s/script")
    assert after(words, "-device") == after(qemu.command(GUEST, "/qemu", kvm=False), "-device")
    assert not {"-kernel", "-initrd", "-append"} & set(words)
    assert "share=off" in after(words, "-object")[0]


def test_a_person_gets_ports_by_qemu_itself() -> None:
    words = qemu.command(BARE._replace(network="user", forwards=(Forward("127.0.0.1", 80, 8080),)), "/q", kvm=False)
    assert after(words, "-netdev") == ["user,id=net,hostfwd=tcp:127.0.0.1:80-:8080"]


def test_user_mode_linux_is_told_all_of_a_guest() -> None:
    assert uml.command(GUEST._replace(disks=(Disk("/d0", read_only=True),))) == (
        *("/k", "mem=49M", "con0=null,fd:1", "con=null", "ssl0=fd:5", "ssl=null", "initrd=/i", "ubd0r=/r", "ubd1r=/d0"),
        "vec0:transport=fd,fd=4,depth=64,mac=02:01:0a:00:00:02",
        *("console=tty0", "panic=-1", "quiet", "lpj=10000000"),
        *("oslet.root=/dev/ubda", "oslet.agent=/dev/ttyS0", "oslet.hold", "oslet.from=initramfs"),
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: uml.command(BARE._replace(cpus=2)), "one processor"),
        (lambda: uml.command(BARE._replace(initramfs="/a b")), "the path '/a b'"),
        (lambda: uml.command(BARE._replace(network="user")), "no such device"),
        (lambda: firecracker.calls(BARE._replace(network="user")), "no such machine"),
        (lambda: qemu.command(BARE._replace(memory=0), "/q", kvm=False), "0 bytes"),
        (lambda: qemu.command(BARE._replace(words=("a b",)), "/q", kvm=False), "'a b'"),
        (lambda: qemu.command(BARE._replace(words=("x" * 2048,)), "/q", kvm=False), "2047"),
        (lambda: qemu.command(BARE._replace(disks=(Disk("/d"),) * 17), "/q", kvm=False), "17"),
    ],
)
def test_what_no_monitor_could_be_told_is_an_error(make: Callable[[], object], said: str) -> None:
    with pytest.raises(RunError, match=said):
        make()


class Answers(BaseHTTPRequestHandler):
    """A monitor's server: keeps what it is told, and refuses a machine without memory, as Firecracker does."""

    told: list[tuple[str, Any]]

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        self.told.append((self.path, body))
        bad = isinstance(body, dict) and body.get("mem_size_mib") == 1
        fault = json.dumps({"fault_message": "too little"}).encode() if bad else b""
        self.send_response(400 if bad else 204)
        self.send_header("Content-Length", str(len(fault)))
        self.end_headers()
        self.wfile.write(fault)

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def server(path: Path) -> Iterator[list[tuple[str, Any]]]:
    told: list[tuple[str, Any]] = []
    with UnixStreamServer(str(path), type("Own", (Answers,), {"told": told})) as own:
        Thread(target=own.serve_forever, daemon=True).start()
        yield told
        own.shutdown()


def test_firecracker_is_told_by_its_api_and_by_a_file(tmp_path: Path) -> None:
    with server(tmp_path / "api") as told:
        rest.tell(tmp_path / "api", firecracker.calls(GUEST))
        assert [path for path, _ in told] == [
            *("/boot-source", "/machine-config", "/drives/root", "/drives/disk0", "/network-interfaces/eth0"),
            *("/vsock", "/entropy", "/actions"),
        ]
        with pytest.raises(RunError, match="too little") as refused:
            rest.tell(tmp_path / "api", firecracker.calls(GUEST._replace(memory=MIB)))
    assert refused.value.where == "PUT /machine-config"
    file = firecracker.config(GUEST)
    assert file["boot-source"] == dict(told)["/boot-source"] and len(file["drives"]) == 2


def test_cloud_hypervisor_is_told_by_its_api(tmp_path: Path) -> None:
    with server(tmp_path / "api") as told:
        rest.tell(tmp_path / "api", cloud_hypervisor.calls(GUEST))
    (made, machine), (booted, nothing) = told
    assert (made, booted, nothing) == ("/api/v1/vm.create", "/api/v1/vm.boot", None)
    assert machine["memory"] == {"size": 49 * MIB} and machine["vsock"]["cid"] == 3
    with pytest.raises(RunError, match="doesn't answer"):
        rest.tell(tmp_path / "nobody", cloud_hypervisor.calls(GUEST))


def never() -> Kvm:
    raise AssertionError("nobody needs to know")


def test_the_monitor_is_the_quickest_that_there_can_be() -> None:
    assert choose("auto", lambda: Kvm(True)) == "qemu"
    assert choose("auto", lambda: Kvm(False, "no")) == "uml"
    assert choose("uml", never) == "uml" and choose("qemu", never) == "qemu"
    assert choose("firecracker", lambda: Kvm(True), lambda _: "/it") == "firecracker"


@pytest.mark.parametrize("wanted", ["firecracker", "cloud-hypervisor"])
def test_what_needs_kvm_says_so_and_what_is_missing_too(wanted: Vmm) -> None:
    with pytest.raises(RunError, match="needs KVM, and there is none: it is closed") as error:
        choose(wanted, lambda: Kvm(False, "it is closed"), lambda _: "/it")
    assert "--vmm uml" in error.value.hint
    with pytest.raises(RunError, match=f"no {wanted}"):
        choose(wanted, never, lambda _: None)


# KVM. The device is never the machine's: what stands in its place is a file, and another program asks it.


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Kvm]:
    """What is answered when the program that asks is this one."""
    device, program = tmp_path / "device", tmp_path / "ask.py"
    device.touch()
    device.chmod(0o666)
    monkeypatch.setattr(kvm, "_ASK", program)

    def ask(text: str) -> Kvm:
        program.write_text(f"print(flush=True)\n{text}")
        return kvm.kvm(tmp_path / "state", device)

    return ask


def test_kvm_works_when_a_guest_has_run_and_is_asked_once(asking: Callable[[str], Kvm]) -> None:
    assert asking("") == Kvm(True)
    assert asking("raise SystemExit('asked again')") == Kvm(True)


def test_a_device_that_never_answers_is_no_kvm(asking: Callable[[str], Kvm], tmp_path: Path) -> None:
    there = tmp_path / "pid"
    answer = asking(f"import os, time\nopen({str(there)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    assert not answer.works and "no guest runs there" in answer.why
    assert not Path(f"/proc/{there.read_text()}").exists(), "who asked is gone"
    assert asking("") == answer, "and nobody is sent again before the next boot"


def test_what_kvm_refuses_is_told(asking: Callable[[str], Kvm]) -> None:
    assert asking("raise SystemExit('Operation not permitted')").why.endswith("Operation not permitted")


def test_another_owner_of_the_device_is_another_question(asking: Callable[[str], Kvm], tmp_path: Path) -> None:
    assert not asking("raise SystemExit(1)").works
    os.utime(tmp_path / "device")
    assert not asking("").works
    (tmp_path / "device").chmod(0o777)
    assert asking("").works


def test_the_program_that_asks_knows_what_is_no_kvm(tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    (tmp_path / "device").chmod(0o666)
    answer = kvm.kvm(tmp_path / "state", tmp_path / "device")
    assert not answer.works and "ioctl" in answer.why
    assert kvm.kvm(tmp_path, tmp_path / "none").why.endswith("is missing")
