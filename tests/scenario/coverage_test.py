#!/usr/bin/env python3
"""Keeps configs/policies/COVERAGE.md true: every setting that a row names is in the pack with that value, every timeline
exists where the timeline tests run it, every file exists, and (with ../shared/sources) every section heading of every
document has a row. Usage: coverage_test.py
"""
import pathlib
import re
import sys

import yaml

import replay_test

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT.parent / "shared/sources"
DOCUMENTS = ("soc-escalation-guide.md", "helpdesk-escalation-flow.md", "platform-escalation-procedures.md",
             "kb005-incident-response.md", "support-incident-framework.ja.md")
problems = []


def packs():
    """Pack name → its YAML as texts: `on`, `1h` and numbers stay what the file says."""
    return {path.stem: yaml.load(path.read_text(), yaml.BaseLoader)
            for path in (ROOT / "configs/policies").glob("*.yaml")}


def resolve(node, path):
    """The value at a path such as `criteria[data_loss].to`; None when it is not there. Keys may hold dots."""
    path = path.lstrip(".")
    if not path or node is None:
        return node
    if path.startswith("["):
        wanted, _, rest = path[1:].partition("]")
        for item in node if isinstance(node, list) else []:
            names = [item.get("name"), item.get("activity")] if isinstance(item, dict) else [item]
            if wanted in names:
                return resolve(item, rest)
        return None
    for key in sorted(node, key=len, reverse=True) if isinstance(node, dict) else []:
        if path == key or path.startswith((key + ".", key + "[")):
            return resolve(node[key], path[len(key):])
    return None


def check_setting(where, setting, loaded):
    kind, _, rest = setting.partition(": ")
    if kind in ("people", "open"):
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
    sections, count, used = {name: set() for name in DOCUMENTS}, 0, set()
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
    for name in DOCUMENTS if SOURCES.exists() else ():
        for heading in headings(name):
            if plain(heading) not in sections[name]:
                problems.append(f"{name}: no row for the section '{heading}'")
    for pack in ("soc", "helpdesk", "platform", "kb005", "support"):
        for path in (ROOT / "tests/scenario" / pack).glob("*.timeline"):
            if len(sys.argv) > 1 and f"{pack}/{path.stem}" not in used:
                print(f"no row names {pack}/{path.stem}")
    for problem in problems:
        print(problem)
    print(f"{count} rows, {len(used)} timelines, {len(problems)} problems"
          + ("" if SOURCES.exists() else "; without ../shared/sources the headings are not compared"))
    return 1 if problems or count < 150 else 0


if __name__ == "__main__":
    sys.exit(main())
