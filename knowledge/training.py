"""Train the vectors of the semantic stage, on a CPU, from texts and judged questions alone.

Two steps. *Pre-training* needs no judgement: a piece of a passage has to find the rest of its own passage among a
thousand others, with the words that both share partly taken away, so that what remains must be learned as meaning.
*Fine-tuning* pulls judged questions towards their passages and away from passages that merely share words with them,
and holds the vectors near where pre-training left them.

PyTorch is needed here only (``pip install 'bianmin[train]'``). Shapes: ``V`` tokens, ``d`` dimensions, ``P`` passages,
``b`` texts of a batch.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge import analysis
from knowledge.errors import KnowledgeError
from knowledge.index import IndexedPassage, IndexFilter
from knowledge.index.engines import open_index
from knowledge.semantic import SemanticIndex, SemanticModel, open_model, question_tokens, tokens

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Report = Callable[[str, int, int, float], None]
"""Called with (what is done, step, steps, loss)."""


@dataclass(frozen=True, slots=True)
class Text:
    """训练文本: a passage to learn from."""

    id: str
    document: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """判定对: a question and the id of a passage that answers it."""

    question: str
    passage: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """配方: everything that decides the outcome beside the texts."""

    seed: int = 20261121
    dimensions: int = 256
    vocabulary: int = 60_000
    reserve: int = 3_000  # places kept for words of judged questions
    epochs: int = 6
    batch: int = 1024
    rate: float = 2e-3
    tuning_epochs: int = 14
    tuning_batch: int = 128
    tuning_rate: float = 2e-3
    negatives: int = 4
    anchor: float = 3.0
    thinning: float = 0.25  # share of tokens left out while tuning
    threads: int = 2


# --- reading ----------------------------------------------------------------------------------------------------------


def read_texts(path: Path) -> Iterator[Text]:
    """Passages of a file: JSON lines ``{id, title, heading, text, document}`` (also ``.gz``), or plain text by articles."""
    if path.suffix in (".md", ".txt"):
        yield from _articles(path)
        return
    for row in _rows(path):
        try:
            yield Text(row["id"], row["document"], row.get("title", ""), row.get("heading", ""), row["text"])
        except KeyError as error:
            raise BadTrainingData(
                f"{path}: a line lacks {error}; wanted are id, document, title, heading, text"
            ) from None


def read_pairs(path: Path, qrels: Path | None = None) -> list[Pair]:
    """Judged pairs: JSON lines ``{question, passage}``, or questions ``{id, text}`` with judgements in TREC form."""
    rows = list(_rows(path))
    try:
        if qrels is None:
            return [Pair(row["question"], row["passage"]) for row in rows]
        texts = {row["id"]: row["text"] for row in rows}
    except KeyError as error:
        wanted = "question, passage" if qrels is None else "id, text"
        raise BadTrainingData(f"{path}: a line lacks {error}; wanted are {wanted}") from None
    pairs = []
    for line in qrels.read_text("utf-8").splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[0] in texts and fields[3] != "0":
            pairs.append(Pair(texts[fields[0]], fields[2]))
    return pairs


def read_written(path: Path, texts: Iterable[Text]) -> list[Pair]:
    """Questions written for named articles: JSON lines ``{text, articles}``; an article is the title of a text.

    Only the first article counts: it is the one the question was written for. Articles that are not among the texts
    are left out.
    """
    ids: dict[str, str] = {}
    for text in texts:
        ids.setdefault(text.title, text.id)
    pairs = []
    for row in _rows(path):
        try:
            question, article = row["text"], row["articles"][0]
        except (KeyError, IndexError) as error:
            raise BadTrainingData(f"{path}: a line lacks {error}; wanted are text, articles") from None
        if article in ids:
            pairs.append(Pair(question, ids[article]))
    return pairs


class BadTrainingData(KnowledgeError):
    """A file of texts or pairs that is not in the form told."""


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for count, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadTrainingData(f"{path} line {count} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise BadTrainingData(f"{path} line {count} is no JSON object")
            yield row


_ARTICLE = re.compile(r"^第[〇零一二三四五六七八九十百千]+条", re.MULTILINE)


def _articles(path: Path) -> Iterator[Text]:
    whole = path.read_text("utf-8")
    title = whole.lstrip("# \n").split("\n", 1)[0].strip()
    starts = [m.start() for m in _ARTICLE.finditer(whole)]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(whole)], strict=True)):
        text = "\n".join(p for p in whole[start:end].split("\n") if p.strip() and not p.startswith(("#", "<!--")))
        yield Text(f"{path.stem}-{number}", path.stem, title, "", text)


# --- texts as numbers -------------------------------------------------------------------------------------------------

_CLAUSE = re.compile(r"[^，。；：、！？,;:!?\n]*[，。；：、！？,;:!?\n]*")
_SHORT = 5


@dataclass(frozen=True, slots=True)
class Corpus:
    """语料: passages as token numbers. A segment is a clause, a title or a heading; segment 0 is empty."""

    tokens: NDArray[np.int32]  # (T,) of all segments
    ends: Rows  # (segments + 1,) offsets into ``tokens``
    clauses: Rows  # (P + 1,) the segments of each passage's clauses
    titles: Rows  # (P,) segment
    headings: Rows  # (P,) segment
    documents: Rows  # (P,) number of the document
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.titles)


@dataclass(frozen=True, slots=True)
class Bags:
    """词袋: distinct tokens of each text with their weights (root of the count)."""

    tokens: Rows
    weights: Floats
    starts: Rows  # (texts + 1,)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pick(self, rows: Rows) -> Bags:
        """The bags of these texts, in this order."""
        places, owners = _spread(self.starts[rows], self.starts[rows + 1])
        return Bags(self.tokens[places], self.weights[places], _starts(owners, len(rows)))


def _spread(starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
    """All places of the ranges ``starts..ends``, and the number of the range each place is from."""
    lengths = np.maximum(ends - starts, 0)
    owners = np.repeat(np.arange(len(starts)), lengths)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return starts[owners] + within, owners


def _starts(owners: Rows, texts: int) -> Rows:
    return np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=texts)))).astype(np.int64)


def _thinned(bags: Bags, share: float, rng: np.random.Generator) -> Bags:
    kept = rng.random(len(bags.tokens)) >= share
    owners = np.repeat(np.arange(len(bags)), np.diff(bags.starts))
    return Bags(bags.tokens[kept], bags.weights[kept], _starts(owners[kept], len(bags)))


def _bags(found: Rows, owners: Rows, texts: int, size: int) -> Bags:
    keys, counts = np.unique(owners * size + found, return_counts=True)
    return Bags(keys % size, np.sqrt(counts).astype(np.float32), _starts(keys // size, texts))


class _Numbers(dict[str, int]):
    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


def number(texts: Iterable[Text], size: int = 0, vocabulary: Sequence[str] = ()) -> tuple[Corpus, tuple[str, ...]]:
    """Texts as numbers, and the vocabulary: the ``size`` most frequent tokens unless one is given."""
    numbers = _Numbers()
    for token in vocabulary:
        numbers[token] = len(numbers)
    clause_tokens, clause_ends, passages = array("i"), array("q", [0]), array("q", [1])
    clause_ends.append(0)
    extra_tokens, extra_ends, extra = array("i"), array("q"), {"": 0}
    titles, headings, documents = array("q"), array("q"), array("q")
    named, ids = _Numbers(), []
    for text in texts:
        parts = list(_clauses(analysis.normalise(text.text)))
        if not parts:
            continue
        for part in parts:
            clause_tokens.extend(map(numbers.__getitem__, tokens(part)))
            clause_ends.append(len(clause_tokens))
        passages.append(len(clause_ends) - 1)
        for line, places in ((text.title, titles), (text.heading, headings)):
            place = extra.get(line)
            if place is None:
                place = extra[line] = len(extra)
                extra_tokens.extend(map(numbers.__getitem__, tokens(analysis.normalise(line))))
                extra_ends.append(len(extra_tokens))
            places.append(place)
        documents.append(named[text.document])
        ids.append(text.id)
    all_tokens = np.concatenate((np.array(clause_tokens, np.int64), np.array(extra_tokens, np.int64)))
    ends = np.concatenate((np.array(clause_ends, np.int64), np.array(extra_ends, np.int64) + len(clause_tokens)))
    if vocabulary:
        chosen = np.arange(len(vocabulary))
        kept = tuple(vocabulary)
    else:
        names = list(numbers)
        counts = np.bincount(all_tokens, minlength=len(names))
        chosen = np.argsort(-counts, kind="stable")[:size]
        chosen = chosen[counts[chosen] > 1]
        kept = tuple(names[i] for i in chosen)
    renumbered = np.full(len(numbers), -1)
    renumbered[chosen] = np.arange(len(chosen))
    fresh = renumbered[all_tokens]
    known = fresh >= 0
    before = np.concatenate(([0], np.cumsum(known)))
    first_extra = len(clause_ends) - 2  # segment of extra line 1 is ``first_extra + 1``

    def segment(places: array[int]) -> Rows:
        rows = np.array(places, np.int64)
        return np.where(rows > 0, rows + first_extra, 0)

    return Corpus(
        tokens=fresh[known].astype(np.int32),
        ends=before[ends].astype(np.int64),
        clauses=np.array(passages, np.int64),
        titles=segment(titles),
        headings=segment(headings),
        documents=np.array(documents, np.int64),
        ids=tuple(ids),
    ), kept


def _clauses(text: str) -> Iterator[str]:
    """Clauses of a text; very short ones stay with the next."""
    held = ""
    for part in _CLAUSE.findall(text):
        held += part
        if len(held) > _SHORT:
            yield held
            held = ""
    if held.strip():
        yield held


def whole(corpus: Corpus, size: int, rows: Rows | None = None) -> Bags:
    """Bags of entire passages: title, heading and text."""
    every = np.arange(len(corpus)) if rows is None else rows
    parts = []
    for start in range(0, len(every), 4096):
        some = every[start : start + 4096]
        found, owners = _passage_tokens(corpus, some)
        parts.append(_bags(found, owners, len(some), size))
    offset, starts = 0, [np.zeros(1, np.int64)]
    for part in parts:
        starts.append(part.starts[1:] + offset)
        offset += int(part.starts[-1])
    return Bags(
        np.concatenate([p.tokens for p in parts]),
        np.concatenate([p.weights for p in parts]),
        np.concatenate(starts),
    )


def _passage_tokens(corpus: Corpus, rows: Rows) -> tuple[Rows, Rows]:
    found, owners = [], []
    ends = corpus.ends
    for starts, stops in (
        (ends[corpus.clauses[rows]], ends[corpus.clauses[rows + 1]]),
        (ends[corpus.titles[rows]], ends[corpus.titles[rows] + 1]),
        (ends[corpus.headings[rows]], ends[corpus.headings[rows] + 1]),
    ):
        places, owner = _spread(starts, stops)
        found.append(corpus.tokens[places].astype(np.int64))
        owners.append(owner)
    return np.concatenate(found), np.concatenate(owners)


def question_bags(questions: Sequence[str], vocabulary: dict[str, int]) -> Bags:
    """Bags of questions as typed."""
    found, owners = array("q"), array("q")
    for place, question in enumerate(questions):
        known = [vocabulary[t] for t in question_tokens(question) if t in vocabulary]
        found.extend(known)
        owners.extend([place] * len(known))
    return _bags(np.array(found, np.int64), np.array(owners, np.int64), len(questions), max(len(vocabulary), 1))


# --- pairs without judgement ------------------------------------------------------------------------------------------

_HEADING, _TITLE = 0.12, 0.10  # shares of pairs heading ↔ text and title ↔ text
_DROP = 0.25  # of the tokens of the piece
_PARTING, _LEFT = 0.5, 0.3  # how often shared words leave the rest, and how many stay then
_LONGEST = 4  # clauses of a piece
_NAMED = 0.6  # how often title and heading stand with the rest
_SEEN = 0.6  # of the tokens of the rest: costs less, and teaches to do with less


def draw(corpus: Corpus, rows: Rows, size: int, rng: np.random.Generator) -> tuple[Bags, Bags, NDArray[np.bool_]]:
    """One pair for each passage in ``rows``: pieces, rests, and which pieces are titles or headings."""
    n, ends = len(rows), corpus.ends
    first, last = corpus.clauses[rows], corpus.clauses[rows + 1]
    title, heading = corpus.titles[rows], corpus.headings[rows]
    dice = rng.random(n)
    by_heading = (dice < _HEADING) & (heading > 0)
    by_title = ~by_heading & ((dice > 1.0 - _TITLE) | (last - first < 2)) & (title > 0)
    named = by_heading | by_title
    length = np.minimum(rng.integers(1, _LONGEST + 1, n), np.maximum(last - first - 1, 0))
    start = first + (rng.random(n) * (last - first - length + 1)).astype(np.int64)
    stop = start + length
    piece_start = np.where(by_heading, ends[heading], np.where(by_title, ends[title], ends[start]))
    piece_stop = np.where(by_heading, ends[heading + 1], np.where(by_title, ends[title + 1], ends[stop]))
    places, owners = _spread(piece_start, piece_stop)
    kept = rng.random(len(places)) >= _DROP
    piece, piece_owner = corpus.tokens[places[kept]].astype(np.int64), owners[kept]
    hole_start, hole_stop = np.where(named, first, start), np.where(named, first, stop)
    with_title = ~by_title & (rng.random(n) < _NAMED)
    with_heading = ~by_heading & (rng.random(n) < _NAMED)
    found, found_owner = [], []
    for begin, end in (
        (ends[first], ends[hole_start]),
        (ends[hole_stop], ends[last]),
        (ends[title], np.where(with_title, ends[title + 1], ends[title])),
        (ends[heading], np.where(with_heading, ends[heading + 1], ends[heading])),
    ):
        places, owner = _spread(begin, end)
        found.append(corpus.tokens[places].astype(np.int64))
        found_owner.append(owner)
    rest, rest_owner = np.concatenate(found), np.concatenate(found_owner)
    pieces = _bags(piece, piece_owner, n, size)
    rests = _bags(rest, rest_owner, n, size)
    owners = np.repeat(np.arange(n), np.diff(rests.starts))
    shared = np.isin(
        owners * size + rests.tokens, np.repeat(np.arange(n), np.diff(pieces.starts)) * size + pieces.tokens
    )
    gone = shared & (rng.random(n) < _PARTING)[owners] & (rng.random(len(owners)) >= _LEFT)
    gone |= rng.random(len(owners)) >= _SEEN
    rests = Bags(rests.tokens[~gone], rests.weights[~gone], _starts(owners[~gone], n))
    return pieces, rests, named


# --- learning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """训练中的模型: the vectors in full precision; weights are logarithms."""

    vocabulary: tuple[str, ...]
    table: Floats  # (V, d)
    asked: Floats  # (V,)
    told: Floats  # (V,)
    heat: float  # logarithm of the inverse temperature


def begin(corpus: Corpus, vocabulary: tuple[str, ...], recipe: Recipe) -> Draft:
    """Random vectors; weights start from the inverse document frequency, single characters lower."""
    rng = np.random.default_rng(recipe.seed)
    size = len(vocabulary)
    held = np.bincount(whole(corpus, size).tokens, minlength=size)
    idf = np.log(1.0 + (len(corpus) + 1.0) / (held + 1.0))
    idf *= np.array([0.3 if len(t) == 1 else 1.0 for t in vocabulary])
    weights = np.log(idf / idf.mean()).astype(np.float32)
    table = rng.normal(0.0, recipe.dimensions**-0.5, (size, recipe.dimensions)).astype(np.float32)
    return Draft(vocabulary, table, weights, weights.copy(), float(np.log(20.0)))


class _Net:
    """The parameters in PyTorch, and the encoding of bags."""

    def __init__(self, draft: Draft) -> None:
        import torch

        self.torch = torch
        self.table, self.asked, self.told = (
            torch.tensor(a, requires_grad=True) for a in (draft.table, draft.asked, draft.told)
        )
        self.heat = torch.tensor(draft.heat, requires_grad=True)
        self.parameters = [self.table, self.asked, self.told, self.heat]

    def encode(self, bags: Bags, weights: Any) -> Any:
        torch = self.torch
        found = torch.from_numpy(bags.tokens)
        summed = torch.nn.functional.embedding_bag(
            found,
            self.table,
            torch.from_numpy(bags.starts[:-1]),
            mode="sum",
            per_sample_weights=torch.exp(weights[found]) * torch.from_numpy(bags.weights),
        )
        return torch.nn.functional.normalize(summed, dim=1, eps=1e-6)

    def drift(self, former: Any, *used: Bags) -> Any:
        """Mean square by which the vectors of these bags have left ``former``, times the dimensions."""
        torch = self.torch
        rows = torch.from_numpy(np.unique(np.concatenate([b.tokens for b in used])))
        return (self.table[rows] - former[rows]).square().sum(dim=1).mean()

    def optimiser(self, rate: float) -> Any:
        return self.torch.optim.Adam(self.parameters, lr=rate, fused=True)

    def draft(self, vocabulary: tuple[str, ...]) -> Draft:
        table, asked, told = (p.detach().numpy().copy() for p in (self.table, self.asked, self.told))
        return Draft(vocabulary, table, asked, told, float(self.heat.detach()))


def _rate(step: int, steps: int, warm: float = 0.03) -> float:
    """Share of the full rate: up in the first steps, then down in a line to 5 %."""
    done = step / max(steps, 1)
    return min((done + 1.0 / max(steps, 1)) / warm, 1.0, 1.0 - 0.95 * done)


def _prepare_torch(recipe: Recipe) -> Any:
    import torch

    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    return torch


def pretrain(corpus: Corpus, draft: Draft, recipe: Recipe, report: Report, anchor: float = 0.0) -> Draft:
    """Learn from passages alone; ``anchor`` holds the vectors near where they were."""
    torch = _prepare_torch(recipe)
    net, rng, size = _Net(draft), np.random.default_rng(recipe.seed), len(draft.vocabulary)
    optimiser = net.optimiser(recipe.rate)
    former = net.table.detach().clone() if anchor else None
    usable = np.flatnonzero((np.diff(corpus.clauses) > 1) | (corpus.titles > 0))
    batch = min(recipe.batch, len(usable))
    steps = recipe.epochs * (len(usable) // batch)
    step = 0
    for _ in range(recipe.epochs):
        order = _shuffled(usable, rng)
        for start in range(0, len(usable) // batch * batch, batch):
            rows = order[start : start + batch]
            pieces, rests, named = draw(corpus, rows, size, rng)
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * _rate(step, steps)
            asked, told = net.encode(pieces, net.asked), net.encode(rests, net.told)
            scores = asked @ told.T * net.heat.exp().clamp(max=100.0)
            documents = corpus.documents[rows]
            # Passages of one document share its title and often a heading: they are no counter-examples there.
            same = (documents[:, None] == documents[None, :]) & named[:, None]
            np.fill_diagonal(same, False)
            scores = scores.masked_fill(torch.from_numpy(same), -1e4)
            target = torch.arange(len(rows))
            cross = torch.nn.functional.cross_entropy
            loss = (cross(scores, target) + cross(scores.T, target)) / 2
            total = loss if former is None else loss + anchor * net.drift(former, pieces, rests)
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
            step += 1
            report("pre-training", step, steps, float(loss.detach()))
    return net.draft(draft.vocabulary)


_NEIGHBOURS = 4


def _shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """A random order in which a few neighbours stay together: passages of one law are hard to tell apart."""
    blocks = np.arange(0, len(rows), _NEIGHBOURS)
    starts = rng.permutation(blocks)
    places, _ = _spread(starts, np.minimum(starts + _NEIGHBOURS, len(rows)))
    return rows[places]


def tune(
    draft: Draft,
    passages: Bags,
    questions: Sequence[str],
    answers: Sequence[Sequence[int]],
    rivals: Sequence[Sequence[int]],
    recipe: Recipe,
    report: Report,
) -> Draft:
    """Learn from judged questions.

    ``answers`` are the rows of ``passages`` that answer each question, ``rivals`` rows that share its words and are not
    among the answers. Words of the questions that the vocabulary lacks are added to it.
    """
    torch = _prepare_torch(recipe)
    draft = _enlarged(draft, Counter(t for q in questions for t in set(question_tokens(q))), recipe.vocabulary)
    vocabulary = {t: n for n, t in enumerate(draft.vocabulary)}
    asked_bags = question_bags(questions, vocabulary)
    net, rng = _Net(draft), np.random.default_rng(recipe.seed)
    former = net.table.detach().clone()
    optimiser = net.optimiser(recipe.tuning_rate)
    pairs = np.array([(q, a) for q, found in enumerate(answers) for a in found], np.int64)
    batch = min(recipe.tuning_batch, len(pairs))
    steps = recipe.tuning_epochs * -(-len(pairs) // batch)
    known = [frozenset(a) for a in answers]
    step = 0
    for _ in range(recipe.tuning_epochs):
        order = rng.permutation(len(pairs))
        for start in range(0, len(pairs), batch):
            chosen = pairs[order[start : start + batch]]
            rows = [int(a) for _, a in chosen]
            for question, _ in chosen:
                others = rivals[question]
                if others:
                    rows += rng.choice(others, min(recipe.negatives, len(others)), replace=False).tolist()
            place = {row: n for n, row in enumerate(dict.fromkeys(rows))}
            for group in optimiser.param_groups:
                group["lr"] = recipe.tuning_rate * _rate(step, steps, 0.1)
            piece_bags = _thinned(asked_bags.pick(chosen[:, 0]), recipe.thinning, rng)
            asked = net.encode(piece_bags, net.asked)
            told_bags = _thinned(passages.pick(np.array(list(place), np.int64)), recipe.thinning, rng)
            told = net.encode(told_bags, net.told)
            scores = asked @ told.T * net.heat.exp().clamp(max=100.0)
            also = np.zeros(scores.shape, dtype=bool)
            for n, (question, answer) in enumerate(chosen):
                also[n, [place[a] for a in known[question] if a in place and a != answer]] = True
            scores = scores.masked_fill(torch.from_numpy(also), -1e4)
            target = torch.tensor([place[int(a)] for _, a in chosen])
            loss = torch.nn.functional.cross_entropy(scores, target)
            total = loss + recipe.anchor * net.drift(former, piece_bags, told_bags)
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
            step += 1
            report("fine-tuning", step, steps, float(loss.detach()))
    return net.draft(draft.vocabulary)


def _enlarged(draft: Draft, counts: Counter[str], most: int) -> Draft:
    """With those of the counted tokens that the vocabulary lacks, the most frequent first, with vectors of nothing."""
    known = set(draft.vocabulary)
    strange = [t for t, _ in counts.most_common() if t not in known]
    fresh = tuple(strange[: max(most - len(known), 0)])
    if not fresh:
        return draft
    rng = np.random.default_rng(len(known))
    table = rng.normal(0.0, 1e-3, (len(fresh), draft.table.shape[1])).astype(np.float32)
    usual = np.full(len(fresh), float(np.median(draft.asked)), np.float32)
    return replace(
        draft,
        vocabulary=draft.vocabulary + fresh,
        table=np.concatenate((draft.table, table)),
        asked=np.concatenate((draft.asked, usual)),
        told=np.concatenate((draft.told, usual)),
    )


def encode(draft: Draft, bags: Bags, weights: Floats) -> Floats:
    """Unit vectors ``(texts, d)`` of bags, in full precision."""
    vectors = np.zeros((len(bags), draft.table.shape[1]), np.float32)
    factor = np.exp(weights)
    for n in range(len(bags)):
        held = slice(bags.starts[n], bags.starts[n + 1])
        found = bags.tokens[held]
        vectors[n] = (factor[found] * bags.weights[held]) @ draft.table[found]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    units: Floats = vectors / lengths
    return units


# --- to and from the form that serves ---------------------------------------------------------------------------------

_SAMPLE = 20_000


def finished(draft: Draft, corpus: Corpus) -> SemanticModel:
    """The model in 8 bits. ``corpus`` is numbered with the vocabulary that ``draft`` began with."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(corpus))[:_SAMPLE])
    centre = encode(draft, whole(corpus, len(draft.vocabulary), rows), draft.told).mean(axis=0)
    steps = np.maximum(np.abs(draft.table).max(axis=1), 1e-6)
    table = np.rint(draft.table / steps[:, None] * 127.0).astype(np.int8)
    return SemanticModel(
        vocabulary={t: n for n, t in enumerate(draft.vocabulary)},
        table=table,
        asked=_levelled(np.exp(draft.asked) * steps),
        told=_levelled(np.exp(draft.told) * steps),
        heat=draft.heat,
        centre=centre.astype(np.float32),
        digest="",
    )


