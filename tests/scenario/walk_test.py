#!/usr/bin/env python3
"""The ten-minute walks of configs/README.md (a policy pack, a format table), as a reader would follow them: files are
written, commands run in order, and what a `text` block shows must be what the command before it prints.
Usage: walk_test.py TRIAGECTL
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


WALKS = ("### Writing one in ten minutes", "## Format tables: adding one in ten minutes")


def blocks(heading):
    """(language, text) of the section's code blocks."""
    section = (ROOT / "configs/README.md").read_text().partition(f"{heading}\n")[2]
    return re.findall(r"^```(\w+)\n(.*?)^```$", re.split(r"^## ", section, flags=re.M)[0], flags=re.M | re.S)


def walk(triagectl, heading):
    problems, ran, files = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "configs").symlink_to(ROOT / "configs")
        environment = dict(os.environ, PATH=f"{triagectl.parent}:{os.environ['PATH']}")
        printed = None
        for language, text in blocks(heading):
            named = re.match(r"# (\S+\.\w+)\n", text)
            if named:
                path = pathlib.Path(folder) / named[1]
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                files += 1
            elif language == "sh":
                done = subprocess.run(["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True,
                                      text=True, timeout=60, check=False)
                ran, printed = ran + 1, done.stdout
                if done.returncode != 0:
                    problems.append(f"exit {done.returncode} of:\n{text}{done.stdout}{done.stderr}")
                if "refused" in text and ("refused" not in done.stdout or "slip.yaml" not in done.stdout + done.stderr):
                    problems.append(f"the slips are not refused:\n{done.stdout}{done.stderr}")
            elif language == "text" and text != printed:
                problems.append(f"shown:\n{text}printed:\n{printed}")
    for problem in problems:
        print(problem)
    print(f"{heading.strip('# ')}: {files} files, {ran} blocks of commands, {len(problems)} problems")
    return bool(problems) or ran < 3 or files < 3


def main():
    triagectl = pathlib.Path(sys.argv[1]).resolve()
    return 1 if any([walk(triagectl, heading) for heading in WALKS]) else 0


if __name__ == "__main__":
    sys.exit(main())
