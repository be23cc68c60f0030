"""Learning the few weights of the second stage from judged questions. numpy only, seconds on one core.

Both models are convex, so there is one answer and no seed: the ranker maximises the probability of the right passages
among the candidates of each question (listwise softmax), the confidence model is a logistic regression.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One judged question: the features of its candidates and which of them are right.

    ``table`` has shape ``(n, f)``, ``right`` shape ``(n,)``. ``group`` keeps questions about one document in one fold.
    """

    table: Floats
    right: NDArray[np.bool_]
    group: str


def fold_of(group: str, folds: int) -> int:
    """The fold of a document, the same on every machine."""
    return zlib.crc32(group.encode("utf-8")) % folds


def fit_ranker(
    samples: Sequence[Sample], columns: Sequence[int], *, ridge: float = 10.0, prior: Floats | None = None
) -> Floats:
    """Weights of ``columns``, shape ``(f,)`` with zeroes elsewhere.

    Every question weighs the same. ``ridge`` pulls standardised weights towards ``prior`` (zeroes by default), so
    that a handful of judged questions cannot upset what was learned from many. Questions none of whose candidates is
    right teach nothing and are left out; without any other, the prior comes back.
    """
    useful = [s for s in samples if s.right.any()]
    width = samples[0].table.shape[1] if samples else 0
    start = np.zeros(width) if prior is None else prior.copy()
    if not useful:
        return start
    n = max(len(s.right) for s in useful)
    picked = list(columns)
    features = np.zeros((len(useful), n, len(picked)))
    wanted = np.zeros((len(useful), n))
    valid = np.zeros((len(useful), n), dtype=bool)
    for place, sample in enumerate(useful):
        size = len(sample.right)
        features[place, :size] = sample.table[:, picked]
        wanted[place, :size] = sample.right / sample.right.sum()
        valid[place, :size] = True
    spread = features[valid].std(0)
    dead = spread < 1e-9
    spread[dead] = 1.0
    features /= spread
    target = start[picked] * spread

    def loss(weights: Floats) -> float:
        scores = np.where(valid, features @ weights, -np.inf)
        top = scores.max(1)
        normal = top + np.log(np.exp(scores - top[:, None]).sum(1))
        right = (wanted * np.where(valid, scores, 0.0)).sum(1)
        return float((normal - right).sum() + ridge / 2.0 * ((weights - target) ** 2).sum())

    weights = target.copy()
    value = loss(weights)
    for _ in range(60):
        scores = np.where(valid, features @ weights, -np.inf)
        share = np.exp(scores - scores.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        slope = np.einsum("qn,qnf->f", share - wanted, features) + ridge * (weights - target)
        mean = np.einsum("qn,qnf->qf", share, features)
        flat = (features * np.sqrt(share)[:, :, None]).reshape(-1, len(picked))
        bend = flat.T @ flat - mean.T @ mean + ridge * np.eye(len(picked))
        step = np.linalg.solve(bend, slope)
        pace = 1.0
        while pace > 1e-4 and loss(weights - pace * step) > value - 1e-4 * pace * float(slope @ step):
            pace /= 2.0
        weights = weights - pace * step
        former, value = value, loss(weights)
        if former - value < 1e-6 * abs(value):
            break
    result = start
    result[picked] = np.where(dead, start[picked], weights / spread)
    return result


def fit_confidence(
    signs: Floats, answered: NDArray[np.bool_], *, ridge: float = 1.0, counts: Floats | None = None
) -> Floats:
    """Logistic weights of ``signs`` (shape ``(m, s)``, the first column is 1 and is not pulled towards 0).

    ``counts`` says how often each row counts, shape ``(m,)``.
    """
    spread = signs.std(0)
    spread[spread < 1e-9] = 1.0
    scaled = signs / spread
    pull = np.full(signs.shape[1], ridge)
    pull[0] = 1e-6
    weights = np.zeros(signs.shape[1])
    target = answered.astype(np.float64)
    often = np.ones(len(signs)) if counts is None else counts
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(scaled @ weights, -30.0, 30.0)))
        slope = scaled.T @ (often * (chance - target)) + pull * weights
        bend = (scaled * (often * chance * (1.0 - chance))[:, None]).T @ scaled + np.diag(pull)
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights / spread, dtype=np.float64)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Probability that a positive scores above a negative, ties count half; 0.5 if either is empty."""
    if not len(positive) or not len(negative):
        return 0.5
    values = np.concatenate((np.asarray(positive), np.asarray(negative)))
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    m = len(positive)
    return float((ranks[:m].sum() - m * (m + 1) / 2.0) / (m * len(negative)))
