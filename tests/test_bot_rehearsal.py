"""排练: bad scripts are named, expectations are compared, worse runs are found, the register stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.app import House
from bot.rehearsal import BadScript, read_dialogs, read_questions, regressions, rehearse
from register.inquiry import Channel, ReplyKind


def dialog(tmp_path: Path, turns: str, name: str = "甲") -> Path:
    path = tmp_path / "t.toml"
    path.write_text(f'[[dialog]]\nname = "{name}"\n{turns}', "utf-8")
    return path


def turn(words: str) -> str:
    return f"[[dialog.turn]]\n{words}\n"


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        ("", r"t\.toml, 甲: no \[\[dialog\.turn\]\]"),
        (turn('say = "你好"\nkinds = "menu"'), r"甲: unknown key 'kinds'; known: .*kind"),
        (turn('say = "你好"\nkind = "answr"'), r"甲: 'answr' is not a valid ReplyKind; kinds: answer"),
        (turn("say = 5"), r"甲: 'say' must be a text"),
        (turn('kind = "menu"'), r"甲: 'say' must be a text"),
    ],
)
def test_a_dialogue_that_cannot_be_used_is_named_with_its_file_and_place(
    tmp_path: Path, turns: str, complaint: str
) -> None:
    with pytest.raises(BadScript, match=complaint):
        read_dialogs(dialog(tmp_path, turns))


def test_a_file_that_is_no_toml_or_holds_no_dialogue_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[dialog]\n", "utf-8")
    with pytest.raises(BadScript, match=r"broken\.toml cannot be read"):
        read_dialogs(broken)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadScript, match=r"binary\.toml cannot be read"):
        read_dialogs(binary)
    other = tmp_path / "other.toml"
    other.write_text('[[question]]\ntext = "低保"\n', "utf-8")
    with pytest.raises(BadScript, match=r"other\.toml holds no \[\[dialog\]\]"):
        read_dialogs(other)
    with pytest.raises(BadScript, match=r"gone\.toml cannot be read"):
        read_dialogs(tmp_path / "gone.toml")


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScript, match=r"holds no \.toml file"):
        read_dialogs(tmp_path)


def test_a_question_with_an_unknown_key_or_no_words_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "q.toml"
    path.write_text('[[question]]\ntext = "低保"\n[[question]]\ntext = "医保"\nanswer = "x"\n', "utf-8")
    with pytest.raises(BadScript, match=r"q\.toml, question 2: unknown key 'answer'"):
        read_questions(path)
    path.write_text('[[question]]\nkind = "answer"\n', "utf-8")
    with pytest.raises(BadScript, match=r"q\.toml, question 1: 'text' must be a text"):
        read_questions(path)


def test_a_turn_is_read_whole(tmp_path: Path) -> None:
    words = 'say = "多少钱"\nkind = ["answer", "choices"]\ndocument = "a.md"\nalso = "b.md"\nwait_minutes = 40\nshows = "元"'
    (script,) = read_dialogs(dialog(tmp_path, turn(words) + turn('event = "image"\nkind = "clarify"')))
    first, second = script.lines
    assert (first.text, first.event, first.wait_minutes) == ("多少钱", "", 40.0)
    assert first.expected.kinds == (ReplyKind.ANSWER, ReplyKind.CHOICES)
    assert first.expected.documents == ("a.md", "b.md")
    assert first.expected.shows == ("元",)
    assert (second.text, second.event) == ("", "image")


def test_every_expectation_that_is_not_met_is_named(house: House, tmp_path: Path) -> None:
    words = (
        'say = "我家着火了"\nkind = "menu"\norgan = "青禾县教育局"\nshows = "春天"\nhides = "119"\ndocument = "a.md"'
    )
    (outcome,) = rehearse(house, read_dialogs(dialog(tmp_path, turn(words)))).outcomes
    assert "kind is refer, expected menu" in outcome.wrong
    assert "names no organ, expected 青禾县教育局" in outcome.wrong
    assert "lacks 「春天」" in outcome.wrong
    assert "shows 「119」" in outcome.wrong
    assert outcome.kind_right is False
    assert outcome.first_right is False


def test_an_answer_from_another_document_counts_as_a_wrong_answer(demo_house: House, tmp_path: Path) -> None:
    number = "青政办规〔2023〕2号"
    right = "a-高龄津贴发放管理办法2023试行.txt"
    for document, wrong in ((right, 0.0), (number, 0.0), ("b-出租汽车运价通知.html", 1.0)):
        path = dialog(tmp_path, turn(f'say = "{number}"\nkind = "answer"\ndocument = "{document}"'))
        report = rehearse(demo_house, read_dialogs(path))
        assert report.wrong_answers == wrong, report.outcomes
        assert report.right == 1.0 - wrong


def test_figures_are_shares_of_the_messages(house: House, tmp_path: Path) -> None:
    turns = turn('say = "你好"\nkind = "smalltalk"') + turn('say = "菜单"\nkind = "answer"') + turn('say = "谢谢"')
    report = rehearse(house, read_dialogs(dialog(tmp_path, turns)))
    assert (report.messages, report.right, report.kinds_right) == (3, 0.6667, 0.5)
    assert (report.first_right, report.answered) == (1.0, 0.0)


def test_dialogues_do_not_lean_on_one_another_and_old_talk_is_forgotten(demo_house: House, tmp_path: Path) -> None:
    asked = turn('say = "补贴"\nkind = "clarify"')
    path = dialog(tmp_path, asked + turn('say = "都不是"\nshows = "换个说法"'))
    other = f'[[dialog]]\nname = "乙"\n{turn("say = " + chr(34) + "都不是" + chr(34))}'
    late = f'[[dialog]]\nname = "丙"\n{asked}{turn("say = " + chr(34) + "都不是" + chr(34) + chr(10) + "wait_minutes = 31")}'
    path.write_text(path.read_text("utf-8") + other + late, "utf-8")
    rules = [outcome.rule for outcome in rehearse(demo_house, read_dialogs(path)).outcomes]
    assert rules == ["clarify", "none.again", "turn.empty", "clarify", "turn.empty"]


def test_each_outcome_is_heard_as_it_comes(house: House, tmp_path: Path) -> None:
    heard: list[str] = []
    rehearse(
        house,
        read_dialogs(dialog(tmp_path, turn('say = "你好"') + turn('event = "image"'))),
        heard=lambda outcome: heard.append(outcome.text),
    )
    assert heard == ["你好", "image"]


def test_a_rehearsal_enters_nothing_in_the_register(demo_house: House, tmp_path: Path) -> None:
    before = (demo_house.book.log(), demo_house.book.counts(), demo_house.book.outbox_counts())
    turns = turn('say = "出租车起步价多少"') + turn('say = "有用"') + turn('say = "人工"') + turn('say = "我不想活了"')
    for channel in (Channel.WEB, Channel.WECHAT):
        assert rehearse(demo_house, read_dialogs(dialog(tmp_path, turns)), channel=channel).messages == 4
    assert (demo_house.book.log(), demo_house.book.counts(), demo_house.book.outbox_counts()) == before


def test_messages_that_were_right_and_are_wrong_now_are_found(house: House, tmp_path: Path) -> None:
    saved = tmp_path / "before.json"
    good = dialog(tmp_path, turn('say = "你好"\nkind = "smalltalk"') + turn('say = "菜单"\nkind = "answer"'))
    saved.write_text(json.dumps(rehearse(house, read_dialogs(good)).to_json()), "utf-8")
    assert regressions(rehearse(house, read_dialogs(good)), saved) == []
    bad = dialog(tmp_path, turn('say = "你好"\nkind = "menu"') + turn('say = "菜单"\nkind = "answer"'))
    (worse,) = regressions(rehearse(house, read_dialogs(bad)), saved)
    assert worse == "t.toml, 甲: 你好: kind is smalltalk, expected menu"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"outcomes": [{"script": "a"}]}', '{"outcomes": 3}'])
def test_a_baseline_that_is_no_saved_report_is_named(house: House, tmp_path: Path, content: str) -> None:
    saved = tmp_path / "before.json"
    saved.write_text(content, "utf-8")
    report = rehearse(house, read_dialogs(dialog(tmp_path, turn('say = "你好"'))))
    with pytest.raises(BadScript, match=r"before\.json is no saved report; write one with --save"):
        regressions(report, saved)


def test_a_missing_baseline_is_named(house: House, tmp_path: Path) -> None:
    report = rehearse(house, read_dialogs(dialog(tmp_path, turn('say = "你好"'))))
    with pytest.raises(BadScript, match=r"gone\.json is no saved report"):
        regressions(report, tmp_path / "gone.json")
