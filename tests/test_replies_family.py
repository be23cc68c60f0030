"""Which hits belong to one matter, and whether a question names it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from replies_samples import PENSION, finding, hit, talking

from knowledge.model import DocumentKind, Hit
from replies import family
from replies.conversation import read


@pytest.mark.parametrize(
    ("title", "matter"),
    [
        ("青禾县人民政府办公室关于印发《青禾县高龄津贴发放管理办法（试行）》的通知", "高龄津贴"),
        ("《青禾县高龄津贴发放管理办法》政策解读", "高龄津贴"),
        ("高龄津贴申报办事指南", "高龄津贴"),
        ("青禾县农业农村局 青禾县财政局关于做好2026年耕地地力保护补贴发放工作的通知", "耕地地力保护补贴"),
        ("中华人民共和国政府信息公开条例", "中华人民共和国政府信息公开"),
    ],
)
def test_the_matter_of_a_title_is_free_of_organ_year_and_form(title: str, matter: str) -> None:
    assert family.matter(title) == matter


def faq(text: str, ordinal: int = 1) -> Hit:
    return hit("常见问题解答", text, kind=DocumentKind.FAQ, document="faq", ordinal=ordinal)


@pytest.mark.parametrize(
    ("one", "other", "kin"),
    [
        (PENSION, hit("城乡居民基本养老保险待遇申领办事指南", "带户口簿。", document="g"), True),
        (PENSION, hit(PENSION.document.title, "附则。", document="d1", ordinal=9), True),
        (PENSION, hit("青禾县基本医疗保险门诊慢特病管理办法", "门诊。", document="m"), False),
        (hit("临时救助申请办事指南", "申请。", document="a"), hit("医疗救助实施细则", "申请。", document="b"), False),
        (
            hit("高龄津贴申报办事指南", "申报。", document="a"),
            faq("16.老人80岁了，高龄津贴怎么申请？\n答：不用申请。"),
            True,
        ),
        (hit("高龄津贴申报办事指南", "申报。", document="a"), faq("3.断缴了能补吗？\n答：不能。"), False),
        (faq("1.甲？\n答：是。"), faq("2.乙？\n答：否。", 2), False),
        (faq("1.甲？\n答：是。"), faq("1.甲？\n答：是。"), True),
    ],
)
def test_a_policy_its_guide_and_its_line_in_the_faq_are_one_matter(one: Hit, other: Hit, kin: bool) -> None:
    assert family.akin(one, other) is kin
    assert family.akin(other, one) is kin


def test_hits_that_score_far_below_the_first_have_little_say() -> None:
    alien = hit("农机办法", "补贴。", document="m", score=5.0)
    assert family.leading([PENSION, alien]).share > 0.99
    assert family.leading([PENSION, replace(alien, score=10.0)]).share == pytest.approx(0.5)
    assert family.leading([]).share == 0.0


@pytest.mark.parametrize(
    ("question", "title", "named"),
    [
        ("63岁坐公交要不要钱", "青禾县公共交通优惠乘车实施办法", True),
        ("低保多少钱", "青禾县最低生活保障审核确认实施细则", True),
        ("升规奖励几月份申报", "首次升规企业奖励申报办事指南", True),
        ("火化要花多少钱", "关于进一步完善惠民殡葬政策的通知", False),
        ("申报专精特新企业", "首次升规企业奖励申报办事指南", False),
        ("县政府大院搬迁的方案有没有", "青禾县农村宅基地审批管理办法", False),
    ],
)
def test_a_question_names_a_matter_by_rare_letters_or_a_short_form(question: str, title: str, named: bool) -> None:
    found = finding(question, [hit(title, "正文。", document="x")], 0.5)
    found = replace(found, record=replace(found.record, expanded=()))
    assert family.named(read(question, talking()), found, family.leading(found.hits)) is named


def test_an_official_word_names_a_matter_whose_letters_it_mostly_shares_and_an_organ_names_none() -> None:
    question = "厂子进规上奖多少"
    found = finding(question, [hit("首次升规企业奖励办法", "奖。", document="x")], 0.5)
    turn = read(question, talking())
    official = replace(found, record=replace(found.record, expanded=("企业首次升规奖励",)))
    assert family.named(turn, official, family.leading(found.hits))
    organ = finding(question, [hit("人民政府办公室信息公开指南", "公开。", document="x")], 0.5)
    organ = replace(organ, record=replace(organ.record, expanded=("青禾县人民政府办公室",)))
    assert not family.named(turn, organ, family.leading(organ.hits))
