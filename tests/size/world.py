"""A small image whose paths hang on one another: a declared file, a wheel, Python, a C extension, a library."""

from __future__ import annotations

from oslet.model.lock import Lock, Package, Wheel
from oslet.model.tree import Entry, Tree


def package(name: str, by: str = "", request: str = "") -> Package:
    return Package(name, "1.2", "amd64", "", f"pool/{name}.deb", 1, "0" * 64, by, request or name)


def file(path: str, size: int, origin: str, reason: str, by: str = "", mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, size=size, digest="d", origin=origin, reason=reason, by=by)


LIB = "/usr/lib/x86_64-linux-gnu"
SSL_PY = "/usr/lib/python3.13/ssl.py"
SSL_SO = "/usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so"
API = "/usr/local/lib/python3.13/dist-packages/api/main.py"
LINKED = "/lib/x86_64-linux-gnu/libssl.so.3"
HOSTILE = '/srv/</script><img src="x" onerror="window.broken=1"><script>window.broken=1<'
ODD = "/srv/\u202egnp.\x1b[2J\nexe"

LOCK = Lock(
    "",
    "trixie",
    "amd64",
    packages=(
        package("python3"),
        package("libssl3", "python3", "libssl3 (>= 3)"),
        package("libc6", "libssl3", "libc6 (>= 2.38)"),
        package("hollow", "libc6", "hollow | solid"),
    ),
    wheels=(Wheel("api", "1.0", "api.whl", 3, "0" * 64, "", "api>=1"),),
)
KEPT = (
    Entry("/lib", "link", 0o777, target="usr/lib", origin="made:usrmerge", reason="Debian has one /usr (usrmerge)"),
    Entry("/usr", "dir", 0o755, origin="python3", reason=f"holds {SSL_PY}"),
    file("/app/app.py", 3000, "files", "the declaration puts it there (files)"),
    file("/usr/bin/python3.13", 6_500_000, "python3", "python3 is named by the declaration (python3)", mode=0o755),
    file(SSL_PY, 520_000, "python3", "imports ssl", API),
    file(SSL_SO, 620_000, "python3", "imports _ssl", SSL_PY),
    file(f"{LIB}/libssl.so.3", 1_100_000, "libssl3", "links libssl.so.3 (DT_NEEDED), found by ld.so.conf", SSL_SO),
    file(f"{LIB}/libc.so.6", 1_900_000, "libc6", "links libc.so.6 (DT_NEEDED), found by ld.so.conf", LINKED),
    file(API, 900_000, "wheel:api", "imports api.main", "/app/app.py"),
    file(HOSTILE, 700_000, "libc6", f"names {HOSTILE}", "/app/app.py"),
    file(ODD, 600_000, "libc6", f"names {ODD}", "/app/app.py"),
    file("/usr/share/empty", 0, "libc6", "libc6 is needed by libssl3 (libc6 (>= 2.38))"),
)
DROPPED = (
    file(f"{LIB}/libthread_db.so.1", 900_000, "libc6", "unreached: nothing that stays links or loads it"),
    file("/usr/share/man/man1/python3.1.gz", 700_000, "python3", "manuals: manual pages are read by people"),
)
TREE = Tree(tuple(sorted(KEPT, key=lambda e: e.path)), DROPPED)
