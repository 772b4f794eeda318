"""The shape of a stack as it is written: the table behind its reader, its JSON Schema and the reference."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct

from oslet.codec.shape import Declaration, Maybe, Texts

NAME = "^[a-z0-9]([a-z0-9_-]{0,28}[a-z0-9])?$"
"""A label of a host's name (RFC 1123, and the underscore that Compose allows), short enough that two of them and a dot
between are one name."""


class _Table(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the stack: keys it doesn't name are refused."""


class LimitsTable(_Table):
    """What a member may use; what is absent is not limited."""

    memory: Annotated[int | str | Maybe, Meta(description='bytes, or text such as "64MiB"')] = UNSET
    cpus: Annotated[int | float | Maybe, Meta(description="processors; 0.5 is half of one")] = UNSET
    pids: Annotated[int | Maybe, Meta(description="processes and threads")] = UNSET


class MemberTable(_Table):
    """One oslet of the stack: exactly one of target and declare, and what it is started with."""

    target: Annotated[
        str | Maybe,
        Meta(description="a declaration's file, beginning from this one's folder; an image's name or digest"),
    ] = UNSET
    declare: Annotated[
        Declaration | Maybe, Meta(description="a declaration in place; its name is the member's when absent")
    ] = UNSET
    arguments: Annotated[
        dict[str, Any] | Maybe,
        Meta(description="the image's params; texts may hold {OTHER.url}, {OTHER.host}, {OTHER.port}, "
             '{OTHER.ports.2}; a secret is "@FILE" or "env:NAME"'),
    ] = UNSET  # fmt: skip
    build: Annotated[dict[str, Any] | Maybe, Meta(description="params that are filled when the image is built")] = UNSET
    env: Annotated[dict[str, str] | Maybe, Meta(description="environment variables, which may hold references")] = UNSET
    command: Annotated[Texts | Maybe, Meta(description="run instead of the image's own; may hold references")] = UNSET
    publish: Annotated[
        list[str | int] | Maybe, Meta(description='ports of this machine: "8080:80", or "0.0.0.0:8080:80" for all')
    ] = UNSET
    volumes: Annotated[
        dict[str, str] | Maybe,
        Meta(description="path inside → a name (a volume of the stack's) or a folder (./DIR, /DIR)"),
    ] = UNSET
    network: Annotated[
        str | Maybe, Meta(description='another network than the stack\'s: a name, or "private", "host", "none"')
    ] = UNSET
    allow: Annotated[Texts | Maybe, Meta(description="the only addresses it may reach: HOST, HOST:PORT, NET/BITS")] = (
        UNSET
    )
    limits: Annotated[LimitsTable | Maybe, Meta(description="what it may use")] = UNSET
    restart: Annotated[
        Literal["no", "on-failure", "always"] | Maybe, Meta(description='what an end is followed by; "no" when absent')
    ] = UNSET
    after: Annotated[
        Texts | dict[str, str] | Maybe,
        Meta(description="members that have to be there first: a list, or a table that says how far each has to be "
             "(started, healthy as in the list, done: ended with exit code 0); "
             "references imply it"),
    ] = UNSET  # fmt: skip
    wait: Annotated[bool | Maybe, Meta(description="whether `up` waits for its health; true when absent")] = UNSET


class StackTable(_Table):
    """Several oslets that are started together."""

    name: Annotated[str, Meta(description="the stack's name: its instances are NAME.MEMBER", pattern=NAME)]
    members: Annotated[dict[str, MemberTable], Meta(description="the oslets, by the name they find each other by")]
    network: Annotated[
        str | Maybe,
        Meta(description='the network that members are on; the stack\'s own, called as the stack is, when absent'),
    ] = UNSET  # fmt: skip
