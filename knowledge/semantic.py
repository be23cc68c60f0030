"""语义检索: passages near in meaning, by static token vectors that were trained from law text (:mod:`knowledge.training`).

A text is the normalised weighted sum of its tokens' vectors; a token has one weight in questions and one in passages.
Serving needs numpy only. :class:`SemanticIndex` keeps the vectors of the library's passages in one file beside the
engine's index: 1 byte a dimension, and the signs of all dimensions packed into bits, by which a scan of the whole library
finds the few thousand passages that are worth an exact comparison.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from knowledge import analysis
from knowledge.errors import IndexUnavailable
from knowledge.index import Candidate, IndexedPassage

try:
    import fcntl
except ImportError:  # Windows: one writing process at a time has to be seen to by the operator
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]


def tokens(text: str) -> list[str]:
    """Tokens of a normalised text: words, character bigrams and single characters, with repetitions.

    A word of two characters is also a bigram; it then counts twice, which is how a word weighs more than a window.
    """
    return [*analysis.words(text), *analysis.bigrams(text), *_IDEOGRAPH.findall(text)]


_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")


def question_tokens(question: str) -> list[str]:
    """Tokens of a question as typed, courtesies and question words left out."""
    return tokens(analysis.bare_question(analysis.normalise(question[:MOST_CHARACTERS])))


MOST_CHARACTERS = 4000
"""Characters of a text that are looked at."""


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class SemanticModel:
    """语义模型: token vectors with weights. ``V`` tokens, ``d`` dimensions (a multiple of 64)."""

    vocabulary: dict[str, int]
    table: Bytes  # (V, d); each token's scale is part of its weights
    asked: Floats  # (V,) weight of a token in a question
    told: Floats  # (V,) weight of a token in a passage
    heat: float  # logarithm of the inverse temperature: where further training goes on from
    centre: Floats  # (d,) mean of passage vectors: on which side of it a component lies is its sign
    digest: str  # tells models apart: vectors of different models cannot be compared

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.table.shape[1])

    def question(self, text: str) -> Floats:
        """Unit vector ``(d,)`` of a question; zeros if no token is known."""
        return self._encode(question_tokens(text), self.asked)

    def passage(self, text: str) -> Bytes:
        """Vector ``(d,)`` of a passage, 127 to the unit; zeros if no token is known."""
        if len(text) <= MOST_CHARACTERS:
            normal, words, bigrams = analysis.passage_tokens(text)
            found = [*words, *bigrams, *_IDEOGRAPH.findall(normal)]
        else:
            found = tokens(analysis.normalise(text[:MOST_CHARACTERS]))
        vector = self._encode(found, self.told)
        # The largest component of a unit vector of some hundred dimensions is far below 1: use the range.
        packed: Bytes = np.clip(np.rint(vector * SCALE), -127, 127).astype(np.int8)
        return packed

    def _encode(self, found: list[str], weight: Floats) -> Floats:
        counts = Counter(map(self.vocabulary.get, found))
        del counts[None]
        rows = np.fromiter(counts, dtype=np.int64, count=len(counts))
        times = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        share = weight[rows] * np.sqrt(times)
        vector: Floats = np.zeros(self.dimensions, np.float32)
        for start in range(0, len(rows), _ROWS):
            some = slice(start, start + _ROWS)
            # Not ``@``: BLAS wakes its threads for it and waits for them, which on a busy machine takes 50 times as long.
            vector += np.einsum("n,nd->d", share[some], self.table[rows[some]].astype(np.float32))
        length = math.sqrt(float(np.einsum("d,d->", vector, vector)))
        return vector / np.float32(length) if length > 0.0 else vector


_ROWS = 96
"""Token vectors that are summed at once: what they fill stays below the size from which memory is asked anew each time."""

SCALE = 400.0
"""int8 steps to the unit in passage vectors (components beyond ±0.3175 are clipped; they hardly occur)."""


def save_model(model: SemanticModel, path: Path) -> None:
    """Write a model as ``.npz`` without pickles, replacing a former one at once."""
    partial = path.with_name(path.name + ".part")
    names = "\n".join(sorted(model.vocabulary, key=model.vocabulary.__getitem__)).encode("utf-8")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            vocabulary=np.frombuffer(names, dtype=np.uint8),
            table=model.table,
            asked=model.asked.astype(np.float16),
            told=model.told.astype(np.float16),
            centre=model.centre,
            heat=np.float32(model.heat),
        )
    partial.replace(path)


def load_model(path: Path) -> SemanticModel:
    """Read a model. Raises ``IndexUnavailable`` when the file is no model."""
    packed = path.read_bytes()
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            names = held["vocabulary"].tobytes().decode("utf-8").split("\n")
            table, asked, told = held["table"], held["asked"], held["told"]
            centre, heat = held["centre"], float(held["heat"])
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile) as error:
        raise IndexUnavailable(
            f"{path} is no semantic model ({error}); delete it, or make it again with: bianmin train"
        ) from error
    shapes = table.ndim == 2 and table.shape[1] % 64 == 0 and table.dtype == np.int8
    if not shapes or not len(names) == len(table) == len(asked) == len(told) or centre.shape != table.shape[1:]:
        raise IndexUnavailable(f"{path} holds tables that do not fit together; make it again with: bianmin train")
    digest = hashlib.sha256(packed).hexdigest()[:16]
    vocabulary = {name: row for row, name in enumerate(names)}
    asked, told, centre = (a.astype(np.float32) for a in (asked, told, centre))
    return SemanticModel(vocabulary, table, asked, told, heat, centre, digest)


OWN_MODEL = "semantic.npz"
"""File in the data folder that ``bianmin train --library`` writes and that takes the place of the shipped model."""


def open_model(folder: Path | None = None) -> SemanticModel | None:
    """The library's own model in ``folder``, else the shipped one, else None: then search rests on words alone."""
    own = folder / OWN_MODEL if folder is not None else None
    if own is not None and own.exists():
        return load_model(own)
    return _shipped_model()


