"""Fit the ranker's weights for searching with the semantic stage, without letting a model judge what it learned.

    python bench/fit_semantic.py --tuned stard=FOLDER --measured ncp=FOLDER --pretrained MODEL.npz --folds FOLDER

The shipped vectors are tuned on the questions of the ``--tuned`` set. So its questions are split into five folds, a model
is tuned from the ``--pretrained`` one (``bianmin train --texts …`` without ``--pairs``) on four of them, and the fifth is
searched with that model; the fold models are kept in ``--folds``. The ``--measured`` sets are searched with the shipped
vectors, which have never seen them. The ranker's weights are then cross-validated as in ``fit_weights.py`` (questions about one
document in one fold) and written to ``weights/ranker.json``, section ``semantic``, with the figures; so is the confidence, from
sets without the removed documents and from questions off the topic, to ``weights/confidence.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from fit_weights import FOLDS, NOTHING, TARGET, figures, named, ordered

from knowledge import evaluation, fitting, ranking, semantic, training
from knowledge.index import Candidate, PassageIndex
from knowledge.index.engines import open_index
from knowledge.search import Searcher
from knowledge.semantic import SemanticIndex, SemanticModel

POLICIES = 2
"""A question of a measured set counts as this many: it was asked of policies, as the product's are, and meaning must not
cost it words. With 1, ncp loses .002 of nDCG@10 against words alone."""

Questions = list[tuple[str, str]]
Found = list[tuple[fitting.Sample, int]]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question asked of a set from which documents were removed."""

    sample: fitting.Sample
    answerable: bool
    offtopic: bool


class Without:
    """A semantic stage that does not know the removed passages."""

    def __init__(self, stage: SemanticIndex, removed: frozenset[str]) -> None:
        self._stage = stage
        self._removed = removed

    def nearest(self, text: str, limit: int, allowed: Callable[[str], bool] | None) -> list[Candidate]:
        """As the stage, without the removed."""
        found = self._stage.nearest(text, 2 * limit + 200, allowed)
        return [c for c in found if c.id not in self._removed][:limit]

    def similarity(self, text: str, ids: Sequence[str]) -> list[float]:
        """As the stage."""
        return self._stage.similarity(text, ids)


