"""Fit a scale of the ranker whose weights depend on the nature of the question (:class:`knowledge.ranking.Scale`).

Listwise softmax as in ``knowledge/fitting.py``; the gates make it non-convex, so it starts from the same draw every time.
PyTorch is needed, as it is for training the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from knowledge import fitting, ranking

LEANINGS = 4
RIDGE = 10.0  # on weights of standardised features
GATE_RIDGE = 3.0  # on weights of the standardised nature
_ROUNDS = 200


def fit(samples: Sequence[fitting.Sample], counts: Sequence[float]) -> ranking.Weights:
    """Both stages; ``counts`` says how often each question counts. The merit is that of the base."""
    cheap = [ranking.FEATURES.index(name) for name in ranking.CHEAP]
    full = cheap + [ranking.FEATURES.index(name) for name in ranking.COSTLY]
    natures = [ranking.nature(sample.table) for sample in samples]
    first = _scale(samples, natures, counts, cheap)
    heads = []
    for sample, nature in zip(samples, natures, strict=True):
        head = np.argsort(-(sample.table @ first.of(nature)), kind="stable")[: ranking.FULL]
        heads.append(fitting.Sample(sample.table[head], sample.right[head], sample.group))
    last = _scale(heads, natures, counts, full)
    return ranking.Weights(first, last, last.base)


def _scale(
    samples: Sequence[fitting.Sample], natures: Sequence[ranking.Floats], counts: Sequence[float], columns: list[int]
) -> ranking.Scale:
    useful = [k for k, sample in enumerate(samples) if sample.right.any()]
    n = max(len(samples[k].right) for k in useful)
    features = torch.zeros(len(useful), n, len(columns))
    wanted = torch.zeros(len(useful), n)
    valid = torch.zeros(len(useful), n, dtype=torch.bool)
    for place, k in enumerate(useful):
        size = len(samples[k].right)
        features[place, :size] = torch.from_numpy(samples[k].table[:, columns]).float()
        wanted[place, :size] = torch.from_numpy(samples[k].right / samples[k].right.sum()).float()
        valid[place, :size] = True
    spread = features[valid].std(0)
    dead = spread < 1e-9
    spread[dead] = 1.0
    features /= spread
    kinds = np.array([natures[k] for k in useful])[:, 1:]
    middle, width = kinds.mean(0), kinds.std(0) + 1e-9
    nature = torch.from_numpy((kinds - middle) / width).float()
    often = torch.tensor([float(counts[k]) for k in useful])

    torch.manual_seed(0)
    base = torch.zeros(len(columns), requires_grad=True)
    added = torch.zeros(LEANINGS, len(columns), requires_grad=True)
    gates = (torch.randn(LEANINGS, nature.shape[1]) * 0.1).requires_grad_()
    bias = torch.zeros(LEANINGS, requires_grad=True)
    parameters = [base, added, gates, bias]
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=_ROUNDS, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=1e-5
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        share = torch.sigmoid(nature @ gates.T + bias)
        weights = base + share @ added  # (questions, columns)
        scores = (features @ weights[:, :, None]).squeeze(2).masked_fill(~valid, -1e9)
        misses = torch.logsumexp(scores, 1) - (wanted * scores.masked_fill(~valid, 0.0)).sum(1)
        total = (often * misses).sum() + RIDGE / 2 * (base.square().sum() + added.square().sum())
        total = total + GATE_RIDGE / 2 * gates.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]

    def widened(part: torch.Tensor) -> ranking.Floats:
        found = np.zeros((*part.shape[:-1], len(ranking.FEATURES)))
        found[..., columns] = np.where(dead.numpy(), 0.0, (part.detach() / spread).numpy())
        return found

    opening = gates.detach().numpy() / width
    start = bias.detach().numpy() - opening @ middle
    return ranking.Scale(widened(base), np.concatenate((start[:, None], opening), axis=1), widened(added))