def _levelled(weights: Floats) -> Floats:
    """Weights around 1. Their scale cancels out in unit vectors, but grows each time a model is gone on with."""
    return np.asarray(weights / max(float(weights.mean()), 1e-30), dtype=np.float32)


def reopened(model: SemanticModel) -> Draft:
    """A finished model, ready to learn on: rows of length 1, their length moved into the weights."""
    table = model.table.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(table, axis=1), 1.0).astype(np.float32)
    names = tuple(sorted(model.vocabulary, key=model.vocabulary.__getitem__))
    least = np.float32(1e-6)
    return Draft(
        vocabulary=names,
        table=table / lengths[:, None],
        asked=np.log(np.maximum(model.asked * lengths, least)),
        told=np.log(np.maximum(model.told * lengths, least)),
        heat=model.heat,
    )


# --- the whole way ----------------------------------------------------------------------------------------------------


def train(
    texts: Sequence[Text], judged: Sequence[Text], pairs: Sequence[Pair], recipe: Recipe, report: Report
) -> SemanticModel:
    """Vectors from texts alone, then tuned on pairs where there are any; ``judged`` are the texts they were chosen from."""
    corpus, vocabulary = number(_distinct(texts), recipe.vocabulary - recipe.reserve)
    draft = pretrain(corpus, begin(corpus, vocabulary, recipe), recipe, report)
    return finished(_tuned(draft, judged, pairs, recipe, report), corpus)


