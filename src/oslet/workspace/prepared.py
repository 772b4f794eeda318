"""A stack made ready: every image built, every argument bound, compared with what runs. Nothing is started."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet import group
from oslet.codec import canonical
from oslet.codec.conform import Faults
from oslet.codec.stacks import Read
from oslet.group import Ready, Seen
from oslet.model.image import Built
from oslet.model.instance import Secret
from oslet.model.stack import Member, Move
from oslet.run import records as kept
from oslet.workspace.declared import Declared

if TYPE_CHECKING:
    from oslet.workspace import Workspace

MAX_SECRET = 1 << 20


class Prepared(NamedTuple):
    """A stack with every image built and every argument bound, compared with what runs: nothing has started yet."""

    read: Read
    ready: tuple[Ready, ...]
    marks: dict[str, tuple[tuple[str, str], ...]]
    seen: tuple[Seen, ...]
    moves: tuple[Move, ...]


def prepare(workspace: Workspace, read: Read, environment: Mapping[str, str]) -> Prepared:
    """Build or look up every image, bind every argument, and look at what runs. Raises what building does, and
    DeclarationError with every fault of the arguments."""
    images = _images(workspace, read)
    words = {m.name: group.secret_words(m, images[m.name]) for m in read.stack.members}
    found = _secrets(read, words, environment)
    ready = group.fill(read.stack, images, found, read.place)
    key = _key(workspace.places.state)
    marks = {each.member.name: _marks(each, key) for each in ready}
    seen = members(workspace, read.stack.name)
    return Prepared(read, ready, marks, seen, group.moves(read.stack, ready, marks, seen))


def members(workspace: Workspace, name: str) -> tuple[Seen, ...]:
    """The instances of a stack, in the order of their starts."""
    found = [
        Seen(record.membership, record.id, now.state != "exited", now.exit_code)
        for folder, record in kept.records(workspace.places.state)
        if record.membership and record.membership.group == name
        for now in (kept.observe(folder, record),)
    ]
    return tuple(sorted(found, key=lambda each: (each.membership.rank, each.membership.member)))


def _images(workspace: Workspace, read: Read) -> dict[str, Built]:
    """Each member's image; what several of them name is built once."""
    known: dict[bytes, Built] = {}
    found = {}
    for number, member in enumerate(read.stack.members):
        workspace.progress(f"image of {member.name}", number, len(read.stack.members))
        key = canonical((member.target, member.declared, member.given.build))
        if key not in known:
            known[key] = _image(workspace, read, member)
        found[member.name] = known[key]
    return found


def _image(workspace: Workspace, read: Read, member: Member) -> Built:
    build = dict(member.given.build)
    if member.declared is not None:
        from oslet.bind import at_build

        lock = read.beside / f"{read.stack.name}.{member.name}.lock"
        return workspace.build(Declared(at_build(member.declared, build), read.beside, lock))
    if member.target.endswith(".toml"):
        return workspace.image(os.path.relpath(read.beside / member.target), build)
    return workspace.image(member.target, build)


def _secrets(
    read: Read, words: Mapping[str, Mapping[str, str]], environment: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """The secrets that are in files and in the environment. One newline at a file's end is not part of it."""
    found: dict[tuple[str, str], str] = {}
    faults = Faults()
    for member, params in words.items():
        for name, word in params.items():
            key = ("members", member, "arguments", name)
            if word.startswith("env:"):
                if word[4:] not in environment:
                    faults.add(key, f"there is no environment variable {word[4:]}")
                found[member, name] = environment.get(word[4:], "")
                continue
            try:
                with (read.beside / Path(word[1:]).expanduser()).open(encoding="utf-8") as stream:
                    found[member, name] = stream.read(MAX_SECRET).removesuffix("\n")
            except (OSError, ValueError, RuntimeError) as error:  # not UTF-8, a NUL in the path, nobody's home
                faults.add(key, f"can't read the secret's file: {getattr(error, 'strerror', error)}")
    faults.raise_any(read.place)
    return found


def _marks(ready: Ready, key: bytes) -> tuple[tuple[str, str], ...]:
    """What an instance of this member bears, so that a later look tells whether it is still what is asked for.

    They are made with a key that never leaves this user's state: from a mark alone, no secret can be guessed.
    """
    member = ready.member
    arguments = {n: v.reveal() if isinstance(v, Secret) else v for n, v in ready.arguments.values.items()}
    settings = (ready.env, ready.command, member.doors, ready.network, member.share, member.restart)
    parts: dict[str, Any] = {"image": ready.built.digest, "arguments": arguments, "settings": settings}
    return tuple((n, hmac.new(key, canonical(value), hashlib.sha256).hexdigest()[:32]) for n, value in parts.items())


def _key(state: Path) -> bytes:
    file = state / "marks.key"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        fresh = state / f"marks.key.{secrets.token_hex(4)}"
        fresh.touch(mode=0o600)
        fresh.write_bytes(secrets.token_bytes(32))
        with suppress(FileExistsError):
            os.link(fresh, file)  # whoever comes first
        fresh.unlink()
        return file.read_bytes()
