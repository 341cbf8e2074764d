"""The page "what this demo has learned", and a partner's report of its channel, as plain HTML: no script, no request elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from feedback.exchange.outgoing import ChannelCounts
from feedback.learned import Counts, VersionTold
from feedback.words import Say

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer"><title>{title}</title><style>
:root {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Noto Sans CJK SC", sans-serif; }}
body {{ margin: 0; padding: clamp(1rem, 4vw, 3rem); background: light-dark(#f6f7f9, #14161a);
  color: light-dark(#1a1d23, #eceef2); line-height: 1.6; }}
main {{ max-width: 52rem; margin: 0 auto; display: grid; gap: 1.25rem; }}
h1 {{ margin: 0; font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; text-wrap: balance; }} h2 {{ margin: 0 0 .75rem; font-size: 1.15rem; }}
section {{ background: light-dark(#fff, #1d2026); border: 1px solid light-dark(#dfe3ea, #343a46); border-radius: 1rem; padding: 1.25rem; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: 1rem; margin: 0; }}
dt {{ color: light-dark(#5b6472, #a9b1bf); font-size: .9rem; }}
dd {{ margin: 0; font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; width: 100%; font-size: .95rem; }}
th, td {{ text-align: start; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid light-dark(#dfe3ea, #343a46); white-space: nowrap; }}
td {{ font-variant-numeric: tabular-nums; }} p {{ margin: 0; max-width: 44rem; }} .muted {{ color: light-dark(#5b6472, #a9b1bf); font-size: .9rem; }}
a {{ color: light-dark(#4338ca, #a5b4fc); }} input {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .7rem; border-radius: 8px;
  border: 1px solid light-dark(#c8ccd4, #444a55); background: transparent; color: inherit; }}
nav {{ display: flex; flex-wrap: wrap; gap: 1rem; }}
</style></head><body><main>{body}</main></body></html>"""


def learned(
    say: Say, language: str, title: str, counts: Counts, versions: Sequence[VersionTold], home: str, other: tuple[str, str]
) -> str:
    """Return the page. `home`: the public page's address; `other`: address and name of this page in the other language."""
    figures = [
        ("visitors", counts.visitors), ("answers", counts.answers), ("corrections", counts.corrections),
        ("confirmations", counts.confirmations), ("accepted", counts.accepted), ("rejected", counts.rejected),
    ]  # fmt: skip
    since = say("learned.since", day=counts.since.isoformat()) if counts.since else say("learned.nothing")
    body = [
        f"<nav><a href='{escape(home)}'>{escape(say('learned.back'))}</a><a href='{escape(other[0])}'>{escape(other[1])}</a></nav>",
        f"<h1>{escape(say('learned.title', name=title))}</h1><p>{escape(say('learned.lead'))}</p>",
        f"<section><h2>{escape(say('learned.people'))}</h2>{_figures(say, figures)}<p class=muted>{escape(since)}</p></section>",
        f"<section><h2>{escape(say('learned.versions'))}</h2>{_versions(say, versions)}"
        f"<p class=muted>{escape(say('learned.sealed'))}</p></section>",
        f"<section><h2>{escape(say('learned.share'))}</h2><p class=muted>{escape(say('learned.share_hint'))}</p>"
        f"<p><input readonly value='{escape(home)}' aria-label='{escape(say('learned.share'))}'></p></section>",
    ]
    return _whole(say("learned.title", name=title), language, body)


def report(say: Say, language: str, title: str, counts: ChannelCounts, visit: str) -> str:
    """Return a partner's report of its channel; `visit` is the link to give to its visitors."""
    figures = [
        ("visitors", counts.visitors), ("answers", counts.predictions), ("corrections", counts.corrections),
        ("accepted", counts.accepted), ("rejected", counts.rejected),
    ]  # fmt: skip
    latest = say("learned.latest", day=counts.latest.date().isoformat()) if counts.latest else say("learned.nothing")
    heading = say("learned.channel", name=title, channel=counts.channel)
    body = [
        f"<h1>{escape(heading)}</h1><p>{escape(say('learned.channel_lead'))}</p>",
        f"<section>{_figures(say, figures)}<p class=muted>{escape(latest)}</p></section>",
        f"<section><h2>{escape(say('learned.visit'))}</h2><p><input readonly value='{escape(visit)}' "
        f"aria-label='{escape(say('learned.visit'))}'></p></section>",
    ]
    return _whole(heading, language, body)


def _whole(title: str, language: str, body: Sequence[str]) -> str:
    return _PAGE.format(lang="zh-Hans" if language == "zh" else language, title=escape(title), body="".join(body))


def _figures(say: Say, figures: Sequence[tuple[str, int]]) -> str:
    cells = "".join(f"<div><dt>{escape(say(f'learned.n_{name}'))}</dt><dd>{value:,}</dd></div>" for name, value in figures)
    return f"<dl>{cells}</dl>"


def _versions(say: Say, versions: Sequence[VersionTold]) -> str:
    names = ("number", "made", "kind", "learned", "score", "state")
    head = "".join(f"<th scope=col>{escape(say(f'learned.col_{name}'))}</th>" for name in names)
    rows = []
    for one in versions:
        score = say("learned.score", score=f"{one.score:.3f}", items=one.items) if one.score is not None else "–"
        state = say("learned.serves") if one.serving else say(f"learned.verdict_{one.verdict}")
        cells = (str(one.number), one.made[:10], say(f"learned.kind_{one.kind}"), f"{one.learned:,}", score, state)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
