"""The report that can be sent on: one HTML file that prints, and Markdown with its drawings beside it. It computes no statistic."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.history import Design
from analysis.presentation import plots
from analysis.presentation.blocks import Bar, Block, Fold, Heading, Headline, Line, Plot, Table
from analysis.presentation.contents import contents
from analysis.presentation.design_words import design_blocks
from analysis.presentation.figures import CSS, escape, fragment
from analysis.report import Report
from feedback.words import Say

HTML, MARKDOWN = "report.html", "report.md"

_PAGE_CSS = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.25rem; max-width: 46rem; background: #ffffff; color: #1a1d23;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
@media (prefers-color-scheme: dark) { body { background: #14161a; color: #eceef2; }
  .experiment-report h2[data-tone=good] { color: #4ade80; } .experiment-report h2[data-tone=bad] { color: #f87171; }
  .experiment-report h2[data-tone=warning] { color: #fbbf24; } }
@media print { body { padding: 0; max-width: none; background: #ffffff; color: #000000; } h3 { break-after: avoid; }
  svg, tr { break-inside: avoid; } .experiment-report .scroll { overflow: visible; } }
"""

# A backslash before these keeps text text wherever it stands in a line; a reference where a backslash does nothing.
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#$!])")
_AT_THE_START = re.compile(r"^([-+=]|\d+[.)](?=\s|$))")


def files(report: Report, design: Design, t: Say, language: str) -> dict[str, str]:
    """Return the report's files by name: report.html (alone enough), report.md, and effect-NAME.svg for each challenger drawn."""
    blocks = [*contents(report, t), *design_blocks(report, design, t)]
    drawn = _drawings(blocks)
    return {
        HTML: as_html(blocks, t("experiments.report.title", name=report.experiment), language),
        MARKDOWN: as_markdown(blocks, t("experiments.report.title", name=report.experiment), drawn),
        **{name: plots.standalone(plots.effect(plot, escape(plot.words))) for name, plot in drawn.items()},
    }


def as_html(blocks: Sequence[Block], title: str, language: str) -> str:
    """Return a whole page without any outside file; what is folded on the page is open here."""
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS.replace('.dark & ', '.dark ')}{_PAGE_CSS}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{fragment(blocks, unfolded=True)}\n</body>\n</html>\n"
    )


def as_markdown(blocks: Sequence[Block], title: str, drawn: dict[str, Plot] | None = None) -> str:
    """Return Markdown whose texts are escaped. `drawn` are the drawings' file names with their plots."""
    names = {id(plot): name for name, plot in (drawn or {}).items()}
    parts = [f"# {plain(title)}", *(_markdown(block, names) for block in blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Return text that Markdown shows as it stands, on one line: as a paragraph, or within one."""
    return _AT_THE_START.sub(lambda match: f"{match[1][:-1]}\\{match[1][-1]}", _inline(text))


def _inline(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.replace("&", "&amp;").split())).replace("@", "&#64;")


def _markdown(block: Block, names: dict[int, str]) -> str:
    match block:
        case Headline(text):
            return f"## {plain(text)}"
        case Heading(text):
            return f"### {plain(text)}"
        case Line(text, weight):
            return f"**{plain(text)}**" if weight == "strong" else plain(text)
        case Table(head, rows, texts):
            ruled = "| " + " | ".join(["---", *["---" if texts else "---:"] * (len(head) - 1)]) + " |"
            return "\n".join([_row(head), ruled, *(_row(row) for row in rows)])
        case Bar():
            return ""  # the words beside it say the same
        case Plot(words=words):
            name = names.get(id(block))
            return f"![{plain(words)}]({name})" if name else plain(words)
        case Fold(title, blocks):
            return "\n\n".join([f"### {plain(title)}", *(_markdown(part, names) for part in blocks)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_inline(cell) or " " for cell in cells) + " |"


def _drawings(blocks: Sequence[Block]) -> dict[str, Plot]:
    """Return the plots by the file that each is drawn into: a variant's name may hold anything, a file's may not."""
    made: dict[str, Plot] = {}
    for block in blocks:
        if isinstance(block, Plot):
            safe = re.sub(r"[^A-Za-z0-9_-]+", "-", block.challenger).strip("-") or "challenger"
            name, again = f"effect-{safe}.svg", 1
            while name in made:
                again += 1
                name = f"effect-{safe}-{again}.svg"
            made[name] = block
    return made
