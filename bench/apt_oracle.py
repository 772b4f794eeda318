"""What apt would install, for many requests: run by the system's python3 with Debian's python3-apt.

    /usr/bin/python3 apt_oracle.py APT_CONFIG < requests.json > answers.json

Each request is a list of names; its answer a map of package to version, or null where apt has none. Nothing is
installed, and the system's own package state is never read: APT_CONFIG points apt at a folder of its own.
"""

import json
import os
import sys

os.environ["APT_CONFIG"] = sys.argv[1]
import apt_pkg  # noqa: E402

apt_pkg.init()
cache = apt_pkg.Cache(None)
depcache = apt_pkg.DepCache(cache)


def answer(names):
    depcache.init()
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
    chosen = (package for package in cache.packages if depcache.marked_install(package))
    return {package.name: depcache.get_candidate_ver(package).ver_str for package in chosen}


json.dump([answer(names) for names in json.load(sys.stdin)], sys.stdout)
