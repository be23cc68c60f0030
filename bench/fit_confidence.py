"""Make ``knowledge/weights/confidence.json`` again: how sure the first hit may be called.

    python bench/fit_confidence.py --measured ncp=FOLDER --tuned stard=FOLDER --folds FOLDER

Two logistic models are fitted to the signs of the first hit (:data:`knowledge.ranking.SIGNS`), with and without the semantic
stage: ``topic`` tells questions of the library's kind from those off the topic (``offtopic.txt``, asked of every set);
``answer`` tells whether the first three hold the answer. Half of the questions are asked after the documents (or passages)
that answer them were removed, and again of small libraries cut out of each set, so that a county with sixty documents is
measured by its like. The demo county's own questions, asked through ``Library.ask`` with everything that belongs to it,
weigh most, and the product of both chances is calibrated on them: the share of right first hits. The vectors were tuned
on the ``--tuned`` set, so its questions are asked with the fold models of ``fit_semantic.py`` that have not seen them.

People also type two words and no more. So every question is asked once again as its two weightiest words (``brief``), lest
the models take shortness for chat.

Figures are cross-validated in five folds (questions about one passage in one fold) and kept in the file.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from county import County, Told  # noqa: E402
from county import told as lists  # noqa: E402

from knowledge import analysis, evaluation, fitting, ranking, semantic  # noqa: E402
from knowledge.background import background, weights  # noqa: E402
from knowledge.index.engines import open_index  # noqa: E402
from knowledge.search import Judged, Searcher  # noqa: E402
from knowledge.semantic import SemanticIndex, SemanticModel  # noqa: E402

FOLDS = 5
TARGET = ROOT / "knowledge" / "weights" / "confidence.json"
ANSWER = (
    "bias", "cover_words", "trigrams", "tokens", "score", "lead", "semantic", "weight_held", "siblings", "trigrams_root",
    "cover_mean", "cover_trigrams",
)  # fmt: skip
TOPIC = (
    "bias", "document_most", "cover_most", "trigrams_most", "semantic", "semantic_worded", "score", "best", "weight_held",
    "tokens", "cover_words", "share_held", "document_mean", "rarest_missed", "rarest_held",
)  # fmt: skip

Questions = list[tuple[str, str]]


@dataclass(frozen=True)
class Doubt:
    """One question, and what came of it."""

    place: str  # set, and how it was asked: ncp/removed, ncp/small, ncp/off, demo, demo/off
    group: str
    signs: np.ndarray
    first: bool  # the first hit is right
    near: bool  # one of the first three is; in the county: the first is of a right document
    can: bool  # the library holds the answer


def brief(text: str) -> str:
    """The two weightiest words of a question, in their order."""
    words = analysis.question_terms(text).words
    known = background()
    weighed = weights(words, [0] * len(words), 0, known.words, known.passages)
    best = sorted(range(len(words)), key=lambda i: -weighed[i])[:2]
    return " ".join(words[i] for i in sorted(best)) or text


def doubt(
    place: str, group: str, judged: Judged, right: Sequence[bool], can: bool, document: bool | None = None
) -> Doubt | None:
    """None for a question without candidates: its confidence is 0 without any model."""
    if judged.asked is None or judged.ranked is None or not judged.prepared:
        return None
    seen = ranking.signs(judged.asked, judged.prepared, judged.ranked)
    near = any(right[:3]) if document is None else document
    return Doubt(place, group, seen, bool(right and right[0]), near, can)


class Library:
    """Passages with their indexes."""

    def __init__(self, entries: Sequence[evaluation.Entry]) -> None:
        self.shelf, self.index = evaluation.MemoryShelf(), open_index("tantivy", Path(tempfile.mkdtemp()))
        self.passages = [self.shelf.add(e) for e in entries]
        self.index.replace(self.passages)
        self.index.commit("fit")

    def searcher(self, model: SemanticModel | None) -> Searcher:
        """With or without meaning."""
        if model is None:
            return Searcher(self.index, self.shelf)
        stage = SemanticIndex(Path(tempfile.mkdtemp()), model)
        stage.replace((p.id, p.document, p.body) for p in self.passages)
        stage.commit("fit")
        return Searcher(self.index, self.shelf, semantic=stage)

    def doubts(self, place: str, searcher: Searcher, queries: Questions, qrels: evaluation.Judgements) -> list[Doubt]:
        """Ask and look."""
        found = []
        for one in evaluation.run(searcher, queries):
            grades = qrels.get(one.query, {})
            can = bool(self.shelf.fetch([p for p, grade in grades.items() if grade > 0]))
            right = [grades.get(i, 0) > 0 for i in one.ids]
            seen = doubt(place, min(grades, default=one.query), one.judged, right, can)
            found += [seen] if seen else []
        return found


def judged_set(name: str, folder: Path, parts: list[tuple[SemanticModel | None, int]], off: Questions) -> list[Doubt]:
    """A set without its removed documents, and four small libraries cut out of it.

    ``parts`` says which model answers which fold of the questions; -1 stands for all of them.
    """
    entries = list(evaluation.read_corpus(folder / "corpus.jsonl.gz"))
    qrels = evaluation.read_qrels(folder / "qrels.tsv")
    queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in qrels]
    told = evaluation.read_answerable(folder / "answerable.tsv")
    split = np.random.default_rng(7).permutation(len(queries)) % FOLDS  # as fit_semantic.py splits them
    fold_of = {q: int(f) for (q, _), f in zip(queries, split, strict=True)}

    def asked(library: Library, how: str, wanted: set[str], strange: bool) -> list[Doubt]:
        found = []
        for model, fold in parts:
            searcher = library.searcher(model)
            some = [q for q in queries if q[0] in wanted and fold in (-1, fold_of[q[0]])]
            found += library.doubts(f"{name}/{how}", searcher, some, qrels)
            if strange:
                found += library.doubts(f"{name}/off", searcher, off if fold < 0 else off[fold::FOLDS], {})
        return found

    removed = evaluation.read_names(folder / "removed_documents.txt")
    left = [e for e in entries if e.id not in removed and e.document not in removed]
    library = Library(left)
    found = asked(library, "removed", set(told), strange=True)
    queries = [(q, brief(text)) for q, text in queries]
    found += asked(library, "brief", set(told), strange=False)
    queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in qrels]
    rng = random.Random(1)
    place = {e.id: i for i, e in enumerate(entries)}
    judged = sorted({p for q, _ in queries for p, grade in qrels[q].items() if grade > 0 and p in place})
    for turn in range(4):
        kept = set()
        for passage in rng.sample(judged, 60):
            kept.update(range(max(0, place[passage] - 4), min(len(entries), place[passage] + 5)))
        library = Library([entries[i] for i in sorted(kept)])
        inside = {entries[i].id for i in kept}
        can = [q for q, _ in queries if any(p in inside for p in qrels[q])]
        cannot = rng.sample([q for q, _ in queries if q not in set(can)], len(can))
        found += asked(library, "small", {*can, *cannot}, strange=turn == 0)
    print(name, len(found), file=sys.stderr)
    return found


def demo(with_meaning: bool, off: Questions) -> list[Doubt]:
    """The demo county, asked as citizens ask it: every list of this project but the last set that nobody has seen."""
    county = County(with_meaning)
    found = []
    try:
        for told in lists():
            for place, text in (("demo", told.text), ("demo/brief", brief(told.text))):
                if place == "demo/brief" and not told.document:
                    continue
                asked = county.ask(told, text)
                right = [told.in_passage(hit) for hit in asked.hits]
                if asked.judged is not None:
                    document = bool(asked.hits) and told.in_document(asked.hits[0])
                    one = doubt(place, told.document or told.text, asked.judged, right, bool(told.document), document)
                    found += [one] if one else []
        for key, text in off:
            judged = county.ask(Told(text, (), "", (), "", "")).judged
            if judged is not None:
                one = doubt("demo/off", key, judged, [], False)
                found += [one] if one else []
    finally:
        county.close()
    return found


def weight_of(one: Doubt, topic: bool) -> float:
    """How much a question counts in a fit."""
    name, _, how = one.place.partition("/")
    if how == "brief":
        return 0.1  # with .3 the judged policies lose .04 of AUROC
    if topic:
        return 1.0 if how == "off" or name == "demo" else 0.15 if how == "small" else 0.4
    if name == "demo":
        return 1.0
    return {"removed": 2.0 if name == "ncp" else 0.5, "small": 0.3, "off": 0.5}[how]


def fitted(doubts: Sequence[Doubt], with_meaning: bool) -> ranking.Surety:
    """Both models, and the calibration on the demo county."""

    def logistic(names: Sequence[str], target: list[bool], topic: bool) -> np.ndarray:
        used = [ranking.SIGNS.index(n) for n in names if with_meaning or not n.startswith("semantic")]
        rows = np.array([d.signs for d in doubts])[:, used]
        counts = np.array([weight_of(d, topic) for d in doubts])
        found = np.zeros(len(ranking.SIGNS))
        found[used] = fitting.fit_confidence(rows, np.array(target), ridge=3.0, counts=counts)
        return found

    surety = ranking.Surety(
        answer=logistic(ANSWER, [d.near for d in doubts], topic=False),
        topic=logistic(TOPIC, [not d.place.endswith("/off") for d in doubts], topic=True),
        slope=1.0,
        shift=0.0,
    )
    own = [d for d in doubts if d.place == "demo"]
    raw = [ranking.confidence(d.signs, surety) for d in own]
    rows = np.array([[1.0, math.log(p / (1.0 - p))] for p in raw])
    shift, slope = fitting.fit_confidence(rows, np.array([d.first for d in own]))
    return replace(surety, slope=float(slope), shift=float(shift))


def report_of(doubts: Sequence[Doubt], with_meaning: bool) -> dict[str, dict[str, object]]:
    """Cross-validated figures."""
    sure = np.zeros(len(doubts))
    for fold in range(FOLDS):
        inside = [i for i, d in enumerate(doubts) if fitting.fold_of(d.group, FOLDS) == fold]
        model = fitted([d for d in doubts if fitting.fold_of(d.group, FOLDS) != fold], with_meaning)
        for i in inside:
            sure[i] = ranking.confidence(doubts[i].signs, model)

    def picked(place: str, test: object = None) -> list[float]:
        return [s for s, d in zip(sure, doubts, strict=True) if d.place == place and (test is None or test(d))]  # type: ignore[operator]

    report: dict[str, dict[str, object]] = {}
    for place in sorted({d.place for d in doubts if not d.place.endswith("/off")}):
        name = place.partition("/")[0]
        can = picked(place, lambda d: d.can)
        report[place] = {
            "questions": len(picked(place)),
            "auroc_answerable": round(fitting.auroc(can, picked(place, lambda d: not d.can)), 3),
            "auroc_first_is_right": round(
                fitting.auroc(picked(place, lambda d: d.first), picked(place, lambda d: not d.first)), 3
            ),
            "auroc_off_topic": round(fitting.auroc(can, picked(f"{name}/off")), 3),
            "said_and_right": [
                [round(float(np.mean(said)), 2), round(float(np.mean(right)), 2), len(said)]
                for low, high in ((0.0, 0.1), (0.1, 0.25), (0.25, 0.45), (0.45, 0.6), (0.6, 0.8), (0.8, 1.01))
                if (said := picked(place, lambda d: True))
                and (
                    both := [
                        (s, d.first) for s, d in zip(sure, doubts, strict=True) if d.place == place and low <= s < high
                    ]
                )
                and (said := [s for s, _ in both])
                and (right := [r for _, r in both]) is not None
            ],
        }
    return report


def main() -> None:
    """Fit both models and write the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--measured", action="append", default=[])
    parser.add_argument("--tuned", required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument(
        "--mode", choices=["plain", "semantic"], action="append", help="only this model; both by default"
    )
    args = parser.parse_args()
    lines = (ROOT / "bench" / "offtopic.txt").read_text("utf-8").splitlines()
    off = [(f"off{n}", line) for n, line in enumerate(lines) if line and not line.startswith("#")]
    shipped = semantic.open_model()
    if shipped is None:
        sys.exit("weights/semantic.npz is missing; make it with: bianmin train")
    folds: list[tuple[SemanticModel | None, int]] = [
        (semantic.load_model(args.folds / f"fold{n}.npz"), n) for n in range(FOLDS)
    ]
    data: dict[str, object] = json.loads(TARGET.read_text("utf-8")) | {
        "provenance": {
            "made_by": "bench/fit_confidence.py",
            "made_on": date.today().isoformat(),
            "model": "product of two logistic models (ridge 3) on signs of the first hits, then one slope and shift",
            "calibrated_on": "the question lists of the demo county: the first hit is an item that answers",
            "said_and_right": "rows of [mean confidence, share of right first hits, questions]",
        }
    }
    for mode in args.mode or ("plain", "semantic"):
        meaning = mode == "semantic"
        doubts = demo(meaning, off)
        print("demo", len(doubts), file=sys.stderr)
        for given in args.measured:
            name, folder = given.split("=", 1)
            doubts += judged_set(name, Path(folder), [(shipped if meaning else None, -1)], off)
        name, folder = args.tuned.split("=", 1)
        doubts += judged_set(name, Path(folder), folds if meaning else [(None, -1)], off)
        (args.folds / f"doubts-{mode}.pickle").write_bytes(pickle.dumps(doubts))
        report = report_of(doubts, meaning)
        print(mode, json.dumps(report, indent=1), file=sys.stderr)
        model = fitted(doubts, meaning)
        data[mode] = {
            "answer": _named(model.answer),
            "topic": _named(model.topic),
            "slope": round(model.slope, 4),
            "shift": round(model.shift, 4),
            "cross_validated": report,
        }
    TARGET.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")


def _named(found: np.ndarray) -> dict[str, float]:
    return {sign: round(float(w), 4) for sign, w in zip(ranking.SIGNS, found, strict=True) if w}


if __name__ == "__main__":
    main()