@lru_cache(maxsize=1)
def _shipped_model() -> SemanticModel | None:
    with resources.as_file(resources.files("knowledge").joinpath("weights/semantic.npz")) as path:
        if path.exists():
            return load_model(path)
    log.warning(
        "no semantic model: weights/semantic.npz is missing; search goes on by words; see: bianmin train --help"
    )
    return None


# --- the library's vectors --------------------------------------------------------------------------------------------

_MAGIC = b"bianmin semantic 1\n"
_FILE = "passages.vectors"
_EXACT = 4096
"""Up to so many passages all are compared exactly."""
_BLOCK = 32_768
"""Passages whose signs are compared at once."""
_PROMISING = 3000
"""So many passages, by the signs of their components, are compared exactly in a larger library."""


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """One state of the file, complete and unchangeable; ``n`` passages."""

    key: tuple[int, int, int]  # inode, modification, size: tells states apart
    stamp: str
    vectors: Bytes  # (n, d)
    signs: NDArray[np.uint64]  # (d / 64, n)
    ids: list[str]
    documents: list[str]
    rows: dict[str, int]
    plain: Floats | None  # (n, d) the vectors as unit vectors, kept for a small library
    lengths: Floats  # (n,) of the vectors
    every: NDArray[np.int64]  # (n,) all rows


