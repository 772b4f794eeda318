"""``oslet check``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("check")
@options.file
@options.as_json
def command(file: str, as_json: bool) -> None:
    """Every fault of a declaration at once; no network.

    Also says when the lock beside it is stale. Exit code 2 with faults, 0 without.
    """
    from oslet import plan
    from oslet.build.place import survey
    from oslet.cli import render
    from oslet.codec import digest
    from oslet.workspace.declared import Declared

    declared = Declared.read(file)
    survey(declared.oslet.files, declared.beside)
    lock = declared.lock()
    if lock:
        plan.check(declared.oslet, lock, where=declared.lock_file.name)
    if as_json:
        render.as_json({"name": declared.oslet.name, "digest": digest(declared.oslet), "locked": lock is not None})
    else:
        render.talk(f"{file}: no faults{'' if lock else '; not locked yet'}")
