"""Fit the ranker's weights for searching with the semantic stage, without letting a model judge what it learned.

    python bench/fit_semantic.py --tuned stard=FOLDER --measured ncp=FOLDER --pretrained MODEL.npz --folds FOLDER

The shipped vectors are tuned on the questions of the ``--tuned`` set. So its questions are split into five folds, a model
is tuned from the ``--pretrained`` one (``bianmin train --texts …`` without ``--pairs``) on four of them, and the fifth is
searched with that model; the fold models are kept in ``--folds``. The ``--measured`` sets are searched with the shipped
vectors, which have never seen them, and so is the demo county with the question lists of this project (``county.py``).
The ranker's weights are then cross-validated as in ``fit_weights.py`` (questions about one document in one fold) and written to
``weights/ranker.json``, section ``semantic``, with the figures. The confidence comes after: ``fit_confidence.py``.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import leanings
from county import County
from county import told as county_lists
from fit_weights import FOLDS, NOTHING, TARGET, figures, named, ordered, told

from knowledge import evaluation, fitting, ranking, semantic, training
from knowledge.index import PassageIndex
from knowledge.index.engines import open_index
from knowledge.search import Searcher
from knowledge.semantic import SemanticIndex, SemanticModel

POLICIES = 2.0
"""A question of a measured set counts as this many: it was asked of policies, as the product's are, and meaning must not
cost it words."""

Questions = list[tuple[str, str]]
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

    def found(self, model: SemanticModel, queries: Questions) -> Found:
        """Samples of these questions, searched with this model, with the number of right passages."""
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


def fold_model(place: JudgedSet, held_out: set[str], pretrained: Path, file: Path) -> SemanticModel:
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
        model = training.tuned(semantic.load_model(pretrained), texts, pairs, training.Recipe(), lambda *_: None)
        semantic.save_model(model, file)
    return semantic.load_model(file)


def tuned_set(place: JudgedSet, pretrained: Path, folds: Path) -> tuple[Found, set[int]]:
    """Every question searched with the model that has not seen it; and the rows that ask for passages never judged."""
    split = np.random.default_rng(7).permutation(len(place.queries)) % FOLDS
    found: Found = []
    unseen: set[int] = set()
    for fold in range(FOLDS):
        queries = [q for q, f in zip(place.queries, split, strict=True) if f == fold]
        judged = {p for (q, _), f in zip(place.queries, split, strict=True) if f != fold for p in place.qrels[q]}
        model = fold_model(place, {q for q, _ in queries}, pretrained, folds / f"fold{fold}.npz")
        some = place.found(model, queries)
        for row, (query, _) in enumerate(queries, len(found)):
            if judged.isdisjoint(place.qrels[query]):
                unseen.add(row)
        found += some
    return found, unseen


def the_county() -> Found:
    """The demo county's lists; one right item is enough for each question."""
    county = County()
    try:
        samples = [sample for question in county_lists() if (sample := county.ask(question).sample()) is not None]
    finally:
        county.close()
    return [(sample, max(int(sample.right.sum()), 1)) for sample in samples]


def firsts(outcomes: list[tuple[fitting.Sample, ranking.Weights, int]]) -> dict[str, float]:
    """How often a right item stands first, and among the first three."""
    heads = [sample.right[ordered(sample, weights)[:3]] for sample, weights, _ in outcomes]
    return {
        "success1": round(float(np.mean([head[0] for head in heads])), 4),
        "success3": round(float(np.mean([head.any() for head in heads])), 4),
    }


def fitted(counted: list[tuple[fitting.Sample, float]]) -> ranking.Weights:
    """The weights for these questions, each with how often it counts."""
    weights = leanings.fit([sample for sample, _ in counted], [count for _, count in counted])
    level = evaluation.fit_weights([sample for sample, count in counted for _ in range(round(count))], NOTHING)
    return replace(weights, merit=level.merit)


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
    found: dict[str, Found] = {"county": the_county()}
    for given in args.measured:
        name, folder = given.split("=", 1)
        place = JudgedSet(Path(folder))
        found[name] = place.found(shipped, place.queries)
        print(name, len(found[name]), file=sys.stderr)
    tuned, folder = args.tuned.split("=", 1)
    kept = args.folds / "samples.pickle"  # searching the tuned set with five models takes minutes
    if not kept.exists():
        kept.write_bytes(pickle.dumps(tuned_set(JudgedSet(Path(folder)), args.pretrained, args.folds)))
    found[tuned], unseen_rows = pickle.loads(kept.read_bytes())
    counts = {n: 1.0 if n in (tuned, "county") else POLICIES for n in found}
    everything = [(s, counts[n]) for n, group in found.items() for s, _ in group]
    crossed: dict[str, list[tuple[fitting.Sample, ranking.Weights, int]]] = {n: [] for n in found}
    for fold in range(FOLDS):
        weights = fitted([(s, count) for s, count in everything if fitting.fold_of(s.group, FOLDS) != fold])
        for n, group in found.items():
            crossed[n] += [(s, weights, k) for s, k in group if fitting.fold_of(s.group, FOLDS) == fold]
    report = {n: figures(outcomes) for n, outcomes in crossed.items() if n != "county"}
    report["county"] = firsts(crossed["county"])
    never = {id(found[tuned][row][0]) for row in unseen_rows}
    report[f"{tuned}, passages never judged before"] = figures([o for o in crossed[tuned] if id(o[0]) in never])
    weights = fitted(everything)
    data = json.loads((TARGET / "ranker.json").read_text("utf-8"))
    data["semantic"] = {"first": named(weights.first), "full": named(weights.full), "merit": told(weights.merit)}
    data["semantic_provenance"] = {
        "made_by": "bench/fit_semantic.py",
        "made_on": date.today().isoformat(),
        "fitted_to": {n: len(group) for n, group in found.items()},
        "a_question_counts": counts,
        "vectors": f"{tuned}: five models tuned from --pretrained on judged pairs without the questions they are asked; others: "
        "the shipped vectors, which have not seen them",
        "cross_validated": report,
    }
    (TARGET / "ranker.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
