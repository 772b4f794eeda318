"""``oslet seed``: reads its words as ``run`` does, since the image's params are options of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.errors import DeclarationError
from oslet.run.wishing import OPTIONS as STARTS
from oslet.run.wishing import bound, said
from oslet.run.words import Option, pair, read

if TYPE_CHECKING:
    from oslet.workspace.seeding import Form

_ALIKE = ("user-data", "meta-data", "env", "help")
_BINARY = ("initramfs", "fw-cfg", "disk", "nocloud")
OPTIONS = (
    Option("as", "", "FORM", "cmdline, initramfs, fw-cfg, disk, nocloud, user-data or cloud-config"),
    Option("output", "o", "FILE", "write it there, for you alone to read (default: standard output)"),
    Option("hostname", "", "NAME", "the machine's name"),
    *(o for o in STARTS if o.name in _ALIKE),
    Option("json", "", "", "with -o: print what was written as JSON"),
)
USAGE = "Usage: oslet seed [OPTIONS] TARGET --as FORM [--PARAM VALUE …] [-o FILE] [-- COMMAND …]"
ABOUT = """Write arguments as what a machine with the image is started with: a boot record for its kernel's command line
(no secrets), appended to its initramfs, for QEMU's fw_cfg, as a disk, as a NoCloud disk or a cloud's user-data; or, as
cloud-config, for an oslet that runs there."""


def quick(words: Sequence[str]) -> int:
    """Bind, and write."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, ABOUT, OPTIONS, asked="help" in before.options)
    from oslet.cli.render import as_json, progress, talk
    from oslet.workspace import Workspace
    from oslet.workspace.seeding import cloud_of, seed

    target, *after = spelled(before.rest[0]), *before.rest[1:]
    with progress() as listen:
        workspace = Workspace(progress=listen, notice=talk)
        built = workspace.image(target)
        options, given, command = said(before.options, after, built.image.params, OPTIONS)
        if "help" in options:
            return usage(USAGE, ABOUT, OPTIONS, built.image.params, asked=True)
        form, found = _form(options), cloud_of(options)
        arguments = bound(built.image.params, given, os.environ, found and found.given)
        hostname = options.get("hostname", [found.name if found else ""])[-1]
        env = dict(pair(word, "=", "--env") for word in options.get("env", ()))
        data = seed(built.image, arguments, form, hostname=hostname, command=command, env=env)
    if "output" in options:
        where = Path(options["output"][-1])
        _write(where, data)
        if "json" in options:
            as_json({"file": str(where), "form": form, "size": len(data), "image": built.digest})
        else:
            print(where)
        return 0
    if form in _BINARY and sys.stdout.isatty():
        raise DeclarationError("this is nothing for a terminal", where=f"--as {form}", hint="say where to: -o FILE")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return 0


def _form(options: dict[str, list[str]]) -> Form:
    from oslet.codec.nearest import suggestion
    from oslet.workspace.seeding import FORMS

    word = options.get("as", [""])[-1]
    for form in FORMS:
        if word == form:
            return form
    what = f"there is no form {word!r}" if word else "say in which form"
    raise DeclarationError(what, where="--as", hint=suggestion(word, FORMS, kind="forms"))


def _write(where: Path, data: bytes) -> None:
    """There whole or not at all, and this user's alone."""
    fresh = where.with_name(f".{where.name}.{os.getpid()}")
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(where)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise DeclarationError(f"can't be written: {error.strerror}", where=str(where)) from None
