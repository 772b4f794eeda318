"""What a Debian system would have after its packages were configured, made from their own declarations.

No maintainer script runs: each step reads what packages declare (scripts included) and makes the result.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence

from oslet.build.accounts import Users
from oslet.build.alternatives import Alternatives
from oslet.build.answers import apply_rule, run_script
from oslet.build.certificates import bundle
from oslet.build.etc import layout, names
from oslet.build.files import Files
from oslet.build.ldconfig import linker_cache
from oslet.build.merge import merge
from oslet.build.sandbox import Sandbox
from oslet.build.scripts.install import ORIGIN as SCRIPTS
from oslet.build.scripts.install import Install
from oslet.build.scripts.reading import read_scripts
from oslet.build.tmpfiles import declared_paths, declared_users
from oslet.build.users import read_masters, write_accounts
from oslet.model.lock import Package
from oslet.model.oslet import Policy, Start
from oslet.model.tree import Contents

__all__ = ["STEPS", "linker_cache", "merge", "synthesise"]

STEPS = ("layout", "users", "scripts", "alternatives", "tmpfiles", "certificates", "setuid", "ldconfig")
"""The names of the steps, in order, for plans."""


def synthesise(
    files: Files,
    packages: Sequence[tuple[Package, Contents]],
    policy: Policy,
    start: Start,
    *,
    sandbox: Sandbox | None,
    name: str,
    suite: str = "",
) -> None:
    """Make in ``files`` what the packages' configuration would have made; ``name`` and ``suite`` are the
    image's.

    ``files`` is the merged and trimmed tree; ``packages`` are the lock's with what they bring, untrimmed. The linker's
    cache is a step of its own (``linker_cache``), since wheels and the application's files have a say in it.
    Raises BuildError for a maintainer script that isn't understood and that ``policy.scripts`` doesn't answer.
    """
    contents = [c for _, c in packages]
    users, alternatives = Users(), Alternatives()
    layout(files)
    read_masters(files, users)
    declared_users(files, users)
    install = Install(
        files,
        users,
        alternatives,
        contents,
        arch=next((p.arch for p, _ in packages if p.arch != "all"), "amd64"),
        versions={p.name: p.version for p, _ in packages},
    )
    to_run: list[tuple[str, str]] = []
    read_scripts(
        install,
        contents,
        dict(policy.scripts),
        lambda package, script, _: to_run.append((package, script)),
        lambda package, rule: apply_rule(files, users, package, rule),
    )
    clear_scratch(files)
    alternatives.apply(files)
    declared_paths(files, users)
    bundle(files)
    names(files, suite)
    write_accounts(files, users, start.user)
    if to_run:
        linker_cache(files)
    control = {c.origin: c.control for c in contents}
    for package, script in to_run:
        run_script(files, sandbox, package, script, control[package])
    strip_rights(files, install.capabilities, policy.setuid)
    for path in sorted(install.conffiles):
        if (entry := files.get(path)) is not None and not entry.origin.startswith("made:"):
            files.own(path, reason="its package marks it as configuration (conffile), here as shipped")


def clear_scratch(files: Files) -> None:
    """Temporary files that a script left are no part of an image."""
    for folder in ("/tmp", "/var/tmp"):
        for child in files.names(folder):
            entry = files.get(f"{folder}/{child}")
            if entry is not None and entry.origin == SCRIPTS:
                files.remove(entry.path, "a temporary file of a maintainer script")


def strip_rights(files: Files, capabilities: dict[str, str], allowed: Sequence[str]) -> None:
    """Take set-id bits from files that the declaration's ``setuid`` doesn't list; instances couldn't use them anyway
    (no_new_privs), and file capabilities are never given."""
    wanted = set(allowed)
    for entry in files:
        if entry.kind == "file" and entry.mode & (stat.S_ISUID | stat.S_ISGID) and entry.path not in wanted:
            bits = f"{entry.mode & 0o7777:04o}"
            files.own(entry.path, mode=entry.mode & 0o1777, reason=f"its set-id bits ({bits}) are taken: not in setuid")
    for path, evidence in sorted(capabilities.items()):
        if files.is_file(path) and path not in wanted:
            files.own(path, reason=f"it gets no file capabilities, though {evidence}")
