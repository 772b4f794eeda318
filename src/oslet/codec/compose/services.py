"""One Compose service → one member of a stack, with a declaration in place that starts from the service's image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oslet.codec.compose import forms
from oslet.codec.compose.interpolation import read_env
from oslet.codec.conform import Faults
from oslet.codec.kinds import told
from oslet.codec.nearest import suggestion
from oslet.codec.places import Key, line_of
from oslet.codec.texts import escape
from oslet.model.source import Oci

MAX_FILE = 1 << 20
_NONE = "there is no counterpart"
_LOST = {
    **dict.fromkeys(("container_name",), "an instance is called STACK.MEMBER"),
    **dict.fromkeys(("hostname", "domainname"), "a member's name is its host name"),
    **dict.fromkeys(("extra_hosts", "dns", "dns_opt", "dns_search", "links", "external_links", "mac_address"),
                    "members find each other by their names on the stack's network"),
    **dict.fromkeys(("privileged", "devices", "device_cgroup_rules", "gpus", "security_opt", "cgroup", "cgroup_parent",
                     "ipc", "pid", "uts", "userns_mode", "sysctls", "ulimits", "credential_spec"),
                    "an instance is apart from this machine"),
    **dict.fromkeys(("cpu_count", "cpu_percent", "cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_runtime", "cpuset",
                     "cpu_rt_period", "mem_reservation", "mem_swappiness", "memswap_limit", "oom_kill_disable",
                     "oom_score_adj", "blkio_config", "shm_size", "storage_opt"), "limits are memory, cpus and pids"),
    **dict.fromkeys(("scale", "develop", "provider", "models", "isolation", "use_api_socket"), _NONE),
    **dict.fromkeys(("logging", "log_driver", "log_opt"), "oslet logs has what it wrote"),
    **dict.fromkeys(("configs", "volumes_from"), "write files under declare.files"),
    **dict.fromkeys(("post_start", "pre_stop"), "nothing is run beside the command"),
    "build": "oslet runs no Dockerfile: build the image and name it, or what `docker save` wrote",
    "extends": "write its keys here",
    "platform": "an instance is of this machine's architecture",
    "runtime": "oslet brings its own",
    "group_add": "groups are those of the image's user",
    "read_only": "what is written outside volumes is in memory and gone at the end, but it can be written",
    "stop_grace_period": "`oslet down --time` says it",
    "label_file": _NONE,
}  # fmt: skip
_SILENT = (
    "labels",
    "annotations",
    "profiles",
    "attach",
    "tty",
    "stdin_open",
    "init",
    "pull_policy",
    "tmpfs",
    "cap_drop",
)
"""Keys that say what holds anyway, or nothing of how the application runs."""
_TAKEN = (
    "image", "command", "entrypoint", "environment", "env_file", "ports", "expose", "volumes", "depends_on", "networks",
    "network_mode", "healthcheck", "restart", "user", "working_dir", "mem_limit", "cpus", "pids_limit", "stop_signal",
    "secrets", "deploy", "cap_add",
)  # fmt: skip


class Notes:
    """What is not taken over, in the order in which it was met: ``FILE:LINE: KEY: not taken over: why``."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: Mapping[Key, int] = {}
        self.said: list[str] = []

    def add(self, key: Key, why: str) -> None:
        word = ".".join(map(str, key))
        self.said.append(f"{self.where}:{line_of(dict(self.lines), key)}: {word}: not taken over: {why}")


