#!/usr/bin/env python3
"""Shows escalation events (CloudEvents, one a line on standard input) the way a person on call wants to read them."""
import json
import os
import sys

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
QUIET = {"opened", "verdict_changed", "severity_changed"}  # counted, not shown: there are many


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def values(part):
    """The values of one W, with how often each was seen."""
    if not isinstance(part, dict) or not part.get("known", True):
        return f"unknown ({part.get('reason', 'no reason given')})" if isinstance(part, dict) else str(part)
    if "summary" in part:
        return part["summary"]
    shown = []
    for name, value in part.items():
        if name == "known":
            continue
        entries = value if isinstance(value, list) else [value]
        texts = [str(e.get("value", e)) if isinstance(e, dict) else str(e) for e in entries[:3]]
        shown.append(f"{name}: {', '.join(texts)}")
    return "; ".join(shown)[:220]


def show(event):
    kind = event["type"].removeprefix("io.triaged.case.").removesuffix(".v1")
    data = event.get("data", {})
    if kind in QUIET or not event["type"].startswith("io.triaged.case."):
        return
    level = data.get("level", {})
    head = f"{event['time'][11:19]}  {kind.upper():<13} case {event['subject']}"
    if kind == "escalated":
        head += f"  {level.get('from')} → {level.get('to')}  {data.get('severity')}"
    print(paint("1;31" if kind == "escalated" else "33", head) + f"  reason: {data.get('reason')}")
    if kind == "escalated":
        for name in ("who", "what", "when", "where", "why"):
            print(f"          {name.capitalize():<6} {values(data.get('five_ws', {}).get(name, {}))}")
        print(f"          Asked  {data.get('requested', '')}")
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
