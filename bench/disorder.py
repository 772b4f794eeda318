"""Disorder: one state folder's instances under random operations, and what must be true of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.measure import ROOT
from bench.shell import SHELL, SLEEP, sealed, tree
from bench.truth import Kept, Truth, listening
from oslet.errors import OsletError, RunError
from oslet.model.instance import Arguments, Instance
from oslet.run import (  # fmt: skip
    Clone,
    Limits,
    Places,
    Sealed,
    Tools,
    Wish,
    client,
    end,
    execute,
    instances,
    keeping,
    logs,
    park,
    records,
    remove,
    run,
    send,
    start,
    stop,
    wire,
)
from oslet.run.monitor import Stdio
from oslet.run.starting import request

PATIENCE = 15.0
"""Seconds within which what is reported and what is so must agree."""
MANY = 12
"""Instances that are let live at once."""
ODD = 48 << 20
"""Bytes; with the seed's share, a memory limit that only this play sets: how its cgroups are told from others'."""


class Found(Exception):  # noqa: N818 (it is what is looked for)
    """Something isn't as it is said to be."""


class Chaos:
    """One state folder and its instances, as they should be."""

    def __init__(self, places: Places, tools: Tools, root: Path, seed: int) -> None:
        self.places, self.tools = places, tools
        self.random = random.Random(seed)
        self.kept: dict[str, Kept] = {}
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.disturbed = False
        self.limited = os.geteuid() == 0 and Path("/sys/fs/cgroup/memory/cgroup.procs").exists()
        self.odd = ODD + (seed % 4096 << 12)
        self.truth = Truth(places.state, self.odd)
        self.tree = tree(root)
        self._root = root
        self._number = 0
        self._ports = cycle(range(21000, 21040))  # so that those of one burst differ
        self._clone = places.data / "seed"
        self._clone.mkdir(parents=True)
        (self._clone / "first").write_text("first\n")

    # Operations

    def step(self) -> None:
        """One operation, perhaps with the supervisor killed in the middle, and everything held to the truth."""
        doable: dict[Callable[[], None], int] = {
            self.begin: 30, self.burst: 3, self.attach: 8, self.leave: 5, self.finish: 14, self.kill: 14, self.enter: 8,
            self.read: 6, self.clear: 8, self.wait: 4, self.park: 4, self.kill_supervisor: 5, self.abandon: 3,
            self.client: 1,
        }  # fmt: skip
        (what,) = self.random.choices([*doable], [*doable.values()])
        self.done[what.__name__] += 1
        self.disturbed = self.random.random() < 0.1
        try:
            with self.disturbing() if self.disturbed else nullcontext():
                what()
        except (OsletError, OSError, Found) as error:
            if not (self.disturbed and "supervisor was killed" in str(error)):
                self.fault(f"{what.__name__}: {type(error).__name__}: {error}")
        self.check(what.__name__)

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        """The supervisor is killed within a moment."""
        pid, pause = self.supervisor().pid, self.random.expovariate(1 / 0.006)
        thread = threading.Timer(pause, lambda: _kill(pid))
        thread.start()
        self.done["killed in the middle"] += 1
        try:
            yield
        finally:
            thread.join()

    def begin(self) -> None:
        """Start one, detached."""
        if sum(kept.lives for kept in self.kept.values()) >= MANY:
            return self.finish()
        return self._keep([self._start(*self._drawn())])

    def burst(self) -> None:
        """Several at once."""
        drawn = [self._drawn() for _ in range(4)]
        made: list[Kept] = []
        errors: list[BaseException] = []

        def one(script: str, wish: Wish, kept: Kept) -> None:
            try:
                made.append(self._start(script, wish, kept))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=each) for each in drawn]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._keep(made)
        if errors:
            raise errors[0]

    def attach(self) -> None:
        """Run one in the foreground, to its end."""
        code = self.random.randrange(3)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            ended = run(
                self.sealed(f"busybox sleep 0.0{self.random.randrange(6)}; exit {code}"), Arguments({}), Wish(),
                lambda: self.tools, self.places, Stdio(null, null, null),
            )  # fmt: skip
        finally:
            os.close(null)
        if ended != code:
            raise Found(f"a foreground run's code is {ended}, not {code}")

    def leave(self) -> None:
        """An attached client goes away: so does its instance."""
        with suppress(ConnectionError), self._asked(attached=True) as connection:
            if self.random.random() < 0.7:
                with suppress(ConnectionError):
                    client.answer(connection)

    def abandon(self) -> None:
        """A client goes away in the middle of what it says, or before it is answered; what it started is removed."""
        if self.random.random() < 0.5:
            with suppress(OSError), client.connect(self.places.state, lambda: self.tools) as connection:
                connection.sendall(b"\xff\0\0\0{"[: self.random.randrange(1, 6)])
            return
        before = {instance.id for instance in instances(self.places.state)}
        with suppress(ConnectionError), self._asked():
            pass
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            for instance in instances(self.places.state):
                if instance.id not in before and instance.state == "running":
                    remove(self.places.state, instance.id, force=True)
                    return
            time.sleep(0.02)

    def client(self) -> None:
        """A client is a process, and is killed."""
        words = [sys.executable, "-m", "bench.chaos", "--client", str(self._root), str(self.tools.crun)]
        words += ["--state", str(self.places.state.parent)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(self.random.random() * 0.6)
            process.kill()

    def finish(self) -> None:
        """Stop one."""
        if (id_ := self._any()) is None:
            return
        code = stop(self.places.state, id_, grace=self.random.choice((0, 0, 0.05)))
        self._ended(id_, (143, 137))
        if self.kept[id_].codes and code not in (*self.kept[id_].codes, 126):
            raise Found(f"stop says that {id_} ended with {code}, not {self.kept[id_].codes}")

    def kill(self) -> None:
        """Kill an instance."""
        id_ = self._any()
        if id_ is None or not self.kept[id_].lives:
            return
        with suppress(RunError):
            send(self.places.state, id_, "KILL")
        self.done["killed instances"] += 1
        if not self.kept[id_].restarts:
            self._ended(id_, (137,))

    def enter(self) -> None:
        """Run a command in one."""
        id_ = self._any()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            if id_ is not None:
                code = execute(self.places.state, id_, (*SHELL, "exit 3"), stdio=Stdio(null, null, null))
                if code != 3:
                    raise Found(f"a command's code in {id_} is {code}, not 3")
        except RunError as error:
            steady = id_ is not None and self.kept[id_].lives and not self.kept[id_].restarts
            if steady and not self.disturbed:
                raise
            if not any(words in str(error) for words in ("doesn't run", "has ended", "supervisor", "can't be")):
                raise
        finally:
            os.close(null)

    def read(self) -> None:
        """Everything that is marked says so in its log, restarts included."""
        id_ = self._any()
        if id_ is None or self.kept[id_].codes or not self.kept[id_].lives:
            return
        deadline = time.monotonic() + PATIENCE
        while not any(line.text == b"marked\n" for line in logs(self.places.state, id_)):
            if time.monotonic() > deadline:
                raise Found(f"{id_} wrote a line that its log hasn't")
            time.sleep(0.01)

    def wait(self) -> None:
        """Wait for one that ends by itself."""
        from oslet.run import wait

        for id_, kept in self.kept.items():
            if not kept.lives and kept.codes:
                code = wait(self.places.state, id_, timeout=PATIENCE)
                if code not in kept.codes:
                    raise Found(f"wait says that {id_} ended with {code}, not {kept.codes}")
                return

    def clear(self) -> None:
        """Remove one."""
        if (id_ := self._any()) is not None:
            remove(self.places.state, id_, force=True)
            del self.kept[id_]

    def park(self) -> None:
        """Have a few slots wait, or none."""
        wish = Wish(limits=Limits(memory=self.odd) if self.limited and self.random.random() < 0.5 else Limits())
        count = self.random.choice((0, 1, 2, 3))
        park(self.sealed(SLEEP, "chaos"), Arguments({}), wish, lambda: self.tools, self.places, count)

    def kill_supervisor(self) -> None:
        _kill(self.supervisor().pid)
        self.done["killed supervisors"] += 1

    # What they are made of

    def supervisor(self) -> wire.Waiting:
        reply = client.ask(self.places.state, wire.Ask(), tools=lambda: self.tools)
        assert isinstance(reply, wire.Waiting)
        return reply

    def fault(self, text: str) -> None:
        line = f"after {sum(self.done.values())} operations: {text}"
        self.faults.append(line)
        print(line, flush=True)

    def _keep(self, made: Sequence[Kept]) -> None:
        """Know them. What had ended under the same name is gone with that, be it as quick as to have come with them."""
        latest = {each.instance.name: each for each in sorted(made, key=lambda each: each.instance.created)}
        self.kept = {id_: kept for id_, kept in self.kept.items() if kept.instance.name not in latest}
        self.kept |= {each.instance.id: each for each in latest.values()}

    def _any(self) -> str | None:
        return self.random.choice([*self.kept]) if self.kept else None

    def _ended(self, id_: str, codes: tuple[int, ...]) -> None:
        kept = self.kept[id_]
        if kept.lives:
            self.kept[id_] = kept._replace(lives=False, codes=codes if not kept.restarts else (), restarts=False)

    def _drawn(self) -> tuple[str, Wish, Kept]:
        """A script, a wish, and what is then to be true."""
        nobody = Instance("", "", "", "", "running", (), 0.0)
        pick, wish = self.random.random(), Wish()
        kept, script = Kept(nobody, lives=True), SLEEP
        if pick < 0.2:
            kept, script = Kept(nobody, lives=False, codes=(pick > 0.1,)), f"exit {int(pick > 0.1)}"
        elif pick < 0.35:
            wish = wish._replace(restart=self.random.choice(("always", "on-failure")))
            kept = kept._replace(restarts=True)
        elif pick < 0.5:
            wish = wish._replace(volumes={"/srv": Clone(str(self._clone))})
        if self.random.random() < 0.3:
            self._number += 1
            wish = wish._replace(name=f"named-{self._number}")
        if self.limited and self.random.random() < 0.2:
            wish = wish._replace(limits=Limits(memory=self.odd))
        if self.random.random() < 0.25 and kept.lives:
            port = next(p for p in self._ports if p not in listening())
            if not any(port == other.port for other in self.kept.values()):
                wish = wish._replace(network="private", publish=(f"127.0.0.1:{port}:80",))
                kept = kept._replace(port=port)
        return script, wish, kept

    def _start(self, script: str, wish: Wish, kept: Kept) -> Kept:
        made = start(self.sealed(script, "chaos"), Arguments({}), wish, lambda: self.tools, self.places)
        return kept._replace(instance=made)

    @contextmanager
    def _asked(self, *, attached: bool = False) -> Iterator[Any]:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        asked = request(self.sealed(SLEEP), Arguments({}), Wish(), self.places, attached=attached)
        try:
            fds = (null, null, null) if attached else ()
            with client.asked(self.places.state, asked, fds, lambda: self.tools) as connection:
                yield connection
        finally:
            os.close(null)

    def sealed(self, script: str, name: str = "front") -> Sealed:
        return sealed(self.places, self.tree, self._root, script, name)

    # Truth

    def check(self, what: str) -> None:
        """Everything that is said must come to be what is so, soon."""
        deadline, told = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            try:
                return self.agree()
            except (Found, RunError) as found:
                told = str(found)
            time.sleep(0.005)
        self.fault(f"{what}: {told}")
        for id_ in told.split():  # once is enough
            self.kept.pop(id_, None)
        return None

    def agree(self) -> None:
        said = {instance.id: instance for instance in instances(self.places.state)}
        if missing := self.kept.keys() - said.keys():
            raise Found(f"no record of {' '.join(missing)}")
        for id_, kept in self.kept.items():
            self._agree(kept, said[id_])
        living = {id_ for id_, instance in said.items() if instance.state != "exited"}
        if strays := living - self.kept.keys():
            raise Found(f"{' '.join(strays)} lives without its client")
        waiting = self.supervisor()
        if set(waiting.instances) != living:
            raise Found(f"supervisor and records differ by {' '.join(set(waiting.instances) ^ living)}")
        if fault := self.truth.differs(waiting, [record for _, record in records.records(self.places.state)]):
            raise Found(fault)

    def _agree(self, kept: Kept, said: Instance) -> None:
        if kept.lives and not kept.restarts and (said.state, said.pid) != ("running", kept.instance.pid):
            raise Found(
                f"{said.id} runs as {kept.instance.pid} and is said to be {said.state} {said.pid} {said.exit_code}"
            )
        if kept.restarts and said.state == "exited":
            raise Found(f"{said.id} is to be started again, but has exited with {said.exit_code}")
        if not kept.lives and said.state != "exited":
            raise Found(f"{said.id} has ended and is said to be {said.state}")
        if not kept.lives and kept.codes and said.exit_code not in kept.codes:
            raise Found(f"{said.id} is said to have ended with {said.exit_code}, not {kept.codes}")
        if kept.port and (kept.lives and said.state == "running") != (kept.port in listening()):
            raise Found(f"{said.id} is {said.state}, its port {kept.port} isn't")

    def finale(self) -> None:
        """All ends; then nothing may be left, and no supervisor has complained."""
        try:
            for instance in instances(self.places.state):
                remove(self.places.state, instance.id, force=True)
            end(self.places.state, force=True)
        except RunError as error:
            self.fault(f"at the end: {error}")
        deadline, left = time.monotonic() + PATIENCE, self.truth.left()
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = self.truth.left()
        left += [f"volume {path.name}" for path in self.places.data.iterdir() if path != self._clone]
        left += [f"file of a clone {path}" for path in self._clone.iterdir() if path.name != "first"]
        for thing in left:
            self.fault(f"left behind: {thing}")
        if said := (self.places.state / keeping.LOG).read_text():
            self.fault(f"a supervisor complained: {said[-2000:]}")


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