def train_on(
    model: SemanticModel, texts: Sequence[Text], pairs: Sequence[Pair], recipe: Recipe, report: Report
) -> SemanticModel:
    """Go on with a finished model on a library's own texts and judged pairs, held near where it was."""
    own, found = number(texts, recipe.vocabulary)
    counts = Counter(dict(zip(found, _frequencies(own, len(found)), strict=True)))
    draft = _enlarged(reopened(model), counts, len(model.vocabulary) + recipe.reserve)
    corpus, _ = number(texts, vocabulary=draft.vocabulary)
    draft = pretrain(corpus, draft, recipe, report, anchor=recipe.anchor)
    return finished(_tuned(draft, texts, pairs, recipe, report), corpus)


def tuned(
    model: SemanticModel, texts: Sequence[Text], pairs: Sequence[Pair], recipe: Recipe, report: Report
) -> SemanticModel:
    """A finished model tuned on pairs alone."""
    corpus, _ = number(texts, vocabulary=reopened(model).vocabulary)
    return finished(_tuned(reopened(model), texts, pairs, recipe, report), corpus)


class Source(Protocol):
    """A passage of any kind that can be learned from."""

    @property
    def id(self) -> str: ...
    @property
    def document(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def heading(self) -> str: ...
    @property
    def text(self) -> str: ...


def stage_over(entries: Sequence[Source], pairs: Sequence[tuple[str, str]]) -> SemanticIndex | None:
    """The shipped vectors over passages of a judged set, in a folder that vanishes with the stage; None without vectors.

    Tuned further on (question, passage id) pairs where there are any; that needs PyTorch.
    """
    model = open_model()
    if model is None:
        return None
    if pairs:
        texts = [Text(e.id, e.document, e.title, e.heading, e.text) for e in entries]
        model = tuned(model, texts, [Pair(q, p) for q, p in pairs], Recipe(), lambda *_: None)
        model = replace(model, digest="tuned")
    folder = Path(tempfile.mkdtemp(prefix="bianmin-semantic-"))
    stage = SemanticIndex(folder, model)
    weakref.finalize(stage, shutil.rmtree, folder, ignore_errors=True)
    stage.replace((e.id, e.document, "\n".join((e.title, *e.heading.split("/"), e.text))) for e in entries)
    stage.commit("evaluate")
    return stage


def _distinct(texts: Iterable[Text]) -> Iterator[Text]:
    seen: set[str] = set()
    for text in texts:
        if text.text not in seen:
            seen.add(text.text)
            yield text


def _tuned(draft: Draft, texts: Sequence[Text], pairs: Sequence[Pair], recipe: Recipe, report: Report) -> Draft:
    """Tuned on the pairs whose passage is among the texts."""
    rows = {t.id: n for n, t in enumerate(texts)}
    judged: dict[str, list[int]] = {}
    for pair in pairs:
        if pair.passage in rows:
            judged.setdefault(pair.question, []).append(rows[pair.passage])
    if not judged:
        return draft
    corpus, _ = number(texts, vocabulary=draft.vocabulary)
    place = {i: n for n, i in enumerate(corpus.ids)}
    answers = [[place[texts[r].id] for r in found if texts[r].id in place] for found in judged.values()]
    rivals = [
        [place[i] for i in found if i in place and place[i] not in set(answer)]
        for found, answer in zip(lexical_rivals(texts, list(judged), report), answers, strict=True)
    ]
    bags = whole(corpus, len(draft.vocabulary))
    return tune(draft, bags, list(judged), answers, rivals, recipe, report)


def lexical_rivals(texts: Sequence[Text], questions: Sequence[str], report: Report, depth: int = 60) -> list[list[str]]:
    """Ids of the passages that share most words with each question."""
    with tempfile.TemporaryDirectory() as folder:
        index = open_index("tantivy", Path(folder))
        try:
            index.replace(map(_indexed, texts))
            index.commit("1")
            found = []
            for n, question in enumerate(questions, 1):
                found.append([c.id for c in index.search(question, IndexFilter(), depth)])
                report("looking for rivals", n, len(questions), 0.0)
            return found
        finally:
            index.close()


def _indexed(text: Text) -> IndexedPassage:
    return IndexedPassage(
        id=text.id,
        document=text.document,
        body="\n".join((text.title, text.heading, text.text)),
        attribute="public",
        validity="",
        kind="",
        issuer="",
        topic="",
        audience="",
        year=0,
        number="",
    )


def _frequencies(corpus: Corpus, size: int) -> list[int]:
    counts: list[int] = np.bincount(corpus.tokens, minlength=size).tolist()
    return counts
