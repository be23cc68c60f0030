"""Measuring search: figures that can be worked out by hand, and judged sets that are not as they should be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from knowledge.evaluation import (
    BadJudgements,
    Entry,
    MemoryShelf,
    evaluate,
    metrics,
    read_answerable,
    read_corpus,
    read_qrels,
    read_queries,
)
from knowledge.index.engines import ENGINES

CORPUS = [
    ("a1", "高龄津贴发放管理办法", "标准", "年满八十周岁的老年人每人每月发放五十元。", "A"),
    ("a2", "高龄津贴发放管理办法", "申请", "由户籍所在地乡镇人民政府受理高龄津贴申请。", "A"),
    ("b1", "公共租赁住房管理办法", "条件", "申请公共租赁住房应当在县城无自有住房。", "B"),
    ("b2", "公共租赁住房管理办法", "租金", "租金按照市场租金的百分之六十执行。", "B"),
    ("c1", "森林防火期通告", "", "防火期内禁止上坟烧纸等一切野外用火。", "C"),
]
QUERIES = {"q1": "高龄津贴每月多少元", "q2": "公租房租金按市场租金多少", "q3": "防火期能不能上坟烧纸"}
QRELS = {"q1": "a1", "q2": "b2", "q3": "c1"}


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt", encoding="utf-8") as out:
        for row in CORPUS:
            keys = ("id", "title", "heading", "text", "document")
            out.write(json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n")
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in QUERIES.items()), "utf-8"
    )
    (tmp_path / "qrels.tsv").write_text("".join(f"{q}\t0\t{p}\t1\n" for q, p in QRELS.items()), "utf-8")
    (tmp_path / "removed.txt").write_text("C\nb2\n", "utf-8")
    (tmp_path / "answerable.tsv").write_text("q1\t1\nq2\t0\nq3\t0\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_small_set_is_answered_completely(judged: Path, engine: str) -> None:
    report = evaluate(
        judged / "corpus.jsonl.gz",
        judged / "queries.jsonl",
        judged / "qrels.tsv",
        removed=judged / "removed.txt",
        answerable=judged / "answerable.tsv",
        engine=engine,
    )
    assert (report.queries, report.passages) == (3, 5)
    assert report.success1 == report.mrr10 == report.ndcg10 == report.recall5 == report.recall100 == 1.0
    assert report.auroc == 1.0
    assert 0.0 < report.p50_ms <= report.p99_ms
    keys = {
        "queries", "recall@5", "recall@10", "mrr@10", "ndcg@10", "success@1", "recall@50", "recall@100", "auroc",
        "p50_ms", "p99_ms", "index_seconds", "passages", "rss_mb", "thresholds",
    }  # fmt: skip
    assert set(report.to_json()) == keys
    json.dumps(report.to_json())


def test_without_removed_documents_nothing_is_said_of_confidence(judged: Path) -> None:
    report = evaluate(judged / "corpus.jsonl.gz", judged / "queries.jsonl", judged / "qrels.tsv")
    assert report.auroc is None


def test_training_questions_may_be_given(judged: Path) -> None:
    steps: list[str] = []
    report = evaluate(
        judged / "corpus.jsonl.gz",
        judged / "queries.jsonl",
        judged / "qrels.tsv",
        train_queries=judged / "queries.jsonl",
        train_qrels=judged / "qrels.tsv",
        progress=steps.append,
    )
    assert report.success1 == 1.0
    assert "fitting" in steps


def test_the_share_of_answered_falls_as_the_threshold_rises(judged: Path) -> None:
    answered = evaluate(judged / "corpus.jsonl.gz", judged / "queries.jsonl", judged / "qrels.tsv").answered
    shares = [share for _, share, _ in answered]
    assert shares == sorted(shares, reverse=True)


def test_figures_of_one_question() -> None:
    found = metrics(["x", "r1", "y", "r2"], {"r1": 1, "r2": 1, "missing": 1, "no": 0})
    assert found["success1"] == 0.0
    assert found["mrr10"] == 0.5
    assert found["recall5"] == pytest.approx(2 / 3)
    ideal = 1.0 + 0.6309297535714575 + 0.5
    assert found["ndcg10"] == pytest.approx((0.6309297535714575 + 0.43067655807339306) / ideal)


def test_a_right_passage_beyond_ten_counts_for_depth_only() -> None:
    found = metrics([f"x{i}" for i in range(10)] + ["r"], {"r": 1})
    assert (found["mrr10"], found["ndcg10"], found["recall10"], found["recall50"]) == (0.0, 0.0, 0.0, 1.0)


def test_grades_above_one_weigh_more() -> None:
    good_first = metrics(["good", "fair"], {"good": 2, "fair": 1})["ndcg10"]
    fair_first = metrics(["fair", "good"], {"good": 2, "fair": 1})["ndcg10"]
    assert good_first == 1.0 > fair_first


def test_questions_without_a_right_passage_are_left_out(judged: Path) -> None:
    with (judged / "queries.jsonl").open("a", encoding="utf-8") as out:
        out.write('{"id": "q9", "text": "没有人判过"}\n')
    with (judged / "qrels.tsv").open("a", encoding="utf-8") as out:
        out.write("q9\t0\ta1\t0\n")
    assert evaluate(judged / "corpus.jsonl.gz", judged / "queries.jsonl", judged / "qrels.tsv").queries == 3


def test_passages_of_one_document_keep_their_order_and_own_titles() -> None:
    shelf = MemoryShelf()
    shelf.add(Entry("1", "刑法第一条", "第一编/第一章", "甲", "刑法"))
    shelf.add(Entry("2", "刑法第二条", "", "乙", "刑法"))
    got = shelf.fetch(["2", "1", "3"])
    assert [(p.passage.ordinal, p.document.title) for p in got.values()] == [(1, "刑法第二条"), (0, "刑法第一条")]
    assert got["1"].passage.path == ("第一编", "第一章")
    assert shelf.totals() == (1, 2)
    assert shelf.titles() == (("刑法", "刑法第一条", ""),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a"}\n', "line 1"),
        ('{"id": "a", "title": "", "heading": "", "text": "", "document": ""}\n[1]\n', "line 2"),
        ("no json\n", "line 1"),
    ],
)
def test_a_bad_corpus_names_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.jsonl").write_text(text, "utf-8")
    with pytest.raises(BadJudgements, match=said):
        list(read_corpus(tmp_path / "c.jsonl"))


def test_a_file_that_is_not_there_or_not_gzip_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadJudgements, match="missing"):
        read_queries(tmp_path / "missing.jsonl")
    (tmp_path / "c.jsonl.gz").write_text("plain", "utf-8")
    with pytest.raises(BadJudgements, match=r"c\.jsonl\.gz"):
        list(read_corpus(tmp_path / "c.jsonl.gz"))
    (tmp_path / "latin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadJudgements, match="UTF-8"):
        read_qrels(tmp_path / "latin")


@pytest.mark.parametrize("line", ["q1 a1 1\n", "q1 0 a1 yes\n", "q1\n"])
def test_bad_judgements_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "q").write_text(line, "utf-8")
    with pytest.raises(BadJudgements, match="line 1"):
        read_qrels(tmp_path / "q")
    (tmp_path / "a").write_text("q1\t2\n", "utf-8")
    with pytest.raises(BadJudgements, match="line 1"):
        read_answerable(tmp_path / "a")


def test_a_set_whose_questions_and_judgements_do_not_meet_is_refused(judged: Path) -> None:
    (judged / "qrels.tsv").write_text("other\t0\ta1\t1\n", "utf-8")
    with pytest.raises(BadJudgements, match="none of the questions"):
        evaluate(judged / "corpus.jsonl.gz", judged / "queries.jsonl", judged / "qrels.tsv")


def test_one_half_of_a_real_set_is_found(shared: Path) -> None:
    folder = shared / "bench" / "ncp"
    queries = read_queries(folder / "queries.jsonl")
    assert len(queries) == 672
    assert set(read_qrels(folder / "qrels.tsv")) == {identity for identity, _ in queries}
