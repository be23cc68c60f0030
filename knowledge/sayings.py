"""说法训练: what the word lists teach the vectors, that 「养老钱」 stands near 「养老金」.

Judged questions are few. The lexicon and the list of matters say in thousands of lines what people call a thing and
what documents call it, so each line is a pair to learn from: a saying is asked, the official words answer. And a
clause of a law in which the official word has been replaced by a saying must still find its article.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from knowledge.matters import Matters, Saying
from knowledge.training import Pair, Text

MATTER_SAYINGS = 3  # of each matter
WORD_SAYINGS = 2  # of each official word
REPLACED = 2_500  # clauses in which official words are replaced
_OFTEN = 6  # clauses for one official word
_CLAUSE = re.compile(r"[。；\n]")
_PIECE = re.compile(r"[，、,（）《》“”：]")

T = TypeVar("T")


def taught(
    lexicon: Mapping[str, Sequence[str]], matters: Matters, texts: Sequence[Text], seed: int
) -> tuple[list[Text], list[Pair]]:
    """Texts to add and pairs to learn: matters, words, and clauses of ``texts`` put into everyday words.

    ``lexicon`` maps official words to what people say.
    """
    rng = random.Random(seed)
    added: list[Text] = []
    pairs: list[Pair] = []
    for kind in matters.classes:
        for number, matter in enumerate(kind.matters):
            text = Text(f"matter {kind.name} {number}", f"matters {kind.name}", kind.organs[0], "", matter.name)
            added.append(text)
            said = _some(matter.sayings, MATTER_SAYINGS, rng)
            pairs.extend(Pair(_form(saying, rng), text.id) for saying in said)
    for official, sayings in lexicon.items():
        text = Text(f"word {official}", "words", official, "", official)
        added.append(text)
        pairs.extend(Pair(saying, text.id) for saying in _some(sayings, WORD_SAYINGS, rng))
    return added, pairs + _replaced(lexicon, texts, rng)


def _some(found: Sequence[T], most: int, rng: random.Random) -> list[T]:
    return rng.sample(list(found), min(most, len(found)))


def _form(saying: Saying, rng: random.Random) -> str:
    """One way of saying it: people put the parts in any order."""
    words = [rng.choice(part) for part in saying.parts]
    if rng.random() < 0.3:
        rng.shuffle(words)
    return "".join(words)


def _replaced(lexicon: Mapping[str, Sequence[str]], texts: Iterable[Text], rng: random.Random) -> list[Pair]:
    """Clauses with everyday words in the place of official ones, each with the text that it comes from."""
    official = sorted((word for word, said in lexicon.items() if len(word) >= 3 and said), key=len, reverse=True)
    if not official:
        return []
    pattern = re.compile("|".join(map(re.escape, official)))
    pool = list(texts)
    rng.shuffle(pool)
    used: Counter[str] = Counter()
    pairs: list[Pair] = []
    for text in pool:
        if len(pairs) >= REPLACED:
            break
        for clause in _CLAUSE.split(text.text):
            found = pattern.findall(clause)
            if found and 10 <= len(clause) <= 70 and min(used[word] for word in found) < _OFTEN:
                used.update(found)
                said = pattern.sub(lambda match: rng.choice(lexicon[match[0]]), clause)
                pieces = [piece for piece in _PIECE.split(said) if piece]
                pairs.append(Pair("，".join([p for p in pieces if rng.random() < 0.7] or pieces), text.id))
                break
    return pairs
