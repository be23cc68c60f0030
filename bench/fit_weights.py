"""Make ``knowledge/weights/ranker.json`` and ``confidence.json`` again from judged sets.

    python bench/fit_weights.py NAME=FOLDER…

Each folder holds ``corpus.jsonl.gz``, ``queries.jsonl``, ``qrels.tsv``, ``removed_documents.txt`` and ``answerable.tsv``. One model is
fitted to all sets together. The cross-validated figures (five folds, questions about one document in one fold) are
printed and kept in the files as provenance; the weights themselves are fitted to everything.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

from knowledge import evaluation, fitting, ranking
from knowledge.index.engines import open_index
from knowledge.search import Searcher

FOLDS = 5
TARGET = Path(__file__).parents[1] / "knowledge" / "weights"
RULED = {"expanded": 2.0, "named": 15.0, "lapsed": -2.0, "recent": 0.3, "source": 0.1}
_ZEROES = np.zeros(len(ranking.FEATURES))
NOTHING = ranking.Weights(ranking.level(_ZEROES), ranking.level(_ZEROES), _ZEROES)


def searcher_over(folder: Path, removed: frozenset[str] = frozenset()) -> Searcher:
    """A searcher over a judged set, in a folder that is left to the system's cleaning."""
    shelf, index = evaluation.MemoryShelf(), open_index("tantivy", Path(tempfile.mkdtemp()))
    index.replace(shelf.add(e) for e in evaluation.read_corpus(folder / "corpus.jsonl.gz", removed))
    index.commit("fit")
    return Searcher(index, shelf)


def ordered(sample: fitting.Sample, weights: ranking.Weights) -> np.ndarray:
    """Rows in the order that serving would give them."""
    nature = ranking.nature(sample.table)
    order = np.argsort(-(sample.table @ weights.first.of(nature)), kind="stable")
    head = order[: ranking.FULL]
    return np.concatenate(
        (head[np.argsort(-(sample.table[head] @ weights.full.of(nature)), kind="stable")], order[ranking.FULL :])
    )


def figures(outcomes: list[tuple[fitting.Sample, ranking.Weights, int]]) -> dict[str, float]:
    """Mean figures of samples, each ordered by its own weights; the last item is how many passages are right."""
    rows = []
    for sample, weights, right in outcomes:
        ids = [str(i) for i in ordered(sample, weights)]
        grades = {str(i): 1 for i in np.flatnonzero(sample.right)} | {
            f"missed{k}": 1 for k in range(right - sample.right.sum())
        }
        rows.append(evaluation.metrics(ids, grades))
    return {name: round(float(np.mean([r[name] for r in rows])), 4) for name in rows[0]}


def told(weights: np.ndarray) -> dict[str, float]:
    """Weights by name, zeroes and ruled ones left out."""
    pairs = zip(ranking.FEATURES, weights, strict=True)
    return {n: round(float(w), 3) for n, w in pairs if w and n not in ranking.RULED}


def named(scale: ranking.Scale) -> dict[str, object]:
    """A scale as the file holds it, zeroes and ruled weights left out."""

    gates = [{n: round(float(w), 4) for n, w in zip(ranking.NATURE, gate, strict=True) if w} for gate in scale.gates]
    return {
        "base": told(scale.base),
        "leanings": [{"gate": gate, "added": told(added)} for gate, added in zip(gates, scale.added, strict=True)],
    }


def main(arguments: list[str]) -> None:
    sets = {name: Path(folder) for name, folder in (a.split("=", 1) for a in arguments if "=" in a)}
    found: dict[str, list[tuple[fitting.Sample, int]]] = {}
    searchers = {name: searcher_over(folder) for name, folder in sets.items()}
    for name, folder in sets.items():
        qrels = evaluation.read_qrels(folder / "qrels.tsv")
        queries = [q for q in evaluation.read_queries(folder / "queries.jsonl") if q[0] in qrels]
        found[name] = []
        for one in evaluation.run(searchers[name], queries):
            for sample in evaluation.samples([one], qrels):
                found[name].append((sample, sum(g > 0 for g in qrels[one.query].values())))
    everything = [s for group in found.values() for s, _ in group]
    crossed: dict[str, list[tuple[fitting.Sample, ranking.Weights, int]]] = {name: [] for name in sets}
    for fold in range(FOLDS):
        weights = evaluation.fit_weights([s for s in everything if fitting.fold_of(s.group, FOLDS) != fold], NOTHING)
        for name, group in found.items():
            crossed[name] += [(s, weights, n) for s, n in group if fitting.fold_of(s.group, FOLDS) == fold]
    report = {name: figures(outcomes) for name, outcomes in crossed.items()}
    weights = evaluation.fit_weights(everything, NOTHING)
    data = json.loads((TARGET / "ranker.json").read_text("utf-8"))
    data["provenance"] = {
        "made_by": "bench/fit_weights.py",
        "made_on": date.today().isoformat(),
        "fitted_to": {name: len(group) for name, group in found.items()},
        "model": "linear, listwise softmax, ridge 10 on standardised features",
        "cross_validated": report,
        "ruled": "weights of 近义词, 点名, 效力, 日期, 来源 are laid down by hand: the judged sets know nothing of them",
    }
    data["plain"] = {"first": named(weights.first), "full": named(weights.full), "merit": told(weights.merit)}
    data["ruled"] = RULED
    (TARGET / "ranker.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
