#!/usr/bin/env python3
"""Keeps configs/policies/COVERAGE.md true: every setting that a row names is in the pack with that value, every timeline
exists where the timeline tests run it, every file exists, and (with ../shared/sources) every section heading of every
document has a row. A time that a row names is then changed by a second, and a criterion, guard, raise, follow-up, trigger or exit
that it names is taken out: one of the row's timelines must fail, or it would prove nothing. Usage: coverage_test.py TRIAGECTL [-v]
"""
import concurrent.futures
import copy
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

import replay_test
from schema_test import Loader

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT.parent / "shared/sources"
DOCUMENTS = ("soc-escalation-guide.md", "helpdesk-escalation-flow.md", "platform-escalation-procedures.md",
             "kb005-incident-response.md", "support-incident-framework.ja.md")
problems = []


def packs():
    """Pack name → its YAML as texts: `on`, `1h` and numbers stay what the file says."""
    return {path.stem: yaml.load(path.read_text(), yaml.BaseLoader)
            for path in (ROOT / "configs/policies").glob("*.yaml")}


def locate(node, path):
    """The map or list, and its key, where a path such as `criteria[data_loss].to` leads; None when it leads nowhere. Keys
    may hold dots."""
    path = path.lstrip(".")
    if path.startswith("["):
        wanted, _, rest = path[1:].partition("]")
        for i, item in enumerate(node if isinstance(node, list) else []):
            if wanted in ([item.get("name"), item.get("activity")] if isinstance(item, dict) else [item]):
                return locate(item, rest) if rest else (node, i)
        return None
    for key in sorted(node, key=len, reverse=True) if isinstance(node, dict) else []:
        if path == key:
            return node, key
        if path.startswith((key + ".", key + "[")):
            return locate(node[key], path[len(key):])
    return None


def resolve(pack, path):
    found = locate(pack, path)
    return found[0][found[1]] if found else None


def check_setting(where, setting, loaded):
    kind, _, rest = setting.partition(": ")
    if kind == "people":
        return None if len(rest) > 10 else problems.append(f"{where}: '{setting}' gives no reason")
    if kind == "file":
        return None if (ROOT / rest).exists() else problems.append(f"{where}: there is no {rest}")
    if kind not in loaded:
        return problems.append(f"{where}: there is no pack '{kind}' (in '{setting}')")
    path, _, wanted = rest.partition("=")
    value = resolve(loaded[kind], path)
    if value is None:
        return problems.append(f"{where}: {kind}.yaml has no {path}")
    if wanted and value != wanted:
        problems.append(f"{where}: {kind}.yaml has {path}: {value}, not {wanted}")
    return kind


def check_proof(where, proof, pack_names, used):
    if proof.startswith("file: "):
        if not (ROOT / proof[6:]).exists():
            problems.append(f"{where}: there is no {proof[6:]}")
        return
    folder = proof.partition("/")[0]
    if not (ROOT / "tests/scenario" / f"{proof}.timeline").exists():
        return problems.append(f"{where}: there is no timeline {proof}")
    pack = pathlib.Path(replay_test.PACKS[folder][1]).stem if folder in replay_test.PACKS else None
    if pack is None:
        problems.append(f"{where}: nothing runs the timelines of {folder}")
    elif pack_names and pack not in pack_names and folder not in ("engine", "entered"):
        problems.append(f"{where}: {proof} runs under {pack}, the setting is of {', '.join(sorted(pack_names))}")
    used.add(proof)


REMOVABLE = re.compile(r"(?:criteria|guards|raise|follow_ups)\[[^\]]*\]|engaged_roles\[[^\]]*\]\.(?:triggers|exit)\[[^\]]*\]")


def without(pack, path):
    """The pack without the element of a list that the path begins with."""
    mutant = copy.deepcopy(pack)
    node, key = locate(mutant, path)
    del node[key]
    if not node:  # an empty list is an error of its own
        outer, name = locate(mutant, path[:path.rindex("[")])
        del outer[name]
    return mutant


