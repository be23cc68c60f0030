"""问答: cutting questions with their answers out of FAQ pages and interpretations."""

from __future__ import annotations

import re
from collections.abc import Sequence

from knowledge.headings import Style, Token, match_token
from knowledge.lines import Line
from knowledge.passages import Draft, draft, joined, pieces, tables
from knowledge.units import Directory

_QUESTION = re.compile(
    r"^(?:[【\[]?\s*(?:问题?|提问|Q|q)\s*(\d{0,3}|[一二三四五六七八九十]{0,3})\s*[】\]]?\s*[：:、.．]\s*|【问】\s*|\[问\]\s*|问\s(?=\S))"
)
_ANSWER = re.compile(
    r"^(?:[【\[]?\s*(?:答|回答|解答|回复|答复|A|a)\s*\d{0,3}\s*[】\]]?\s*[：:、.．]|【答】|\[答\]|答\s(?=\S))"
)


def is_dialogue(lines: Sequence[Line]) -> bool:
    asked = sum(1 for line in lines if not line.is_row and _QUESTION.match(line.text))
    answered = sum(1 for line in lines if not line.is_row and _ANSWER.match(line.text))
    if asked >= 2 and answered >= 2:
        words = sum(len(line.text) for line in lines)
        return _dialogue_words(lines) * 2 >= words
    numbered = [line for line in lines if not line.is_row and match_token(line.text)]
    asking = [line for line in numbered if _asks(line.text)]
    if answered >= 2 and len(asking) >= 2:
        return True
    return len(asking) >= 3 and len(asking) * 10 >= len(numbered) * 6


def _dialogue_words(lines: Sequence[Line]) -> int:
    started, words = False, 0
    for line in lines:
        token = match_token(line.text)
        if _QUESTION.match(line.text) or _ANSWER.match(line.text):
            started = True
        elif token is not None and token.style <= Style.HAN:
            started = False
        words += len(line.text) if started else 0
    return words


def _asks(text: str) -> bool:
    end = re.search(r"[。；]", text)
    return text[: end.start() if end else len(text)].rstrip("”’」）)").endswith(("？", "?")) or "？" in text[:80]


def cut_dialogue(lines: Sequence[Line], directory: Directory, preface: str) -> list[Draft]:
    """One passage a question with its answer; section headings go into the path."""
    drafts: list[Draft] = []
    path: list[tuple[float, str]] = []
    section: list[Line] = []
    question = ""
    locator = preface
    count = 0
    asked = any(_QUESTION.match(line.text) for line in lines)

    def finish() -> None:
        nonlocal section
        if section:
            steps = tuple(text for _, text in path)
            for number, piece in enumerate(pieces(joined([line for line in section if not line.is_row]))):
                drafts.append(draft(locator, steps, piece, directory, question if number == 0 else ""))
            rows = [line for line in section if line.is_row]
            if rows:
                drafts.extend(tables(rows, locator, steps, directory))
        section = []

    for line in lines:
        token = None if line.is_row else match_token(line.text)
        rest = line.text[token.end :].lstrip() if token else line.text
        if not line.is_row and _opens_question(line, token, rest, asked):
            finish()
            count += 1
            question = _question_of(rest)
            locator = f"第{count}问"
            if token is not None:
                above = "" if token.style is Style.HAN else "".join(_label_of(text) for _, text in path)
                locator = above + token.label
            section = [line]
            continue
        heading = token is not None and len(line.text) <= 40 and line.text[-1] not in "。；：，"
        unanswered = bool(question) and len(section) == 1
        if token is not None and heading and token.style <= Style.HAN_BRACKET and not unanswered:
            finish()
            path = [step for step in path if step[0] < token.rank]
            path.append((token.rank, line.text))
            locator, question = _locator_of(path), ""
            continue
        if token is None and line.level and not asked and len(line.text) <= 30:
            finish()
            path = [(-5.0, line.text)]
            continue
        section.append(line)
    finish()
    return drafts


def _opens_question(line: Line, token: Token | None, rest: str, asked: bool) -> bool:
    """A line 问：…, or, where no line does, a numbered line or a heading that ends in a question mark."""
    if _ANSWER.match(rest):
        return False
    return bool(_QUESTION.match(rest)) or ((token is not None or (not asked and line.level > 0)) and _asks(rest))


def _question_of(text: str) -> str:
    """The question alone, without 「问：」 and without an answer on the same line."""
    opener = _QUESTION.match(text)
    question = text[opener.end() if opener else 0 :].split("答：")[0].strip()
    return question[: question.find("？") + 1] if "？" in question else question


def _label_of(heading: str) -> str:
    token = match_token(heading)
    return token.label if token else ""


def _locator_of(path: list[tuple[float, str]]) -> str:
    return "".join(_label_of(text) for _, text in path) or "正文"
