"""Find the code blocks of Markdown pages, and check console commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer.main

from cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<rest>[^\n`]*)\n(?P<text>.*?)^ *```\s*$",
    re.MULTILINE | re.DOTALL,
)
INLINE: Final = re.compile(r"`(fire [^`]+)`")
OPERATORS: Final = frozenset({"|", "||", "&", "&&", ";"})
BEFORE: Final = re.compile(r"[A-Za-z_]\w*=.*|exec|time|nice|-n|[\d*/]+")
"""What may stand before a command: assignments, helpers, the fields of a crontab."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    line
        Number of its first line in the page.
    language
        Word after the fence; empty where there is none.
    title
        Name of the file that a reader writes; empty where it is none.
    """

    path: Path
    line: int
    language: str
    title: str
    text: str


def read_blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    page = path.read_text(encoding="utf-8")
    return [
        Block(
            path,
            page.count("\n", 0, match.start()) + 1,
            match["language"],
            "".join(re.findall(r'title="([^"]*)"', match["rest"])),
            match["text"],
        )
        for match in FENCE.finditer(page)
    ]


def inline_commands(path: Path) -> list[list[str]]:
    """Return the words of every `fire …` in a page's running text."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [found.split() for found in INLINE.findall(text.replace("\n", " "))]


def fire_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of every `fire` command line in a shell script."""
    for words in simple_commands(script):
        names = [word.rsplit("/", 1)[-1] if "=" not in word else "" for word in words]
        if "fire" not in names:
            continue
        start = names.index("fire")
        if all(BEFORE.fullmatch(word) for word in words[:start]):
            yield words[start:]


def simple_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command, without redirections and comments."""
    for line in script.replace("\\\n", " ").splitlines():
        plain = re.sub(r"\$\([^()]*\)", "$VALUE", _without_comment(line))
        lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;<>")
        lexer.commenters, lexer.whitespace_split = "", True
        words: list[str] = []
        skip = False
        for word in lexer:
            if word in OPERATORS:
                yield words
                words = []
            elif set(word) <= set("<>&"):
                skip = True
            elif skip:
                skip = False
            else:
                words.append(word)
        yield words


def _without_comment(line: str) -> str:
    """Cut a line at the first # outside quotes that begins a word."""
    for match in re.finditer(r"(?:^|\s)#", line):
        before = line[: match.start()]
        if before.count("'") % 2 == 0 and before.count('"') % 2 == 0:
            return before
    return line


def check_command(words: list[str]) -> None:
    """Parse a command line as the real application would, without running it.

    Raises
    ------
    ValueError
        There is no such command, or it does not take these arguments.
    """
    command, rest = _walk(words)
    if getattr(command, "commands", None) is not None:
        if rest == ["--help"]:
            return
        msg = f"`{' '.join(words)}`: there is no command {' '.join(rest[:1])!r} there"
        raise ValueError(msg)
    if rest == ["--help"]:
        return
    try:
        command.make_context(" ".join(words), rest)
    except Exception as error:
        msg = f"`{' '.join(words)}`: {getattr(error, 'message', None) or error}"
        raise ValueError(msg) from error


def check_names(words: list[str]) -> None:
    """Check that a command that is only mentioned exists, whatever its arguments."""
    command, rest = _walk([re.sub(r"[.,;:…]+$", "", word) for word in words])
    children = getattr(command, "commands", None)
    if children is not None and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        msg = f"`{' '.join(words)}`: there is no command {rest[0]!r} there"
        raise ValueError(msg)


def _walk(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and what is left of them."""
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0] in (getattr(command, "commands", None) or {}):
        command = command.commands[rest[0]]
        rest = rest[1:]
    return command, rest
