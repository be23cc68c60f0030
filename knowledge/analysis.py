"""Normal form and tokens: the same for documents, questions and every engine.

Everything that compares texts goes through :func:`normalise` first: full-width forms (NFKC), capitals, traditional
characters and Chinese numerals are folded, so that 「二十個工作日」 and 「20个工作日」 are the same text. Tokens are words
(rjieba) and character bigrams; both are cut from the normal form.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from pathlib import Path
from typing import Any

import rjieba

__all__ = [
    "MOST_CHARACTERS",
    "VERSION",
    "Terms",
    "bare_question",
    "bigrams",
    "normalise",
    "passage_tokens",
    "question_terms",
    "words",
]

VERSION = "1"
"""Changes with every change of the tokens: an index built by another version is built again."""

MOST_CHARACTERS = 2000
"""Characters of a question that are looked at."""

_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = re.compile(r"[〇零一二两三四五六七八九十百千]+")
# 「一次」 or 「一个」 is mostly no number, 「两次」 is; 「统一年度」 holds none.
_COUNTS_ONE = re.compile(r"年|月|日|天|个月|个工作日|个自然日|小时|周岁|岁|元|万|亿|条|款|项|倍|级|分之")
_COUNTS_MORE = re.compile(r"个|次|人|户|家|种|批|份|名|米|亩|吨|届|期|套|类")
_NO_NUMBER_AFTER = frozenset("统同唯单专之逐分")
# All that NFKC can change; normalising only these runs costs a fifth of normalising the text.
_FOREIGN = re.compile(r"[^\x00-\x7f\u4e00-\u9fff]+")
_HALF = re.compile("[\ud800-\udfff]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PERCENT = re.compile(r"百分之(\d+(?:\.\d+)?)")
_RUN = re.compile(r"[0-9a-z]+(?:\.[0-9]+)?%?|[㐀-鿿豈-﫿\U00020000-\U0003ffff]+")
_HAN = re.compile(r"[㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_USEFUL = re.compile(r"[0-9a-z㐀-鿿豈-﫿\U00020000-\U0003ffff]")

_FUNCTION_WORDS = """
的 了 和 与 及 或 是 在 对 为 以 于 由 从 向 把 被 将 并 也 都 就 而 且 其 之 所 等
这 那 该 此 本 各 个 有 我 你 您 他 她 它 我们 你们 他们 自己 吗 呢 吧 啊 呀 么 嘛 哦
一个 一些 以及 或者 并且 如果 因为 所以 但是 但 不过 可以 能 能够 会 要 应 应当 怎么 怎样
怎么样 如何 什么 哪些 哪个 哪 多少 为什么 是否 能否 请 请问 想 问 一下 知道 了解 咨询 需要
进行 关于 根据 按照 上 下 中 内 后 前 时 又 则 均 凡 即 至 到 给 让 使 比 很 更 最 不
没 没有 还 再 只 已 已经 得 地 着 过 第
"""
# They hit everywhere, tell nothing, and make the pure-Python engine slow.
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
_POLITE = re.compile(
    r"^(?:(?:您好|你好|喂|请问|请教|麻烦|劳驾)[,，。!\s]*|(?:我|本人)?(?:想|要)?(?:请问|问|咨询|了解|知道|打听)(?:一?下)?[,，:：\s]*)+"
)
_ENDING = re.compile(r"(?:[吗呢啊呀吧么嘛哦?!。,\s]|谢谢|多谢)+$")
_ASKING = re.compile(
    r"是什么意思|什么意思|怎么办理|怎么办|怎么样|怎么|怎样|如何|有哪些|哪些|是什么|为什么|什么|多少|能不能|可不可以|"
    r"有没有|是不是|要不要|是否|能否|可否|哪个|哪里|哪儿|请问"
)


@lru_cache(maxsize=1)
def _traditional() -> tuple[frozenset[str], Any]:
    """The characters that only traditional writing has (absent from GB 2312), and the converter."""
    import opencc

    table = Path(opencc.__file__).parent / "dictionary" / "TSCharacters.txt"
    only = []
    for line in table.read_text("utf-8").splitlines():
        character, _, simplified = line.partition("\t")
        if simplified.split(" ")[0] != character:
            only.append(character)
    return frozenset(c for c in only if not _simplified(c)), opencc.OpenCC("t2s")


def _simplified(text: str) -> bool:
    """Whether all characters are in GB 2312, which holds no purely traditional one."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _compatible(match: re.Match[str]) -> str:
    # Half a character (a lone surrogate) is nothing that could be looked up, and rjieba raises on it.
    return unicodedata.normalize("NFKC", _HALF.sub("", match[0]))


