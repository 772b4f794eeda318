"""Stack × images × secrets → what each member is started with; and × what runs → what is to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oslet.bind import bind, start_with, url_with
from oslet.codec import texts
from oslet.codec.conform import Faults, Place
from oslet.errors import DeclarationError, Fault
from oslet.model.image import Built
from oslet.model.instance import Arguments, Secret
from oslet.model.oslet import Start
from oslet.model.param import SecretKind
from oslet.model.stack import Member, Membership, Move, Stack

LOOPBACK = "127.0.0.1"
REDACTED = "xxxxx"
"""What stands in a URL in a secret's place, as Go's and others' ``redacted`` have it."""
APART = ("private", "none")
"""Networks on which nobody else is."""


class Ready(NamedTuple):
    """A member with its image, and all that it is started with. ``network`` is where it will be, by name or mode."""

    member: Member
    built: Built
    network: str
    rank: int
    arguments: Arguments
    contract: Start
    env: tuple[tuple[str, str], ...]
    command: tuple[str, ...]


class Seen(NamedTuple):
    """A member's instance, as it is now."""

    membership: Membership
    id: str
    running: bool
    exit_code: int | None = None


def instance_name(stack: str, member: str) -> str:
    """What a member's instance is called: neither part has a dot, so no two of them are one."""
    return f"{stack}.{member}"


def waves(stack: Stack) -> tuple[tuple[str, ...], ...]:
    """The members' names in the order of their starts; those of one wave need nothing of each other."""
    left = {member.name: {need.member for need in member.needs} for member in stack.members}
    found: list[tuple[str, ...]] = []
    while left:
        wave = tuple(name for name, needs in left.items() if not needs & left.keys())
        if not wave:
            raise ValueError("needs in a circle")  # a stack that was read has none
        found.append(wave)
        left = {name: needs for name, needs in left.items() if name not in wave}
    return tuple(found)


def secret_words(member: Member, built: Built) -> dict[str, str]:
    """The member's secret params that are written as where they are: ``@FILE``, ``env:NAME``."""
    kinds = {param.name: param.kind for param in built.image.params}
    return {
        name: word
        for name, word in member.given.arguments
        if isinstance(kinds.get(name), SecretKind) and isinstance(word, str) and word.startswith(("@", "env:"))
    }


def fill(
    stack: Stack, images: Mapping[str, Built], secrets: Mapping[tuple[str, str], str], place: Place
) -> tuple[Ready, ...]:
    """Every member with its references resolved and its arguments bound, in the order of starts.

    ``secrets`` are the values of each member's ``secret_words``. DeclarationError with every fault of the members that
    can be judged: not of those that refer to a faulty one.
    """
    members = {member.name: member for member in stack.members}
    ready: dict[str, Ready] = {}
    found: list[Fault] = []
    for rank, wave in enumerate(waves(stack)):
        for name in wave:
            if all(need.member in ready for need in members[name].needs):
                own = {word: value for (of, word), value in secrets.items() if of == name}
                try:
                    ready[name] = _Filling(stack, members[name], images[name], ready, place).fill(rank, own)
                except DeclarationError as error:
                    found.extend(error.faults)
    if found:
        raise DeclarationError.of(found)
    return tuple(ready.values())


def network_of(stack: Stack, member: Member, start: Start) -> str:
    """Where a member is: what it says; what its image can't do without; else the stack's own network."""
    own = start.network if start.network != "private" else ""
    return member.doors.network or own or stack.network or stack.name


