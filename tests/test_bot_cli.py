"""The command line: JSON on stdout and nothing else there, exit codes, one clear line for what is wrong."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(tmp_path / "data"))
    monkeypatch.delenv("BIANMIN_CONFIG", raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(w) for w in words])
        except SystemExit as leaving:  # argparse
            code = int(leaving.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    yield call


def test_ingest_ask_log_speak_the_contract(run: Run, document: Callable[..., Path], tmp_path: Path) -> None:
    bad = tmp_path / "in" / "empty.txt"
    good = document()
    bad.write_bytes(b"")
    code, out, err = run("ingest", good.parent, "--json")
    rows = json.loads(out)
    assert code == 1 and "rejected" in err
    assert [(Path(r["path"]).name, r["status"]) for r in rows] == [("a.txt", "added"), ("empty.txt", "rejected")]
    assert rows[0]["number"] == "青政办发〔2026〕90号" and rows[0]["attribute"] == "public"
    assert rows[1]["reason"] and rows[1]["error"] == "EmptyDocument"

    code, out, _ = run("--json", "documents")
    [listed] = json.loads(out)
    assert code == 0
    assert {"id", "kind", "title", "number", "issuer", "written_on", "published_on", "attribute", "validity", "passages",
            "url"} <= listed.keys()  # fmt: skip

    code, out, _ = run("search", "桥梁管护经费", "--json", "--limit", "2")
    found = json.loads(out)
    assert code == 0 and len(found["hits"]) <= 2
    assert {"document", "title", "number", "locator", "quote", "score", "validity", "url"} <= found["hits"][0].keys()

    code, out, _ = run("ask", "青政办发〔2026〕90号", "--json")
    reply = json.loads(out)
    assert code == 0 and reply["kind"] == "answer"
    assert {"entry", "kind", "text", "confidence", "sources", "choices", "organ", "search_record"} <= reply.keys()
    assert {"query", "terms", "expanded", "filters", "scope_documents", "scope_passages", "index_version", "as_of", "hits",
            "seconds"} <= reply["search_record"].keys()  # fmt: skip

    run("ask", "我的身份证是11010519491231002X，低保怎么办")
    code, out, _ = run("log", "--json")
    entries = json.loads(out)
    assert code == 0 and len(entries) == 2
    assert "11010519491231002X" not in out
    assert {"entry", "channel", "message_key", "received_at", "settled_at", "status", "kind", "question", "reply",
            "deliveries"} <= entries[0].keys()  # fmt: skip
    assert entries[0]["deliveries"][0]["outcome"] == "passive"


def test_an_archive_is_opened_and_its_bad_members_are_named(
    run: Run, document: Callable[..., Path], tmp_path: Path
) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "files.zip", "w") as archive:
        archive.write(document(), "2026/通知.txt")
        archive.writestr("../outside.txt", "x")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 nothing")
    code, out, _ = run("ingest", tmp_path / "files.zip", tmp_path / "broken.zip", "--json")
    rows = json.loads(out)
    assert code == 1
    assert sorted(r["status"] for r in rows) == ["added", "rejected", "rejected"]
    assert not (tmp_path / "outside.txt").exists()
    again = json.loads(run("ingest", tmp_path / "files.zip", "--json")[1])
    assert "unchanged" in [r["status"] for r in again]


def test_a_waiting_document_is_published_withdrawn_and_ruled_by_command(
    run: Run, document: Callable[..., Path]
) -> None:
    path = document(attribute="")
    _, out, _ = run("ingest", path, "--json")
    [row] = json.loads(out)
    assert row["stage"] == "draft"
    assert run("publish", row["id"])[0] == 1
    assert run("publish", row["id"], "--attribute", "public")[0] == 0
    assert json.loads(run("documents", "--json")[1])
    assert run("rule", row["id"], "repealed", "--reason", "清理")[0] == 0
    assert json.loads(run("documents", "--json")[1])[0]["validity"] == "repealed"
    assert run("withdraw", row["id"], "--reason", "有误")[0] == 0
    assert json.loads(run("documents", "--json")[1]) == []
    code, _, err = run("withdraw", "nothing", "--reason", "x")
    assert code == 1 and "no document" in err


def test_workday_and_mask(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("workday", "add", "2026-11-20", 20, "--json")
    assert code == 0 and json.loads(out) == {"date": "2026-12-18", "provisional": False}
    code, out, _ = run("workday", "add", "2026-12-10", 20, "--json")
    beyond = json.loads(out)
    assert code == 0 and beyond["date"] is None and beyond["provisional"] is True and beyond["reason"]
    assert run("workday", "add", "yesterday", 3)[0] == 2

    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("电话13800138000，文号会政办发〔2020〕144号"))
    code, out, _ = run("mask", "--json")
    masked = json.loads(out)
    assert code == 0 and "13800138000" not in masked["text"] and "144号" in masked["text"]
    assert masked["found"][0]["start"] == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("ingest", "/no/such/file"), 2, "does not exist"),
        (("nonsense",), 2, "invalid choice"),
        (("ingest",), 2, "required"),
        (("log", "--since", "soon"), 2, "ISO time"),
        (("--config", "/no/such.toml", "documents"), 2, "does not exist"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_2(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    got, out, err = run(*words)
    assert (got, out) == (code, "")
    assert says in err and "Traceback" not in err


def test_an_unknown_key_and_a_port_in_use_are_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[server]\nprot = 1\n")
    code, _, err = run("--config", config, "documents")
    assert code == 2 and "unknown key 'prot'" in err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("BIANMIN_SERVER__PORT", str(taken.getsockname()[1]))
        code, _, err = run("serve")
    assert code == 1 and "BIANMIN_SERVER__PORT" in err


def test_a_backup_restores_into_an_empty_folder(
    run: Run, document: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", document())
    run("ask", "青政办发〔2026〕90号")
    code, _, _ = run("backup", tmp_path / "b.tar.gz")
    assert code == 0
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    assert run("restore", tmp_path / "b.tar.gz")[0] == 2, "never over a living database"
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(tmp_path / "again"))
    code, out, _ = run("restore", tmp_path / "b.tar.gz", "--json")
    assert code == 0 and json.loads(out)["documents"] == 1
    assert len(json.loads(run("log", "--json")[1])) == 1
    assert json.loads(run("search", "桥梁管护经费", "--json")[1])["hits"]
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"not a tar")
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(tmp_path / "third"))
    code, _, err = run("restore", broken)
    assert code == 2 and "not a backup" in err


def test_templates_are_checked_and_previewed(run: Run) -> None:
    assert run("templates", "check")[0] == 0
    code, out, _ = run("templates", "preview", "not_held", "--channel", "wechat", "--json")
    shown = json.loads(out)
    assert code == 0 and shown and all(len(s["text"].encode()) <= 1900 for s in shown)
    assert run("templates", "preview", "poem")[0] == 2


def test_sqlite_runs_in_wal_mode(run: Run, tmp_path: Path) -> None:
    run("documents")
    with sqlite3.connect(tmp_path / "data" / "bianmin.db") as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
