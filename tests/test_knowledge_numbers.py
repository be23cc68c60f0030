"""发文字号 and Chinese dates are found in every way they are written."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.dates import find_dates, numeral, only_date, parse_date, years_later
from knowledge.numbers import canonical, find_numbers, only_number


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("青政办发〔2024〕8号", "青政办发〔2024〕8号"),
        ("青政办发〔2024〕 8 号", "青政办发〔2024〕8号"),
        ("青政办发 〔2024〕8号", "青政办发〔2024〕8号"),
        ("青政办发[2024]8号", "青政办发〔2024〕8号"),
        ("青政办发［2024］８号", "青政办发〔2024〕8号"),
        ("青政办发（2024）8号", "青政办发〔2024〕8号"),
        ("青政办发(2024)第8号", "青政办发〔2024〕8号"),
        ("青政办发【2024】08号", "青政办发〔2024〕8号"),
        ("青政办发〔二〇二四〕8号", "青政办发〔2024〕8号"),
        ("青政办发〔二○二四〕十二号", "青政办发〔2024〕12号"),
        ("青政办发\n〔2024〕8号", "青政办发〔2024〕8号"),
        ("青政办发〔2024〕\n8号", "青政办发〔2024〕8号"),
        ("青 政 办 发〔 2024 〕 1 4 号", "青政办发〔2024〕14号"),
        ("国办公开办函〔2021〕30号", "国办公开办函〔2021〕30号"),
        ("国办发明电〔2016〕17号", "国办发明电〔2016〕17号"),
        ("法释〔2025〕8号", "法释〔2025〕8号"),
        ("国令第711号", "国务院令第711号"),
        ("国务院令第711号", "国务院令第711号"),
        ("国务院令（第711号）", "国务院令第711号"),
        ("中华人民共和国国务院令 第 711 号", "国务院令第711号"),
        ("中华人民共和国国务院令\n第711号", "国务院令第711号"),
        ("主席令第三十号", "主席令第30号"),
        ("青禾县人民政府令第5号", "青禾县人民政府令第5号"),
        ("财政部公告2023年第12号", "财政部公告2023年第12号"),
    ],
)
def test_every_way_of_writing_a_number_has_one_canonical_form(printed: str, expected: str) -> None:
    assert [match.canonical for match in find_numbers(printed)] == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("青禾县政务公开领导小组文件青政公领发〔2024〕6号", ["青政公领发〔2024〕6号"]),
        ("青禾县人民政府办公室文件\n青政办发〔2024〕8号", ["青政办发〔2024〕8号"]),
        ("青禾县人民政府办公室青政办发〔2024〕8号", ["青政办发〔2024〕8号"]),
        ("根据国办发〔2020〕17号和青政办发〔2024〕8号要求", ["国办发〔2020〕17号", "青政办发〔2024〕8号"]),
        ("依据国务院令第711号", ["国务院令第711号"]),
        ("经国务院令第711号修订", ["国务院令第711号"]),
        ("主席令第三号国务院令第五号", ["主席令第3号", "国务院令第5号"]),
        ("《关于甲的通知》（国办秘函〔2019〕19号）", ["国办秘函〔2019〕19号"]),
        ("要点（甘政\n\n办发〔2020〕83号）、", ["甘政办发〔2020〕83号"]),
        ("和政办发〔2020〕3号", ["和政办发〔2020〕3号"]),  # 和政县, not a conjunction
    ],
)
def test_the_words_before_a_number_are_not_part_of_it(text: str, expected: list[str]) -> None:
    assert [match.canonical for match in find_numbers(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "2024年8号", "〔2024〕8号", "第8号", "青政办发〔1024〕8号", "令第5号", "（2024）"]
)
def test_what_is_no_number_is_not_taken_for_one(text: str) -> None:
    assert find_numbers(text) == ()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("请问青政办发2024 8号文", "青政办发〔2024〕8号"),
        ("国办发〔2020〕17", "国办发〔2020〕17号"),
        ("青政办发（2024）8", "青政办发〔2024〕8号"),
        ("2024年8月的通知", ""),
        ("县政府印发2024年8月工资表", ""),
    ],
)
def test_what_citizens_type_is_understood(typed: str, expected: str) -> None:
    assert canonical(typed) == expected


def test_offsets_give_back_the_printed_words() -> None:
    text = "现转发《甲》（青政办发 〔2024〕 8 号），参照国办发[2020]17号执行。"
    assert [text[m.start : m.end] for m in find_numbers(text)] == ["青政办发 〔2024〕 8 号", "国办发[2020]17号"]
    assert all(text[m.start : m.end] == m.text for m in find_numbers(text))


def test_a_line_of_its_own_is_told_from_a_mention() -> None:
    alone = only_number("青政办发〔2024〕8 号        签发人：李四")
    assert alone is not None and alone.canonical == "青政办发〔2024〕8号"
    assert only_number("（青政办发〔2024〕8号）") is not None
    assert only_number("现将青政办发〔2024〕8号转发给你们") is None


@given(st.text(max_size=200))
def test_any_text_gives_ordered_matches_without_overlap(text: str) -> None:
    matches = find_numbers(text, lenient=True)
    assert all(text[m.start : m.end] == m.text for m in matches)
    assert all(first.end <= second.start for first, second in pairwise(matches))


@pytest.mark.parametrize(
    "printed",
    [
        "2020-11-10",
        "2020/11/10",
        "2020.11.10",
        "2020年11月10日",
        "2020 年 11 月 10 日",
        "２０２０年１１月１０日",
        "二〇二〇年十一月十日",
        "二○二○年 十一月 十日",
        "20201110",
        "2020-11-10\u00a016:41:53",
    ],
)
def test_every_way_of_writing_a_date_is_read(printed: str) -> None:
    assert parse_date(printed) == date(2020, 11, 10)


@pytest.mark.parametrize("text", ["", "2020年13月1日", "2020-02-30", "12020-11-10", "三月五日", "2020年"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


def test_only_a_line_of_its_own_is_a_signature_date() -> None:
    assert only_date("（2020年11月10日）") == date(2020, 11, 10)
    assert only_date("自2020年11月10日起施行") is None
    assert only_date("2020年11月10日印发") is None


def test_periods_end_on_the_day_before_the_anniversary() -> None:
    assert years_later(date(2024, 1, 1), 5) == date(2028, 12, 31)
    assert years_later(date(2024, 2, 29), 1) == date(2025, 2, 28)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("十", 10),
        ("二十三", 23),
        ("一百零六", 106),
        ("三百零六", 306),
        ("二〇二〇", 2020),
        ("两", 2),
        ("7", 7),
        ("甲", None),
        ("", None),
    ],
)
def test_chinese_numerals_have_their_value(text: str, value: int | None) -> None:
    assert numeral(text) == value


@given(st.text(max_size=120))
def test_dates_in_any_text_lie_where_they_say(text: str) -> None:
    for match in find_dates(text):
        assert parse_date(text[match.start : match.end]) == match.on
