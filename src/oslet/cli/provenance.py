"""``oslet provenance``."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import options

_file = click.Path(path_type=Path, dir_okay=False)


@click.command("provenance")
@click.argument("target", required=False, callback=options.spelled, shell_complete=options.named)
@click.option("--oci", is_flag=True, help="Also about the manifest that `oslet push` sends (its layers are made).")
@click.option("--key", type=_file, help="Sign with this private key; with --verify, the public key.")
@click.option(
    "--verify", "envelope", type=_file, help="Check a signed statement, and that it is about TARGET if given."
)
@options.as_json
def command(target: str | None, oci: bool, key: Path | None, envelope: Path | None, as_json: bool) -> None:
    """What an image was made from, as an in-toto statement with SLSA provenance, in JSON.

    With --key it is signed: a DSSE envelope, by Ed25519 or ECDSA on P-256. --verify prints the statement that it
    holds, or ends with exit code 4.
    """
    if envelope:
        if not key:
            raise click.UsageError("say whose signature it should have: --key PUBLIC.pem")
        _verify(target, envelope, key)
        return
    if not target:
        raise click.UsageError("name an image")
    from oslet.build.supply.envelope import private_key, sign
    from oslet.build.supply.provenance import PAYLOAD
    from oslet.cli import render
    from oslet.codec import canonical
    from oslet.workspace.supply import statement

    signer, exposed = private_key(key) if key else (None, False)
    if exposed:
        render.talk(f"{key}: other users can read this key; chmod 600 it")
    with options.workspace() as workspace:
        stated = statement(workspace, workspace.image(target), oci=oci)
    render.as_json(sign(canonical(stated), PAYLOAD, signer) if signer else stated)


def _verify(target: str | None, envelope: Path, key: Path) -> None:
    from oslet.build.supply.envelope import MAX_ENVELOPE, opened, public_key
    from oslet.build.supply.provenance import PAYLOAD, check_subject
    from oslet.cli import render
    from oslet.codec import decode
    from oslet.errors import DeclarationError

    public = public_key(key)
    try:
        with envelope.open("rb") as stream:
            data = stream.read(MAX_ENVELOPE + 1)
    except OSError as error:
        raise DeclarationError(f"can't read it: {error.strerror}", where=str(envelope)) from None
    payload = opened(data, PAYLOAD, public, where=str(envelope))
    wanted = ""
    if target:
        with options.workspace() as workspace:
            wanted = workspace.image(target).digest
    stated = decode(payload, dict, where=str(envelope))
    check_subject(stated, wanted, where=str(envelope))
    render.talk(f"{envelope}: signed by {key}{f', about {target}' if target else ''}")
    render.as_json(stated)
