"""A running instance, as Python code holds it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from oslet.errors import RunError
from oslet.model.instance import Arguments, Secret
from oslet.model.oslet import Start
from oslet.run import execute, inspect, logs, remove, restart, stop, wait
from oslet.run.health import await_healthy, reached
from oslet.run.network import LOOPBACK
from oslet.run.records import record

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from oslet.model.instance import Instance
    from oslet.run.records import Published
    from oslet.workspace import Workspace

LINES = 8
"""How much of what an instance wrote an error shows."""
LEAST = 3
"""How much of it, where it is known what the instance missed."""


class Peer(NamedTuple):
    """An instance as another one on its network sees it: its name is its host's."""

    name: str
    host: str
    ports: tuple[int, ...]
    url: str

    @property
    def port(self) -> int:
        return self.ports[0]


class Running:
    """One instance by its id. As a context manager it is ended and removed when the block ends.

    ``contract`` and ``arguments`` are what it was started with, for who wants its URL.
    """

    def __init__(
        self,
        instance: Instance,
        workspace: Workspace,
        contract: Start | None = None,
        arguments: Arguments | None = None,
    ) -> None:
        self.id = instance.id
        self.name = instance.name
        self.ports = instance.ports
        self._workspace = workspace
        self._places = workspace.places
        self._contract = contract or Start()
        self._arguments = arguments or Arguments({})

    def __repr__(self) -> str:
        return f"<{self.name} {self.id[:12]}>"

    def __enter__(self) -> Running:
        return self.ready()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        self.remove()

    @property
    def observed(self) -> Instance:
        """The instance as it is now."""
        return inspect(self._places.state, self.id)

    @property
    def published(self) -> tuple[Published, ...]:
        """Each port of the instance, and where on this machine it answers."""
        return record(self._places.state, self.id).published

    @property
    def host(self) -> str:
        """The address at which this machine reaches its ports."""
        found = self.published
        return reached(found[0].address) if found else LOOPBACK

    @property
    def port(self) -> int:
        """The first published port, as this machine calls it. RunError where there is none."""
        if not self.ports:
            raise RunError(f"{self.name} publishes no port")
        return self.ports[0]

    @property
    def url(self) -> str:
        """What a client on this machine connects with; the secrets that the declaration's ``url`` names are in it.
        RunError where it declares none."""
        from oslet.bind import url_with

        if not self._contract.url:
            raise RunError(f"the declaration of {self.name} says no url", hint='write url = "http://{host}:{port}"')
        ports = {each.container: each.host for each in self.published}
        return url_with(self._contract, self._arguments, self.host, ports)

    @property
    def inside(self) -> Peer:
        """The same as other instances on its network see it. RunError where nobody does."""
        from oslet.bind import url_with

        known = record(self._places.state, self.id)
        if known.network in ("private", "none", "host"):
            what = f"no other instance reaches {self.name}: its network is {known.network}"
            raise RunError(what, hint="start both on one that you name: network = NAME")
        url = url_with(self._contract, self._arguments, self.name) if self._contract.url else ""
        return Peer(self.name, self.name, tuple(each.container for each in known.published), url)

    def ready(self, timeout: float = 60) -> Running:
        """Wait until the instance is healthy, if it declares what that is. RunError if it ends or takes too long."""
        try:
            await_healthy(self._places.state, self.id, timeout=timeout)
        except RunError as error:
            from oslet.workspace.watching import post_mortem

            said = [line[:200] for line in self.logs().splitlines()[-LINES:]]
            hint = "\n    ".join(["its last words:", *said]) if said else "it wrote nothing"
            if lost := post_mortem(self._workspace, self.id):
                hint = "\n".join(["its last words:", *(f"    {line}" for line in said[-LEAST:]), *map(str, lost)])
            raise RunError(error.what, hint=hint) from None
        return self

    def get(self, path: str = "/", timeout: float = 10) -> HTTPResponse:
        """The answer to an HTTP GET on the first published port. Raises urllib.error.HTTPError and URLError."""
        from urllib.request import urlopen

        answer: HTTPResponse = urlopen(f"http://127.0.0.1:{self.ports[0]}{path}", timeout=timeout)
        return answer

    def exec(self, command: Sequence[str]) -> int:
        """Run a command inside, its streams this process's; its exit code."""
        return execute(self._places.state, self.id, tuple(command))

    def logs(self) -> str:
        """What it wrote so far."""
        return b"".join(line.text for line in logs(self._places.state, self.id)).decode("utf-8", "replace")

    def wait(self, timeout: float | None = None) -> int:
        return wait(self._places.state, self.id, timeout)

    def stop(self, grace: float = 10) -> int:
        """Ask it to end, and after ``grace`` seconds make it; its exit code."""
        return stop(self._places.state, self.id, grace)

    def restart(self, **arguments: Any) -> Running:
        """End it and begin it again: its id, name and ports stay, and its arguments but for those that are given."""
        values = self._arguments.values
        self.ports = restart(self._places.state, self.id, arguments).ports
        secrets = {
            n: Secret(v) for n, v in arguments.items() if isinstance(values.get(n), Secret) and isinstance(v, str)
        }
        known = {**values, **record(self._places.state, self.id).arguments, **secrets}
        self._arguments = replace(self._arguments, values=known)
        return self

    def remove(self) -> None:
        remove(self._places.state, self.id, force=True)
