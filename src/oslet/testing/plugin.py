"""The pytest plugin: options, reports of failed tests, and slots that wait for the next test.

It is loaded wherever oslet is installed, so it imports nothing until a test uses an instance.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from oslet.testing.session import Instances

_HELD: pytest.StashKey[Instances] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("oslet", "instances of oslets")
    group.addoption(
        "--oslet-keep", action="store_true", help="leave the instances of failed tests running, to be looked into"
    )
    group.addoption("--oslet-home", metavar="DIR", help="the store to use (default: oslet_home, else $OSLET_HOME)")
    parser.addini("oslet_home", "the store to use, from the folder of the ini-file", type="string", default="")
    parser.addini("oslet_timeout", "seconds until an instance has to be healthy", type="string", default="60")
    parser.addini(
        "oslet_park",
        "how many slots wait for the next tests, for each fixture of function scope and each worker (0: none)",
        type="string",
        default="1",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "oslet: uses an instance of an oslet (set by itself; -m 'not oslet' leaves out)")


def instances(config: pytest.Config) -> Instances:
    """All that this process has started for tests."""
    if _HELD not in config.stash:
        from oslet.testing.session import Instances

        config.stash[_HELD] = Instances(config)
    return config.stash[_HELD]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import sys

    if "oslet.testing.fixtures" not in sys.modules:
        return
    from oslet.testing.fixtures import specs

    for item in items:
        if specs(item):
            item.add_marker("oslet")


def pytest_collection_finish(session: pytest.Session) -> None:
    used = [item for item in session.items if item.get_closest_marker("oslet")]
    if used and not session.config.option.collectonly:
        instances(session.config).expect(used)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _HELD in item.config.stash:
        instances(item.config).began(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _HELD in item.config.stash:
        instances(item.config).tell(item, report)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    if _HELD in config.stash:
        config.stash[_HELD].close()
