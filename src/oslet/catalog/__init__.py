"""Ready oslets with typed params: a class each, to call (``Postgres(password=…)``) or to subclass.

Each is loaded when it is first used, so that importing the room costs nothing. A class holds no file beside it: what it
places it spells out, so that a subclass, whose paths start from its own module, has it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslet.catalog.memcached import Memcached as Memcached
    from oslet.catalog.nginx import Nginx as Nginx
    from oslet.catalog.nginx import StaticSite as StaticSite
    from oslet.catalog.objectstore import ObjectStore as ObjectStore
    from oslet.catalog.postgres import Postgres as Postgres
    from oslet.catalog.python import Asgi as Asgi
    from oslet.catalog.python import Wsgi as Wsgi
    from oslet.catalog.rabbitmq import RabbitMQ as RabbitMQ
    from oslet.catalog.redis import Redis as Redis

_PLACES = {
    "Postgres": "postgres",
    "Redis": "redis",
    "Memcached": "memcached",
    "RabbitMQ": "rabbitmq",
    "ObjectStore": "objectstore",
    "Nginx": "nginx",
    "StaticSite": "nginx",
    "Asgi": "python",
    "Wsgi": "python",
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
