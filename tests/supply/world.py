"""A small image of two Debian packages and a wheel, as a store holds one after a build."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from oslet.build.files import Files
from oslet.build.supply.bill import Bill, bill, distribution, told
from oslet.build.supply.status import notes, record
from oslet.build.wheels import lay_wheels
from oslet.codec import digest
from oslet.model.image import Image
from oslet.model.lock import Lock, Package
from oslet.model.oslet import Policy, Start
from oslet.model.param import Param, SecretKind, StrKind
from oslet.model.plan import Install, Place, Plan, Step, Unpack
from oslet.model.tree import Contents, Tree
from oslet.store import Store
from oslet.store.ingest import ingest_deb
from oslet.testing.makers import Made, make_deb
from oslet.testing.makers import sha256 as sha256_of
from oslet.testing.wheels import make_wheel
from oslet.trim import trim

FREE = "Free for all, see /usr/share/common-licenses/BSD.\n"
DEP5 = (
    "Format: https://www.example.org/copyright-format/1.0/\n\nFiles: *\nLicense: Expat or Odd\n\nLicense: Odd\n Text.\n"
)
FILES: dict[str, dict[str, bytes | str | Made]] = {
    "web": {
        "/usr/bin/web": "#!/bin/sh\n",
        "/usr/share/doc/web/copyright": DEP5,
        "/usr/share/man/man1/web.1.gz": "manual",
        "/usr/share/web/page": "page",
        "/usr/lib/os-release": 'ID=debian\nVERSION_ID="13"\n',
    },
    "libg++1": {
        "/usr/lib/libg++.so.1.0": b"\x7fELF",
        "/usr/lib/libg++.so.1": Made(link="libg++.so.1.0"),
        "/usr/share/doc/libg++1": Made(link="web-common"),
        "/usr/share/doc/web-common/copyright": FREE,
        "/usr/share/doc/web-common/changelog.gz": "long ago",
    },
    "only-docs": {"/usr/share/man/man1/docs.1.gz": "all of it"},
}
MD5 = {"web": "a" * 32 + "  usr/bin/web\n" + "b" * 32 + "  usr/share/web/page\nnonsense\n"}


class World(NamedTuple):
    """What a build had before it and what it left."""

    store: Store
    lock: Lock
    contents: tuple[Contents, ...]
    plan: Plan
    image: Image
    tree: Tree

    def bill(self) -> Bill:
        said = told(self.contents, self.store)
        facts = (self.lock, self.tree, said, distribution(self.tree, self.store))
        return bill(self.image, digest(self.image), *facts, maker="1.0")


def world(folder: Path) -> World:
    store = Store(folder / "store")
    packages, contents = [], []
    for name, by in (("web", ""), ("libg++1", "web"), ("only-docs", "web")):
        deb = folder / f"{name}.deb"
        control = {"Source": "gpp (1.0)", "Homepage": "https://example.org/"} if name == "libg++1" else {}
        scripts = {"md5sums": MD5[name]} if name in MD5 else {}
        deb.write_bytes(make_deb(name, "1:1.0+b1", files=FILES[name], control=control, scripts=scripts))
        sha256 = sha256_of(deb.read_bytes())
        packages.append(Package(name, "1:1.0+b1", "amd64", "", f"pool/{name}.deb", 1, sha256, by, name))
        contents.append(ingest_deb(store, deb, name=name, sha256=sha256))
    wheel, path = make_wheel(folder, "app")
    contents += lay_wheels(store, [(wheel, path)], "3.13")
    lock = Lock("", "trixie", "amd64", "3.13", tuple(packages), (wheel,))
    cut = trim((e for c in contents for e in c.entries), lock, Policy())
    files = Files(store, cut.entries, cut.dropped)
    record(files, notes(contents))
    tree = files.tree()
    steps: list[Step] = [Unpack(p.name, p.version, p.sha256) for p in packages]
    steps += [Install("app", "1.0", wheel.sha256, "3.13"), Place("/app", "9" * 64)]
    params = (Param("who", StrKind(), "you"), Param("token", SecretKind(), "hunter2"))
    plan = Plan("world", "amd64", "trixie", tuple(steps), Policy(), Start(("/usr/bin/web",)), params, (), 1)
    image = Image(
        name="world",
        arch="amd64",
        plan=store.save(plan),
        tree=store.save(tree),
        lock=store.save(lock),
        start=plan.start,
        params=params,
        rendered=(),
        files=tree.files,
        size=tree.size,
        uid=0,
        gid=0,
    )
    return World(store, lock, tuple(contents), plan, image, tree)