class _Filling:
    """One member's texts, with what they refer to and the faults met so far."""

    def __init__(self, stack: Stack, member: Member, built: Built, ready: Mapping[str, Ready], place: Place) -> None:
        self.member = member
        self.built = built
        self.ready = ready
        self.place = place
        self.faults = Faults()
        self.network = network_of(stack, member, built.image.start)

    def fill(self, rank: int, secrets: Mapping[str, str]) -> Ready:
        given = self.member.given
        arguments = {name: self.argument(name, value, secrets) for name, value in given.arguments}
        env = tuple((name, self.plain(("env", name), text)) for name, text in given.env)
        command = tuple(self.plain(("command", i), word) for i, word in enumerate(given.command))
        self.faults.raise_any(self.place)
        start = self.built.image.start
        where = self.place(("members", self.member.name, "arguments"))[1]
        params = [param for param in self.built.image.params if param.at == "start"]
        bound = bind(params, arguments, where=f"{where}.")
        return Ready(self.member, self.built, self.network, rank, bound, start_with(start, bound), env, command)

    def argument(self, name: str, value: Any, secrets: Mapping[str, str]) -> Any:
        """An argument as it is bound; a secret's has to come from where secrets are."""
        param = next((param for param in self.built.image.params if param.name == name), None)
        if param is None or not isinstance(param.kind, SecretKind):
            if isinstance(value, list):
                return [self.plain(("arguments", name), each) for each in value]
            return self.plain(("arguments", name), value)
        if name in secrets:
            return secrets[name]
        if isinstance(value, str) and texts.references(value):
            return self.refer(("arguments", name), value)[0]
        self.fault(
            ("arguments", name), "a secret doesn't belong in a file that others read", 'write "@FILE" or "env:NAME"'
        )
        return ""

    def plain(self, key: tuple[str | int, ...], value: Any) -> Any:
        """What may show: a text that refers to a secret is refused."""
        if not isinstance(value, str):
            return value
        text, secret = self.refer(key, value)
        if secret:
            other = secret.partition(".")[0]
            self.fault(
                key,
                f"{{{secret}}} holds a secret, which would show here",
                f"give it to a param of type secret, or write {{{other}.host}}:{{{other}.port}} and the secret apart",
            )
        return text

    def refer(self, key: tuple[str | int, ...], text: str) -> tuple[str, str]:
        """The text with its references replaced, and the one of them that holds a secret, if one does."""
        values = {}
        secret = ""
        for reference in texts.references(text):
            name, _, asked = reference.partition(".")
            other = self.ready[name]
            values[reference] = self.value(key, other, asked)
            if asked == "url" and _holds_secret(other):
                secret = reference
        return texts.refer(text, values), secret

    def value(self, key: tuple[str | int, ...], other: Ready, asked: str) -> str:
        name = other.member.name
        if other.network != self.network or self.network in APART:
            what = f"{name} is on the network {other.network!r}, {self.member.name} on {self.network!r}"
            self.fault(key, f"{what}: it can't be reached", "put both on one, a named one or host")
            return ""
        host = LOOPBACK if other.network == "host" else name
        if asked == "host":
            return host
        if asked == "url":
            if not other.contract.url:
                hint = f"write {{{name}.host}}:{{{name}.port}}, or declare its url"
                self.fault(key, f"{name} doesn't say what its url is", hint)
            return url_with(other.built.image.start, other.arguments, host)
        number = int(asked.partition(".")[2] or 1)
        if number > len(other.contract.ports):
            said = f"{name} has {len(other.contract.ports)} ports" if other.contract.ports else f"{name} has no port"
            self.fault(key, f"{said}, so that {{{name}.{asked}}} is none", "declare its ports")
            return ""
        return other.contract.ports[number - 1]

    def fault(self, key: tuple[str | int, ...], what: str, hint: str) -> None:
        self.faults.add(("members", self.member.name, *key), what, hint)


def _holds_secret(ready: Ready) -> bool:
    return any(
        isinstance(ready.arguments.values.get(name), Secret) for name in texts.names(ready.built.image.start.url)
    )


def shown_url(ready: Ready, ports: Mapping[int, int]) -> str:
    """What this machine connects with, without secrets; ``ports`` lead from the member's to this machine's."""
    values = {n: REDACTED if isinstance(v, Secret) else v for n, v in ready.arguments.values.items()}
    return url_with(ready.built.image.start, Arguments(values, ready.arguments.separators), LOOPBACK, ports)


def moves(
    stack: Stack, wanted: Sequence[Ready], marks: Mapping[str, tuple[tuple[str, str], ...]], seen: Sequence[Seen]
) -> tuple[Move, ...]:
    """What is to be done so that ``wanted`` runs, each with its reason: stops first, then in the order of starts.

    ``marks`` are the wanted members'; a running one that bears the same is left alone.
    """
    there = {each.membership.member: each for each in seen}
    names = {ready.member.name for ready in wanted}
    awaited = {need.member for member in stack.members for need in member.needs if need.until == "done"}
    found = [Move(n, "stop", "no longer in the stack") for n, s in there.items() if n not in names and s.running]
    for ready in wanted:
        name = ready.member.name
        found.append(_move(name, there.get(name), marks[name], once=name in awaited))
    return tuple(found)


def _move(name: str, seen: Seen | None, marks: tuple[tuple[str, str], ...], *, once: bool) -> Move:
    if seen is None:
        return Move(name, "start", "not there yet")
    old = dict(seen.membership.marks)
    changed = [part for part, mark in marks if old.get(part) != mark]
    if seen.running:
        return Move(name, "replace", f"changed: {', '.join(changed)}") if changed else Move(name, "keep", "unchanged")
    if once and not changed and seen.exit_code == 0:
        return Move(name, "keep", "unchanged, and done")
    return Move(name, "start", f"ended ({seen.exit_code})")