class SemanticIndex:
    """语义索引: the vectors of a library's passages in one file; a :class:`knowledge.search.SemanticStage`.

    Any number of processes read while one writes: a commit writes a new file and puts it in the place of the former
    one, readers look at the file's date before each question. A missing or damaged file, or one of another model, counts
    as empty with an empty stamp; whoever keeps the library fills it again.
    """

    def __init__(self, folder: Path, model: SemanticModel) -> None:
        self._path = folder / _FILE
        self._model = model
        self._lock = threading.Lock()
        self._staged: dict[str, list[tuple[str, bytes]]] = {}
        self._cleared = False
        self._held = self._nothing()
        self._question = lru_cache(maxsize=256)(model.question)
        self._compared: tuple[_Held, str, Floats] | None = None  # the last question compared with every passage

    # --- writing

    def replace(self, passages: Iterable[tuple[str, str, str]]) -> None:
        """Stage passages as (id, document, body): every document that occurs loses its former passages."""
        fresh: dict[str, list[tuple[str, bytes]]] = {}
        for identity, document, body in passages:
            fresh.setdefault(document, []).append((identity, self._model.passage(body).tobytes()))
        self._staged.update(fresh)

    def along(self, passages: Iterable[IndexedPassage]) -> Iterator[IndexedPassage]:
        """Stage the passages, as :meth:`replace` does, while an engine takes them in: each is cut into tokens once.

        Nothing is staged before the last one was taken.
        """
        fresh: dict[str, list[tuple[str, bytes]]] = {}
        for passage in passages:
            yield passage
            fresh.setdefault(passage.document, []).append((passage.id, self._model.passage(passage.body).tobytes()))
        self._staged.update(fresh)

    def remove(self, documents: Sequence[str]) -> None:
        """Stage the removal of every passage of these documents."""
        self._staged.update((d, []) for d in documents)

    def clear(self) -> None:
        """Stage the removal of everything."""
        self._staged.clear()
        self._cleared = True

    def commit(self, stamp: str) -> None:
        """Make all staged changes visible at once, in every process. Raises ``IndexUnavailable`` when it cannot write."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._write(self._nothing() if self._cleared else self._current(), stamp)
        except OSError as error:
            raise IndexUnavailable(
                f"the semantic vectors cannot be written to {self._path.parent} ({error.strerror or error}); "
                "free space or mend permissions, then: bianmin check --repair"
            ) from error
        self._staged.clear()
        self._cleared = False

    def _write(self, held: _Held, stamp: str) -> None:
        changed = self._staged.keys()
        kept = np.array([d not in changed for d in held.documents], dtype=bool)
        fresh = [(i, d, v) for d, found in self._staged.items() for i, v in found]
        width = self._model.dimensions
        vectors = np.concatenate(
            (held.vectors[kept], np.frombuffer(b"".join([v for _, _, v in fresh]), np.int8).reshape(len(fresh), width))
        )
        added = signs(vectors[len(vectors) - len(fresh) :], self._model.centre)
        lines = [f"{i}\t{d}" for i, d, keep in zip(held.ids, held.documents, kept.tolist(), strict=True) if keep]
        lines += [f"{i}\t{d}" for i, d, _ in fresh]
        names = "\n".join(lines).encode("utf-8")
        header = json.dumps(
            {
                "stamp": stamp,
                "model": self._model.digest,
                "dimensions": width,
                "passages": len(vectors),
                "names": len(names),
            }
        ).encode("utf-8")
        head = _MAGIC + header + b"\n"
        head += b"\n" * (-len(head) % 64)
        partial = self._path.with_name(f"{_FILE}.part")
        with partial.open("wb") as file:
            file.write(head)
            file.write(np.ascontiguousarray(np.concatenate((held.signs[:, kept], added), axis=1)).tobytes())
            file.write(vectors.tobytes())
            file.write(names)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writing process at a time; the kernel frees the lock of a process that dies."""
        with self._path.with_name(f"{_FILE}.lock").open("a") as lock:
            if fcntl is not None:
                until = time.monotonic() + 30.0
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > until:
                            raise IndexUnavailable(
                                "another process has been writing the semantic vectors for 30 s; try again later"
                            ) from None
                        time.sleep(0.01)
            yield

    # --- reading

    def stamp(self) -> str:
        """The stamp of the last commit; empty for a missing or damaged file, or one of another model."""
        return self._current().stamp

    def count(self) -> int:
        """How many passages have a vector."""
        return len(self._current().ids)

    def nearest(self, text: str, limit: int, allowed: Callable[[str], bool] | None = None) -> list[Candidate]:
        """Passages nearest in meaning to a question as typed, best first; ``allowed`` is asked of every passage."""
        held, asked = self._current(), self._question(text)
        if limit < 1 or not held.ids or not asked.any():
            return []
        if allowed is not None:
            rows = np.array([n for n, i in enumerate(held.ids) if allowed(i)], dtype=np.int64)
            scores = cosines(held.vectors[rows], asked)
        elif held.plain is not None:
            rows = held.every
            scores = _scores(held.plain, asked)
            self._compared = (held, text, scores)
        else:
            rows = self._promising(held, asked, max(_PROMISING, 4 * limit))
            scores = _scores(held.vectors.take(rows, axis=0).astype(np.float32), asked) / held.lengths[rows]
        best = np.argpartition(-scores, limit - 1)[:limit] if limit < len(rows) else held.every[: len(rows)]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [Candidate(held.ids[r], s) for r, s in zip(rows[best].tolist(), scores[best].tolist(), strict=True)]

    def similarity(self, text: str, ids: Sequence[str]) -> list[float]:
        """Cosine (-1..1) of a question as typed with each of these passages; 0 for one without a vector."""
        held, asked = self._current(), self._question(text)
        rows = np.array([held.rows.get(i, -1) for i in ids], dtype=np.int64)
        if not held.ids:
            return [0.0] * len(ids)
        compared = self._compared
        if compared is not None and compared[0] is held and compared[1] == text:
            found = compared[2][rows]
        elif held.plain is not None:
            found = _scores(held.plain[rows], asked)
        else:
            found = _scores(held.vectors[rows].astype(np.float32), asked) / held.lengths[rows]
        found[rows < 0] = 0.0
        similar: list[float] = found.tolist()
        return similar

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._held = self._nothing()

    def _promising(self, held: _Held, asked: Floats, least: int) -> NDArray[np.int64]:
        """Rows whose signs agree best with the question's, ``least`` of them and those that agree as well."""
        wanted = _packed((asked > self._model.centre)[None, :])[0]
        differing: NDArray[Any]
        # In a byte, 256 signs that all differ count as none: one hopeless passage more is compared, no other one less.
        differing = np.zeros(len(held.ids), dtype=np.uint8 if len(asked) <= 256 else np.uint16)
        # In blocks that stay in the processor's cache, into the same memory.
        apart, count = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint8)
        for begin in range(0, len(differing), _BLOCK):
            block = differing[begin : begin + _BLOCK]
            size = len(block)
            for column, bits in zip(held.signs, wanted, strict=True):
                np.bitwise_xor(column[begin : begin + _BLOCK], bits, out=apart[:size])
                block += np.bitwise_count(apart[:size], out=count[:size])
        # The least distance within which ``least`` passages lie, by halving: a tally of all of them costs more.
        low, high = 0, len(asked)
        while low < high:
            middle = (low + high) // 2
            if np.count_nonzero(differing <= middle) >= min(least, len(differing)):
                high = middle
            else:
                low = middle + 1
        return np.flatnonzero(differing <= low)

    def _current(self) -> _Held:
        """The newest state of the file; one ``stat`` when nothing has changed."""
        try:
            state = self._path.stat()
            key = (state.st_ino, state.st_mtime_ns, state.st_size)
        except FileNotFoundError:
            key = (0, 0, 0)
        held = self._held
        if held.key == key:
            return held
        with self._lock:
            if self._held.key != key:
                self._held = self._read(key)
            return self._held

    def _read(self, key: tuple[int, int, int]) -> _Held:
        if key == (0, 0, 0):
            return self._nothing()
        try:
            return self._parse(key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning(
                "%s is damaged or of another form (%s); search goes on by words until it is filled again: "
                "bianmin check --repair",
                self._path,
                error,
            )
        return self._nothing(key)

    def _parse(self, key: tuple[int, int, int]) -> _Held:
        with self._path.open("rb") as file:
            if file.readline() != _MAGIC:
                raise ValueError("no semantic vectors")
            line = file.readline()
            header: dict[str, Any] = json.loads(line)
            begin = len(_MAGIC) + len(line)
            begin += -begin % 64
            n, width = int(header["passages"]), int(header["dimensions"])
            if os.fstat(file.fileno()).st_size != begin + n * width // 8 + n * width + int(header["names"]):
                raise ValueError("incomplete")
            if header["model"] != self._model.digest:
                log.warning(
                    "%s was made by another model; search goes on by words until it is filled again: "
                    "bianmin check --repair",
                    self._path,
                )
                return self._nothing(key)
            if n == 0:
                return self._nothing(key, str(header["stamp"]))
            packed = np.memmap(file, np.uint64, "r", begin, (width // 64, n))
            vectors = np.memmap(file, np.int8, "r", begin + n * width // 8, (n, width))
            file.seek(begin + n * width // 8 + n * width)
            lines = file.read().decode("utf-8").split("\n")
        ids = [i.partition("\t")[0] for i in lines]
        documents = [i.partition("\t")[2] for i in lines]
        # As plain arrays: slicing a memmap object costs more than the arithmetic.
        return _Held(
            key,
            str(header["stamp"]),
            np.asarray(vectors),
            np.asarray(packed),
            ids,
            documents,
            {i: n for n, i in enumerate(ids)},
            _units(vectors) if n <= _EXACT else None,
            np.concatenate([_lengths(vectors[b : b + _EXACT].astype(np.float32)) for b in range(0, n, _EXACT)]),
            np.arange(n),
        )

    def _empty(self) -> tuple[Bytes, NDArray[np.uint64]]:
        width = self._model.dimensions
        return np.zeros((0, width), np.int8), np.zeros((width // 64, 0), np.uint64)

    def _nothing(self, key: tuple[int, int, int] = (0, 0, 0), stamp: str = "") -> _Held:
        return _Held(key, stamp, *self._empty(), [], [], {}, None, np.zeros(0, np.float32), np.arange(0))


def cosines(vectors: Bytes, asked: Floats) -> Floats:
    """Cosine of a unit vector ``(d,)`` with each of ``vectors`` ``(n, d)``; 0 for vectors of nothing."""
    return _scores(_units(vectors), asked)


def _units(vectors: Bytes) -> Floats:
    plain = vectors.astype(np.float32)
    plain /= _lengths(plain)[:, None]
    return plain


def _lengths(plain: Floats) -> Floats:
    """Lengths ``(n,)``, never 0."""
    lengths: Floats = np.maximum(np.sqrt(np.einsum("nd,nd->n", plain, plain)), 1.0)
    return lengths


def _scores(units: Floats, asked: Floats) -> Floats:
    scores: Floats = np.einsum("nd,d->n", units, asked)
    return scores


def signs(vectors: Bytes, centre: Floats) -> NDArray[np.uint64]:
    """On which side of ``centre`` each component lies, as bits: shape ``(d / 64, n)``."""
    return np.ascontiguousarray(_packed(vectors > centre * SCALE).T)


def _packed(sides: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return np.packbits(sides, axis=1).view(np.uint64)
