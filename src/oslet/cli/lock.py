"""``oslet lock``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("lock")
@options.file
@click.option("--upgrade", is_flag=True, help="Resolve again, against indexes read anew.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 2 when the lock is missing or stale.")
@click.option("--arch", type=click.Choice(["amd64", "arm64"]), help="For which machine (default: this one).")
@options.as_json
def command(file: str, upgrade: bool, only_check: bool, arch: str | None, as_json: bool) -> None:
    """Resolve a declaration and write NAME.lock beside it.

    A lock that still answers the declaration is left as it is, unless --upgrade asks for newer packages.
    """
    from oslet import plan
    from oslet.cli import render
    from oslet.errors import DeclarationError
    from oslet.workspace.declared import Declared

    declared = Declared.read(file)
    before = declared.lock()
    if only_check:
        if before is None:
            raise DeclarationError("not locked yet", where=declared.lock_file.name, hint="run `oslet lock`")
        plan.check(declared.oslet, before, where=declared.lock_file.name)
        return
    fresh = before is not None and before.wants == plan.wants_digest(
        declared.oslet.wants, declared.oslet.source, arch or before.arch
    )
    if fresh and before and not upgrade:
        lock = before
        render.talk(f"{declared.lock_file.name} is up to date (--upgrade asks for newer packages)")
    else:
        with options.workspace() as workspace:
            lock = workspace.lock(declared, arch=arch, refresh=upgrade)  # type: ignore[arg-type]
        declared.write_lock(lock)
    if as_json:
        render.as_json(lock)
        return
    old = {p.name: p.version for p in before.items} if before else {}
    new = {p.name: p.version for p in lock.items}
    if before:
        for name in sorted(old | new):
            if old.get(name) != new.get(name):
                render.data(f"{name} {old.get(name, '(none)')} → {new.get(name, '(none)')}")
    render.talk(
        f"{declared.lock_file.name}: {len(lock.packages)} packages, {len(lock.wheels)} wheels, "
        f"{render.size(lock.size)} to download"
    )
