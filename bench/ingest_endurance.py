"""2,000 generated 公文 in one ``bianmin ingest``, killed with SIGKILL halfway and run again: nothing double, nothing lost.

Prints the figures as JSON; exit 1 when library and index do not agree. ``--documents N`` for a shorter run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_MATTERS = (
    "桥梁管护",
    "高龄津贴",
    "农机购置补贴",
    "公租房",
    "临时救助",
    "义务教育招生",
    "危房改造",
    "就业见习",
    "防汛",
)
_TOWNS = ("城关镇", "河东乡", "石桥镇", "柳湾乡", "南坪镇", "北沟乡", "东川镇", "西岭乡")
_DIGITS = "一二三四五六七八"


def generate(folder: Path, count: int) -> None:
    """Notices of six sections with responsible units; every fifth file interprets the one before; some repeal others."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(20261121)
    titles: list[str] = []
    for n in range(count):
        matter, town, year = _MATTERS[n % 9], _TOWNS[n // 9 % 8], 2017 + n % 10
        title = f"青禾县人民政府办公室关于做好{town}第{n}批{matter}工作的通知"
        if n % 5 == 4:
            title = f"《{titles[-1]}》解读"
            head, body = (
                "",
                f"一、出台背景\n为做好{town}的工作，制定本通知。\n二、主要内容\n每件补助{n}元，向乡镇人民政府申请。\n",
            )
        else:
            head = f"青政办发〔{year}〕{n + 1}号\n\n"
            body = "".join(
                f"{_DIGITS[i]}、{matter}第{i + 1}部分\n（一）工作内容。{town}按照第{i}项要求办理，补助标准为每户{dice.randint(80, 900)}元，"
                "由乡镇审核后报县直有关部门审批。（责任单位：县民政局、县财政局）\n"
                f"（二）工作要求。各村每月上报进展情况一次，{matter}资金专款专用，任何单位和个人不得截留挪用。\n"
                for i in range(6)
            )
            if n % 7 == 0 and n > 7:
                body += f"本通知自{year}年4月1日起施行，《{titles[n - 7]}》同时废止。\n"
        titles.append(title)
        note = "（此件公开发布）" if n % 11 else "（此件依申请公开）"
        text = f"{head}{title}\n\n各乡镇人民政府：\n{body}\n青禾县人民政府办公室\n{year}年3月2日\n{note}\n"
        (folder / f"f{n:05}.txt").write_text(text, "utf-8")


def counts(folder: Path) -> tuple[int, int]:
    """(documents, passages) in the database as any process sees it."""
    with closing(sqlite3.connect(folder / "bianmin.db", timeout=30)) as connection:
        row = connection.execute("SELECT count(*), coalesce(sum(passages), 0) FROM documents").fetchone()
        return int(row[0]), int(row[1])


def run(data: Path, files: Path, *, kill_at: int = 0) -> tuple[int, float]:
    """(exit code, seconds) of one ``bianmin ingest``; killed when ``kill_at`` documents are in the database."""
    command = [sys.executable, "-m", "bot", "ingest", str(files), "--json"]
    environment = {**os.environ, "BIANMIN_DATA__FOLDER": str(data), "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while kill_at and process.poll() is None:
            try:
                if counts(data)[0] >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
            except sqlite3.OperationalError:
                pass  # not made yet
            time.sleep(0.05)
        process.wait()
    return process.returncode, time.monotonic() - started


def check(data: Path, expected: int) -> dict[str, object]:
    """Whether library and index agree and every file is there once."""
    from bot.app import build
    from bot.config import DataSettings, Settings

    house = build(replace(Settings(), data=DataSettings(folder=data)))
    try:
        documents = house.library.documents(staff=True)
        state = house.library.state()
        indexed = house.library._index.count()
        repaired = house.library.ensure_index()
    finally:
        house.close()
    paths = {d.path for d in documents}
    return {
        "documents": len(documents),
        "double": len(documents) - len(paths),
        "lost": expected - len(paths),
        "open_passages": state.passages,
        "indexed": indexed,
        "agree": indexed == state.passages and not repaired,
    }


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description="kill an ingest halfway and finish it")
    parser.add_argument("--documents", type=int, default=2000)
    count = parser.parse_args().documents
    with tempfile.TemporaryDirectory() as scratch:
        files, data = Path(scratch) / "in", Path(scratch) / "data"
        generate(files, count)
        killed, first = run(data, files, kill_at=count // 2)
        reached = counts(data)[0]
        code, second = run(data, files)
        again, third = run(data, files)
        found = check(data, count)
    bench = {
        "killed_with": -killed,
        "documents_when_killed": reached,
        "exit_after_restart": code,
        "exit_again": again,
        "seconds": [round(s, 1) for s in (first, second, third)],
        "documents_per_second": round(count / (first + second), 1),
        **found,
    }
    print(json.dumps(bench, ensure_ascii=False))
    good = found["agree"] and not found["double"] and not found["lost"] and killed == -signal.SIGKILL
    return int(not (good and code == again == 0))


if __name__ == "__main__":
    sys.exit(main())
