"""The whole path of a question without a network: how long each step takes, on the demo county's own questions.

    python bench/path.py [--questions N]

The steps are those that the register keeps with every entry; ``register`` is what entering and settling take beside them.
One thread; a first round warms the caches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import select  # noqa: E402

from bot.app import House, build  # noqa: E402
from bot.config import DataSettings, Settings  # noqa: E402
from knowledge.lists import read_organs  # noqa: E402
from register.clock import now_beijing  # noqa: E402
from register.inquiry import Channel, Inquiry  # noqa: E402
from register.tables import inquiries  # noqa: E402


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the path; milliseconds."""

    name: str
    p50: float
    p99: float
    share: float  # of the time of all questions together


def questions() -> list[str]:
    """The demo county's own questions."""
    return [
        item["text"]
        for name in ("questions-a.toml", "questions-b.toml")
        for item in tomllib.loads((ROOT / "demo" / name).read_text("utf-8"))["question"]
    ]


def ask(house: House, texts: Sequence[str], mark: str) -> list[dict[str, float]]:
    """Ask every question once, each as a citizen of its own; the seconds of each step, ``whole`` for all of it."""
    taken: list[dict[str, float]] = []
    for number, text in enumerate(texts):
        key = f"{mark}-{number}"
        inquiry = Inquiry(Channel.API, key, house.seal.pseudonym(key), text, now_beijing())
        started = time.perf_counter()
        entry, _ = house.reception.answer(inquiry)
        whole = time.perf_counter() - started
        with house.engine.connect() as connection:
            kept = connection.execute(select(inquiries.c.durations).where(inquiries.c.id == entry)).scalar_one()
        steps: dict[str, float] = json.loads(kept)
        steps["register"] = whole - steps.pop("total")
        taken.append({**steps, "whole": whole})
    return taken


def table(taken: Sequence[dict[str, float]]) -> list[Step]:
    """The steps in the order of the path, ``whole`` last. A question that needs no search has no such step."""
    together = sum(steps["whole"] for steps in taken)
    names = dict.fromkeys(name for steps in taken for name in steps)
    found = []
    for name in sorted(names, key=lambda name: name == "whole"):
        values = sorted(steps[name] * 1e3 for steps in taken if name in steps)
        worst = values[int(0.99 * (len(values) - 1))]
        found.append(Step(name, statistics.median(values), worst, sum(values) / 1e3 / together))
    return found


def main() -> int:
    """Print p50 and p99 of each step in milliseconds."""
    parser = argparse.ArgumentParser(description="time the steps of one question")
    parser.add_argument("--questions", type=int, default=1000, help="at most so many")
    texts = questions()[: parser.parse_args().questions]
    with tempfile.TemporaryDirectory() as folder:
        house = build(replace(Settings(), data=DataSettings(folder=Path(folder))))
        try:
            house.library.replace_organs(read_organs(ROOT / "demo" / "organs.csv").organs)
            for outcome in house.library.ingest(sorted((ROOT / "demo" / "documents").iterdir())):
                if outcome.error:
                    print(f"{outcome.path}: {outcome.reason}", file=sys.stderr)
            ask(house, texts, "warm")
            steps = table(ask(house, texts, "timed"))
        finally:
            house.close()
    print(f"{len(texts)} questions, one thread")
    print(f"{'step':10} {'p50 ms':>8} {'p99 ms':>8} {'share':>6}")
    for step in steps:
        print(f"{step.name:10} {step.p50:8.2f} {step.p99:8.2f} {step.share:6.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
