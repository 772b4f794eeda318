"""``oslet restart``: reads its words as ``run`` does, since the image's params are options of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from oslet.cli.usage import usage
from oslet.errors import DeclarationError
from oslet.run.wishing import partly, said
from oslet.run.words import Option, pair, read

OPTIONS = (
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    Option("unset", "", "NAME", "take back a variable that --env had set", many=True),
    Option("later", "", "", "end nothing: its next start is to have them, whatever brings that about"),
    Option("time", "t", "SECONDS", "how long its stop signal may take, before SIGKILL (default: 10)"),
    Option("wait", "w", "", "return when the health check passes"),
    Option("json", "", "", "print the instance as JSON"),
    Option("help", "h", "", "this help; after INSTANCE, its image's params too"),
)
USAGE = "Usage: oslet restart [OPTIONS] INSTANCE [--PARAM VALUE …] [OPTIONS]"
ABOUT = """End an instance and begin it again, with the same id, name, ports and volumes; and with the arguments that it
has, but for those that are given."""


def quick(words: Sequence[str]) -> int:
    """Restart; what it can't be ends nothing."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, ABOUT, OPTIONS, asked="help" in before.options)
    from oslet.model.image import Image
    from oslet.run import find, restart
    from oslet.workspace import Workspace

    workspace = Workspace()
    state = workspace.places.state
    record = find(state, before.rest[0])[1]
    params = workspace.store.load(record.image, Image).params
    options, given, rest = said(before.options, before.rest[1:], params, OPTIONS)
    if "help" in options:
        return usage(USAGE, ABOUT, OPTIONS, params, asked=True)
    if rest:
        raise DeclarationError("no option, and one instance is enough", where=rest[0])
    env: dict[str, str | None] = dict.fromkeys(options.get("unset", ()))
    env |= dict(pair(word, "=", "--env") for word in options.get("env", ()))
    instance = restart(
        state,
        record.id,
        partly(params, given, os.environ).values,
        env=env,
        grace=_seconds(options),
        later="later" in options,
    )
    if "wait" in options and "later" not in options:
        from oslet.run import await_healthy

        await_healthy(state, instance.id)
    if "json" in options:
        from oslet.cli.render import as_json

        as_json(instance)
    else:
        print(instance.name)
    return 0


def _seconds(options: dict[str, list[str]]) -> float:
    from oslet.codec.kinds import KindError, parse
    from oslet.model.param import DurationKind
    from oslet.run.living import GRACE

    try:
        return float(parse(DurationKind(), options["time"][-1])) if "time" in options else GRACE
    except KindError as error:
        raise DeclarationError(error.what, where="--time", hint=error.hint) from None
