#!/usr/bin/env python3
"""Keeps the rules that a machine can check: include directions, clocks, librdkafka, file and function length, layout.

  tidy.py ROOT     prints each breach with file and line, and fails if there is one
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 90
TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "daemon", "pipeline", "storage", "deploy", "configs", "tests",
             "README.md", "LICENSE"}
# What each folder may include of the others (pipeline ← storage ← daemon), and which libraries it must never see.
ALLOWED = {"pipeline": {"pipeline"}, "storage": {"pipeline", "storage"}, "daemon": {"pipeline", "storage", "daemon"}}
FORBIDDEN = {
    "pipeline": ["librdkafka", "rocksdb", "spdlog", "prometheus", "<thread>", "<mutex>", "<atomic>", "<iostream>",
                 "<fstream>", "<filesystem>"],
    "storage": ["librdkafka", "spdlog", "prometheus"],
    "daemon": [],
}
CLOCK = re.compile(r"system_clock::now|steady_clock::now|high_resolution_clock|\btime\(nullptr\)|\bgettimeofday\b|clock_gettime")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")


def tracked():
    out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    if out.returncode == 0 and out.stdout:
        return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".build" not in path.parts and ".git" not in path.parts]


def check_includes(path, lines, breaches):
    folder = path.relative_to(ROOT).parts[0]
    if folder not in ALLOWED:
        return
    for number, line in enumerate(lines, 1):
        include = re.match(r'#include ([<"])([^">]+)', line)
        if not include:
            continue
        name = include.group(2)
        first = name.split("/")[0]
        if include.group(1) == '"' and first in ALLOWED and first not in ALLOWED[folder]:
            breaches.append(f"{path}:{number}: {folder} must not include {name}")
        shown = include.group(1) + name
        for library in FORBIDDEN[folder]:
            if library.strip("<>") in shown and (not library.startswith("<") or shown == library[:-1]):
                breaches.append(f"{path}:{number}: {folder} must not see {library}")
        if "rdkafka" in name and not path.name.startswith("kafka_"):
            breaches.append(f"{path}:{number}: only kafka_* files include librdkafka")


def check_lines(path, lines, breaches):
    if len(lines) > MAX_FILE_LINES:
        breaches.append(f"{path}: {len(lines)} lines; a file has one subject and at most {MAX_FILE_LINES}")
    product = path.relative_to(ROOT).parts[0] in ALLOWED
    for number, line in enumerate(lines, 1):
        if product and path.name != "clock.cc" and CLOCK.search(line):
            breaches.append(f"{path}:{number}: only daemon/clock.cc reads a clock")
        if UNFINISHED.search(line):
            breaches.append(f"{path}:{number}: unfinished: {line.strip()}")


def check_functions(path, lines, breaches):
    """A definition starts at column 0 (or inside a class at 2) with an opening brace at the line's end, and ends with
    a closing brace at the same column. Good enough for clang-format's output."""
    start, name = None, ""
    for number, line in enumerate(lines, 1):
        if start is None and re.match(r"[A-Za-z].*\)( const)?( noexcept)?( override)? \{$", line) and "namespace" not in line:
            start, name = number, line
        elif start is not None and line.startswith("}"):
            if number - start + 1 > MAX_FUNCTION_LINES:
                breaches.append(f"{path}:{start}: {number - start + 1} lines; split it: {name.strip()}")
            start = None


def main():
    breaches = []
    files = tracked()
    for name in {path.relative_to(ROOT).parts[0] for path in files}:
        if name not in TOP_LEVEL and not name.startswith("."):
            breaches.append(f"{name}: not one of the top-level entries")
    sources = [path for path in files if path.suffix in {".cc", ".h"}]
    if len(sources) < 50:
        breaches.append(f"only {len(sources)} sources found: is ROOT right?")
    for path in sources:
        lines = path.read_text(encoding="utf-8").splitlines()
        check_includes(path, lines, breaches)
        check_lines(path, lines, breaches)
        if path.relative_to(ROOT).parts[0] in ALLOWED:
            check_functions(path, lines, breaches)
    for path in files:
        if path.stat().st_size > 1_000_000:
            breaches.append(f"{path}: larger than 1 MB")
    for breach in breaches:
        print(breach)
    print(f"{len(files)} files, {len(sources)} sources, {len(breaches)} breaches")
    sys.exit(1 if breaches else 0)


main()
