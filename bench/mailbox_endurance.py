"""Kill the mailbox's worker again and again while mail comes in through real dovecot and postfix on loopback.

Two in three mails are letters, one in three was sent by a program. Every letter has to be answered once, no program at
all. ``copies`` counts second copies of one answer (the same Message-ID), possible only when the worker dies between the
server's yes and our record of it.

    python bench/mailbox_endurance.py [--mails 300] [--kills 6] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import mail_servers  # noqa: E402
from mail_endurance import endure, environment  # noqa: E402


def main() -> int:
    """Run it; exit code 1 when a letter was lost, answered twice, or a program answered."""
    parser = argparse.ArgumentParser(description="endurance of the county mailbox")
    parser.add_argument("--mails", type=int, default=300)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for the last answer")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    reason = mail_servers.missing()
    if reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="bm-"))
    try:
        with mail_servers.running(folder / "servers") as servers:
            data = folder / "data"
            env = environment(servers, data)
            subprocess.run([sys.executable, "-m", "bot", "seed-demo"], env=env, cwd=ROOT, check=True)
            result = endure(servers, data, args.mails, args.kills, args.patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    value = asdict(result)
    print(json.dumps(value) if args.json else "\n".join(f"{name:<10} {amount}" for name, amount in value.items()))
    return 0 if result.answered == result.letters and not result.wrongly and not result.twice else 1


if __name__ == "__main__":
    sys.exit(main())
