"""Lock files: read back what was written, and nothing hostile."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.codec import locks
from oslet.codec.locks import read_lock, write_lock
from oslet.errors import DeclarationError
from oslet.model.lock import Lock, Package, Wheel

SHA = "ab" * 32
LOCK = Lock(
    wants="cd" * 32,
    suite="trixie",
    arch="amd64",
    python="3.13",
    packages=(
        Package("libc6", "2.41-12", "amd64", "", "pool/libc6.deb", 9, SHA, "nginx", "libc6 (>= 2.34)"),
        Package("nginx", "1.26-3", "amd64", "security", "pool/nginx.deb", 7, SHA, "", "nginx"),
    ),
    wheels=(Wheel("flask", "3.1", "flask-3.1-py3-none-any.whl", 5, SHA, "", "flask>=3"),),
)
TEXT = """\
# What `oslet lock` resolved; keep it beside the declaration and under version control.
# `oslet lock --upgrade` renews it. Every image built from it holds exactly these packages.
format = 1
wants = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
suite = "trixie"
arch = "amd64"
python = "3.13"

[[package]]
name = "libc6"
version = "2.41-12"
arch = "amd64"
path = "pool/libc6.deb"
size = 9
sha256 = "abababababababababababababababababababababababababababababababab"
by = "nginx"
request = "libc6 (>= 2.34)"
"""


def test_is_written_for_people() -> None:
    assert write_lock(LOCK).startswith(TEXT)


def test_reads_back_what_was_written() -> None:
    assert read_lock(write_lock(LOCK), "web.lock") == LOCK
    assert write_lock(read_lock(write_lock(LOCK), "web.lock")) == write_lock(LOCK)


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
PACKAGES = st.builds(
    Package, WORDS, WORDS, WORDS, WORDS, st.just("pool/x.deb"), st.integers(0, 2**40), st.just(SHA), WORDS, WORDS
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PACKAGES, max_size=3))
def test_any_words_come_back(packages: list[Package]) -> None:
    lock = Lock("w", "trixie", "arm64", packages=tuple(packages))
    text = write_lock(lock)
    assert read_lock(text, "x") == lock
    plain = locks._plain(text)
    assert plain is None or plain == tomllib.loads(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'"{SHA}"', '"beef"', "web.lock:15: package[1].sha256: isn't a sha256 in hex"),
        ("size = 9", "size = -9", "web.lock:14: package[1].size: is less than 0"),
        ("size = 9", 'size = "9"', "web.lock:9: package[1]: Expected `int`, got `str` - at `$.size`"),
        ("pool/libc6.deb", "../../etc/passwd", "web.lock:13: package[1].path: leads out of its archive"),
        ("pool/libc6.deb", "/etc/passwd", "web.lock:13: package[1].path: leads out of its archive"),
        ("flask-3.1-py3", "x/flask-3.1-py3", "web.lock:32: wheel[1].file: isn't a file's name"),
        ('by = "nginx"', 'bye = "nginx"', "web.lock:16: package[1].bye: no such key"),
        ("format = 1", "format = 2", "web.lock:3: format: lock format 2 isn't 1"),
        ("size = 9", "size = 9\nsize = 9", "web.lock:15: not TOML: this key is there already"),
        ('suite = "trixie"', "suite =", "web.lock:5: not TOML: invalid value"),
        ('arch = "amd64"\npython', 'arch = "mips"\npython', "web.lock: Invalid enum value 'mips' - at `$.arch`"),
        ('version = "2.41-12"\n', "", "web.lock:9: package[1]: Object missing required field `version`"),
    ],
)
def test_says_what_is_wrong_where(old: str, new: str, said: str) -> None:
    assert old in write_lock(LOCK)
    with pytest.raises(DeclarationError) as caught:
        read_lock(write_lock(LOCK).replace(old, new, 1), "web.lock")
    assert str(caught.value).splitlines()[0] == said


HEADS = ["[[package]]", "[package]", "package = 3\n", "wheel = [1]\n", "[[format]]", "[[package]]\nname = 1\n"]


@given(st.text(max_size=200) | st.sampled_from(HEADS).map("format = 1\n".__add__))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(DeclarationError):
        read_lock(text, "x")
