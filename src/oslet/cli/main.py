"""The door: picks the verb, turns errors into sentences and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from oslet.cli import QUICK


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code (DESIGN section 7: one code for each class of error)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(guarded(lambda: _dispatch(arguments)))


def guarded(body: Callable[[], int]) -> int:
    """``body``'s exit code; errors become at most a dozen lines on stderr, never a traceback."""
    from oslet.errors import OsletError

    try:
        return body()
    except OsletError as error:
        print(f"oslet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("oslet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the flush at exit would raise it again
        return 141
    except Exception as error:
        if os.environ.get("OSLET_DEBUG"):
            raise
        print(
            f"oslet: a fault of oslet's own: {type(error).__name__}: {error}\n"
            "  set OSLET_DEBUG=1 to see where, and please report it",
            file=sys.stderr,
        )
        return 1


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in QUICK and "_OSLET_COMPLETE" not in os.environ:
        return int(import_module(f"oslet.cli.{arguments[0]}").quick(arguments[1:]))
    import click

    from oslet.cli.verbs import oslet

    try:
        return oslet.main(arguments, prog_name="oslet", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return 130


if __name__ == "__main__":
    main()
