"""The chart: a panel for each scenario, a bar for each peer. Plain SVG that fits light and dark pages."""

from __future__ import annotations

from html import escape

from results import Result

COLUMNS, PANEL, GAP, MARGIN = 3, 340, 20, 24
LABEL, VALUE, ROW, BAR = 80, 62, 22, 13
SHORT = {"nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy", "apache": "Apache", "coatcheck": "Coatcheck"}

STYLE = """\
text { font: 12px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; fill: #334155; }
.page { fill: #ffffff; } .card { fill: #f8fafc; stroke: #e2e8f0; }
.head { font-size: 17px; font-weight: 650; fill: #0f172a; } .title { font-size: 13px; font-weight: 650; fill: #0f172a; }
.unit { font-size: 11px; fill: #64748b; } .value { font-variant-numeric: tabular-nums; }
.bar { fill: #b6c2d1; } .ours { fill: #0f766e; } .own { font-weight: 650; fill: #0f766e; }
@media (prefers-color-scheme: dark) {
  text { fill: #cbd5e1; } .page { fill: #0d1117; } .card { fill: #161b22; stroke: #30363d; } .head, .title { fill: #f1f5f9; } .unit { fill: #94a3b8; }
  .bar { fill: #475569; } .ours { fill: #2dd4bf; } .own { fill: #2dd4bf; }
}"""


def _digits(values: list[float]) -> int:
    """Enough of them that the smallest is told from its neighbours."""
    smallest = min((abs(value) for value in values if value), default=1)
    return 3 if smallest < 0.1 else 2 if smallest < 1 else 1 if smallest < 100 and any(value % 1 > 0.05 for value in values) else 0


def _panel(result: Result, left: float, top: float) -> tuple[list[str], float]:
    """The lines of one panel, and its height."""
    values = {name: row[result.chart] for name, row in result.rows.items() if name in SHORT and row.get(result.chart) is not None}
    height = 58 + ROW * len(values) + 8
    unit = next((column.title for column in result.columns if column.key == result.chart), "")
    lines = [f'<text class="title" x="{left + 14}" y="{top + 24}">{escape(result.title)}</text>',
             f'<text class="unit" x="{left + 14}" y="{top + 41}">{escape(unit)}, {"more" if result.more_is_better else "less"} is better</text>']
    most, digits = max([*values.values(), 1e-9]), _digits(list(values.values()))
    room = PANEL - 28 - LABEL - VALUE
    for number, (name, value) in enumerate(values.items()):
        y = top + 58 + ROW * number
        width = max(1.5, room * max(0.0, value) / most)
        own, ours = (" own", " ours") if name == "coatcheck" else ("", "")
        lines += [f'<text class="label{own}" x="{left + 14}" y="{y + 11}">{SHORT[name]}</text>',
                  f'<rect class="bar{ours}" x="{left + 14 + LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
                  f'<text class="value{own}" x="{left + 14 + LABEL + width + 6:.1f}" y="{y + 11}">{value:,.{digits}f}</text>']
    return lines, height


def svg(results: list[Result]) -> str:
    width = 2 * MARGIN + COLUMNS * PANEL + (COLUMNS - 1) * GAP
    body, top = [], 76.0
    for start in range(0, len(results), COLUMNS):
        row = results[start:start + COLUMNS]
        panels = [_panel(one, MARGIN + number * (PANEL + GAP), top) for number, one in enumerate(row)]
        tall = max(height for _, height in panels)
        for number, (lines, _) in enumerate(panels):
            body += [f'<rect class="card" x="{MARGIN + number * (PANEL + GAP)}" y="{top}" width="{PANEL}" height="{tall}" rx="8"/>', *lines]
        top += tall + GAP
    machine = results[-1].machine if results else ""
    foot = ["nginx and HAProxy: bare reverse proxies with a fixed token. Envoy: OAuth2 filter. Apache: mod_auth_openidc. Coatcheck: a signed-in session.",
            f"Same upstream, same load, medians of rounds that take turns; client, upstream and proxy share {machine}."]
    height = top + 40
    title = "Coatcheck beside nginx, HAProxy, Envoy and Apache"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" role="img" aria-label="{title}">',
        f"<title>{title}</title>", f"<style>{STYLE}</style>", f'<rect class="page" width="{width}" height="{height:.0f}" rx="10"/>',
        f'<text class="head" x="{MARGIN}" y="40">{title}</text>',
        f'<text class="unit" x="{MARGIN}" y="60">Coatcheck looks up a session and sets its token in every call; so do Envoy and Apache. nginx and HAProxy only forward.</text>', *body,
        *(f'<text class="unit" x="{MARGIN}" y="{top + 12 + 17 * number:.0f}">{escape(line)}</text>' for number, line in enumerate(foot)), "</svg>", ""])
