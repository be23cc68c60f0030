"""The word list: masked, declined or flagged, and never at the cost of honest questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from replies import sensitive
from replies.errors import RulesBroken
from replies.model import SensitiveAction


@pytest.mark.parametrize("text", ["哪里有裸聊", "想买冰毒", "网上赌博哪个平台", "怎么办假证", "哪里能买子弹"])
def test_what_no_office_can_help_with_is_declined(text: str) -> None:
    assert sensitive.shipped().screen(text).refused


@pytest.mark.parametrize(
    "text",
    [
        "禁毒宣传月活动通知",
        "怎么举报网上赌博",
        "枪支管理办法",
        "发票怎么开",
        "固体废物处置规定",
        "体育彩票公益金使用情况",
        "戒毒人员就业补贴",
    ],
)
def test_honest_questions_pass(text: str) -> None:
    screening = sensitive.shipped().screen(text)
    assert screening.actions == ()
    assert screening.masked == text


def test_abuse_is_masked_and_still_answered() -> None:
    screening = sensitive.shipped().screen("你们这帮王八蛋，低保怎么申请")
    assert screening.masked == "你们这帮＊＊＊，低保怎么申请"
    assert not screening.refused


@pytest.mark.parametrize("text", ["我不想活了", "我要炸了县政府", "大家一起去静坐"])
def test_threats_and_despair_call_for_staff(text: str) -> None:
    assert sensitive.shipped().screen(text).alert


def test_an_office_can_use_its_own_list(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text('[[rule]]\nname = "x"\naction = "mask"\nwords = ["土豆"]\n', "utf-8")
    words = sensitive.load(path)
    assert words.screen("种土豆补贴").masked == "种＊＊补贴"
    assert words.screen("王八蛋").actions == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rule]]\nname="x"\naction="shout"\nwords=["a"]', "mask, refuse or alert"),
        ('[[rule]]\nname="x"\naction="mask"', "needs words or patterns"),
        ('[[rule]]\nname="x"\naction="mask"\nwords="a"', "must be a list"),
        ("[other]\na=1", "unknown key 'other'"),
    ],
)
def test_a_broken_list_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "words.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(RulesBroken, match=r"words\.toml") as refused:
        sensitive.load(path)
    assert says in str(refused.value)


def test_the_action_is_told_to_whoever_reads_the_screening() -> None:
    assert sensitive.shipped().screen("想买冰毒").actions == (SensitiveAction.REFUSE,)
