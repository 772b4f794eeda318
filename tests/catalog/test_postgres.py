"""Postgres, asked by psycopg."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from oslet import Secret
from oslet.catalog import Postgres

from .conftest import Port, Serve, module

pytestmark = [pytest.mark.slow, pytest.mark.network]

AWKWARD = 'it\'s a "back\\slash" $1 {x} ä'


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def test_password_belongs_to_the_instance_and_data_to_the_volume(serve: Serve, free_port: Port) -> None:
    port = free_port()
    first = serve(Postgres(port=port, password=Secret(AWKWARD)), "kept")
    with psycopg.connect(first.url) as connection:
        connection.execute("create table kept as select 42 as n")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(first.url.replace("%20", "x"))
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres")
    assert AWKWARD not in first.running.logs()
    assert first.end() == 0
    second = serve(Postgres(port=port, password=Secret("another one")), "kept")
    assert ask(second.url, "select n from kept") == 42
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(first.url)


def test_settings_are_arguments(serve: Serve, free_port: Port) -> None:
    bound = Postgres(
        port=free_port(), connections=7, shared_buffers="32MiB", durable=False, settings=["work_mem = '3MB'"]
    )
    served = serve(bound)
    wanted = {
        "max_connections": "7",
        "shared_buffers": "32MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "work_mem": "3MB",
        "TimeZone": "UTC",
    }
    assert {name: ask(served.url, f"show {name}") for name in wanted} == wanted


SWEDISH = """
from oslet.catalog import Postgres


class Swedish(Postgres):
    features = {**Postgres.features, "icu": ["en", "sv"]}
"""


def test_features_decide_what_there_is(serve: Serve, free_port: Port, tmp_path: Path) -> None:
    english = serve(Postgres(port=free_port(), durable=False))
    assert ask(english.url, "select pg_jit_available()") is False
    assert ask(english.url, "select 'a' < 'B' collate \"en-x-icu\"") is True
    with pytest.raises(psycopg.errors.UndefinedObject, match="sv-x-icu"):
        ask(english.url, "select 'z' < 'ö' collate \"sv-x-icu\"")
    with psycopg.connect(english.url) as connection:
        for extension in ("pg_trgm", "hstore", "uuid-ossp", "pgcrypto"):
            connection.execute(f'create extension "{extension}"'.encode())
        assert connection.execute("select similarity('oslet', 'osled') > 0.3").fetchone() == (True,)
    languages = module(tmp_path / "swedish_of_a_user.py", SWEDISH)
    swedish = serve(languages.Swedish(port=free_port(), durable=False))
    assert ask(swedish.url, "select 'z' < 'ö' collate \"sv-x-icu\"") is True


def test_a_prepared_volume_is_started_from(serve: Serve, free_port: Port) -> None:
    served = serve(Postgres(port=free_port(), durable=False), "prepared")
    assert "creating" not in served.running.logs(), "the cluster was there"
    assert ask(served.url, "select pg_is_in_recovery()") is False