class JudgedSet:
    """A judged set with its lexical index; vectors come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf = evaluation.MemoryShelf()
        self.index: PassageIndex = open_index("tantivy", Path(tempfile.mkdtemp()))
        self.passages = [self.shelf.add(e) for e in evaluation.read_corpus(folder / "corpus.jsonl.gz")]
        self.index.replace(self.passages)
        self.index.commit("fit")
        self.qrels = evaluation.read_qrels(folder / "qrels.tsv")
        removed = evaluation.read_names(folder / "removed_documents.txt")
        self.gone = frozenset(p.id for p in self.passages if p.id in removed or p.document in removed)
        self.narrowed: PassageIndex = open_index("tantivy", Path(tempfile.mkdtemp()))
        self.narrowed.replace(p for p in self.passages if p.id not in self.gone)
        self.narrowed.commit("fit")
        self.answerable = evaluation.read_answerable(folder / "answerable.tsv")
        self.queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in self.qrels]

    def found(self, model: SemanticModel, queries: Questions, offtopic: Questions) -> tuple[Found, list[Doubt]]:
        """Samples of these questions, searched with this model, with the number of right passages; and the doubts."""
        with tempfile.TemporaryDirectory() as folder:
            stage = SemanticIndex(Path(folder), model)
            stage.replace((p.id, p.document, p.body) for p in self.passages)
            stage.commit("fit")
            searcher = Searcher(self.index, self.shelf, semantic=stage)
            found = [
                (sample, sum(g > 0 for g in self.qrels[one.query].values()))
                for one in evaluation.run(searcher, queries)
                for sample in evaluation.samples([one], self.qrels)
            ]
            careful = Searcher(self.narrowed, self.shelf, semantic=Without(stage, self.gone))
            asked = [q for q in queries if q[0] in self.answerable] + offtopic
            nothing = {q: {"nothing answers this": 1} for q, _ in offtopic}
            doubts = [
                Doubt(sample, self.answerable.get(one.query, False), one.query in nothing)
                for one in evaluation.run(careful, asked)
                for sample in evaluation.samples([one], self.qrels | nothing)
                if len(sample.right)
            ]
            return found, doubts


def fold_model(place: JudgedSet, held_out: set[str], pretrained: SemanticModel, file: Path) -> SemanticModel:
    """Tuned on all questions but these; kept in ``file``."""
    if not file.exists():
        texts = list(training.read_texts(place.folder / "corpus.jsonl.gz"))
        pairs = [
            training.Pair(text, passage)
            for query, text in place.queries
            if query not in held_out
            for passage, grade in place.qrels[query].items()
            if grade > 0
        ]
        model = training.tuned(pretrained, texts, pairs, training.Recipe(), lambda *_: None)
        semantic.save_model(model, file)
    return semantic.load_model(file)


def fit_doubts(doubts: dict[str, list[Doubt]], weights: ranking.Weights) -> None:
    """Section ``semantic`` of ``confidence.json``: the probability that the first hit is right."""
    rows = {n: np.array([first_signs(d.sample, weights) for d in group]) for n, group in doubts.items()}
    right = {n: np.array([bool(d.sample.right[ordered(d.sample, weights)[0]]) for d in g]) for n, g in doubts.items()}
    folds = {n: np.arange(len(group)) % FOLDS for n, group in doubts.items()}
    report = {}
    for n, group in doubts.items():
        sure = np.zeros(len(group))
        for fold in range(FOLDS):
            fitted = fitting.fit_confidence(
                np.concatenate([rows[m][folds[m] != fold] for m in doubts]),
                np.concatenate([right[m][folds[m] != fold] for m in doubts]),
            )
            sure[folds[n] == fold] = rows[n][folds[n] == fold] @ fitted
        can = np.array([d.answerable for d in group])
        off = np.array([d.offtopic for d in group])
        report[n] = {
            "auroc_answerable": round(fitting.auroc(sure[can].tolist(), sure[~can & ~off].tolist()), 4),
            "auroc_first_is_right": round(fitting.auroc(sure[right[n]].tolist(), sure[~right[n] & ~off].tolist()), 4),
            "auroc_offtopic": round(fitting.auroc(sure[can].tolist(), sure[off].tolist()), 4),
        }
    fitted = fitting.fit_confidence(np.concatenate(list(rows.values())), np.concatenate(list(right.values())))
    data = json.loads((TARGET / "confidence.json").read_text("utf-8"))
    data["semantic"] = {s: round(float(w), 4) for s, w in zip(ranking.SIGNS, fitted, strict=True)}
    data["semantic_provenance"] = {
        "made_by": "bench/fit_semantic.py",
        "made_on": date.today().isoformat(),
        "model": "logistic, ridge 1; documents removed for half of the questions, and questions off the topic",
        "cross_validated": report,
    }
    (TARGET / "confidence.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1), file=sys.stderr)


def first_signs(sample: fitting.Sample, weights: ranking.Weights) -> np.ndarray:
    """The signs that serving would see."""
    order = ordered(sample, weights)
    scores = sample.table @ weights.full
    return ranking.signs(ranking.Ranked(order, scores, sample.table, min(ranking.FULL, len(order))))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tuned", required=True)
    parser.add_argument("--measured", action="append", default=[])
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--offtopic", type=Path, default=Path(__file__).with_name("offtopic.txt"))
    args = parser.parse_args(arguments)
    shipped = semantic.open_model()
    if shipped is None:
        sys.exit("weights/semantic.npz is missing; make it with: bianmin train")
    strange = [line for line in args.offtopic.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    offtopic = [(f"offtopic{n}", text) for n, text in enumerate(strange)]
    args.folds.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    doubts: dict[str, list[Doubt]] = {}
    for given in args.measured:
        name, folder = given.split("=", 1)
        place = JudgedSet(Path(folder))
        found[name], doubts[name] = place.found(shipped, place.queries, offtopic)
        print(name, len(found[name]), file=sys.stderr)
    name, folder = args.tuned.split("=", 1)
    place = JudgedSet(Path(folder))
    split = np.random.default_rng(7).permutation(len(place.queries)) % FOLDS
    found[name], doubts[name], unseen = [], [], Found()
    for fold in range(FOLDS):
        queries = [q for q, f in zip(place.queries, split, strict=True) if f == fold]
        outside = [q for q, f in zip(place.queries, split, strict=True) if f != fold]
        pretrained = semantic.load_model(args.pretrained)
        model = fold_model(place, {q for q, _ in queries}, pretrained, args.folds / f"fold{fold}.npz")
        some, doubtful = place.found(model, queries, offtopic[fold::FOLDS])
        found[name] += some
        doubts[name] += doubtful
        judged = {p for q, _ in outside for p in place.qrels[q]}
        never = [q for q in queries if judged.isdisjoint(place.qrels[q[0]])]
        unseen += [s for s, q in zip(some, queries, strict=True) if q in never]
        print(name, fold, len(found[name]), file=sys.stderr)
    everything = [s for n, group in found.items() for s, _ in group for _ in range(1 if n == name else POLICIES)]
    crossed: dict[str, list[tuple[fitting.Sample, ranking.Weights, int]]] = {n: [] for n in found}
    for fold in range(FOLDS):
        weights = evaluation.fit_weights([s for s in everything if fitting.fold_of(s.group, FOLDS) != fold], NOTHING)
        for n, group in found.items():
            crossed[n] += [(s, weights, k) for s, k in group if fitting.fold_of(s.group, FOLDS) == fold]
    report = {n: figures(outcomes) for n, outcomes in crossed.items()}
    never_judged = {id(s) for s, _ in unseen}
    report[f"{name}, passages never judged before"] = figures([o for o in crossed[name] if id(o[0]) in never_judged])
    weights = evaluation.fit_weights(everything, NOTHING)
    data = json.loads((TARGET / "ranker.json").read_text("utf-8"))
    data["semantic"] = {"first": named(weights.first), "full": named(weights.full)}
    data["semantic_provenance"] = {
        "made_by": "bench/fit_semantic.py",
        "made_on": date.today().isoformat(),
        "fitted_to": {n: len(group) for n, group in found.items()},
        "weight_of_measured_sets": POLICIES,
        "vectors": f"{name}: five models, each tuned without the questions it is asked; others: the shipped vectors",
        "cross_validated": report,
    }
    (TARGET / "ranker.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False), file=sys.stderr)
    fit_doubts(doubts, weights)


if __name__ == "__main__":
    main(sys.argv[1:])