class Service:
    """One service as written, with its substitutions made."""

    def __init__(
        self,
        name: str,
        written: dict[str, Any],
        folder: Path,
        environment: Mapping[str, str],
        whole: Mapping[str, Any],
        registry: str,
        notes: Notes,
        faults: Faults,
    ) -> None:
        self.key: Key = ("services", name)
        self.written = written
        self.folder = folder
        self.environment = environment
        self.whole = whole
        self.registry = registry
        self.notes = notes
        self.faults = faults
        self.declare: dict[str, Any] = {}
        self.found: dict[str, Any] = {}

    def member(self, network: str, entry_point: Callable[[str], tuple[str, ...]]) -> dict[str, Any]:
        """The member's table, as ``stack.toml`` has it."""
        for name in self.written:
            if name in _LOST:
                if self.written[name] not in (None, False, [], {}, self.key[-1]):
                    self.lost((name,), _LOST[name])
            elif name not in _TAKEN and name not in _SILENT and not name.startswith("x-"):
                known = (*_TAKEN, *_LOST, *_SILENT)
                self.faults.add((*self.key, name), "no such key", suggestion(name, known, kind="keys"))
        source = self.image()
        self.command(source, entry_point)
        self.simple()
        self.variables()
        self.ports()
        self.volumes()
        self.secrets()
        self.limits()
        if self.written.get("depends_on"):
            services = self.whole.get("services") or {}
            self.found["after"] = forms.after(self.get("depends_on"), self.at("depends_on"), self.faults, services)
        if mode := self.network_mode() or network:
            self.found["network"] = mode
        self.declare["source"] = {"oci": source}
        # What a shell in a command or a health check calls is seen by no analysis, so only what nothing reads is cut.
        return {"declare": {"trim": "packages", **self.declare}, **self.found}

    def get(self, name: str) -> Any:
        return self.written.get(name)

    def at(self, *names: str | int) -> Key:
        return (*self.key, *names)

    def lost(self, key: Key, why: str) -> None:
        self.notes.add((*self.key, *key), why)

    def image(self) -> str:
        """The image as a source says it: with its registry, or as a path beside the file."""
        image = self.get("image")
        if not isinstance(image, str) or not image:
            self.faults.add(self.key, "names no image", "write image: HOST/NAME:TAG, or the path of an image on disk")
            return ""
        if image.startswith((".", "/")) or Oci(image).path is None:
            return image
        if not self.registry:
            self.faults.add(
                self.at("image"),
                f"{told(image)} says no registry",
                "write HOST/NAME:TAG, give --registry HOST, or name what `docker save` wrote: ./NAME.tar",
            )
        return f"{self.registry}/{image}" if "/" in image else f"{self.registry}/library/{image}"

    def command(self, source: str, entry_point: Callable[[str], tuple[str, ...]]) -> None:
        """As Docker joins the two: a command follows the image's entry point, and an entry point drops its command."""
        entry = forms.words(self.get("entrypoint"), self.at("entrypoint"), self.faults)
        command = forms.words(self.get("command"), self.at("command"), self.faults)
        if entry is None and command is None:
            return
        first = entry if entry is not None else list(entry_point(source)) if source and not self.faults.found else []
        if words := [*first, *(command or ())]:
            self.declare["command"] = [escape(word) for word in words]

    def simple(self) -> None:
        """What is one value in both."""
        user, _, group = str(self.get("user") or "").partition(":")
        if user:
            self.declare["user"] = user
        if group and group != user:
            self.lost(("user",), "the group is the user's own in the image")
        if self.get("working_dir"):
            self.declare["workdir"] = escape(str(self.get("working_dir")))
        if signal := str(self.get("stop_signal") or "").upper():
            self.declare["stop_signal"] = signal if signal.startswith("SIG") else f"SIG{signal}"
        if self.get("cap_add"):
            self.declare["capabilities"] = forms.listed(self.get("cap_add"), self.at("cap_add"), self.faults)
        if self.get("healthcheck") is not None:
            test, lost = forms.health(self.get("healthcheck"), self.at("healthcheck"), self.faults)
            if test:
                self.declare["health"] = {"exec": [escape(word) for word in test]}
            if lost:
                self.lost(("healthcheck",), f"{', '.join(lost)}: oslet asks until it is healthy")
        restart, _, times = str(self.get("restart") or "no").partition(":")
        if times or restart == "unless-stopped":
            self.lost(("restart",), f"{restart}{':' + times if times else ', which is as always here'}")
        restart = "always" if restart == "unless-stopped" else restart
        if restart not in ("no", "on-failure", "always"):
            self.faults.add(self.at("restart"), f"{told(restart)} is no restart", "no, on-failure or always")
        elif restart != "no":
            self.found["restart"] = restart

    def variables(self) -> None:
        given: dict[str, str | None] = {}
        files = self.get("env_file")
        for i, each in enumerate(
            [files] if isinstance(files, str) else forms.listed(files, self.at("env_file"), self.faults)
        ):
            said = each if isinstance(each, dict) else {"path": each}
            given |= self.file(str(said.get("path")), bool(said.get("required", True)), i)
        given |= forms.pairs(self.get("environment"), self.at("environment"), self.faults)
        here = {name: self.environment.get(name) if value is None else value for name, value in given.items()}
        if found := {name: escape(value) for name, value in here.items() if value is not None}:
            self.found["env"] = found

    def file(self, path: str, required: bool, number: int) -> dict[str, str | None]:
        try:
            with (self.folder / path).open(encoding="utf-8") as stream:
                return read_env(stream.read(MAX_FILE))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            if required:
                what = f"{told(path)} can't be read: {getattr(error, 'strerror', error)}"
                self.faults.add(self.at("env_file", number), what)
            return {}

    def ports(self) -> None:
        found, lost = forms.ports(self.get("ports"), self.at("ports"), self.faults)
        exposed, _ = forms.ports(self.get("expose"), self.at("expose"), self.faults)
        lost += [f"{p.inside}: on a port of the machine's choice; write which" for p in found if not p.outside]
        for each in lost:
            self.lost(("ports",), each)
        if inside := dict.fromkeys(str(port.inside) for port in (*found, *exposed)):
            self.declare["ports"] = list(inside)
        if published := [port.published for port in found if port.outside]:
            self.found["publish"] = published

    def volumes(self) -> None:
        found, lost = forms.volumes(self.get("volumes"), self.at("volumes"), self.faults)
        for each in lost:
            self.lost(("volumes",), each)
        declared = self.whole.get("volumes") or {}
        behind = {}
        for mount in found:
            if mount.read_only:
                self.lost(("volumes",), f"{mount.path}: a volume can be written by its member")
            named = not mount.source.startswith((".", "/", "~"))
            external = declared.get(mount.source) if isinstance(declared, dict) else None
            if named and isinstance(external, dict) and external.get("external"):
                self.lost(("volumes",), f"{mount.source}: external; the stack makes a volume of its own")
            if mount.source:
                behind[mount.path] = mount.source
        if found:
            self.declare["volumes"] = list(dict.fromkeys(escape(mount.path) for mount in found))
        if behind:
            self.found["volumes"] = behind

    def secrets(self) -> None:
        """Each as a secret param, with its file where Compose has it."""
        known = self.whole.get("secrets") or {}
        for i, each in enumerate(forms.listed(self.get("secrets"), self.at("secrets"), self.faults)):
            said = each if isinstance(each, dict) else {"source": each}
            source = str(said.get("source"))
            declared = known.get(source) if isinstance(known, dict) else None
            if not isinstance(declared, dict) or not (declared.get("file") or declared.get("environment")):
                hint = suggestion(source, known, kind="secrets")
                self.faults.add(
                    self.at("secrets", i), f"there is no secret {told(source)} with a file or variable", hint
                )
                continue
            target = str(said.get("target") or source)
            param = f"secret_{i + 1}"
            self.declare.setdefault("params", {})[param] = {"type": "secret", "help": source}
            path = target if target.startswith("/") else f"/run/secrets/{target}"
            self.declare.setdefault("files", {})[path] = {"secret": param}
            word = f"@{declared['file']}" if declared.get("file") else f"env:{declared['environment']}"
            self.found.setdefault("arguments", {})[param] = word

    def limits(self) -> None:
        deploy = self.get("deploy")
        deploy = deploy if isinstance(deploy, dict) else {}
        resources = deploy.get("resources")
        limits = (resources.get("limits") if isinstance(resources, dict) else None) or {}
        for name in deploy:
            if name != "resources":
                self.lost(("deploy", name), _NONE)
        given = {
            "memory": (self.get("mem_limit") or limits.get("memory"), forms.size),
            "cpus": (self.get("cpus") or limits.get("cpus"), forms.number),
            "pids": (self.get("pids_limit") or limits.get("pids"), _count),
        }
        for name, (value, read) in given.items():
            if value and (found := read(value, self.at("deploy"), self.faults)) is not None:
                self.found.setdefault("limits", {})[name] = found

    def network_mode(self) -> str:
        mode = str(self.get("network_mode") or "")
        if mode in ("", "bridge", "default"):
            return ""
        if mode not in ("host", "none"):
            self.lost(("network_mode",), f"{mode}: a member has a network of its own")
            return ""
        return mode


def _count(value: Any, key: Key, faults: Faults) -> int | None:
    found = forms.number(value, key, faults)
    return None if found is None else int(found)


def network_names(services: Mapping[str, dict[str, Any]], declared: Any, notes: Notes) -> dict[str, str]:
    """Each service's network, where it isn't the stack's own: a member is on one only, so that as soon as a service
    is on several, all are on the stack's."""
    wanted: dict[str, list[str]] = {}
    for name, service in services.items():
        given = service.get("networks")
        wanted[name] = [str(each) for each in given] if isinstance(given, list | dict) else []
        if isinstance(given, dict) and any(given.values()):
            notes.add(("services", name, "networks"), "aliases and addresses: a member is found by its name")
    for name, network in declared.items() if isinstance(declared, dict) else ():
        if network:
            notes.add(
                ("networks", name), f"{', '.join(map(str, network))}: oslet makes the network; allow bounds a member"
            )
    several = [name for name, networks in wanted.items() if len(networks) > 1]
    if several:
        notes.add(
            ("services", several[0], "networks"),
            "a member is on one network, so that all are on the stack's: what was kept apart is not",
        )
        return {}
    return {name: networks[0] for name, networks in wanted.items() if networks and networks[0] != "default"}
