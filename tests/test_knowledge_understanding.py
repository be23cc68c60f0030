"""Understanding a question: sayings, pinyin, slips of the pen, organs and years, approved answers, hard input."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.app import House, build
from bot.cli import main
from bot.config import Settings
from bot.errors import ConfigError
from knowledge import lexicon, tables
from knowledge.analysis import normalise
from knowledge.answered import ApprovedAnswer, Bank, NoSuchAnswer
from knowledge.errors import UnknownDocument
from knowledge.index import Frequencies
from knowledge.lexicon import BadLexicon, Lexicon, Spoken
from knowledge.model import Filters, Organ, Question
from knowledge.pinyin import to_characters
from knowledge.topics import known_fields
from knowledge.typos import repair
from knowledge.understanding import MOST_EXPANDED, understand
from knowledge.vocabulary import Vocabulary, library_vocabulary

Write = Callable[..., Path]

KNOWN = "城乡居民基本养老保险 最低生活保障 低保 高龄津贴 残疾人两项补贴 医保 社保卡 临时救助 养老保险 wto"
ORGANS = (
    Organ("青禾县医疗保障局", "县医保局", ("医保局", "县医保中心")),
    Organ("青禾县民政局", "县民政局", ("民政局",)),
)


def counting(text: str) -> Callable[[Sequence[str], Sequence[str]], Frequencies]:
    """A library of three passages that all hold ``text``."""

    def counts(words: Sequence[str], bigrams: Sequence[str]) -> Frequencies:
        return Frequencies(3, tuple(3 * (w in text.split()) for w in words), tuple(3 * (b in text) for b in bigrams))

    return counts


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return library_vocabulary(lexicon.shipped(), ["残疾人两项补贴实施办法"], ORGANS, counting(KNOWN))


# --- the dictionary --------------------------------------------------------------------------------------------------


def test_the_shipped_dictionary_has_eighteen_hundred_entries_over_all_fields() -> None:
    sections = tomllib.loads(lexicon.SHIPPED.read_text("utf-8"))
    assert sum(len(entries) for entries in sections.values()) >= 1800
    assert lexicon.shipped().sayings >= 7000
    assert set(known_fields()[:26]) <= set(sections)
    assert all(len(sections[field]) >= 15 for field in known_fields()[:26])


def test_no_entry_and_no_saying_of_the_shipped_dictionary_stands_twice() -> None:
    sections = tomllib.loads(lexicon.SHIPPED.read_text("utf-8"))
    official = Counter(words for entries in sections.values() for words in entries)
    assert [words for words, times in official.items() if times > 1] == []
    lines = [(words, sayings) for entries in sections.values() for words, sayings in entries.items()]
    assert [words for words, sayings in lines if len(set(map(normalise, sayings))) < len(sayings)] == []


def test_no_saying_of_the_shipped_dictionary_is_the_official_word_of_another_matter() -> None:
    entries = lexicon.shipped().entries
    official = set(map(normalise, entries))
    assert [saying for sayings in entries.values() for saying in sayings if normalise(saying) in official] == []


def test_a_saying_with_two_meanings_brings_both_and_none_brings_three() -> None:
    words = Lexicon({"公租房配租": ("摇号",), "民办学校招生": ("摇号",)})
    assert words.spoken("摇号了")[0].official == ("公租房配租", "民办学校招生")
    meant = Counter(normalise(saying) for sayings in lexicon.shipped().entries.values() for saying in sayings)
    assert [saying for saying, times in meant.items() if times > 2] == []


def test_the_shipped_file_is_read_the_same_by_a_toml_reader(tmp_path: Path) -> None:
    text = lexicon.SHIPPED.read_text("utf-8")
    copied = tmp_path / "copied.toml"
    copied.write_text(text.replace('" = [', '"=['), "utf-8")  # no plain line is left
    assert lexicon.read_entries(copied) == lexicon.read_entries(lexicon.SHIPPED)


def test_a_saying_at_the_end_of_the_text_ends_where_the_text_ends() -> None:
    words = Lexicon({"惠农补贴": ("一卡通", "一卡通丢了怎么办")})
    assert words.spoken("打一卡通") == [Spoken(1, 4, ("惠农补贴",))]


def test_the_longest_saying_wins_and_none_stands_inside_another() -> None:
    words = Lexicon({"社会保障卡": ("社保卡",), "社会保障卡补换": ("社保卡丢了",), "社会保险": ("社保",)})
    [said] = words.spoken("我社保卡丢了")
    assert (said.start, said.end, said.official) == (1, 6, ("社会保障卡补换",))


def test_an_own_dictionary_adds_replaces_and_removes(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('"禾丰贷" = ["种田贷"]\n["社会保险"]\n"补缴" = ["补窟窿"]\n"高龄津贴" = []\n', "utf-8")
    merged = lexicon.load(own)
    assert merged.spoken("种田贷")[0].official == ("禾丰贷",)
    assert merged.spoken("补窟窿")[0].official == ("补缴",)
    assert not merged.spoken("往前补") and not merged.spoken("长寿钱")
    assert lexicon.shipped().spoken("长寿钱")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"补缴" = ["补交"]\n"低保" = "吃低保"\n', "line 2"),
        ('\n\n"补缴" = ["补"]\n', "line 3"),
        ('"补缴" = ["补交"\n"低保" = []\n', "line 2"),
        ('"补缴" = ["补缴"]\n', "line 1"),
        ('"补" = ["补交"]\n', "line 1"),
        ('["社会保险"]\n"补缴" = ["补交", "补缴"]\n', "line 2"),
        ('["社会保险"]\n"补缴" = ["补交"]\n"补缴" = ["补钱"]\n', "line 3"),
        ('"补缴" = ["补\\n交"]\n', "line 1"),
    ],
)
def test_a_broken_dictionary_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text, "utf-8")
    with pytest.raises(BadLexicon, match=told):
        lexicon.load(own)


def test_a_broken_or_missing_dictionary_stops_the_start_as_a_configuration_error(
    settings: Settings, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(b'"\xb2\xb9" = []')
    for path in (own, tmp_path / "absent.toml"):
        with pytest.raises(ConfigError, match=path.name):
            build(replace(settings, answers=replace(settings.answers, lexicon=str(path))))


def test_lexicon_check_says_what_an_own_file_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text('"禾丰贷" = ["种田贷"]\n"补缴" = []\n', "utf-8")
    assert main(["lexicon", "check", str(own), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["added"] == ["禾丰贷"] and told["removed"] == ["补缴"] and told["entries"] >= 600
    own.write_text('"禾丰贷" = 1\n', "utf-8")
    assert main(["lexicon", "check", str(own)]) == 2
    assert "line 1" in capsys.readouterr().err


# --- what is joined to a question ------------------------------------------------------------------------------------


def test_lay_words_are_joined_by_official_ones(vocabulary: Vocabulary) -> None:
    said = understand("新农保断缴了咋补交", lexicon.shipped(), vocabulary)
    assert set(said.expanded) >= {"城乡居民基本养老保险", "中断缴费", "补缴"}
    assert said.text == "新农保断缴了咋补交" and said.corrected == ""


def test_official_words_that_are_there_already_are_not_added(vocabulary: Vocabulary) -> None:
    assert understand("最低生活保障", lexicon.shipped(), vocabulary).expanded == ()


def test_no_more_words_are_added_than_a_question_bears(vocabulary: Vocabulary) -> None:
    text = "、".join(sayings[0] for sayings in lexicon.shipped().entries.values())[:290]
    assert len(understand(text, lexicon.shipped(), vocabulary).expanded) == MOST_EXPANDED


def test_an_alias_adds_the_organ_and_says_nothing_about_its_matter(vocabulary: Vocabulary) -> None:
    assert understand("县医保局在什么位置", lexicon.shipped(), vocabulary, ORGANS).expanded == ("医疗保障局",)


def test_organ_and_year_are_conditions_only_where_documents_of_them_are_asked_for(vocabulary: Vocabulary) -> None:
    def conditions(text: str) -> Filters:
        return understand(text, lexicon.shipped(), vocabulary, ORGANS).filters

    assert conditions("县医保局发布的文件有哪些") == Filters(organ="青禾县医疗保障局")
    assert conditions("2024年印发的文件") == Filters(year=2024)
    assert conditions("二〇二四年文件") == Filters(year=2024)
    for text in ("2024年的高龄津贴标准", "民政局电话", "县医保局报销政策", "会政办发〔2020〕144号文件"):
        assert conditions(text) == Filters(), text


def test_what_the_asker_chose_is_never_overruled(vocabulary: Vocabulary) -> None:
    given = Filters(organ="青禾县民政局", year=2020)
    said = understand("县医保局2024年发布的文件", lexicon.shipped(), vocabulary, ORGANS, given)
    assert said.filters == given and not said.stated


# --- pinyin and slips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gaoling jintie", "高龄津贴"),
        ("GAOLINGJINTIE", "高龄津贴"),
        ("shebao buka", "社保补卡"),
        ("ｄｉｂａｏ怎么办", "低保怎么办"),
        ("yanglao baoxian zenme jiao", "养老保险怎么交"),
    ],
)
def test_pinyin_becomes_characters(vocabulary: Vocabulary, typed: str, meant: str) -> None:
    assert to_characters(typed, vocabulary) == meant


@pytest.mark.parametrize("typed", ["wifi", "app怎么下载", "ETC", "hello world", "China", "abcdefg" * 40, "wto", "an"])
def test_other_letters_stay(vocabulary: Vocabulary, typed: str) -> None:
    assert to_characters(typed, vocabulary) == typed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("养老保显怎么交", "养老保险怎么交"),
        ("我想办底保", "我想办低保"),
        ("医宝怎么报销", "医保怎么报销"),
        ("最低生活保嶂标准", "最低生活保障标准"),
        ("高铃津贴多少钱", "高龄津贴多少钱"),
        ("临时就助", "临时救助"),
        ("城乡居氏基本养老保险", "城乡居民基本养老保险"),
    ],
)
def test_slips_are_put_right(vocabulary: Vocabulary, typed: str, meant: str) -> None:
    assert repair(typed, vocabulary) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "一年交多少",
        "断了三年没交",
        "低保",
        "住着公租房又买了新房",
        "广东省车主",
        "飞机降落时",
        "给孩子交",
        "他说的就住那",
        "",
    ],
)
def test_ordinary_words_are_left_alone(vocabulary: Vocabulary, typed: str) -> None:
    assert repair(typed, vocabulary) == typed


def test_nothing_is_put_right_towards_a_word_that_the_library_lacks() -> None:
    empty = library_vocabulary(lexicon.shipped(), (), (), counting(""))
    assert repair("养老保显怎么交", empty) == "养老保显怎么交"


# --- through the library ---------------------------------------------------------------------------------------------


def test_a_repaired_question_says_so_and_finds_what_was_meant(demo_house: House) -> None:
    ask = demo_house.library.ask
    finding = ask(Question("高铃津贴多少钱"))
    assert finding.corrected == "高龄津贴多少钱" and finding.query == finding.record.query == "高铃津贴多少钱"
    assert [h.passage.id for h in finding.hits[:3]] == [h.passage.id for h in ask(Question("高龄津贴多少钱")).hits[:3]]


def test_a_saying_finds_the_official_word_and_the_record_tells_it(demo_house: House) -> None:
    finding = demo_house.library.ask(Question("长寿钱"))
    plain = demo_house.library._searcher.find(Question("长寿钱"))
    assert "高龄津贴" in finding.record.expanded
    assert sum("高龄津贴" in hit.passage.text for hit in finding.hits) > sum(
        "高龄津贴" in hit.passage.text for hit in plain.hits
    )


def test_a_question_without_sayings_is_ranked_as_before(demo_house: House) -> None:
    library = demo_house.library
    text = "补贴实施细则第三条"
    finding = library.ask(Question(text))
    plain = library._searcher.find(Question(text))
    assert finding.record.expanded == () and finding.hits == plain.hits and finding.confidence == plain.confidence


def test_an_organs_documents_are_found_also_where_it_is_one_of_several_issuers(demo_house: House) -> None:
    finding = demo_house.library.ask(Question("县医保局发布的文件有哪些", limit=40))
    assert finding.hits and all("青禾县医疗保障局" in h.document.issuer for h in finding.hits)
    assert any(" " in h.document.issuer for h in finding.hits)
    assert finding.record.filters == {"organ": "青禾县医疗保障局"}


def test_a_stated_condition_that_nothing_meets_is_dropped(demo_house: House) -> None:
    finding = demo_house.library.ask(Question("1987年高龄津贴文件"))
    assert finding.hits and finding.record.filters == {}


@pytest.mark.parametrize("text", ["", " ", "？", "的", "怎么办呢", '*:*"(', "AND OR NOT", "\x00", "𠀀", "补"])
def test_little_or_odd_input_is_no_error(demo_house: House, text: str) -> None:
    finding = demo_house.library.ask(Question(text))
    assert finding.query == text and finding.corrected == ""


def test_ten_thousand_characters_and_two_hundred_terms_are_answered(demo_house: House) -> None:
    phrases = list(lexicon.shipped().entries)
    assert demo_house.library.ask(Question("低保怎么申请" * 1700)).hits
    assert demo_house.library.ask(Question("，".join(phrases[:200]))).hits
    assert demo_house.library.ask(Question("woxiang" * 1500)).corrected == ""


# --- approved answers ------------------------------------------------------------------------------------------------


def answer(question: str, number: int = 1) -> ApprovedAnswer:
    return ApprovedAnswer(number, question, "d", 1, "d-0", "第一条", "2026-11-21", "")


@pytest.mark.parametrize(
    "asked", ["高龄津贴多少钱", "请问高龄津贴多少钱？", "高齡津貼多少錢", "您好，我想问一下高龄津贴是多少钱呢"]
)
def test_nearly_the_same_question_finds_the_approved_answer(asked: str) -> None:
    assert Bank([answer("高龄津贴多少钱")]).nearest(asked) is not None


@pytest.mark.parametrize(
    ("approved", "asked"),
    [
        ("高龄津贴多少钱", "高龄津贴怎么申请"),
        ("高龄津贴多少钱", "护理补贴多少钱"),
        ("90岁高龄津贴多少钱", "80岁高龄津贴多少钱"),
        ("低保怎么办理", "低保在哪里办理"),
        ("低保户能办公租房吗", "低保户不能办公租房吗"),
        ("低保怎么办理", "低保怎么取消"),
        ("高龄津贴多少钱", ""),
    ],
)
def test_another_question_does_not(approved: str, asked: str) -> None:
    assert Bank([answer(approved)]).nearest(asked) is None


def test_an_approved_answer_stands_first_until_its_document_changes(house: House, document: Write) -> None:
    library = house.library
    [taken] = library.ingest([document()])
    assert taken.document is not None
    asked = Question("村里的桥谁来管")
    before = library.ask(Question("桥梁管护经费补助多少钱"))
    kept = library.approve_answer("村里的桥谁来管", taken.document.id, "一、（一）", by="政务公开办")
    finding = library.ask(asked)
    assert finding.approved_answer == str(kept.id) and finding.hits[0].passage.locator == "一、（一）"
    assert finding.confidence >= 0.95 and len({h.passage.id for h in finding.hits}) == len(finding.hits)
    again = library.ask(Question("桥梁管护经费补助多少钱"))
    assert again.hits == before.hits and again.confidence == before.confidence and not again.approved_answer
    assert not library.ask(replace(asked, filters=Filters(year=1999))).approved_answer

    list(library.ingest([document(body="一、管护责任\n（一）巡查。各村每周巡查桥梁一次。\n")]))
    assert not library.ask(asked).approved_answer
    assert [holds for _, holds in library.approved_answers()] == [False]
    library.approve_answer("村里的桥谁来管", taken.document.id, "一、（一）")
    assert library.ask(asked).approved_answer
    library.withdraw(taken.document.id, "错发")
    assert not library.ask(asked).approved_answer and not library.ask(asked).hits


def test_only_an_open_document_and_one_item_can_be_approved(house: House, document: Write) -> None:
    [taken] = house.library.ingest([document()])
    assert taken.document is not None
    for locator in ("", "第九十条"):
        with pytest.raises(NoSuchAnswer, match="--locator"):
            house.library.approve_answer("村里的桥谁来管", taken.document.id, locator)
    with pytest.raises(NoSuchAnswer, match="no words"):
        house.library.approve_answer("的？", taken.document.id, "一、（一）")
    [closed] = house.library.ingest(
        [
            document(
                "b.txt",
                number="青政办发〔2026〕91号",
                title="青禾县人民政府办公室关于另一件事的通知",
                attribute="（此件不公开）",
            )
        ]
    )
    assert closed.document is not None
    with pytest.raises(UnknownDocument):
        house.library.approve_answer("村里的桥谁来管", closed.document.id, "一、（一）")
    with pytest.raises(NoSuchAnswer, match="no approved answer 7"):
        house.library.forget_answer(7)


def test_answers_are_added_listed_and_removed_by_command(
    settings: Settings, document: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(settings.data.folder))
    assert main(["ingest", str(document()), "--json"]) == 0
    identity = json.loads(capsys.readouterr().out)[0]["id"]
    assert main(["answered", "add", "村里的桥谁来管", identity, "--locator", "一、（一）", "--json"]) == 0
    number = json.loads(capsys.readouterr().out)["id"]
    assert main(["answered", "list", "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["holds"] is True and listed["question"] == "村里的桥谁来管"
    assert main(["answered", "remove", str(number)]) == 0
    assert main(["answered", "remove", str(number)]) == 1
    assert main(["answered", "add", "村里的桥谁来管"]) == 2
    house = build(settings)
    try:
        with house.engine.connect() as connection:
            assert connection.execute(select(tables.answered)).all() == []
    finally:
        house.close()
