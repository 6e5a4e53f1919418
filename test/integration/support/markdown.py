"""What stands in the project's Markdown: links, anchors, and blocks of code."""

import re
from dataclasses import dataclass
from pathlib import Path

from support.agent import ROOT

# Folders with Markdown of the project; what was built, and what others wrote, is elsewhere.
FOLDERS = ("docs", "config", "debian", "include", "src", "systemd", "test")
FENCE = re.compile(r"^```(\w*)\s*$")
# Why a block is not run stands in a comment above the block.
NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")


def pages():
    found = sorted(ROOT.glob("*.md"))
    for folder in FOLDERS:
        found += sorted(p for p in (ROOT / folder).rglob("*.md") if "node_modules" not in p.parts)
    return found


@dataclass
class Block:
    language: str
    text: str
    line: int
    why_not: str | None  # why it is not run

    @property
    def name(self):
        """Of the file that it is, if its first line says so."""
        found = re.match(r"(?:/\*|#) ([\w-]+\.\w+)\b", self.text)
        return found.group(1) if found else None


def split(path):
    """The page's text outside of blocks, and its blocks."""
    prose, blocks = [], []
    lines = iter(enumerate(path.read_text().splitlines(), 1))
    for number, line in lines:
        fence = FENCE.match(line)
        if not fence:
            prose.append(line)
            continue
        reason = NOT_RUN.match(prose[-1]) if prose else None
        inner = []
        for _, line in lines:
            if line == "```":
                break
            inner.append(line)
        blocks.append(Block(fence.group(1), "\n".join(inner) + "\n", number, reason and reason.group(1)))
    return "\n".join(prose), blocks


def links(path):
    prose, _ = split(path)
    prose = re.sub(r"`[^`]*`", lambda code: "`" + "x" * (len(code.group()) - 2) + "`", prose)
    return re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(path):
    """As GitHub makes them of headings."""
    found = []
    for heading in re.findall(r"^#+ (.+?)\s*#*$", split(path)[0], re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def broken_links(path: Path):
    broken = []
    for target in links(path):
        if re.match(r"(https?|mailto):", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or ROOT not in (file, *file.parents):
            broken.append(target)
        elif anchor and anchor not in anchors(file):
            broken.append(target)
    return broken
