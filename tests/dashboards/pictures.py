"""Draws every panel of a dashboard as it lies in Grafana, from the data of a running Prometheus: one HTML page with inline SVG
per dashboard, to be looked at. Used by dashboards_test.py --pictures."""
import html
import json
import pathlib
import time
import urllib.parse

COLOURS = ["#3b6ea5", "#c4622d", "#4f8f4f", "#8a5fa8", "#b03a48", "#6b6b2f", "#2f8f8f", "#7a7a7a"]
CELL, ROW = 50, 34  # pixels of one grid column and row
MOST = 8            # series that are drawn


def shown(value, unit):
    if value is None:
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit == "s":
        return f"{value * 1000:.1f} ms" if 0 < value < 1 else f"{value:.1f} s"
    if unit in ("bytes", "decbytes"):
        return f"{value / 2**20:.1f} MiB"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def legend(target, metric):
    text = target.get("legendFormat") or ", ".join(f"{k}={v}" for k, v in metric.items() if k not in ("job", "instance"))
    for name, value in metric.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def points(values):
    return [(float(at), float(value)) for at, value in values if value not in ("NaN", "+Inf", "-Inf")]


def lines(series, width, height, unit):
    every = [p for _, values in series for p in values]
    if not every:
        return "<text x='8' y='40'>no data</text>"
    first, last = min(at for at, _ in every), max(at for at, _ in every)
    low, high = min(0.0, min(v for _, v in every)), max(v for _, v in every)
    x = lambda at: 60 + (at - first) / max(last - first, 1) * (width - 75)
    y = lambda value: height - 12 - (value - low) / ((high - low) or 1) * (height - 50)
    out = [f"<text x='4' y='{y(high) + 4:.0f}'>{html.escape(shown(high, unit))}</text>",
           f"<text x='4' y='{y(low):.0f}'>{html.escape(shown(low, unit))}</text>",
           f"<line x1='60' x2='{width - 15}' y1='{y(low):.0f}' y2='{y(low):.0f}' stroke='#ccc'/>"]
    for index, (_, values) in enumerate(series[:MOST]):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in values)
        out.append(f"<polyline fill='none' stroke='{COLOURS[index]}' stroke-width='1.6' points='{path}'/>")
    return "".join(out)


def panel(demo, board, one, resolve, seconds):
    at, unit = one["gridPos"], one.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
    width, height = at["w"] * CELL - 8, at["h"] * ROW - 8
    now, series = time.time(), []
    for target in one["targets"]:
        text = urllib.parse.urlencode({"query": resolve(board, target["expr"]), "start": now - seconds, "end": now, "step": 1})
        answer = json.loads(demo.get(f"/api/v1/query_range?{text}"))
        series += [(legend(target, found["metric"]), points(found["values"])) for found in answer["data"]["result"]]
    title = f"<text x='8' y='16' font-weight='bold'>{html.escape(one['title'])}</text>"
    if one["type"] in ("stat", "gauge"):
        value = series[0][1][-1][1] if series and series[0][1] else None
        body = f"<text x='8' y='{height - 20}' font-size='26'>{html.escape(shown(value, unit))}</text>"
    elif one["type"] in ("table", "bargauge"):
        rows = sorted(((values[-1][1], name) for name, values in series if values), reverse=True)
        body = "".join(f"<text x='8' y='{38 + 15 * i}'>{html.escape(name[:60])}: {html.escape(shown(value, unit))}</text>"
                       for i, (value, name) in enumerate(rows[:int((height - 40) / 15)]))
    else:
        body = lines(series, width, height, unit) + "".join(
            f"<text x='{64 + 170 * (i % max(1, int(width / 180)))}' y='{30 + 12 * (i // max(1, int(width / 180)))}' "
            f"font-size='10' fill='{COLOURS[i]}'>{html.escape(name[:30])}</text>" for i, (name, _) in enumerate(series[:MOST]))
    return (f"<svg style='position:absolute;left:{at['x'] * CELL}px;top:{at['y'] * ROW + 50}px;border:1px solid #ddd' "
            f"width='{width}' height='{height}' font-size='12'>{title}{body}</svg>")


def draw(demo, boards, resolve, folder, seconds):
    """`demo.get` asks Prometheus, `resolve(board, expression)` fills in the dashboard's variables."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for board in boards:
        body = "".join(panel(demo, board, one, resolve, seconds) for one in board["panels"] if one.get("targets"))
        (folder / f"{board['uid']}.html").write_text(
            f"<!DOCTYPE html><meta charset='utf-8'><title>{board['uid']}</title>"
            f"<body style='font-family:sans-serif'><h3>{html.escape(board['title'])}</h3>{body}", encoding="utf-8")
