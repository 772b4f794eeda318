"""The verbs, with a line on each: a verb's own file is imported only when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from oslet.cli import QUICK
from oslet.cli.options import named

VERBS = {
    "check": "Every fault of a declaration at once; no network.",
    "lock": "Resolve a declaration and write NAME.lock beside it.",
    "plan": "The tree, its size and the plan's digest; builds nothing.",
    "build": "Build an image and print its digest.",
    "slim": "Cut an image that docker made down to its application.",
    "vendor": "Put the locked packages in a folder, so that the build outlives its archive.",
    "why": "Why a path is in an image, or why it was left out.",
    "features": "What an image's packages can do without, and what that saves.",
    "seccomp": "Which system calls an image's files can make, and who makes them.",
    "kernel": "Which kernel options an image asks for, and why each.",
    "catalog": "The ready oslets: what each is, its params, and how to use it.",
    "diff": "What differs between two locks or images: packages, paths, bytes.",
    "sbom": "What an image is made of, as SPDX or CycloneDX.",
    "licenses": "The licence of each package of an image.",
    "provenance": "What an image was made from, as a signed statement.",
    "size": "What an image's bytes are spent on, as a table or a page.",
    "run": "Start an image with arguments.",
    "up": "Start the oslets of a stack, each after what it needs.",
    "down": "End the oslets of a stack; their volumes stay.",
    "convert": "Write a Compose file as a stack.",
    "audit": "The dropped paths that an instance asked for.",
    "trace": "Record which paths a workload uses, as evidence for later builds.",
    "test": "Ask a declaration's checks of the image, and of the same with nothing left out.",
    "ps": "The instances.",
    "logs": "What an instance wrote.",
    "inspect": "All that is known of an instance, as JSON.",
    "env": "An instance's environment, and what its next start is to have instead.",
    "files": "What is in a folder of an instance.",
    "exec": "Run a command inside an instance.",
    "debug": "Look at an instance with tools that it doesn't have.",
    "cp": "Copy files out of an instance or into it.",
    "stop": "Ask an instance to end, then make it.",
    "restart": "End an instance and begin it again, with other arguments perhaps.",
    "signal": "Send a signal to a process of an instance.",
    "manage": "Let instances be managed over HTTP.",
    "rm": "Remove ended instances.",
    "park": "Keep sandboxes of an image ready, or list what waits.",
    "top": "What runs and what it uses, live.",
    "events": "What happened to instances.",
    "stats": "What instances use: memory, processor time, processes.",
    "wait": "Wait for an instance to end and print its exit code.",
    "networks": "The networks, with the instances on each.",
    "volumes": "The volumes that instances left.",
    "images": "The images in the store.",
    "rmi": "Remove an image.",
    "gc": "Remove what no image and no instance needs.",
    "verify": "Hash everything in the store again.",
    "seed": "Write arguments as what a machine with an image is started with.",
    "export": "Write an image as OCI, a docker archive, a folder or a virtual machine.",
    "push": "Send an image to a registry.",
    "pull": "Fetch an image from a registry.",
    "schema": "The JSON Schema of declarations and stacks, for editors.",
    "completion": "The shell's completion script.",
}


class Verbs(click.Group):
    """A group that imports ``oslet.cli.VERB`` when VERB is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        if cmd_name in QUICK:
            target = click.Argument(["target"], shell_complete=named)
            return click.Command(cmd_name, params=[target], help=VERBS[cmd_name], add_help_option=False)
        command = import_module(f"oslet.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, 1)
            ctx.fail(f"no verb {args[0]!r}{f': did you mean {near[0]!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(package_name="oslet", message="oslet %(version)s")
def oslet() -> None:
    """The OS as a library: an operating system cut down to one application."""
