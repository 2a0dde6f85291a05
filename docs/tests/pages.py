"""The code blocks of the pages, in order, and how each is tried out.

| block | what becomes of it |
|:--|:--|
| `yaml title="FILE"`, `python title="FILE"`, `sh title="FILE"` | written to FILE in the folder of the page |
| `sh` | run by bash in that folder, and must end with 0; after `<!-- test: exit N -->` with N |
| `text` | what the last command printed: each line must be in it, apart from numbers and times; `…` ends one that goes on |
| `yaml` without a title | a part of a pipeline: merged into the last one that was written, and planned; after `<!-- test: run -->` run |
| `python` without a title | run, together with those before it on the page |
| `{.text}` | shown only |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, title, text, its first line in the page, and what the test is told of it."""

    language: str
    title: str | None
    text: str
    line: int
    told: str | None

    @property
    def exit(self) -> int:
        """The code with which its commands must end."""
        return int((self.told or "exit 0").removeprefix("exit "))


#: The heads that the site knows; a block with another one would be shown as text.
_HEAD = re.compile(r'(?:(?P<language>\w+)|\{\.\w+\})(?: title="(?P<title>[\w.-]+)")?$')
_FENCE = re.compile(r"^(?:<!-- test: (?P<told>[\w ]+) -->\n)?```(?P<head>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        head = _HEAD.match(fence["head"])
        if head is None:
            raise ValueError(f"{page.name}:{line}: the site does not know the block ```{fence['head']}")
        found.append(Block(head["language"] or "", head["title"], fence["text"], line, fence["told"]))
    return found


def pages() -> list[Path]:
    """All pages that are written by hand."""
    return sorted(page for page in DOCS.rglob("*.md") if page.parent.name not in ("reference", "tests"))


def merged(base, part):
    """A pipeline with a part laid over it. The lists of a report, and a whole sweep, are replaced."""
    if not (isinstance(base, dict) and isinstance(part, dict)):
        return part
    return {**base, **{key: part[key] if key == "sweep" else merged(base.get(key), part[key]) for key in part}}


def skeleton(line: str) -> str:
    """A line without what differs from run to run: numbers, and their units of time."""
    line = re.sub(r"\d[\d,.]*( (ms|s|min|h)\b)?", "#", line)
    return " ".join(line.split())
