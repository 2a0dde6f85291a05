"""The code blocks of the pages, in order, and how each is tried out.

| block | what becomes of it |
|:--|:--|
| `yaml title="FILE"`, `python title="FILE"`, `sh title="FILE"` | written to FILE in the folder of the page |
| `sh` | run by bash in that folder, and must end with 0, or with the code that `exit="N"` names |
| `text` | what the last command printed: each line must be in it, apart from numbers and times; `…` ends one that goes on |
| `yaml` without a title | a part of a pipeline: merged into the last one that was written, and planned |
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
    """A fenced block: its language, what its head says besides, its text and its first line in the page."""

    language: str
    title: str | None
    exit: int
    text: str
    line: int


_FENCE = re.compile(r"^```(?:(\w+)|\{\.\w+\})?([^\n]*)\n(.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        head = dict(re.findall(r'(\w+)="([^"]*)"', fence[2]))
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(fence[1] or "", head.get("title"), int(head.get("exit", 0)), fence[3], line))
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
