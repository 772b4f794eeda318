"""The bundle of certificate authorities that OpenSSL, GnuTLS and curl read, as update-ca-certificates(8) makes it.

Only the bundle, one link per certificate and OpenSSL's ``cert.pem`` are made. The links by subject hash are left out:
they serve programs that are given a folder (CApath) alone, and OpenSSL's default file is looked at first.
"""

from __future__ import annotations

import posixpath

from oslet.build.files import Files

ORIGIN = "made:certificates"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_SHARED = "/usr/share/ca-certificates"
_LOCAL = "/usr/local/share/ca-certificates"
_LIST = "/etc/ca-certificates.conf"


def trusted(files: Files) -> list[str]:
    """The certificates to trust: those of ca-certificates.conf, or all that the package ships, and the local ones."""
    shared = sorted(e.path for e in files if e.path.startswith(f"{_SHARED}/") and e.path.endswith(".crt"))
    if files.is_file(_LIST):
        refused = {line[1:].strip() for line in files.text(_LIST).splitlines() if line.startswith("!")}
        shared = [p for p in shared if posixpath.relpath(p, _SHARED) not in refused]
    return shared + sorted(e.path for e in files if e.path.startswith(f"{_LOCAL}/") and e.path.endswith(".crt"))


def bundle(files: Files) -> None:
    """Write the bundle, the list it follows and one link per certificate, if the image has certificates at all."""
    paths = [p for p in trusted(files) if files.is_file(p)]
    if not paths:
        return
    why = f"{len(paths)} certificate authorities of ca-certificates, in one file as its postinst makes it"
    parts = []
    for path in paths:
        text = files.data(path).rstrip(b"\n") + b"\n"
        parts.append(text)
        name = posixpath.basename(path).removesuffix(".crt").replace(" ", "_").replace("(", "=").replace(")", "=")
        files.link(f"/etc/ssl/certs/{name.replace(',', '_')}.pem", path, origin=ORIGIN, reason=f"{path} is trusted")
    files.put(BUNDLE, b"".join(parts), origin=ORIGIN, reason=why)
    if not files.is_file(_LIST) or not any(posixpath.relpath(p, _SHARED) in files.text(_LIST) for p in paths):
        names = "".join(f"{posixpath.relpath(p, _SHARED)}\n" for p in paths if p.startswith(_SHARED))
        files.put(_LIST, names.encode(), origin=ORIGIN, reason="which certificates the bundle holds (ca-certificates)")
    if files.get("/usr/lib/ssl/cert.pem") is None:
        files.link("/usr/lib/ssl/cert.pem", BUNDLE, origin=ORIGIN, reason="OpenSSL's default file of authorities")
