"""What apt would install, for many requests: run by the system's python3 with Debian's python3-apt.

    /usr/bin/python3 apt_oracle.py APT_CONFIG < requests.json > answers.json

Each request is a list of names; its answer a map of package to version, or null where apt has none. Nothing is
installed, and the system's own package state is never read: APT_CONFIG points apt at a folder of its own.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["APT_CONFIG"] = sys.argv[1]
import apt_pkg  # type: ignore[import-not-found]

apt_pkg.init()
cache = apt_pkg.Cache(None)
depcache = apt_pkg.DepCache(cache)


def answer(names: list[str]) -> dict[str, str] | None:
    resolver = apt_pkg.ProblemResolver(depcache)
    wanted = [cache[name] for name in names]
    for package in wanted:
        depcache.mark_install(package, False, True)
        resolver.clear(package)
        resolver.protect(package)
    for package in wanted:
        depcache.mark_install(package, True, True)
    if depcache.broken_count:
        try:
            resolver.resolve(True)
        except (SystemError, apt_pkg.Error):
            return None
    if depcache.broken_count:
        return None
    found = reached(wanted)
    assert len(found) == depcache.inst_count, (names, len(found), depcache.inst_count)
    return {package.name: depcache.get_candidate_ver(package).ver_str for package in found}


def reached(wanted: list[Any]) -> list[Any]:
    """The packages that apt marked: every one is a relation away from another (asking all packages is far slower)."""
    found: dict[int, Any] = {}
    todo = list(wanted)
    while todo:
        package = todo.pop()
        if package.id in found or not depcache.marked_install(package):
            continue
        found[package.id] = package
        for kind in ("Depends", "PreDepends", "Recommends"):
            for group in depcache.get_candidate_ver(package).depends_list.get(kind, ()):
                todo.extend(version.parent_pkg for relation in group for version in relation.all_targets())
    return list(found.values())


def apart(names: list[str]) -> Any:
    """The answer from a forked process: apt's state is clean in each, and making it anew would take 0.2 s."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(writer, "w") as stream:
                json.dump(answer(names), stream)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(f"apt's answer to {names} failed")
    return json.loads(text)


json.dump([apart(names) for names in json.load(sys.stdin)], sys.stdout)
