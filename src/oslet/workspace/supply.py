"""What an image is made of, told to others: its bill, and who made it from what."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from oslet.build.supply.bill import EPOCH, Bill, bill, distribution, told
from oslet.errors import DeclarationError
from oslet.model.image import Built
from oslet.model.plan import Plan
from oslet.model.source import Debian

if TYPE_CHECKING:
    from oslet.workspace import Workspace

Format: TypeAlias = Literal["spdx", "cyclonedx", "cyclonedx-1.6"]


def bill_of(workspace: Workspace, built: Built, environment: Mapping[str, str]) -> Bill:
    """What an image is made of. The packages are fetched when the store has forgotten them (NetworkError).

    ``environment`` may hold SOURCE_DATE_EPOCH, when the bill says that it was made.
    """
    from oslet.workspace.resolving import contents

    lock, tree = workspace.lock_of(built.image), workspace.tree(built.image)
    with workspace.store.writing():
        packages = contents(lock, Debian(suite=lock.suite), workspace.store, workspace.progress)
        said = told(packages, workspace.store)
    system = distribution(tree, workspace.store)
    made = created(environment.get("SOURCE_DATE_EPOCH", ""))
    return bill(built.image, built.digest, lock, tree, said, system, maker=version("oslet"), created=made)


def created(epoch: str) -> str:
    """SOURCE_DATE_EPOCH (seconds) as the formats write a moment; the epoch itself when it isn't set."""
    if not epoch:
        return EPOCH
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise DeclarationError(f"{epoch[:40]!r} isn't a count of seconds", where="SOURCE_DATE_EPOCH") from None


def sbom(workspace: Workspace, built: Built, form: Format, environment: Mapping[str, str], *, files: bool) -> Any:
    """The bill of an image as a document of that format, with every regular file if ``files``."""
    made = bill_of(workspace, built, environment)
    if form != "spdx":
        from oslet.build.supply.cyclonedx import cyclonedx

        return cyclonedx(made, files=files, edition="1.6" if form == "cyclonedx-1.6" else "1.7")
    from oslet.build.supply.spdx import spdx

    return spdx(made, _sha1(workspace, made) if files else None)


def _sha1(workspace: Workspace, made: Bill) -> dict[str, str]:
    """SHA-1 by SHA-256 of every file in a bill: SPDX identifies files by it."""
    wanted = {e.digest for part in (made.own, *(c.kept for c in made.components)) for e in part if e.kind == "file"}
    found: dict[str, str] = {}
    for count, sha256 in enumerate(sorted(wanted), 1):
        with workspace.store.object(sha256).open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.sha1(usedforsecurity=False))
        found[sha256] = digest.hexdigest()
        workspace.progress("hashing files", count, len(wanted))
    return found


def statement(workspace: Workspace, built: Built, *, oci: bool) -> dict[str, Any]:
    """What an image was made from, as an in-toto statement; with ``oci`` also about the manifest ``push`` sends."""
    from oslet.build.supply.provenance import provenance

    store = workspace.store
    subjects = {"image": built.digest}
    if oci:
        from oslet.workspace.exports import manifest_digest

        subjects["manifest"] = manifest_digest(built, store, workspace.progress)
    lock, tree = workspace.lock_of(built.image), workspace.tree(built.image)
    plan = store.load(built.image.plan, Plan)
    return provenance(built.image, subjects, plan, lock, distribution(tree, store), maker=version("oslet"))
