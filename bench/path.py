"""The whole path of a question without a network: how long each step takes, on the demo county's own questions."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import tomllib
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.app import build  # noqa: E402
from bot.config import DataSettings, Settings  # noqa: E402
from knowledge.lists import read_organs  # noqa: E402
from register.clock import now_beijing  # noqa: E402
from register.inquiry import Channel, Inquiry  # noqa: E402


def main() -> None:
    """Print p50 and p99 of each step in milliseconds."""
    questions = [
        item["text"]
        for name in ("questions-a.toml", "questions-b.toml")
        for item in tomllib.loads((ROOT / "demo" / name).read_text("utf-8"))["question"]
    ]
    with tempfile.TemporaryDirectory() as folder:
        house = build(replace(Settings(), data=DataSettings(folder=Path(folder))))
        house.library.replace_organs(read_organs(ROOT / "demo" / "organs.csv").organs)
        list(house.library.ingest(sorted((ROOT / "demo" / "documents").iterdir())))
        walls: list[float] = []
        for turn in range(2):  # the first round warms the caches
            walls.clear()
            for number, text in enumerate(questions):
                key = f"{turn}-{number}"
                started = time.perf_counter()
                house.reception.answer(Inquiry(Channel.API, key, house.seal.pseudonym(key), text, now_beijing()))
                walls.append(time.perf_counter() - started)
        steps: dict[str, list[float]] = {}
        for durations in house.book.durations(limit=len(questions)):
            for name, seconds in durations.items():
                steps.setdefault(name, []).append(seconds)
        house.close()
    total = statistics.median(steps["total"])
    print(f"{len(questions)} questions, one thread, 1 process")
    print(f"{'step':10} {'p50 ms':>8} {'p99 ms':>8} {'share':>6}")
    for name, values in steps.items():
        middle = statistics.median(values)
        print(f"{name:10} {middle * 1e3:8.2f} {_p99(values) * 1e3:8.2f} {middle / total:6.0%}")
    print(
        f"{'whole':10} {statistics.median(walls) * 1e3:8.2f} {_p99(walls) * 1e3:8.2f}  with register before and after"
    )


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


if __name__ == "__main__":
    main()