def _number(match: re.Match[str]) -> str:
    text, whole, start, end = match[0], match.string, match.start(), match.end()
    if len(text) == 1:
        before = whole[start - 1] if start else ""
        counts = before == "第" or (
            before not in _NO_NUMBER_AFTER
            and (_COUNTS_ONE.match(whole, end) or (text != "一" and _COUNTS_MORE.match(whole, end)))
        )
        return (str(_DIGITS[text]) if text in _DIGITS else "10") if counts and text not in "百千" else text
    if all(c in _DIGITS for c in text):
        return "".join(str(_DIGITS[c]) for c in text) if len(text) > 2 or whole[end : end + 1] == "年" else text
    return _structured(text)


def _structured(text: str) -> str:
    """「三百二十」 → 320; what is no well-formed number (「千百」, 「十四五」) stays as it is."""
    total, digit, unit = 0, -1, 10_000
    for position, c in enumerate(text):
        if c in _UNITS:
            if _UNITS[c] >= unit or (digit < 1 and (c != "十" or position)):
                return text
            unit = _UNITS[c]
            total, digit = total + max(digit, 1) * unit, -1
        elif digit > 0:
            return text
        else:
            digit = _DIGITS[c]
            unit = 10 if digit == 0 else unit
    if digit > 0:
        # 「三百二」 is 320; 「三百零二」 and 「三十二」 are not shortened.
        total += digit * (unit // 10 if unit > 10 and "零" not in text and "〇" not in text else 1)
    return str(total)


def normalise(text: str) -> str:
    """The form in which texts are compared: NFKC, lower case, simplified characters, Arabic numerals."""
    if text.isascii():
        return text.lower()
    return _normalise_once(text) if len(text) <= _SHORT else _normalise(text)


_SHORT = 300
"""Characters of a text that may be a question: each step of an answer asks for its normal form."""


@lru_cache(maxsize=512)
def _normalise_once(text: str) -> str:
    return _normalise(text)


def _normalise(text: str) -> str:
    text = _FOREIGN.sub(_compatible, text).lower()
    if not _simplified(text):
        traditional, converter = _traditional()
        if not traditional.isdisjoint(text):
            text = str(converter.convert(text))
    text = _NUMERAL.sub(_number, text)
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if "百分之" in text:
        text = _PERCENT.sub(r"\1%", text)
    return text


def words(text: str) -> list[str]:
    """Words of a normalised text in reading order, function words left out."""
    try:
        cut = rjieba.cut(text, True)
    except UnicodeEncodeError:  # not normalised after all
        cut = rjieba.cut(_HALF.sub("", text), True)
    return [w for w in cut if w not in STOP_WORDS and w[0].isalnum()]


def bigrams(text: str) -> list[str]:
    """Character bigrams of a normalised text in reading order; a number or Latin word counts as one character."""
    grams: list[str] = []
    end, last = -1, ""
    for match in _RUN.finditer(text):
        run = match[0]
        if _HAN.match(run):
            if match.start() == end:
                grams.append(last + run[0])
            elif len(run) == 1:
                grams.append(run)
            grams.extend(map(add, run, run[1:]))
            last = run[-1]
        else:
            if match.start() == end:
                grams.append(last + run)
            grams.append(run)
            last = run
        end = match.end()
    return grams


@lru_cache(maxsize=1)  # the engine and the semantic stage take in the same passage one after the other
def passage_tokens(text: str) -> tuple[str, list[str], list[str]]:
    """Normal form, words and bigrams of a passage. The lists are shared: they must not be changed."""
    normal = normalise(text)
    return normal, words(normal), bigrams(normal)


def bare_question(text: str) -> str:
    """A normalised question without courtesies and question words; the question itself if nothing else is left."""
    bare = _ASKING.sub(" ", _ENDING.sub("", _POLITE.sub("", text))).strip()
    return bare if _USEFUL.search(bare) else text


@dataclass(frozen=True, slots=True)
class Terms:
    """检索词: the distinct tokens of a question, in reading order."""

    words: tuple[str, ...]
    bigrams: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.words or self.bigrams)


@lru_cache(maxsize=256)  # both stages and the engine ask for the same question
def question_terms(text: str, most: int = 400) -> Terms:
    """Tokens of a question as typed; at most ``most`` of each kind (a 10,000-character mail is cut, not refused).

    A question of function words alone has none.
    """
    bare = bare_question(normalise(text[:MOST_CHARACTERS]))
    found = tuple(dict.fromkeys(words(bare)))[:most]
    if not found and STOP_WORDS.issuperset(c for c in bare if _USEFUL.match(c)):
        return Terms((), ())
    return Terms(found, tuple(dict.fromkeys(bigrams(bare)))[:most])
