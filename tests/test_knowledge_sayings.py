"""What the word lists teach the vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowledge import lexicon, matters
from knowledge.sayings import MATTER_SAYINGS, WORD_SAYINGS, taught
from knowledge.training import BadTrainingData, Text, read_written

LAW = Text("a1", "law", "养老保险条例第一条", "", "参保人达到法定退休年龄的，按月领取基本养老金。其他事项另行规定。")
WORDS = {"基本养老金": ("养老钱",), "法定退休年龄": ("退休岁数",), "公告": ("告示",)}


def test_every_matter_and_every_word_answers_its_sayings() -> None:
    added, pairs = taught(WORDS, matters.shipped(), [], seed=1)
    asked: dict[str, list[str]] = {}
    for pair in pairs:
        asked.setdefault(pair.passage, []).append(pair.question)
    assert set(asked) == {text.id for text in added}
    assert asked["word 公告"] == ["告示"]
    assert max(len(found) for found in asked.values()) <= max(MATTER_SAYINGS, WORD_SAYINGS)
    assert all(question.strip() for found in asked.values() for question in found)


def test_a_clause_in_everyday_words_must_find_its_article() -> None:
    _, pairs = taught(WORDS, matters.shipped(), [LAW], seed=1)
    (clause,) = [pair.question for pair in pairs if pair.passage == "a1"]
    assert "养老钱" in clause or "退休岁数" in clause
    assert "基本养老金" not in clause
    assert "法定退休年龄" not in clause


def test_the_same_seed_teaches_the_same() -> None:
    words = lexicon.shipped().entries
    first, again, other = (taught(words, matters.shipped(), [LAW], seed)[1] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_written_question_belongs_to_the_article_it_names_first(tmp_path: Path) -> None:
    file = tmp_path / "written.jsonl"
    lines = [
        {"text": "养老钱啥时候领", "articles": ["养老保险条例第一条", "养老保险条例第二条"]},
        {"text": "别的", "articles": ["没有的法第一条"]},
    ]
    file.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")
    (pair,) = read_written(file, [LAW])
    assert (pair.question, pair.passage) == ("养老钱啥时候领", "a1")


@pytest.mark.parametrize("line", ['{"text": "问"}', '{"text": "问", "articles": []}', '{"articles": ["甲"]}'])
def test_a_written_question_without_words_or_article_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "written.jsonl"
    file.write_text(line, "utf-8")
    with pytest.raises(BadTrainingData, match="wanted are text, articles"):
        read_written(file, [LAW])
