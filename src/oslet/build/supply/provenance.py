"""Image × Plan × Lock → provenance: an in-toto statement that says what an image was made from, and by what. Pure.

The formats are in-toto's Statement v1 (https://github.com/in-toto/attestation) and SLSA's provenance v1. The statement
bears no time and no machine: whoever builds the same plan with the same oslet states the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from oslet.build.supply.bill import Told, purl
from oslet.codec import digest
from oslet.errors import IntegrityError
from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.param import Param, SecretKind
from oslet.model.plan import Place, Plan, Synthesise

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
PAYLOAD = "application/vnd.in-toto+json"
BUILD_TYPE = "urn:x-oslet:build:1"
"""How the parameters below are to be read; docs/supply-chain.md describes it."""


def provenance(
    image: Image, subjects: Mapping[str, str], plan: Plan, lock: Lock, distribution: tuple[str, str], *, maker: str
) -> dict[str, Any]:
    """The statement about ``subjects`` (sha256 by name: ``image``, ``manifest``). ``maker`` is oslet's version."""
    steps = [step.step for step in plan.steps if isinstance(step, Synthesise)]
    outcome = {"lock": digest(lock), "plan": image.plan, "tree": image.tree}
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{image.name}:{name}", "digest": _sha256(found)} for name, found in subjects.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _declared(plan, lock),
                "internalParameters": {"rules": plan.rules, "steps": steps},
                "resolvedDependencies": [
                    {"name": item.name, "uri": purl(item, Told(), distribution), "digest": _sha256(item.sha256)}
                    for item in lock.items
                ],
            },
            "runDetails": {
                "builder": {"id": f"urn:x-oslet:builder:{maker}", "version": {"oslet": maker}},
                "metadata": {"invocationId": f"plan:{image.plan}"},
                "byproducts": [{"name": name, "digest": _sha256(found)} for name, found in outcome.items()],
            },
        },
    }


def _declared(plan: Plan, lock: Lock) -> dict[str, Any]:
    """What the declaration says, as the plan has it: own files by digest, params without anything secret."""
    values = {
        "name": plan.name,
        "arch": plan.arch,
        "suite": plan.suite,
        "packages": [p.request for p in lock.packages if not p.by],
        "wheels": [w.request for w in lock.wheels if not w.by],
        "files": {step.path: step.digest for step in plan.steps if isinstance(step, Place)},
        "rendered": dict(plan.rendered),
        "params": [_open(param) for param in plan.params],
        "policy": plan.policy,
        "start": plan.start,
    }
    found: dict[str, Any] = msgspec.to_builtins(values)
    return found


def _open(param: Param) -> Param:
    """A secret's default, if it could have one, is nobody's business."""
    return replace(param, default=msgspec.UNSET) if isinstance(param.kind, SecretKind) else param


def _sha256(found: str) -> dict[str, str]:
    return {"sha256": found}


def check_subject(statement: Any, wanted: str, *, where: str) -> None:
    """Refuse (IntegrityError) a statement that isn't a provenance or says nothing of the image digest ``wanted``."""
    try:
        known = (statement["_type"], statement["predicateType"])
        named = [subject["digest"]["sha256"] for subject in statement["subject"]]
    except (KeyError, TypeError):
        raise IntegrityError("not an in-toto statement", where=where) from None
    if known != (STATEMENT, PREDICATE):
        raise IntegrityError(f"a statement of another kind ({str(known[1])[:80]})", where=where)
    if wanted and wanted not in named:
        shown = ", ".join(str(name)[:12] for name in named[:4])
        raise IntegrityError(f"it is about other images ({shown}), not {wanted[:12]}", where=where)
