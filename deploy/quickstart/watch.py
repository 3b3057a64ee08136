#!/usr/bin/env python3
"""Shows escalation events (CloudEvents, one a line on standard input) the way a person on call wants to read them."""
import json
import os
import sys

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
QUIET = {"opened", "verdict_changed", "severity_changed", "follow_up.added"}  # counted, not shown: there are many


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def texts(value):
    """A value of the Five Ws in a few words."""
    if isinstance(value, list):
        return ", ".join(texts(item) for item in value[:3]) + (f" and {len(value) - 3} more" if len(value) > 3 else "")
    if isinstance(value, dict):
        return str(value.get("value", value.get("text", value.get("name", value.get("utc", "")))))
    return str(value)


def values(part, names):
    if not part.get("known", True):
        return f"unknown: {part.get('reason', 'no reason given')}"
    shown = [f"{name} {texts(part[name])}" for name in names if part.get(name)]
    return "; ".join(shown)[:200]


W = {
    "who": ["accounts", "actors", "victims"],
    "what": ["detections", "processes", "files"],
    "when": ["first", "last", "duration"],
    "where": ["hosts", "addresses", "urls"],
    "why": ["verdict", "severity", "escalation"],
}


def show(event):
    kind = event["type"].removeprefix("io.triaged.case.").removesuffix(".v1")
    data = event.get("data", {})
    if kind in QUIET or not event["type"].startswith("io.triaged.case."):
        return
    level = data.get("level", {})
    head = f"{event['time'][11:19]}  {kind.upper():<13} case {event['subject']}"
    if kind == "escalated":
        head += f"  {texts(level.get('from'))} → {texts(level.get('to'))}  {data.get('severity')}"
    print(paint("1;31" if kind == "escalated" else "33", head) + f"  reason: {data.get('reason')}")
    if kind == "escalated":
        for name, parts in W.items():
            print(f"          {name.capitalize():<6} {values(data.get('five_ws', {}).get(name, {}), parts)}")
        verdict = data.get("verdict", {})
        print(f"          Found  {verdict.get('name')} ({verdict.get('confidence')} %): {verdict.get('reason')}")
        print(f"          Asked  {texts(data.get('requested', ''))}")
        print(f"          To     {data.get('team')}: {data.get('assignee') or 'nobody on shift'}", flush=True)


def main():
    for line in sys.stdin:
        try:
            show(json.loads(line))
        except (ValueError, KeyError) as error:
            print(f"not an escalation event: {error}: {line[:100]}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
