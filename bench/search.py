"""Search beside plain engines on one judged set, and at 200,000 passages: quality, milliseconds, ratios.

    python bench/search.py [--set FOLDER] [--scale CORPUS.jsonl.gz] [--questions N]

The set defaults to the policy questions and the scale corpus to the laws that lie beside the project on the developers'
machines (``BIANMIN_TEST_SHARED``); without them the step says so and ends. Every engine is given the same words (rjieba,
function words left out); times are wall-clock on one thread, a first round warms every engine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from knowledge import analysis, evaluation  # noqa: E402
from knowledge.index import IndexedPassage, IndexFilter, PassageIndex  # noqa: E402
from knowledge.index.engines import open_index  # noqa: E402
from knowledge.model import Question  # noqa: E402
from knowledge.search import Searcher, SemanticStage  # noqa: E402
from knowledge.training import stage_over  # noqa: E402

SHARED = Path(os.environ.get("BIANMIN_TEST_SHARED", ROOT.parent / "shared")) / "bench"
Ask = Callable[[str], list[str]]


def plain_tantivy(passages: Sequence[IndexedPassage]) -> Ask:
    """tantivy as it comes: one field of words."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    index = tantivy.Index(builder.build())
    index.register_tokenizer("whitespace", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
    writer = index.writer(64_000_000, 1)
    for p in passages:
        writer.add_document(tantivy.Document(id=p.id, words=" ".join(words(p.body))))
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def ask(question: str) -> list[str]:
        terms = [
            (tantivy.Occur.Should, tantivy.Query.term_query(index.schema, "words", word, "freq"))
            for word in dict.fromkeys(words(question))
        ]
        found = searcher.search(tantivy.Query.boolean_query(terms), 100, count=False).hits
        return [searcher.doc(address)["id"][0] for _, address in found]

    return ask


def plain_whoosh(passages: Sequence[IndexedPassage]) -> Ask:
    """whoosh as it comes: one field of words, its own BM25F."""
    from whoosh import fields, index, query

    place = index.create_in(
        tempfile.mkdtemp(), fields.Schema(id=fields.ID(stored=True), words=fields.KEYWORD(scorable=True))
    )
    writer = place.writer(limitmb=128)
    for p in passages:
        writer.add_document(id=p.id, words=words(p.body))
    writer.commit()
    searcher = place.searcher()

    def ask(question: str) -> list[str]:
        terms = query.Or([query.Term("words", word) for word in dict.fromkeys(words(question))])
        return [searcher.stored_fields(n)["id"] for _, n in searcher.search(terms, limit=100).top_n]

    return ask


def plain_fts5(passages: Sequence[IndexedPassage]) -> Ask:
    """SQLite FTS5 as it comes, words joined by OR."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5(id UNINDEXED, words, tokenize='unicode61')")
    db.executemany("INSERT INTO t VALUES (?, ?)", ((p.id, " ".join(words(p.body))) for p in passages))

    def ask(question: str) -> list[str]:
        terms = " OR ".join('"' + word.replace('"', "") + '"' for word in dict.fromkeys(words(question)))
        if not terms:
            return []
        return [row[0] for row in db.execute("SELECT id FROM t WHERE t MATCH ? ORDER BY rank LIMIT 100", (terms,))]

    return ask


def plain_bm25s(passages: Sequence[IndexedPassage]) -> Ask | None:
    """bm25s where it is installed."""
    try:
        import bm25s
    except ImportError:
        return None
    retriever = bm25s.BM25()
    retriever.index([words(p.body) for p in passages], show_progress=False)
    ids = [p.id for p in passages]

    def ask(question: str) -> list[str]:
        found, _ = retriever.retrieve([words(question)], k=100, show_progress=False)
        return [ids[i] for i in found[0]]

    return ask


def ours(name: str, semantic: bool, entries: Sequence[evaluation.Entry]) -> tuple[Searcher, PassageIndex]:
    """The product's searcher and its engine."""
    shelf, index = evaluation.MemoryShelf(), open_index(name, Path(tempfile.mkdtemp()))
    index.replace(shelf.add(e) for e in entries)
    index.commit("bench")
    stage: SemanticStage | None = stage_over(entries, ()) if semantic else None
    return Searcher(index, shelf, semantic=stage), index


def words(text: str) -> list[str]:
    """The words that every engine is given."""
    return analysis.words(analysis.normalise(text))


def timed(ask: Ask, questions: Sequence[str]) -> tuple[float, float]:
    """Milliseconds at the median and at 99 of 100, second round."""
    taken: list[float] = []
    for _ in range(2):
        taken = []
        for question in questions:
            started = time.perf_counter()
            ask(question)
            taken.append((time.perf_counter() - started) * 1000.0)
    taken.sort()
    return taken[len(taken) // 2], taken[min(int(len(taken) * 0.99), len(taken) - 1)]


def quality(ask: Ask, queries: Sequence[tuple[str, str]], qrels: evaluation.Judgements) -> tuple[float, float, float]:
    """nDCG@10, MRR@10, recall@100."""
    rows = [evaluation.metrics(ask(text), qrels[identity]) for identity, text in queries]
    return tuple(sum(r[name] for r in rows) / len(rows) for name in ("ndcg10", "mrr10", "recall100"))  # type: ignore[return-value]


def beside_plain_engines(folder: Path, most: int) -> None:
    """Print the table of the judged set."""
    entries = list(evaluation.read_corpus(folder / "corpus.jsonl.gz"))
    qrels = evaluation.read_qrels(folder / "qrels.tsv")
    queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in qrels][:most]
    shelf = evaluation.MemoryShelf()
    passages = [shelf.add(e) for e in entries]
    asks: list[tuple[str, Ask]] = [
        ("tantivy, words", plain_tantivy(passages)),
        ("whoosh, words", plain_whoosh(passages)),
        ("SQLite FTS5, words", plain_fts5(passages)),
    ]
    bm25s = plain_bm25s(passages)
    if bm25s:
        asks.append(("bm25s, words", bm25s))
    for name, semantic in (("tantivy", False), ("whoosh", False), ("tantivy", True)):
        index = ours(name, semantic, entries)[0]
        label = f"bianmin on {name}{' with meaning' if semantic else ''}"
        asks.append((label, lambda q, s=index: [h.passage.id for h in s.find(Question(q, limit=100)).hits]))
    print(f"{len(entries)} passages, {len(queries)} questions; the fitted weights have seen the questions of this half")
    print(f"{'':32}{'nDCG@10':>9}{'MRR@10':>9}{'R@100':>9}{'p50 ms':>9}{'p99 ms':>9}{'p99 ratio':>11}")
    base = 0.0
    for label, ask in asks:
        ndcg, mrr, recall = quality(ask, queries, qrels)
        p50, p99 = timed(ask, [text for _, text in queries])
        base = base or p99
        print(f"{label:32}{ndcg:9.3f}{mrr:9.3f}{recall:9.3f}{p50:9.2f}{p99:9.2f}{p99 / base:11.1f}")


def at_scale(corpus: Path, questions: Sequence[str], passages: int) -> None:
    """Print the times over many passages."""
    entries: list[evaluation.Entry] = []
    for turn in range(10):
        for e in lines(corpus):
            if len(entries) == passages:
                break
            mark = f"{turn}." if turn else ""
            entries.append(evaluation.Entry(mark + e.id, e.title, e.heading, e.text, mark + e.document))
    started = time.perf_counter()
    searcher, index = ours("tantivy", False, entries)
    print(f"{len(entries)} passages indexed in {time.perf_counter() - started:.0f} s")
    steps: list[tuple[str, Ask]] = [
        ("candidates alone", lambda q: [c.id for c in index.search(q, IndexFilter(), 100)]),
        ("find() by words", lambda q: [h.passage.id for h in searcher.find(Question(q)).hits]),
    ]
    for label, ask in steps:
        p50, p99 = timed(ask, questions)
        print(f"{label:32}p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


def lines(corpus: Path) -> Iterator[evaluation.Entry]:
    """Entries of a gzipped corpus."""
    with gzip.open(corpus, "rt", encoding="utf-8") as rows:
        for row in rows:
            yield evaluation.Entry(**{k: str(v) for k, v in json.loads(row).items()})


def main() -> int:
    """Both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", type=Path, default=SHARED / "ncp")
    parser.add_argument("--scale", type=Path, default=SHARED / "scale" / "corpus.jsonl.gz")
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--questions", type=int, default=300)
    args = parser.parse_args()
    if not args.set.is_dir():
        print(f"no judged set at {args.set}; name one with --set")
        return 0
    beside_plain_engines(args.set, args.questions)
    if args.scale.exists():
        asked = [text for _, text in evaluation.read_queries(args.set / "queries.jsonl")][: args.questions]
        print()
        at_scale(args.scale, asked, args.passages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
