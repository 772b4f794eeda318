"""Reading the words of ``run``: own options, the image's params as options, and secrets by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.cli.usage import help_lines
from oslet.errors import DeclarationError
from oslet.model.param import BoolKind, EnumKind, Param, PortKind, SecretKind, SizeKind
from oslet.run.words import Option, read, secret_values

OWN = (
    Option("detach", "d", "", "in the background"),
    Option("memory", "m", "SIZE", "at most so much"),
    Option("env", "e", "NAME=VALUE", "one variable", many=True),
)
PARAMS = (
    Param("port", PortKind(), 8080, "where it listens"),
    Param("memory", SizeKind(), 64 << 20, "how much to hold"),
    Param("verbose", BoolKind(), False),
    Param("log_level", EnumKind(("info", "debug")), "info"),
    Param("token", SecretKind()),
)


def test_params_are_options_and_short_options_join() -> None:
    found = read(["-de", "A=1", "--port", "9000", "--log-level=debug", "-e", "B=2"], OWN, PARAMS)
    assert found.options == {"detach": [""], "env": ["A=1", "B=2"]}
    assert found.given == {"port": "9000", "log_level": "debug"}


def test_after_the_target_a_param_wins_over_an_option_of_its_name() -> None:
    assert read(["--memory", "1G"], OWN).options == {"memory": ["1G"]}
    assert read(["--memory", "1G"], OWN, PARAMS).given == {"memory": "1G"}
    assert read(["-m", "1G"], OWN, PARAMS).options == {"memory": ["1G"]}


def test_a_bool_is_a_flag() -> None:
    assert read(["--verbose"], OWN, PARAMS).given == {"verbose": "true"}
    assert read(["--no-verbose"], OWN, PARAMS).given == {"verbose": "false"}


def test_what_follows_the_dashes_or_the_target_is_left_alone() -> None:
    assert read(["-d", "--", "--port", "1"], OWN, PARAMS).rest == ["--port", "1"]
    assert read(["-d", "web.toml", "--port", "1"], OWN, stop_at_word=True).rest == ["web.toml", "--port", "1"]


@pytest.mark.parametrize(
    ("words", "where", "hint"),
    [
        (["--prot", "1"], "--prot", "did you mean --port?"),
        (["--port"], "--port", ""),
        (["-m", "1", "-m", "2"], "-m", ""),
        (["-x"], "-x", "--help lists the options and params"),
    ],
)
def test_faults_are_located(words: list[str], where: str, hint: str) -> None:
    with pytest.raises(DeclarationError) as error:
        read(words, OWN, PARAMS)
    assert (error.value.where, error.value.hint) == (where, hint)


def test_help_shows_the_images_params_with_their_types() -> None:
    text = "\n".join(help_lines(OWN, PARAMS))
    assert "--port PORT" in text
    assert "where it listens (default: 8080)" in text
    assert "--log-level info|debug" in text
    assert "--token @FILE" in text


def test_secrets_come_by_reference_only(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    given = {"token": f"@{tmp_path / 'token'}", "port": "@80"}
    assert secret_values(given, PARAMS, {}) == {"token": "s3cret", "port": "@80"}
    assert secret_values({"token": "env:T"}, PARAMS, {"T": "x"}) == {"token": "x"}
    with pytest.raises(DeclarationError) as error:
        secret_values({"token": "s3cret"}, PARAMS, {})
    assert "s3cret" not in str(error.value)
