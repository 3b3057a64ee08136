#!/usr/bin/env python3
"""configs/schemas/policy-pack.v1.json against the engine's own reader: every shipped pack is valid for both; a wrong key in any
map, and a required key left out, is refused by both. Usage: schema_test.py TRIAGECTL
"""
import concurrent.futures
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Maps whose keys are the user's own names; a new one is no wrong key. Conditions have fields for keys.
FREE = {"people", "teams", "roles", "calendars", "values", "when", "escalated_percent", "time_to_escalate"}


class Loader(yaml.SafeLoader):
    """YAML 1.2's core types, as triaged reads them: `on` is a text, and so are dates."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (("bool", r"^(?:true|false)$", "tf"), ("int", r"^-?[0-9]+$", "-0123456789"),
                            ("null", r"^(?:null|~|)$", ["n", "~", ""])):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


def maps(node, path=()):
    """The path of every map with fixed keys."""
    if isinstance(node, dict):
        if not path or path[-1] not in FREE and not (path[-1] == "levels" and "clocks" in path):
            yield path
        for key, value in node.items():
            if key != "when":
                yield from maps(value, path + (key,))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from maps(value, path + (i,))


def at(node, path):
    for step in path:
        node = node[step]
    return node


def shape(path):
    """Where a map stands, whatever its place in a list and the users' names above it."""
    return tuple("*" if isinstance(step, int) or (i and path[i - 1] in FREE) else step for i, step in enumerate(path))


def mutants(packs):
    """(what, pack) once per shape of map: a wrong key, and each key left out."""
    seen = set()
    for name, pack in packs.items():
        for path in maps(pack):
            where = "/".join(map(str, shape(path))) or "the pack"
            if (shape(path), "+") not in seen:
                seen.add((shape(path), "+"))
                changed = copy.deepcopy(pack)
                at(changed, path)["wrong_key"] = {"a": 1}
                yield f"{name}: a wrong key in {where}", changed, True
            for key in at(pack, path):
                if (shape(path), key) in seen:
                    continue
                seen.add((shape(path), key))
                changed = copy.deepcopy(pack)
                del at(changed, path)[key]
                yield f"{name}: {where} without {key}", changed, False


def refused(triagectl, folder, number, pack):
    """What the engine's reader says against the pack; "" when nothing."""
    path = pathlib.Path(folder) / f"{number}.yaml"
    path.write_text(yaml.dump(pack, allow_unicode=True, sort_keys=False))
    done = subprocess.run([triagectl, "check", "policy", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main():
    triagectl, problems = sys.argv[1], []
    schema = json.loads((ROOT / "configs/schemas/policy-pack.v1.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    files = sorted((ROOT / "configs/policies").glob("*.yaml")) + sorted((ROOT / "tests/scenario").glob("*/pack.yaml"))
    packs = {}
    for path in files:
        name = path.parent.name if path.stem == "pack" else path.stem
        packs[name] = yaml.load(path.read_text(), Loader)
        for error in validator.iter_errors(packs[name]):
            problems.append(f"{name}: the schema refuses it at {'/'.join(map(str, error.path))}: {error.message[:200]}")
    cases = list(mutants(packs))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, pack in packs.items():
            if said := refused(triagectl, folder, name, pack):
                problems.append(f"{name}: written anew, the reader refuses it: {said}")
        answers = list(pool.map(lambda i: refused(triagectl, folder, i, cases[i][1]), range(len(cases))))
    for (what, pack, must), said in zip(cases, answers):
        by_schema = not validator.is_valid(pack)
        wrong += must
        if must and not (said and by_schema):
            problems.append(f"{what}: the reader {'refuses' if said else 'takes'} it, the schema {'refuses' if by_schema else 'takes'} it")
        # What only the whole pack shows (a severity without a time) is the reader's alone; never the other way round.
        if by_schema and not said:
            problems.append(f"{what}: refused by the schema, taken by the reader")
        if said and "is missing" in said and "'" + what.rsplit(" ", 1)[-1] + "'" in said and not by_schema:
            problems.append(f"{what}: required by the reader, not by the schema")
    for problem in problems:
        print(problem)
    print(f"{len(packs)} packs, {wrong} wrong keys, {len(cases) - wrong} keys left out, {len(problems)} problems")
    return 1 if problems or wrong < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
