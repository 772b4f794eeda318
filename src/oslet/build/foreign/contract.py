"""How a foreign image says it is started, as a start contract.

The fields are those of the OCI image configuration (config.md); docker's HEALTHCHECK is its extension.
"""

from __future__ import annotations

import posixpath
import re

from oslet.formats import oci
from oslet.model.oslet import Exec, Health, Start

MAX_WORDS = 4096
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where an image's environment has none."""
_USER = re.compile(r"[A-Za-z0-9_.-]{1,64}\$?(:[A-Za-z0-9_.-]{1,64}\$?)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}")
_SIGNAL = re.compile(r"SIG[A-Z0-9+]{2,12}|[A-Z0-9+]{2,12}")


def start_of(config: oci.Config) -> Start:
    """Entry point and command, environment, folder, user, TCP ports, volumes, health check and stop signal.

    Braces are doubled, since a contract's texts may hold params and a foreign image has none. What can't be one of
    these (a port that is no number, a signal that isn't named) is left out.
    """
    said = config.config or oci.Execution()
    pairs = {"PATH": PATH} | dict(pair.partition("=")[::2] for pair in said.env[:MAX_WORDS])
    signal = said.stop_signal.upper()
    return Start(
        command=tuple(map(_literal, [*said.entrypoint, *said.cmd][:MAX_WORDS])),
        env=tuple(sorted((name, _literal(value)) for name, value in pairs.items() if _VARIABLE.fullmatch(name))),
        workdir=_literal(_absolute(said.working_dir)),
        user=said.user if _USER.fullmatch(said.user) else "root",
        ports=tuple(port for name in sorted(said.exposed_ports, key=_by_number) if (port := _port(name))),
        volumes=tuple(_literal(path) for name in sorted(said.volumes) if (path := _absolute(name)) != "/"),
        health=_health(said.healthcheck),
        stop_signal=(signal if signal.startswith("SIG") else f"SIG{signal}")
        if _SIGNAL.fullmatch(signal)
        else "SIGTERM",
    )


def _literal(text: str) -> str:
    return text.replace("\0", "").replace("{", "{{").replace("}", "}}")


def _absolute(path: str) -> str:
    return "/" + posixpath.normpath(f"/{path}").lstrip("/")


def _by_number(name: str) -> tuple[int, str]:
    digits = name.partition("/")[0]
    return (int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 0, name)


def _port(name: str) -> str:
    number, _, protocol = name.partition("/")
    return number if protocol in ("", "tcp") and 1 <= _by_number(name)[0] <= 65535 else ""


def _health(check: oci.Healthcheck | None) -> Health | None:
    words = check.test if check else []
    if words[:1] == ["CMD"] and len(words) > 1:
        return Exec(tuple(map(_literal, words[1:])))
    if words[:1] == ["CMD-SHELL"] and len(words) == 2:
        return Exec(("/bin/sh", "-c", _literal(words[1])))
    return None
