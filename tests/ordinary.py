"""As a program, run by root in a mount namespace of its own: become an ordinary user and execute a command.

    python ordinary.py USER FOLDER… -- COMMAND…

The FOLDERs (the interpreter, the environment) may stand under one that only root may enter, as /root is. Then that
one is hidden by an empty, open folder with only the FOLDERs in it. Nobody outside the namespace sees that.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path


def closed_above(folder: Path) -> Path | None:
    """The first folder on the way to ``folder`` that others than its owner may not enter."""
    return next((p for p in (*reversed(folder.parents), folder) if not p.stat().st_mode & 0o001), None)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def expose(folders: Iterable[Path]) -> None:
    stages: dict[Path, Path] = {}
    hidden: set[Path] = set()
    for folder in folders:
        if closed := closed_above(folder):
            stages[folder] = Path(tempfile.mkdtemp(prefix="stage"))
            mount("--bind", folder, stages[folder])
            hidden.add(closed)
    for closed in hidden:
        mount("-t", "tmpfs", "-o", "mode=755", "exposed", closed)
    for folder, stage in stages.items():
        folder.mkdir(parents=True, exist_ok=True)
        mount("--bind", stage, folder)
        subprocess.run(["umount", stage], check=True)
        stage.rmdir()


def become(user: pwd.struct_passwd) -> None:
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.umask(0o022)


def main(words: list[str]) -> None:
    cut = words.index("--")
    user, *folders = words[:cut]
    expose(Path(f).resolve() for f in folders)
    os.chdir(Path.cwd())  # the same folder, by its name in this namespace
    become(pwd.getpwnam(user))
    os.execvp(words[cut + 1], words[cut + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
