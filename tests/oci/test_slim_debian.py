"""A real Debian image with a real web application, slimmed: the same answers, from a third of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from oslet.model.oslet import Oslet as Declared
from oslet.model.oslet import Wants
from oslet.workspace import Workspace, machine_arch
from oslet.workspace.resolving import fetch, resolve
from tests.conftest import Oslet
from tests.oci.world import said, tool

APP = """\
import codecs, ctypes, json, locale, os, pwd, sqlite3, ssl, subprocess, tempfile, zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
import click

def probes():
    yield "user", pwd.getpwnam("root").pw_dir
    yield "codecs", [codecs.lookup(name).name for name in ("utf-8", "cp1252", "shift_jis")]
    yield "sqlite", sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()
    yield "tls", ssl.create_default_context().verify_mode.name
    yield "ctypes", ctypes.CDLL("libc.so.6").abs(-3)
    yield "subprocess", subprocess.run(["/bin/sh", "-c", "echo $((1 + 1))"], capture_output=True, text=True).stdout
    yield "temporary", os.path.isdir(tempfile.gettempdir())
    yield "zlib", len(zlib.compress(bytes(1000)))
    yield "locale", locale.setlocale(locale.LC_ALL, "C.UTF-8")
    yield "click", click.unstyle(click.style("x", fg="red"))
    yield "env", os.environ["GREETING"]

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(probes())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""
PACKAGES = ("python3", "dash", "perl-base", "base-files", "libc-bin")


def root_of(home: Path, root: Path) -> None:
    """A Debian system with dpkg's records, from packages that the test run's store has or fetches."""
    workspace = Workspace(home)
    source = Declared("image").source
    wants = Wants(PACKAGES)
    lock = resolve(wants, source, machine_arch(), workspace.store, workspace.progress, refresh=False)  # type: ignore[arg-type]
    debs, _ = fetch(lock, source, workspace.store, workspace.progress)  # type: ignore[arg-type]
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/lib/dpkg/info", "app", "tmp", "root"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    status = []
    for name, deb in debs.items():
        tar = subprocess.run(("dpkg-deb", "--fsys-tarfile", deb), capture_output=True, check=True).stdout
        extract = ("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root)
        subprocess.run(extract, input=tar, check=True)
        listed = subprocess.run(("tar", "-t"), input=tar, capture_output=True, check=True).stdout.decode()
        paths = "".join(f"{line[1:].rstrip('/') or '/.'}\n" for line in listed.splitlines())
        (root / f"var/lib/dpkg/info/{name}.list").write_text(paths)
        control = said("dpkg-deb", "-f", deb)
        status.append(control.replace("\n", "\nStatus: install ok installed\n", 1))
    (root / "var/lib/dpkg/status").write_text("\n".join(status))
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("dash")


@pytest.mark.slow
@pytest.mark.network
def test_a_real_image_answers_the_same_slimmed(
    oslet: Oslet, home: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    umoci, skopeo, _ = tool("umoci"), tool("skopeo"), tool("dpkg-deb")
    if os.geteuid() != 0:
        pytest.skip("an image of root's files is made by root")
    root = tmp_path / "root"
    root_of(home, root)
    (root / "app/app.py").write_text(APP)
    site = next((root / "usr/lib").glob("python3.*/")).name
    target = root / f"usr/local/lib/{site}/dist-packages"
    install = ("uv", "pip", "install", "-q", "--python", sys.executable, "--target", target, "click")
    said(str(Path(sys.executable).with_name("uv")), *install[1:])
    said(umoci, "init", "--layout", tmp_path / "l")
    said(umoci, "new", "--image", f"{tmp_path}/l:web")
    said(umoci, "insert", "--image", f"{tmp_path}/l:web", root, "/")
    config = ("--config.cmd", "python3", "--config.cmd", "/app/app.py", "--config.env", "GREETING={hi}")
    said(umoci, "config", "--image", f"{tmp_path}/l:web", *config, "--config.exposedports", "8000/tcp")
    said(skopeo, "--insecure-policy", "copy", f"oci:{tmp_path}/l:web", f"docker-archive:{tmp_path}/web.tar:web:1")

    whole = oslet.json("slim", "web.tar", "--name", "whole", "--trim", "packages")
    facts = oslet.json("slim", "web.tar", "--name", "slim", "--output", "slim.tar")
    assert facts["wheels"] == 1 and facts["packages"] > 20
    assert facts["size"] < 0.6 * whole["size"]
    assert facts["programs"] < 0.2 * facts["before"]["programs"]
    answers = {}
    for name in ("whole", "slim"):
        port = free_port()
        oslet.start(name, "-p", f"{port}:8000")
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    answers[name] = json.load(answer)
                    break
            except OSError:
                oslet("ps")
    assert answers["slim"] == answers["whole"]
    assert answers["slim"]["env"] == "{hi}"
    assert "left out" in oslet("why", "slim", "/usr/bin/perl").stdout
    assert json.loads(said(skopeo, "inspect", f"docker-archive:{tmp_path}/slim.tar"))["Architecture"] == machine_arch()
