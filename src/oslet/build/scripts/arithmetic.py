"""Shell arithmetic: ``$((…))`` over integers (POSIX.1-2024, XCU 2.6.4), the operators that scripts use."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|\|\||&&|[=!<>]=|<<|>>|[-+*/%()<>!~&|^?:])")
_LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("<<", ">>"), ("+", "-"))
_TIMES = ("*", "/", "%")


def evaluate(text: str, variable: Callable[[str], str]) -> int:
    """The value of an expression. Raises ValueError for one that isn't understood."""
    tokens: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"arithmetic that isn't understood: {text}")
        tokens.append(match[1])
        at = match.end()
    if len(tokens) > 200:
        raise ValueError("arithmetic that is too long")
    value = _level(tokens, 0, variable)
    if tokens:
        raise ValueError(f"arithmetic that isn't understood: {text}")
    return value


def _level(tokens: list[str], level: int, variable: Callable[[str], str]) -> int:
    operators = _LEVELS[level] if level < len(_LEVELS) else _TIMES
    below: Callable[[], int] = (
        (lambda: _level(tokens, level + 1, variable)) if level < len(_LEVELS) else (lambda: _unary(tokens, variable))
    )
    value = below()
    while tokens and tokens[0] in operators:
        value = _apply(tokens.pop(0), value, below())
    return value


def _unary(tokens: list[str], variable: Callable[[str], str]) -> int:
    if not tokens:
        raise ValueError("arithmetic that ends early")
    token = tokens.pop(0)
    if token in ("-", "+", "!", "~"):
        value = _unary(tokens, variable)
        return {"-": -value, "+": value, "!": int(not value), "~": ~value}[token]
    if token == "(":
        value = _level(tokens, 0, variable)
        if not tokens or tokens.pop(0) != ")":
            raise ValueError("arithmetic with an open parenthesis")
        return value
    if token[0].isdigit():
        return int(token, 8 if re.fullmatch(r"0[0-7]+", token) else 0 if token[:2] in ("0x", "0X") else 10)
    value_text = variable(token).strip() or "0"
    if not re.fullmatch(r"-?\d+", value_text):
        raise ValueError(f"arithmetic on {value_text!r}")
    return int(value_text)


def _apply(operator: str, a: int, b: int) -> int:
    if operator in ("/", "%"):
        if b == 0:
            raise ValueError("a division by zero")
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return quotient if operator == "/" else a - b * quotient
    if operator in ("<<", ">>") and not 0 <= b < 64:
        raise ValueError("a shift that is too wide")
    results: dict[str, Callable[[], int]] = {
        "||": lambda: bool(a or b),
        "&&": lambda: bool(a and b),
        "|": lambda: a | b,
        "^": lambda: a ^ b,
        "&": lambda: a & b,
        "==": lambda: a == b,
        "!=": lambda: a != b,
        "<": lambda: a < b,
        ">": lambda: a > b,
        "<=": lambda: a <= b,
        ">=": lambda: a >= b,
        "<<": lambda: a << b,
        ">>": lambda: a >> b,
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
    }
    return int(results[operator]())
