"""Fit the ranker's weights for searching with the semantic stage, without letting a model judge what it learned.

    python bench/fit_semantic.py --tuned stard=FOLDER --measured ncp=FOLDER --pretrained MODEL.npz --folds FOLDER

The shipped vectors are tuned on the questions of the ``--tuned`` set. So its questions are split into five folds, a model
is tuned from the ``--pretrained`` one (``bianmin train --texts …`` without ``--pairs``) on four of them, and the fifth is
searched with that model; the fold models are kept in ``--folds``. The ``--measured`` sets are searched with the shipped
vectors, which have never seen them. The ranker's weights are then cross-validated as in ``fit_weights.py`` (questions about one
document in one fold) and written to ``weights/ranker.json``, section ``semantic``, with the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from fit_weights import FOLDS, NOTHING, TARGET, figures, named

from knowledge import evaluation, fitting, ranking, semantic, training
from knowledge.index import PassageIndex
from knowledge.index.engines import open_index
from knowledge.search import Searcher
from knowledge.semantic import SemanticIndex, SemanticModel

Found = list[tuple[fitting.Sample, int]]


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
        self.queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in self.qrels]

    def found(self, model: SemanticModel, queries: list[tuple[str, str]]) -> Found:
        """Samples of these questions, searched with this model, and how many passages are right."""
        with tempfile.TemporaryDirectory() as folder:
            stage = SemanticIndex(Path(folder), model)
            stage.replace((p.id, p.document, p.body) for p in self.passages)
            stage.commit("fit")
            searcher = Searcher(self.index, self.shelf, semantic=stage)
            return [
                (sample, sum(g > 0 for g in self.qrels[one.query].values()))
                for one in evaluation.run(searcher, queries)
                for sample in evaluation.samples([one], self.qrels)
            ]


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


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tuned", required=True)
    parser.add_argument("--measured", action="append", default=[])
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True)
    args = parser.parse_args(arguments)
    shipped = semantic.open_model()
    if shipped is None:
        sys.exit("weights/semantic.npz is missing; make it with: bianmin train")
    args.folds.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    for given in args.measured:
        name, folder = given.split("=", 1)
        place = JudgedSet(Path(folder))
        found[name] = place.found(shipped, place.queries)
        print(name, len(found[name]), file=sys.stderr)
    name, folder = args.tuned.split("=", 1)
    place = JudgedSet(Path(folder))
    split = np.random.default_rng(7).permutation(len(place.queries)) % FOLDS
    found[name], unseen = [], Found()
    for fold in range(FOLDS):
        queries = [q for q, f in zip(place.queries, split, strict=True) if f == fold]
        outside = [q for q, f in zip(place.queries, split, strict=True) if f != fold]
        pretrained = semantic.load_model(args.pretrained)
        model = fold_model(place, {q for q, _ in queries}, pretrained, args.folds / f"fold{fold}.npz")
        found[name] += place.found(model, queries)
        judged = {p for q, _ in outside for p in place.qrels[q]}
        never = [q for q in queries if judged.isdisjoint(place.qrels[q[0]])]
        unseen += [s for s, q in zip(found[name][-len(queries) :], queries, strict=True) if q in never]
        print(name, fold, len(found[name]), file=sys.stderr)
    everything = [s for group in found.values() for s, _ in group]
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
        "vectors": f"{name}: five models, each tuned without the questions it is asked; others: the shipped vectors",
        "cross_validated": report,
    }
    (TARGET / "ranker.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
