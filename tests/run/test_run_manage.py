"""Management from outside: what is known of an instance, its files and processes, and all of it over HTTP."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oslet.errors import DeclarationError, RunError
from oslet.run import Wish, inspect, within
from oslet.run.describing import describe, signal_process
from oslet.run.manage import opening
from oslet.run.manage.answers import LARGEST, ROUTES
from oslet.run.manage.serving import AT_ONCE, Door
from oslet.run.transfer import entries, erase

from .conftest import Toy
from .test_run_supervisor import said, until

TOKEN = "a-token-of-the-test"
TWO = 'sleep 60 & trap "echo heard" USR1; echo begun; while :; do wait; done'


def begun(toy: Toy, script: str = TWO, **wish: Any) -> None:
    toy.start("/bin/sh", "-c", script, wish=Wish(name="a", **wish))
    until(lambda: said(toy, "a") == ["begun"])


class TestWithin:
    def test_all_that_is_known_is_one_value(self, toy: Toy) -> None:
        begun(toy, env=(("A", "b"),))
        known = describe(toy.places.state, "a")
        assert (known.instance.state, known.env["A"], known.restart) == ("running", "b", "no")
        assert known.running and known.running.system.hostname == "a" and known.running.system.name == "Linux"
        first, second = known.running.processes
        assert (first.pid, first.parent, second.parent, second.command[-2:]) == (1, 0, 1, ("sleep", "60"))
        memory = known.running.memory
        assert 0 < memory.used < memory.total and first.memory > 0 and first.threads == 1
        assert [each.name for each in known.network.interfaces] == ["lo"]
        toy.start("/bin/sh", "-c", "exit 3", wish=Wish(name="b"))
        until(lambda: inspect(toy.places.state, "b").state == "exited")
        assert describe(toy.places.state, "b").running is None

    @pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's cgroups are systemd's to give")
    def test_its_memory_is_what_it_may_have(self, toy: Toy) -> None:
        from oslet.run import Limits

        begun(toy, limits=Limits(memory=64 << 20))
        known = describe(toy.places.state, "a").running
        assert known and known.memory.total == 64 << 20

    def test_signals_reach_processes_by_their_own_numbers(self, toy: Toy) -> None:
        begun(toy)
        signal_process(toy.places.state, "a", 1, "USR1")
        until(lambda: said(toy, "a") == ["begun", "heard"])
        running = describe(toy.places.state, "a").running
        assert running
        signal_process(toy.places.state, "a", running.processes[1].pid, "KILL")
        until(lambda: len((describe(toy.places.state, "a").running or running).processes) == 1)
        with pytest.raises(RunError, match="no process 999"):
            signal_process(toy.places.state, "a", 999, "TERM")

    def test_a_guest_is_read_through_its_agent(self) -> None:
        """As this machine's own kernel stands for a guest's: names and files are all that an agent has to give."""

        def read(*paths: str) -> bytes:
            folder = "".join(f"{each.name}\n" for each in Path(paths[0]).iterdir()) if paths == ("/proc",) else ""
            return folder.encode() or b"".join(Path(path).read_bytes() for path in paths)

        way = within.Guest(read)
        mine = next(p for p in within.processes(way) if p.pid == os.getpid())
        assert mine.parent == os.getppid() and mine.command
        assert 0 < way.memory().free < way.memory().total and way.uptime() > 0
        assert "lo" in {each.name for each in within.interfaces(way)}
        assert within.system(way, "g").version == os.uname().release


class TestFiles:
    def test_what_is_in_a_folder(self, toy: Toy) -> None:
        begun(toy, "cd /tmp; echo 12345 >f; chmod 640 f; ln -s /etc/kept l; mkdir d; touch d/x; echo begun; sleep 60")
        own, *inside = entries(toy.places.state, "a", "/tmp")
        assert (own.name, own.kind) == (".", "dir")
        assert [(e.name, e.kind, e.size, e.target) for e in inside] == [
            ("d", "dir", 0, ""),
            ("f", "file", 6, ""),
            ("l", "link", 0, "/etc/kept"),
        ]
        assert (inside[1].mode, inside[1].uid) == (0o640, 999)
        assert [e.name for e in entries(toy.places.state, "a", "/tmp/f")] == ["f"]
        with pytest.raises(RunError, match="No such file"):
            entries(toy.places.state, "a", "/tmp/none")

    def test_what_is_removed(self, toy: Toy) -> None:
        begun(toy, "cd /tmp; mkdir d; touch d/x; ln -s /srv s; touch /tmp/f; echo begun; sleep 60")
        state = toy.places.state
        with pytest.raises(RunError, match="not empty"):
            erase(state, "a", "/tmp/d")
        for path, whole in (("/tmp/d", True), ("/tmp/s", True), ("/tmp/f", False)):
            erase(state, "a", path, whole=whole)
        assert len(entries(state, "a", "/tmp")) == 1 and entries(state, "a", "/srv")[0].kind == "dir"
        for path in ("/", "/tmp/..", "/../.."):
            with pytest.raises(RunError, match="root"):
                erase(state, "a", path, whole=True)

    def test_a_path_of_the_instance_leads_nowhere_else(self, toy: Toy, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("of this machine")
        begun(toy, f"ln -s {tmp_path} /tmp/out; ln -s /proc/1/root/../../.. /tmp/up; echo begun; sleep 60")
        for path in ("/tmp/out/secret", f"/../..{tmp_path}/secret", f"/tmp/up{tmp_path}/secret"):
            with pytest.raises(RunError):
                entries(toy.places.state, "a", path)
            with pytest.raises(RunError):
                erase(toy.places.state, "a", path)
        assert (tmp_path / "secret").exists()


class Caller:
    """Somebody who asks over HTTP."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def __call__(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.door.server_port}{path}"
        request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def one(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return self(method, f"/v1/instances/a{path}", body)

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.door.server_port), timeout=30) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@contextmanager
def opened(toy: Toy, **more: Any) -> Iterator[Caller]:
    with Door(("127.0.0.1", 0), toy.places.state, ("a",), TOKEN, **more) as door:
        thread = threading.Thread(target=door.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Caller(door)
        finally:
            door.shutdown()
            thread.join()


@pytest.fixture
def caller(toy: Toy) -> Iterator[Caller]:
    with opened(toy) as caller:
        yield caller


class TestDoor:
    def test_what_can_be_asked(self, toy: Toy, caller: Caller) -> None:
        begun(toy, env=(("A", "b"),))
        assert [i["name"] for i in caller("GET", "/v1/instances")[1]] == ["a"]
        assert caller.one("GET", "")[1]["instance"]["state"] == "running"
        assert caller.one("GET", "/exit") == (200, {"exit_code": None})
        assert caller.one("GET", "/env")[1]["A"] == "b"
        assert caller.one("GET", "/system")[1]["hostname"] == "a"
        assert caller.one("GET", "/memory")[1]["total"] > 0
        assert caller.one("GET", "/usage")[1]["processes"] == 2
        assert caller.one("GET", "/network")[1]["name"] == "none"
        assert caller.one("GET", "/processes")[1][0]["pid"] == 1
        assert [line["text"] for line in caller.one("GET", "/logs?tail=5")[1]] == ["begun\n"]
        assert caller.one("POST", "/processes/1/signal", {"signal": "USR1"}) == (200, {})
        until(lambda: said(toy, "a") == ["begun", "heard"])
        status, instance = caller.one("POST", "/restart", {"env": {"A": "c"}, "grace": 0})
        assert status == 200 and instance["pid"] and caller.one("GET", "/env")[1]["A"] == "c"
        assert caller.one("POST", "/stop", {"grace": 0}) == (200, {"exit_code": 137})
        assert caller.one("GET", "/exit") == (200, {"exit_code": 137})
        assert caller.one("GET", "/memory")[0] == 409

    def test_files(self, toy: Toy, caller: Caller) -> None:
        begun(toy, "echo begun; sleep 60")
        data = bytes(range(256)) * 1000
        content = base64.b64encode(data).decode()
        assert caller.one("PUT", "/files/content?path=/tmp/f", {"content": content, "mode": 0o600}) == (200, {})
        assert caller.one("GET", "/files/content?path=/tmp/f") == (200, {"content": content, "mode": 0o600})
        assert [e["size"] for e in caller.one("GET", "/files?path=/tmp/f")[1]] == [len(data)]
        assert caller.one("DELETE", "/files?path=/tmp/f") == (200, {})
        assert caller.one("GET", "/files/content?path=/tmp/f")[0] == 404
        for path in ("tmp/f", "", "/tmp/%00", "/tmp/..", "/", "/tmp/", "/" + "x" * 5000):
            assert caller.one("PUT", f"/files/content?path={path}", {"content": ""})[0] in (400, 404, 409), path
        assert caller.one("GET", "/files/content?path=/tmp")[0] == 409  # a folder
        assert caller.one("PUT", "/files/content?path=/tmp/f", {"content": "no Base64!"})[0] == 409

    def test_a_large_file_is_refused_both_ways(self, toy: Toy, caller: Caller) -> None:
        begun(toy, f"yes | head -c {LARGEST + (1 << 20)} >/tmp/big; echo begun; sleep 60")
        assert caller.one("GET", "/files/content?path=/tmp/big")[0] == 409
        head = f"PUT /v1/instances/a/files/content?path=/tmp/f HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        for length, status in ((str(1 << 40), b"413"), (str(2 << 24), b"413"), ("-1", b"400"), ("x", b"400")):
            assert caller.raw(f"{head}Content-Length: {length}\r\n\r\n".encode()).split()[1] == status
        assert caller.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()).split()[1] == b"411"

    def test_nothing_without_the_token(self, toy: Toy, caller: Caller) -> None:
        begun(toy)
        for route in ROUTES:
            path = route.path.replace("{instance}", "a").replace("{pid}", "1")
            for token in ("", "wrong", f"{TOKEN}x", TOKEN[:-1], "é"):
                data = f"{route.method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode("latin-1")
                assert caller.raw(data).split()[1] == b"401", (route, token)
            assert caller.raw(f"{route.method} {path} HTTP/1.1\r\n\r\n".encode()).split()[1] == b"401"
        assert inspect(toy.places.state, "a").state == "running"
        assert b"401" in caller.raw(f"GET /v1/instances?token={TOKEN} HTTP/1.1\r\n\r\n".encode())

    def test_read_only_changes_nothing(self, toy: Toy) -> None:
        begun(toy)
        with opened(toy, read_only=True) as caller:
            for route in ROUTES:
                path = route.path.replace("{instance}", "a").replace("{pid}", "1")
                status, _ = caller(route.method, f"{path}?path=/tmp" if "files" in path else path, b"{}")
                assert (status == 403) == route.changes, route
        assert inspect(toy.places.state, "a").state == "running"

    def test_only_what_is_managed(self, toy: Toy, caller: Caller) -> None:
        begun(toy)
        toy.start("/bin/sleep", "60", wish=Wish(name="b"))
        assert caller("GET", "/v1/instances/b")[0] == 404
        assert caller("GET", f"/v1/instances/{inspect(toy.places.state, 'b').id}")[0] == 404
        assert [i["name"] for i in caller("GET", "/v1/instances")[1]] == ["a"]
        assert caller("GET", "/v1/instances/a%2Fexit")[0] == 404

    def test_what_cannot_be_is_an_error_in_json(self, toy: Toy, caller: Caller) -> None:
        begun(toy)
        one = "/v1/instances/a"
        refused: list[tuple[str, str, bytes | None, int]] = [
            ("GET", "/", None, 404),
            ("PATCH", "/v1/instances", b"", 405),
            ("POST", "/v1/instances", b"{}", 405),
            ("POST", f"{one}/restart", b"{", 400),
            ("POST", f"{one}/restart", b"[" * 100_000, 400),
            ("POST", f"{one}/restart", b'{"gracee": 1}', 400),
            ("POST", f"{one}/restart", b'{"arguments": {"x": 1}}', 422),
            ("POST", f"{one}/restart", b'{"grace": 1e99}', 409),
            ("POST", f"{one}/processes/x/signal", b'{"signal": "HUP"}', 400),
            ("POST", f"{one}/processes/1/signal", b'{"signal": "NONE"}', 409),
            ("GET", f"{one}/logs?tail=x", None, 400),
            ("GET", f"{one}/logs?tail=100000", None, 409),
            ("GET", f"{one}/logs?" + "&".join(f"a{n}=1" for n in range(50)), None, 400),
            ("GET", f"{one}/files", None, 400),
        ]
        for method, path, body, status in refused:
            found, answer = caller(method, path, body)
            assert found == status and answer["errors"][0]["what"], (method, path)

    def test_there_are_only_so_many_at_once(self, toy: Toy, caller: Caller) -> None:
        idle = [socket.create_connection(("127.0.0.1", caller.door.server_port)) for _ in range(AT_ONCE)]
        try:
            for connection in idle:
                connection.sendall(b"GET ")
            until(lambda: b"503" in caller.raw(b"GET /openapi.json HTTP/1.1\r\n\r\n")[:20])
        finally:
            for connection in idle:
                connection.close()
        until(lambda: b"200" in caller.raw(b"GET /openapi.json HTTP/1.1\r\n\r\n")[:20])

    def test_many_at_once_are_all_answered(self, toy: Toy, caller: Caller) -> None:
        begun(toy)
        found: list[int] = []

        def ask() -> None:
            for _ in range(5):
                while (status := caller.one("GET", "")[0]) == 503:
                    time.sleep(0.01)
                found.append(status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 40

    def test_the_document_tells_of_each_answer(self, toy: Toy, caller: Caller) -> None:
        """Each GET's answer is of the shape that the document says; it lists each route with what it takes."""
        begun(toy)
        status, document = caller("GET", "/openapi.json", token="")
        assert status == 200 and document["openapi"] == "3.1.0"
        said = {(method.upper(), path) for path, of in document["paths"].items() for method in of}
        assert said == {(route.method, route.path) for route in ROUTES}
        query = {"/v1/instances/{instance}/files": "?path=/tmp"}
        for route in ROUTES:
            if route.method != "GET" or route.path.endswith("content"):
                continue
            answer = caller("GET", route.path.replace("{instance}", "a") + query.get(route.path, ""))
            operation = document["paths"][route.path]["get"]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.validate(answer[1], {**schema, "components": document["components"]})


class TestOpening:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:0", ("127.0.0.1", 0)),
            ("localhost:80", ("127.0.0.1", 80)),
            ("[::1]:8400", ("::1", 8400)),
            ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ],
    )
    def test_addresses(self, text: str, address: tuple[str, int]) -> None:
        assert opening.address(text) == address

    @pytest.mark.parametrize(
        "text", ["", "80", ":80", "::1:80", "h:80", "127.0.0.1:65536", "127.0.0.1:", "[1.2.3.4]:1"]
    )
    def test_no_addresses(self, text: str) -> None:
        with pytest.raises(DeclarationError):
            opening.address(text)

    def test_others_come_only_with_a_token_that_was_chosen(self, tmp_path: Path) -> None:
        opening.check("127.0.0.1", "")
        opening.check("0.0.0.0", TOKEN)
        for host, token in (("0.0.0.0", ""), ("::", ""), ("127.0.0.1", "short"), ("127.0.0.1", "with a space in it")):
            with pytest.raises(DeclarationError):
                opening.check(host, token)
        with opening.fresh(tmp_path / "state") as (token, path):
            assert path.read_text().strip() == token and len(token) > 30 and path.stat().st_mode & 0o777 == 0o600
        assert not path.exists()