def changed_packs(pack, path, value):
    """(last resort, pack with another time at the path): a second more, a second less; a business day more."""
    if not value:
        yield False, without(pack, path)
        return
    if re.fullmatch(r"[0-9]+bd", value):
        others = [f"{int(value[:-2]) + 1}bd"]
    else:
        seconds = int(value[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[value[-1]]
        others = [f"{seconds + 1}s", f"{seconds - 1}s"]
    for together in (False, True):  # a severity between two of the same time cannot be changed without them
        for other in others:
            mutant = copy.deepcopy(pack)
            node, key = locate(mutant, path)
            for name in [name for name in node if node[name] == value] if together else [key]:
                node[name] = other
            yield together, mutant


def proves(triagectl, folder, number, setting, proofs, packs):
    """Whether one of the timelines fails once the setting is another; None when it cannot be another."""
    kind, _, rest = setting.partition(": ")
    path, _, value = rest.partition("=")
    answer = None
    for last_resort, mutant in changed_packs(packs[kind], path, value):
        if last_resort and answer is not None:
            break
        home = pathlib.Path(folder) / str(number)
        home.mkdir(exist_ok=True)
        (home / "pack.yaml").write_text(yaml.dump(mutant, allow_unicode=True, sort_keys=False))
        check = subprocess.run([triagectl, "check", "policy", str(home / "pack.yaml")], capture_output=True, check=False)
        if check.returncode != 0:
            continue
        for proof in proofs:
            config = replay_test.configure(home, proof.partition("/")[0])
            shipped = f"{ROOT}/configs/policies/{kind}.yaml"
            if shipped not in config.read_text():
                continue
            config.write_text(config.read_text().replace(shipped, str(home / "pack.yaml")))
            done = subprocess.run([triagectl, "--config.file", str(config), "test",
                                   str(ROOT / "tests/scenario" / f"{proof}.timeline")], capture_output=True, check=False)
            if done.returncode != 0:
                return True
        answer = False
    return answer


def check_proofs(triagectl, timed):
    """Every (where, setting, proofs) of `timed`, in parallel; what proves nothing is a problem."""
    packs = {path.stem: yaml.load(path.read_text(), Loader) for path in (ROOT / "configs/policies").glob("*.yaml")}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda i: proves(triagectl, folder, i, *timed[i][1:], packs), range(len(timed)))
        for (where, setting, proofs), answer in zip(timed, answers):
            if answer is None and "=" in setting:
                problems.append(f"{where}: {setting} cannot be changed alone; name a neighbour")
            elif answer is False:
                problems.append(f"{where}: {setting} may {'change' if '=' in setting else 'be left out'}, and {', '.join(proofs) or 'nothing'} does not see it")
    return len(timed)


def named_tags(node):
    """Every tag that a condition over the case names."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from (value if isinstance(value, list) else [value]) if key == "case.tags" else named_tags(value)
    elif isinstance(node, list):
        for item in node:
            yield from named_tags(item)


def check_tags(loaded):
    """A pack may only wait for tags that some shipped rule gives."""
    given = set()
    for path in (ROOT / "configs").glob("rules*/*.yaml"):
        for rule in yaml.load_all(path.read_text(), yaml.BaseLoader):
            given.update(rule.get("triage", {}).get("tags", []))
    for name, pack in loaded.items():
        for tag in sorted(set(named_tags(pack)) - given):
            problems.append(f"{name}.yaml waits for the tag '{tag}', which no rule under configs/rules* gives")


def rows(text):
    """(document, line number, section, rule, settings, proofs) of every table row below a `## document` heading."""
    document = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            document = line[3:].strip()
        if not line.startswith("|") or line.startswith(("|---", "| section ")):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) != 4:
            problems.append(f"line {number}: {len(cells)} cells, not 4: {line[:80]}")
            continue
        section, rule, settings, proofs = cells
        split = lambda cell: [part.strip().strip("`") for part in cell.split("; ") if part.strip(" –")]
        yield document, number, section, rule, split(settings), split(proofs)


def headings(name):
    """The headings of a document; two of them are plain text without marks."""
    lines = (SOURCES / name).read_text().splitlines()
    marked = [line for line in lines if re.match(r"#{1,4} \S", line)]
    if name.startswith("platform"):
        return [line for line in lines if re.match(r"[A-Z][^|]{3,48}$", line) and not line.endswith((".", ":"))]
    if name.endswith(".ja.md"):
        plain = re.compile(r"^(?=.*[ぁ-んァ-ヶ一-龠]|[A-Z][A-Za-z -]+\([A-Z]|[A-Z]+ <-> )[^\s•*#\[|-][^。、|\[\]:]*$")
        return [line for line in lines if plain.match(line) and "PROPOSED" not in line]
    return [re.sub(r"^#+ ", "", line) for line in marked]


def plain(text):
    """A heading without pictures, numbers' dots and translations."""
    return re.sub(r"[^\w()<>:-]+", " ", text.split(" / ")[0]).strip().lower()


def main():
    loaded = packs()
    sections, count, used, timed = {name: set() for name in DOCUMENTS}, 0, set(), []
    for document, number, section, rule, settings, proofs in rows((ROOT / "configs/policies/COVERAGE.md").read_text()):
        where = f"COVERAGE.md:{number}"
        if document not in sections:
            problems.append(f"{where}: '{document}' is none of the documents")
            continue
        count += 1
        sections[document].update(plain(part) for part in section.split("; "))
        if not settings or not rule:
            problems.append(f"{where}: names no setting and no reason")
        found = {check_setting(where, setting, loaded) for setting in settings} - {None}
        if found and not proofs:
            problems.append(f"{where}: nothing proves it")
        for proof in proofs:
            check_proof(where, proof, found, used)
        timelines = [proof for proof in proofs if not proof.startswith("file: ")]
        timed += [(where, setting, timelines) for setting in settings
                  if re.search(r"=[1-9][0-9]*(s|m|h|d|bd)$", setting) and setting.partition(": ")[0] in loaded]
        removable = {setting[:setting.index(": ") + 2 + len(part[0])] for setting in settings
                     if setting.partition(": ")[0] in loaded and (part := REMOVABLE.match(setting.partition(": ")[2]))}
        timed += [(where, setting, timelines) for setting in sorted(removable)]
    check_tags(loaded)
    for name in DOCUMENTS if SOURCES.exists() else ():
        for heading in headings(name):
            if plain(heading) not in sections[name]:
                problems.append(f"{name}: no row for the section '{heading}'")
    for pack in ("soc", "helpdesk", "platform", "kb005", "support"):
        for path in (ROOT / "tests/scenario" / pack).glob("*.timeline"):
            if "-v" in sys.argv and f"{pack}/{path.stem}" not in used:
                print(f"no row names {pack}/{path.stem}")
    changed = 0 if problems else check_proofs(sys.argv[1], timed)
    for problem in problems:
        print(problem)
    print(f"{count} rows, {len(used)} timelines, {changed} settings changed or left out, {len(problems)} problems"
          + ("" if SOURCES.exists() else "; without ../shared/sources the headings are not compared"))
    return 1 if problems or count < 150 else 0


if __name__ == "__main__":
    sys.exit(main())
