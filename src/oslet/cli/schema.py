"""``oslet schema``."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.option("--stack", is_flag=True, help="Of stacks, not of declarations.")
def command(stack: bool) -> None:
    """The JSON Schema of declarations or of stacks (draft 2020-12), for editors."""
    from oslet.codec.schema import declaration_schema, stack_schema

    click.echo(json.dumps(stack_schema() if stack else declaration_schema(), indent=2))
