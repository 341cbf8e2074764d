"""Blocks as HTML fragments for the page. It computes no statistic; everything it is given is escaped.

Fragments need no script and no outside file; CSS goes with the component that shows them.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from analysis.presentation import plots
from analysis.presentation.blocks import Bar, Block, Fold, Heading, Headline, Line, Plot, Table
from analysis.presentation.contents import contents
from analysis.report import Report
from feedback.words import Say

# Gradio fills its HTML component through a template language: its signs are escaped with HTML's own.
_SIGNS = str.maketrans({"$": "&#36;", "{": "&#123;", "}": "&#125;", "`": "&#96;", "\\": "&#92;", "@": "&#64;"})

CSS = """
.experiment-report { overflow-wrap: anywhere; line-height: 1.55; max-width: 46rem; font-size: 1rem; }
.experiment-report p { margin: .4rem 0; font-size: 1em; }
.experiment-report h2 { margin: .1em 0 .2em; font-size: 1.9rem; line-height: 1.2; font-weight: 700; }
.experiment-report h2[data-tone=good] { color: #15803d; }
.experiment-report h2[data-tone=bad] { color: #dc2626; }
.experiment-report h2[data-tone=warning] { color: #b45309; }
.dark & .experiment-report h2[data-tone=good] { color: #4ade80; }
.dark & .experiment-report h2[data-tone=bad] { color: #f87171; }
.dark & .experiment-report h2[data-tone=warning] { color: #fbbf24; }
.experiment-report h3 { margin: 1.5rem 0 .3rem; font-size: 1.08rem; font-weight: 650; }
.experiment-report p.strong { font-weight: 600; }
.experiment-report p.quiet { opacity: .75; font-size: .92em; }
.experiment-report svg { display: block; width: 100%; max-width: 34rem; margin: .4rem 0; }
.experiment-report .scroll { overflow-x: auto; margin: .5rem 0; font-size: .95em; }
.experiment-report table { border-collapse: collapse; border: 0; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.experiment-report :is(tr, thead, tbody) { border: 0; background: none; }
.experiment-report :is(td, th) { padding: .35em .4em; border: 0; border-bottom: 1px solid #8884; text-align: right; vertical-align: top; }
.experiment-report :is(td, th):first-child { text-align: left; padding-left: 0; overflow-wrap: break-word; min-width: 5.5rem; }
@media (min-width: 34rem) { .experiment-report .numbers td { white-space: nowrap; } }
.experiment-report .texts :is(td, th) { text-align: left; }
.experiment-report th { font-weight: 500; }
.experiment-report thead th { font-weight: 650; }
.experiment-report details { margin: 1.2rem 0; border: 1px solid #8884; border-radius: .6rem; padding: .5rem .8rem; }
.experiment-report summary { cursor: pointer; font-weight: 650; min-height: 1.8rem; }
"""
"""The style of fragments, for the page and for the report's file alike."""


def escape(text: object) -> str:
    """Return text that is text wherever it is put into one of our fragments: neither markup nor template."""
    return html.escape(str(text), quote=True).translate(_SIGNS)


def page(report: Report, t: Say) -> str:
    """Return the whole report as one escaped HTML fragment, verdict first. Reads on a phone of 360 pixels."""
    return fragment(contents(report, t))


def fragment(blocks: Sequence[Block], *, unfolded: bool = False) -> str:
    """Return blocks as one escaped HTML fragment; `unfolded` opens what is folded, for paper."""
    return f'<div class="experiment-report">{"".join(_block(block, unfolded) for block in blocks)}</div>'


def sentence(text: str) -> str:
    """Return a lone sentence as a fragment."""
    return fragment([Line(text)])


def _block(block: Block, unfolded: bool) -> str:
    match block:
        case Headline(text, tone, verdict):
            return f'<h2 data-tone="{tone}" data-verdict="{escape(verdict)}">{escape(text)}</h2>'
        case Heading(text):
            return f"<h3>{escape(text)}</h3>"
        case Line(text, weight):
            return f'<p class="{weight}">{escape(text)}</p>'
        case Table():
            return _table(block)
        case Bar():
            return plots.interval(block)
        case Plot():
            return plots.effect(block, escape(block.words))
        case Fold(title, blocks):
            inner = "".join(_block(part, unfolded) for part in blocks)
            return f"<details{' open' if unfolded else ''}><summary>{escape(title)}</summary>{inner}</details>"


def _table(table: Table) -> str:
    """Return a table; where it is too wide for a phone it scrolls sideways inside itself."""
    first, *rest = table.head
    corner = f'<th scope="col">{escape(first)}</th>' if first else "<td></td>"
    head = corner + "".join(f'<th scope="col">{escape(name)}</th>' for name in rest)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in table.rows
    )
    kind = "texts" if table.texts else "numbers"
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0"><table class="{kind}">{inner}</table></div>'
