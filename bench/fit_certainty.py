"""Make ``replies/certainty.json`` again: how likely the document found first answers the question.

    python bench/fit_certainty.py

A logistic model (ridge 3) over :class:`replies.certainty.Signs`, fitted to the question lists of the demo county and to the
lists of questions that belong to other organs: 1 where the first document is one that answers, 0 where it is another or
where nothing in the library answers. Messages of which the words decide as well (greetings, complaints, what asks for
statistics, what names no matter) are left out. To be run after ``fit_confidence.py`` and ``fit_weights.py``, whose
values it takes in.

Figures are cross-validated in ten folds, questions about one document in one fold, and kept in the file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from county import LISTS, County  # noqa: E402

from bot.rehearsal import read_questions  # noqa: E402
from knowledge import fitting  # noqa: E402
from knowledge.model import Question  # noqa: E402
from register.clock import now_beijing  # noqa: E402
from register.inquiry import Conversation  # noqa: E402
from replies import certainty, conversation, evidence, family  # noqa: E402
from replies.model import TurnKind, Vagueness  # noqa: E402

TARGET = ROOT / "replies" / "certainty.json"
FOLDS, RIDGE = 10, 3.0
ASKED = (
    *LISTS,
    "bench/fresh_organs.toml",
    *(f"bench/blind_{what}{turn}.toml" for what in ("questions", "organs") for turn in ("", "_2")),
)


def rows() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Signs, whether the first document answers, and the group of every question that the library decides."""
    # The house answers a question while it is built, before there are weights for the signs of today.
    certainty.weights = lambda: dict.fromkeys(certainty.Signs._fields, 0.0)  # type: ignore[assignment]
    county = County()
    house = county.house
    context = replace(house.reception._context, today=now_beijing().date(), directory=house.library.organs())
    named = {Path(d.path).name: d.id for d in house.library.documents()}
    signs, right, groups = [], [], []
    for path in ASKED:
        for script in read_questions(ROOT / path):
            (line,) = script.lines
            turn = conversation.read(line.text, Conversation("fit"))
            if turn.kind is not TurnKind.QUESTION or turn.triage or turn.wants_creation or turn.filters.number:
                continue
            if turn.vagueness is not Vagueness.CLEAR or not turn.needs_search:
                continue
            finding = house.library.ask(Question(turn.question, turn.filters))
            if not finding.hits:
                continue
            finding = replace(finding, hits=family.named_first(turn, finding))
            if not evidence.speaks_of(turn, finding, finding.hits[0]):
                continue
            documents = [named.get(name, name) for name in line.expected.documents if name]
            signs.append(certainty.signs(turn, finding, family.leading(finding.hits), context))
            right.append(finding.hits[0].document.id in documents)
            groups.append((*documents, line.expected.organ, line.text)[0] or line.text)
    county.close()
    return np.array(signs, dtype=np.float64), np.array(right), groups


def chances(weights: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The probabilities that weights give."""
    return np.asarray(1.0 / (1.0 + np.exp(-(signs @ weights))))


def main() -> None:
    """Fit, measure and write."""
    signs, right, groups = rows()
    fold = np.array([fitting.fold_of(group, FOLDS) for group in groups])
    unseen = np.zeros(len(right))
    for number in range(FOLDS):
        weights = fitting.fit_confidence(signs[fold != number], right[fold != number], ridge=RIDGE)
        unseen[fold == number] = chances(weights, signs[fold == number])
    weights = fitting.fit_confidence(signs, right, ridge=RIDGE)
    bands = []
    for low in np.arange(0.0, 1.0, 0.1):
        here = (unseen >= low) & (unseen < low + 0.1)
        if here.any():
            bands.append([round(float(unseen[here].mean()), 2), round(float(right[here].mean()), 2), int(here.sum())])
    answers = {
        f"{at:.2f}": {
            "answered": round(float((unseen >= at).mean()), 3),
            "right_answers_kept": round(float((right & (unseen >= at)).sum() / right.sum()), 3),
            "wrong": round(float((~right & (unseen >= at)).mean()), 3),
        }
        for at in (0.4, 0.5, 0.6, 0.7)
    }
    table = {
        "provenance": {
            "made_by": "bench/fit_certainty.py",
            "made_on": date.today().isoformat(),
            "model": f"logistic (ridge {RIDGE:g}) over replies.certainty.Signs",
            "fitted_on": list(ASKED),
            "questions": len(right),
        },
        "weights": {
            name: round(float(weight), 4) for name, weight in zip(certainty.Signs._fields, weights, strict=True)
        },
        "cross_validated": {
            "auroc": round(fitting.auroc(unseen[right], unseen[~right]), 3),
            "auroc_of_confidence_alone": round(fitting.auroc(signs[right, 1], signs[~right, 1]), 3),
            "at": answers,
            "said_and_right": bands,
        },
    }
    TARGET.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(json.dumps(table["cross_validated"], ensure_ascii=False))


if __name__ == "__main__":
    main()
