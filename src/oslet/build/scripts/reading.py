"""The maintainer scripts of a closure, read in the order in which dpkg would have run them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from oslet.build.scripts import find, own, packaging, people, sed, texts, trees
from oslet.build.scripts.facts import answers as config_answers
from oslet.build.scripts.facts import known, recipe_for
from oslet.build.scripts.install import Install
from oslet.build.scripts.shell import MAX_SCRIPT, Command, Shell
from oslet.build.scripts.signals import Unreadable
from oslet.errors import BuildError
from oslet.model.oslet import Rule
from oslet.model.tree import Contents

TABLES: tuple[dict[str, Command], ...] = tuple(room.TABLE for room in (own, texts, sed, find, trees, people, packaging))
_RELATION = re.compile(r"[a-z0-9][a-z0-9+.-]*")
Run = Callable[[str, str, str], None]
"""Runs one script (package, ``preinst``/``postinst``, text) in an isolated instance and merges what it changed."""


def configure_order(packages: Sequence[Contents]) -> list[Contents]:
    """Dependencies first, as dpkg configures (Policy 7.2); circles and ties are broken by name."""
    provided: dict[str, set[str]] = {}
    relations: dict[str, set[str]] = {}
    by_name = {c.origin: c for c in packages}
    for contents in packages:
        values = control_fields(contents.control.get("control", ""))
        for name in {contents.origin, *_names(values.get("Provides", ""))}:
            provided.setdefault(name, set()).add(contents.origin)
        relations[contents.origin] = _names(values.get("Pre-Depends", "")) | _names(values.get("Depends", ""))
    order: list[Contents] = []
    seen: set[str] = set()
    for root in sorted(by_name):
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            name, done = stack.pop()
            if done:
                order.append(by_name[name])
                continue
            if name in seen:
                continue
            seen.add(name)
            stack.append((name, True))
            needs = {p for r in relations[name] for p in provided.get(r, ())}
            stack.extend((need, False) for need in sorted(needs - seen, reverse=True))
    return order


def control_fields(text: str) -> dict[str, str]:
    """The fields of a control file, folded lines joined (deb822(5))."""
    values: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in " \t":
            values.setdefault(name, [""]).append(line.strip())
        elif ":" in line:
            name, _, value = line.partition(":")
            values[name] = [value.strip()]
    return {name: " ".join(lines) for name, lines in values.items()}


def _names(relation: str) -> set[str]:
    return {m[0] for part in re.split(r"[,|]", relation) if (m := _RELATION.match(part.strip()))}


def read_scripts(
    install: Install,
    packages: Sequence[Contents],
    answers: Mapping[str, Literal["ignore", "run"] | Rule],
    run: Run,
    apply: Callable[[str, Rule], None],
) -> None:
    """Read every ``preinst install`` and then every ``postinst configure``, and make what they would.

    ``answers`` are the declaration's own. Raises BuildError at the first script that isn't understood.
    """
    install.questions.update(config_answers())
    order = configure_order(packages)
    for script in ("preinst", "postinst"):
        for contents in order:
            text = contents.control.get(script, "")
            if not text or answers.get(contents.origin) == "ignore":
                continue
            answer = answers.get(contents.origin)
            if isinstance(answer, Rule):
                if script == "postinst":
                    apply(contents.origin, answer)
            elif answer == "run":
                run(contents.origin, script, text)
            else:
                read_script(install, contents.origin, script, text)
    for name, answer in answers.items():
        if isinstance(answer, Rule) and not any(c.origin == name and c.control.get("postinst") for c in packages):
            apply(name, answer)


def read_script(install: Install, package: str, script: str, text: str) -> None:
    """Read one script. Raises BuildError naming the package, the line and the text of what isn't understood."""
    source = f"{package}.{script}"
    recipe = recipe_for(package, script)
    install.package, install.hidden = package, package if script == "preinst" else ""
    try:
        if recipe is not None:
            text, source = recipe.does, f"oslet's recipe for {source} ({recipe.why})"
        elif len(text) > MAX_SCRIPT or not re.match(r"#! ?/(usr/)?bin/(env )?(sh|bash|dash)\b", text):
            raise Unreadable(source, 1, text.partition("\n")[0][:100], "it isn't a shell script")
        shell = Shell(install, TABLES, known, source, ["install"] if script == "preinst" else ["configure", ""])
        shell.errexit = text.partition("\n")[0].rstrip().endswith(" -e") or recipe is not None
        shell.variables.update(_environment(install, package, script))
        shell.exported.update(shell.variables)
        status = shell.read(text)
        if status:
            raise shell.unreadable(None, f"it would fail with status {status}")
    except Unreadable as place:
        raise _error(package, source, place) from None
    except (ValueError, IndexError, KeyError, re.error, RecursionError) as error:
        raise _error(package, source, shell.unreadable(None, f"its arguments aren't understood ({error})")) from None
    finally:
        install.hidden = ""


def _environment(install: Install, package: str, script: str) -> dict[str, str]:
    return {
        "DPKG_MAINTSCRIPT_PACKAGE": package,
        "DPKG_MAINTSCRIPT_NAME": script,
        "DPKG_MAINTSCRIPT_ARCH": install.arch,
        "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
        "DPKG_ROOT": "",
        "DPKG_ADMINDIR": "/var/lib/dpkg",
        "DEBIAN_FRONTEND": "noninteractive",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
    }


def _error(package: str, source: str, place: Unreadable) -> BuildError:
    through = "" if place.source == source else f" (read by {source})"
    text = place.text if len(place.text) <= 110 else place.text[:109] + "…"
    return BuildError(
        f"the maintainer script {source} does what oslet can't foresee: {place.why}\n    {text}",
        where=f"{place.source}:{place.line}{through}",
        hint=f'answer it in the declaration: [scripts] {package} = "ignore" (the image does without it),\n'
        '  "run" (it runs apart from this machine while building), or a rule: { directories = ["/path"] }',
    )
