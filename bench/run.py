"""``make bench``: the measurements that the project promises, on the demo county, one after the other.

Figures are printed and, with ``--write``, put into ``docs/benchmarks.md``. Compare ratios within one run, not seconds between
machines.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STEPS = (
    ("WeChat at load, beside the same handler with a constant string", ["bench/wechat_load.py"]),
    ("The whole path, step by step", ["bench/path.py"]),
    ("Search beside plain engines, and at 200,000 passages", ["bench/search.py"]),
    ("2,000 documents in one ingest, killed halfway and finished", ["bench/ingest_endurance.py"]),
)


REPORT = ROOT / "docs" / "benchmarks.md"
BY_HAND = "<!-- Below: runs that are started by hand, kept by make bench --write. -->"


def by_hand() -> str:
    """What was written below the mark: the endurance runs take too long, and need mail servers."""
    _, mark, kept = REPORT.read_text("utf-8").partition(BY_HAND) if REPORT.exists() else ("", "", "")
    return mark + kept


def main() -> int:
    """Run every step; returns 1 when one failed."""
    parser = argparse.ArgumentParser(description="run the benchmarks")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    args = parser.parse_args()
    failed = False
    report = [f"# Benchmarks\n\nWritten by `make bench` on {date.today()}. Quote ratios, not seconds.\n"]
    for title, command in STEPS:
        print(f"== {title}", flush=True)
        run = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        print(run.stdout, run.stderr if run.returncode else "", flush=True)
        failed |= run.returncode != 0
        report.append(f"## {title}\n\n`python {' '.join(command)}`\n\n```\n{run.stdout.strip()}\n```\n")
    if args.write:
        REPORT.write_text("\n".join((*report, by_hand())), "utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
