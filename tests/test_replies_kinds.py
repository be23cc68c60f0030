"""Which kind of reply is due: hand-made findings, one rule at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from replies_samples import OFFICE, PENSION, context, finding, hit, talking

from knowledge.model import DocumentKind, Finding, LinkKind, Organ, OrganMatch, OrganRelation, Validity
from register.inquiry import Choice, Conversation, ReplyKind
from replies import certainty
from replies.conversation import read
from replies.kinds import choose, enrich
from replies.model import Decision, Missing

# The examples below are about the rules. How much each sign counts is fitted (replies/certainty.json) and changes with each fit.
WEIGHTS = {
    "bias": 1.64, "confidence": 0.59, "named": 0.99, "titled": 0.43, "share": 1.18, "top": -4.03, "gap": -0.74,
    "vouched": 0.81, "reasons": 0.56, "no_organ": -2.75, "township": 2.38, "plain": -0.87,
}  # fmt: skip
NEW = Conversation("c")
OTHER = hit("青禾县就业创业补贴办法", "一次性创业补贴标准为5000元。", document="d5", score=6.0, lead="一次性创业补贴")
BUREAU = Organ(name="青禾县民政局", short_name="县民政局", phone="0999-5550140")
TAX = Organ(name="国家税务总局青禾县税务局", relation=OrganRelation.VERTICAL)
OWN = Organ(name="青禾县人民政府办公室", relation=OrganRelation.OWN)


@pytest.fixture(autouse=True)
def the_weights_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certainty, "weights", lambda: WEIGHTS)


def decide(text: str, found: Finding | None = None, state: Conversation = NEW) -> Decision:
    return choose(read(text, state), found, state, context())


def match(organ: Organ, score: float) -> OrganMatch:
    return OrganMatch(organ, score, ("最低生活保障",))


@pytest.mark.parametrize(
    ("text", "confidence", "organs", "kind", "rule"),
    [
        ("养老保险一年交多少", 0.9, [], ReplyKind.ANSWER, "answer"),
        ("养老保险一年交多少", 0.5, [], ReplyKind.ANSWER, "answer"),
        ("养老保险一年交多少", 0.14, [], ReplyKind.NOT_FOUND, "not_found"),
        ("养老保险一年交多少", 0.9, [match(BUREAU, 0.9)], ReplyKind.ANSWER, "answer"),
        ("养老保险一年交多少", 0.4, [match(BUREAU, 0.9)], ReplyKind.CHOICES, "choices"),
        ("养老保险一年交多少", 0.1, [match(BUREAU, 0.9)], ReplyKind.NOT_HELD, "not_held"),
        ("养老保险一年交多少", 0.1, [match(BUREAU, 0.1)], ReplyKind.NOT_FOUND, "not_found"),
        ("养老保险一年交多少", 0.1, [match(OWN, 0.9), match(BUREAU, 0.8)], ReplyKind.NOT_FOUND, "not_found"),
        ("统计历年各乡镇参保人数", 0.1, [], ReplyKind.NEEDS_CREATION, "creation"),
        ("统计历年各乡镇参保人数", 0.4, [match(BUREAU, 0.9)], ReplyKind.NEEDS_CREATION, "creation"),
        ("统计历年各乡镇参保人数", 0.6, [], ReplyKind.NEEDS_CREATION, "creation"),
        ("统计历年各乡镇参保人数", 0.9, [], ReplyKind.ANSWER, "answer"),
        ("给我开一份贫困证明", 0.1, [], ReplyKind.NEEDS_CREATION, "creation"),
        ("怎么申请", 0.4, [], ReplyKind.CLARIFY, "clarify"),
        ("怎么申请", 0.1, [match(BUREAU, 0.9)], ReplyKind.CLARIFY, "clarify"),
        ("社保", 0.1, [], ReplyKind.CLARIFY, "clarify"),
        ("水费啥时候交", 0.1, [], ReplyKind.REFER, "triage.utility.water"),
        ("水费啥时候交", 0.9, [], ReplyKind.ANSWER, "answer"),
        ("投诉电话是多少", 0.9, [], ReplyKind.ANSWER, "answer"),
        ("投诉电话是多少", 0.3, [], ReplyKind.REFER, "triage.complaint.how"),
    ],
)
def test_confidence_and_question_decide(
    text: str, confidence: float, organs: list[OrganMatch], kind: ReplyKind, rule: str
) -> None:
    decision = decide(text, finding(text, [PENSION, OTHER], confidence, organs=organs))
    assert (decision.kind, decision.rule) == (kind, rule)


@pytest.mark.parametrize(
    ("text", "kind", "rule"),
    [
        ("我家着火了", ReplyKind.REFER, "triage.emergency.fire"),
        ("我不想活了", ReplyKind.REFER, "triage.emergency.life"),
        ("我要申请政府信息公开", ReplyKind.APPLICATION, "triage.application"),
        ("查询申请进度", ReplyKind.PROGRESS, "triage.progress"),
        ("想买冰毒", ReplyKind.SMALLTALK, "sensitive.refuse"),
        ("你好", ReplyKind.SMALLTALK, "turn.greeting"),
        ("菜单", ReplyKind.MENU, "turn.menu"),
        ("人工", ReplyKind.HANDOVER, "turn.human"),
        ("👍", ReplyKind.CLARIFY, "turn.empty"),
        ("继续", ReplyKind.SMALLTALK, "continue.nothing"),
    ],
)
def test_some_messages_need_no_search(text: str, kind: ReplyKind, rule: str) -> None:
    assert not read(text, NEW).needs_search
    decision = decide(text)
    assert (decision.kind, decision.rule) == (kind, rule)


def test_a_question_without_a_finding_fails_courteously() -> None:
    assert decide("低保怎么申请").kind is ReplyKind.FAILED


def test_an_empty_library_says_that_it_is_being_prepared() -> None:
    decision = decide("低保怎么申请", finding("低保", documents=0))
    assert (decision.kind, decision.variant) == (ReplyKind.FAILED, "empty")


def test_one_question_back_and_never_a_second() -> None:
    asked = talking(asked_back=True, question="怎么申请")
    decision = decide("有什么好政策", finding("政策", [PENSION], 0.1), asked)
    assert decision.kind is ReplyKind.UNCLEAR
    assert decision.nearest


def test_refusing_all_choices_leads_to_one_question_and_then_to_help() -> None:
    offering = talking(choices=(Choice("甲", "甲"), Choice("乙", "乙")))
    assert decide("都不是", None, offering).kind is ReplyKind.CLARIFY
    asked = talking(asked_back=True, question="x", choices=(Choice("甲", "甲"),))
    assert decide("都不是", None, asked).kind is ReplyKind.UNCLEAR


def test_a_bare_word_is_asked_for_its_side_and_a_bare_wish_for_its_matter() -> None:
    assert decide("社保", finding("社保", [PENSION], 0.1)).missing is Missing.ASPECT
    assert decide("怎么申请", finding("申请", [PENSION], 0.1)).missing is Missing.MATTER


def test_a_clarification_asks_for_the_year_where_only_the_year_differs() -> None:
    hits = [
        hit("青禾县2025年高龄津贴发放方案", "津贴。", document="a", written_on=date(2025, 1, 1)),
        hit("青禾县2026年高龄津贴发放方案", "津贴。", document="b", written_on=date(2026, 1, 1)),
    ]
    assert decide("津贴", finding("津贴", hits, 0.1)).missing in (Missing.MATTER, Missing.YEAR)
    assert decide("高龄", finding("高龄", hits, 0.1)).missing is Missing.YEAR


def test_a_clarification_asks_for_the_place_where_only_the_organ_differs() -> None:
    hits = [
        hit("汛期值班安排", "值班。", document="a", issuer="柳溪镇人民政府"),
        hit("汛期值班安排", "值班。", document="b", issuer="石桥镇人民政府"),
    ]
    assert decide("汛期", finding("汛期", hits, 0.1)).missing is Missing.PLACE


def test_choices_are_at_most_four_and_tell_each_other_apart() -> None:
    hits = [hit(f"青禾县补贴办法之{n}", "补贴。", document=f"d{n}", lead="补贴标准") for n in range(7)]
    decision = decide("补贴标准怎么定的", finding("补贴", hits, 0.4))
    labels = [choice.label for choice in decision.choices]
    assert len(labels) == len(set(labels)) == 4
    assert all(len(label) <= 60 for label in labels)


def test_two_documents_that_fit_a_short_question_equally_are_offered() -> None:
    twins = [hit("甲学区划分", "划分。", document="a"), hit("乙学区划分", "划分。", document="b", score=9.95)]
    assert decide("学区划分", finding("学区划分", twins, 0.9)).rule == "answer.ambiguous"
    far = [twins[0], hit("乙学区划分", "划分。", document="b", score=5.0)]
    assert decide("学区划分", finding("学区划分", far, 0.9)).kind is ReplyKind.ANSWER


def test_a_repealed_text_gives_way_to_one_in_force_that_fits_as_well() -> None:
    old = hit("养老保险办法", "交100元。", document="a", validity=Validity.REPEALED, matched=("养老", "交"))
    new = hit("养老保险新办法", "交200元。", document="b", score=9.0, matched=("养老", "交"))
    decision = decide("养老保险一年交多少", finding("x", [old, new], 0.9))
    assert decision.hits[0].passage is new.passage
    assert decision.validity_of == ""
    assert decision.rule == "answer.replaced"


def test_a_repealed_text_that_stands_alone_is_quoted_under_a_warning() -> None:
    old = hit("养老保险办法", "交100元。", document="a", validity=Validity.REPEALED)
    unlike = hit("农机办法", "补300元。", document="b", score=2.0)
    decision = decide("养老保险一年交多少", finding("x", [old, unlike], 0.9))
    assert decision.hits[0].passage is old.passage
    assert decision.validity_of == "repealed"


@pytest.mark.parametrize(
    ("expires_on", "effective_on", "validity", "warning"),
    [
        (date(2026, 11, 19), None, Validity.IN_FORCE, "expired"),
        (date(2026, 11, 20), None, Validity.IN_FORCE, ""),
        (None, date(2026, 12, 1), Validity.IN_FORCE, "not_yet"),
        (None, None, Validity.AMENDED, "amended"),
        (None, None, Validity.EXPIRED, "expired"),
        (None, None, Validity.NOT_YET, "not_yet"),
    ],
)
def test_what_does_not_bind_today_is_marked(
    expires_on: date | None, effective_on: date | None, validity: Validity, warning: str
) -> None:
    text = hit("养老保险办法", "交200元。", validity=validity, expires_on=expires_on, effective_on=effective_on)
    assert decide("养老保险一年交多少", finding("x", [text], 0.9)).validity_of == warning


def test_an_interpretation_of_the_very_document_speaks_first() -> None:
    plain = hit("《城乡居民基本养老保险实施办法》政策解读", "自己选。", kind=DocumentKind.INTERPRETATION, document="d2")
    unrelated = hit("《农机办法》政策解读", "自己选。", kind=DocumentKind.INTERPRETATION, document="d3")
    text = "养老保险一年交多少"
    decision = decide(text, finding(text, [PENSION, unrelated, plain], 0.9))
    assert decision.plain.passage is plain.passage
    assert not any("养老" in related for related in decision.related)
    again = enrich(decision, links=[(LinkKind.INTERPRETS, plain.document, True)])
    assert again.interpretations == ()
    assert decide(text, finding(text, [PENSION, unrelated], 0.9)).plain is None


def test_the_guide_is_opened_only_when_it_is_quoted_first() -> None:
    guide = hit("城乡居民基本养老保险办事指南", "身份证。", kind=DocumentKind.SERVICE_GUIDE, document="g")
    text = "养老保险带什么材料"
    decision = decide(text, finding(text, [guide, PENSION], 0.9))
    assert decision.guide_wanted == "g"
    assert enrich(decision, guide=(guide.passage,)).guide_wanted == ""
    amount = "养老保险一年交多少"
    assert decide(amount, finding(amount, [PENSION, guide], 0.9)).guide_wanted == ""


def test_how_and_with_what_is_answered_from_the_guide_of_the_same_matter() -> None:
    guide = hit("城乡居民基本养老保险办事指南", "身份证。", kind=DocumentKind.SERVICE_GUIDE, document="g", score=9.0)
    alien = hit("农机购置补贴办事指南", "身份证。", kind=DocumentKind.SERVICE_GUIDE, document="m", score=9.0)
    for text in ("养老保险怎么办", "养老保险带什么材料"):
        assert decide(text, finding(text, [PENSION, guide], 0.9)).guide_wanted == "g"
        assert decide(text, finding(text, [PENSION, alien], 0.9)).guide_wanted == ""


def test_a_number_that_is_held_is_answered_with_the_document_from_its_beginning() -> None:
    late = hit("办法", "尾。", number="青政发〔2024〕5号", ordinal=9)
    early = hit("办法", "头。", number="青政发〔2024〕5号", ordinal=1)
    decision = decide("青政发[2024]5号", finding("x", [late, early], 0.0))
    assert (decision.kind, decision.hits[0]) == (ReplyKind.ANSWER, early)


def test_a_number_leads_past_the_covering_note() -> None:
    note = hit("办法", "现将《办法》印发给你们，请认真执行。", number="青政发〔2024〕5号", ordinal=1)
    first = hit("办法", "第一条 为了规范补贴。", number="青政发〔2024〕5号", ordinal=2)
    assert decide("青政发〔2024〕5号", finding("x", [note, first], 0.9)).hits[0] is first
    assert decide("青政发〔2024〕5号", finding("x", [note], 0.9)).hits[0] is note


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("养老保险带什么材料", "申请材料\n身份证。"),
        ("养老保险收费吗", "收费标准\n不收费。"),
        ("养老保险找谁办", "咨询电话\n0999-5550120"),
        ("养老保险要多久", "事项名称\n养老保险参保"),
    ],
)
def test_a_guide_is_quoted_at_the_section_that_was_asked_for(text: str, quoted: str) -> None:
    sections = ["事项名称\n养老保险参保", "申请材料\n身份证。", "收费标准\n不收费。", "咨询电话\n0999-5550120"]
    hits = [
        hit("养老保险办事指南", section, kind=DocumentKind.SERVICE_GUIDE, document="g", ordinal=number)
        for number, section in enumerate(sections)
    ]
    decision = decide(text, finding(text, hits[:1], 0.9))
    assert enrich(decision, guide=[each.passage for each in hits]).hits[0].passage.text == quoted


def test_a_number_that_is_not_held_is_a_miss_whatever_else_was_found() -> None:
    decision = decide("青政发〔2031〕99号", finding("x", [PENSION], 0.9))
    assert (decision.kind, decision.rule, decision.number) == (
        ReplyKind.NOT_FOUND,
        "number.missed",
        "青政发〔2031〕99号",
    )


def test_not_held_puts_the_organs_own_documents_first() -> None:
    theirs = hit("社会救助指引", "低保。", document="m", issuer="青禾县民政局", score=1.0)
    text = "孤儿生活费怎么领取手续"
    decision = decide(text, finding(text, [PENSION, theirs], 0.05, organs=[match(BUREAU, 0.8)]))
    assert decision.nearest[0].passage is theirs.passage


def test_a_pick_is_answered_whatever_the_confidence() -> None:
    state = talking(choices=(Choice("养老保险", "养老保险"),), question="x", slots={"pick.1": "d1 d1-3"})
    assert decide("1", finding("x", [OTHER, PENSION], 0.01), state).hits[0] is PENSION


def test_misses_show_three_documents_and_never_one_twice() -> None:
    hits = [hit(f"文{n // 2}", "字。", document=f"d{n // 2}", ordinal=n) for n in range(10)]
    decision = decide("观光船几点开船票价", finding("x", hits, 0.1))
    assert [near.document.id for near in decision.nearest] == ["d0", "d1", "d2"]


def test_the_hotline_of_the_office_replaces_the_general_one() -> None:
    ctx = replace(context(), office=replace(OFFICE, hotline="8890"))
    decision = choose(read("我要投诉", NEW), None, NEW, ctx)
    assert "8890" in {contact.phone for contact in decision.contacts}


def test_a_referral_stands_without_the_organ_in_the_directory() -> None:
    ctx = replace(context(), directory=())
    decision = choose(read("我家又停电了", NEW), None, NEW, ctx)
    assert (decision.kind, decision.organ) == (ReplyKind.REFER, None)
    assert {contact.phone for contact in decision.contacts} >= {"95598", "12345"}


def test_what_has_nothing_to_do_with_the_question_is_not_offered() -> None:
    bus = hit("优化调整部分城乡公交线路的通告", "205路由白河乡延伸至河湾。", document="b")
    found = finding("x", [bus], 0.8)
    found = replace(found, record=replace(found.record, expanded=()))
    assert decide("河湾观光船票多少钱", found).kind is ReplyKind.NOT_FOUND
    assert decide("到河湾怎么走", found).kind is ReplyKind.CHOICES


def test_a_miss_names_no_title_twice() -> None:
    found = finding("x", [PENSION], 0.1, suggestions=(PENSION.document.title, "就业创业补贴办法"))
    assert decide("观光船几点开船票价", found).related == ("就业创业补贴办法",)


def test_every_convenience_reply_names_its_basis() -> None:
    for text, organs, state in (
        ("观光船几点开船票价", [], NEW),
        ("观光船几点开船票价", [match(BUREAU, 0.9)], NEW),
        ("统计历年各乡镇参保人数", [], NEW),
        ("有什么好政策", [], talking(asked_back=True, question="怎么办")),
    ):
        decision = decide(text, finding(text, [PENSION], 0.1, organs=organs), state)
        assert decision.kind.convenience
        assert decision.basis


def test_a_year_that_only_others_are_bound_to_is_a_miss_and_not_an_answer() -> None:
    bound = hit("2027年居民医保缴费通知", "2027年每人400元。", written_on=date(2026, 9, 1))
    decision = decide("2028年居民医保交多少钱", finding("x", [bound], 0.9, organs=[match(BUREAU, 0.9)]))
    assert (decision.kind, decision.rule, decision.matched) == (ReplyKind.NOT_FOUND, "not_found.year", "2028")
    assert decision.organ is not None
    assert decide("2027年居民医保交多少钱", finding("x", [bound], 0.9)).kind is ReplyKind.ANSWER
    standing = hit("居民医保办法", "自2024年1月1日起，每人400元。", written_on=date(2023, 12, 1))
    assert decide("2026年居民医保交多少钱", finding("x", [standing], 0.9)).kind is ReplyKind.ANSWER


def test_a_hit_that_holds_nothing_of_the_matter_is_no_answer_however_sure_the_library() -> None:
    alien = hit("异地就医备案通知", "备案怎么办：线上线下都可以。")
    assert decide("房产证怎么过户", finding("x", [alien], 0.9)).kind is ReplyKind.NOT_FOUND
    expanded = finding("x", [PENSION], 0.9)  # its record holds the official words
    assert decide("老农保咋弄", expanded).kind is ReplyKind.ANSWER


def test_the_directory_and_the_hits_together_are_enough_to_offer_choices() -> None:
    theirs = hit("临时救助办法", "由县民政局审批。", document="m")
    text = "临时救助怎么批"
    agreeing = finding(text, [theirs, PENSION], 0.2, organs=[match(BUREAU, 0.8)])
    decision = decide(text, agreeing)
    assert (decision.kind, decision.rule) == (ReplyKind.CHOICES, "choices.organ_agrees")
    assert decision.organ is not None
    bus = OrganMatch(Organ(name="青禾县公共交通公司", aliases=("公交公司",), relation=OrganRelation.UTILITY), 0.9, ())
    ride = "爱心卡多久审一次"
    card = hit("爱心卡办理指南", "由公交公司每年审核。", document="k")
    assert decide(ride, finding(ride, [card], 0.2, organs=[bus])).kind is ReplyKind.CHOICES
    assert decide(ride, finding(ride, [hit("爱心卡规定", "每年审核。")], 0.2, organs=[bus])).kind is ReplyKind.NOT_HELD
    foreign = finding(text, [hit("临时救助办法", "由乡镇审批。", document="m")], 0.16, organs=[match(BUREAU, 0.8)])
    assert decide(text, foreign).kind is ReplyKind.NOT_HELD


def test_an_organ_whose_matter_stands_in_no_head_speaks_against_the_first_hit() -> None:
    text = "养老保险怎么过户"
    found = finding(text, [PENSION], 0.7, organs=[match(BUREAU, 0.8)])
    offered = decide(text, replace(found, confidence=0.4))
    assert offered.kind is ReplyKind.CHOICES, "agreeing hits are not enough where the directory sees another matter"
    assert offered.organ is not None
    assert decide(text, found).kind is ReplyKind.ANSWER, "the library is sure, and the question names the matter"
    assert decide(text, replace(found, organs=())).kind is ReplyKind.ANSWER
    theirs = replace(found, organs=(OrganMatch(BUREAU, 0.8, ("养老保险",)),))
    assert decide(text, theirs).kind is ReplyKind.ANSWER, "the directory means the very matter of the document"
    unnamed = finding("每年缴纳的那个怎么过户", [PENSION], 0.7, organs=[match(BUREAU, 0.8)])
    unnamed = replace(unnamed, record=replace(unnamed.record, expanded=()))
    assert decide("每年缴纳的那个怎么过户", unnamed).kind is ReplyKind.NOT_HELD


def test_a_question_that_names_no_matter_of_the_first_hit_asks_for_more_certainty() -> None:
    text = "县财政代缴的那一档是哪些人"
    for confidence, kind in ((0.6, ReplyKind.NOT_FOUND), (0.8, ReplyKind.CHOICES), (0.9, ReplyKind.ANSWER)):
        found = finding(text, [PENSION, OTHER], confidence)
        assert decide(text, replace(found, record=replace(found.record, expanded=()))).kind is kind


def test_an_outside_organ_wins_over_hits_that_the_question_does_not_name() -> None:
    text = "个税按规定怎么交"
    found = finding(text, [PENSION, OTHER], 0.4, organs=[match(TAX, 0.9)])
    found = replace(found, record=replace(found.record, expanded=()))
    assert decide(text, found).kind is ReplyKind.NOT_HELD


def test_a_message_of_nothing_but_abuse_is_asked_for_its_matter_and_its_words_are_not_shown_again() -> None:
    found = finding("x", [PENSION], 0.1, organs=[match(BUREAU, 0.9)])
    found = replace(found, record=replace(found.record, terms=("废物", "办事"), expanded=()))
    calm = decide("你们都是废物", found)
    assert (calm.kind, calm.variant) == (ReplyKind.CLARIFY, "calm")
    asked = decide("你们这帮废物，驾驶证在哪换", found)
    assert asked.kind is ReplyKind.NOT_HELD
    assert asked.finding is not None
    assert "废物" not in asked.finding.record.terms
    assert "废物" not in asked.question


def test_a_question_about_another_county_is_answered_from_its_documents_alone() -> None:
    theirs = hit("会宁县养老工作方案", "每季度检查一次。", document="h")
    asked = finding("x", [theirs], 0.6)
    asked = replace(asked, record=replace(asked.record, expanded=()))
    assert decide("会宁县几个月检查一次", asked).kind is ReplyKind.ANSWER
    assert decide("和顺县几个月检查一次", asked).kind is ReplyKind.NOT_FOUND
    assert decide("青禾县养老保险一年交多少", finding("x", [PENSION], 0.6)).kind is ReplyKind.ANSWER


def test_a_township_that_is_merely_named_says_where_and_not_what() -> None:
    text = "柳溪镇养老保险一年交多少"
    town = Organ(name="柳溪镇人民政府", short_name="柳溪镇", relation=OrganRelation.TOWNSHIP)
    found = finding(text, [PENSION], 0.6, organs=[OrganMatch(town, 1.0, ("柳溪镇",))])
    assert decide(text, found).kind is ReplyKind.ANSWER


def test_first_hits_of_one_matter_that_is_named_are_answered_and_its_other_items_offered_beside() -> None:
    text = "养老保险一年交多少"
    later = hit(
        PENSION.document.title, "按年缴费，每年12月底前。", document="d1", ordinal=4, score=9.5, lead="缴费时间"
    )
    guide = hit(
        "城乡居民基本养老保险参保登记办事指南", "户口簿。", kind=DocumentKind.SERVICE_GUIDE, document="g", score=9.4
    )
    one = decide(text, finding(text, [PENSION, later, guide, OTHER], 0.16))
    assert (one.kind, one.rule) == (ReplyKind.ANSWER, "answer")
    assert one.hits[0].passage is PENSION.passage
    assert [target.split(" ")[0] for target in one.targets] == ["d1", "g"]
    assert not any("就业" in choice.label for choice in one.choices)
    alien = hit("农机购置补贴办法", "一年交一次养老保险的农户优先。", document="m", score=11.4)
    torn = decide(text, finding(text, [PENSION, alien, OTHER], 0.6))
    assert torn.kind is ReplyKind.CHOICES, "hits that disagree are left to the asker"
    sure = decide(text, finding(text, [PENSION, later, guide, OTHER], 0.9))
    assert sure.kind is ReplyKind.ANSWER
    assert sure.choices == (), "where the first item is sure, nothing is put beside it"


def test_a_wish_that_names_no_matter_is_asked_back_unless_the_library_is_very_sure() -> None:
    assert decide("补贴", finding("补贴", [PENSION], 0.7)).kind is ReplyKind.CLARIFY
    assert decide("补贴", finding("补贴", [PENSION], 0.9)).kind is ReplyKind.CLARIFY
    assert decide("有什么优惠政策和补贴项目", finding("补贴", [PENSION], 0.7)).kind is ReplyKind.CLARIFY
    assert decide("有什么优惠政策和补贴项目", finding("补贴", [PENSION], 0.8)).kind is ReplyKind.ANSWER


def test_alerting_words_are_told_to_staff() -> None:
    assert decide("我不想活了").alert
    assert not decide("我要投诉").alert


def test_a_complaint_names_the_organ_whose_work_it_is() -> None:
    turn = read("食堂用过期油，我要投诉", NEW)
    assert turn.triage is not None
    assert turn.needs_search
    organ = OrganMatch(Organ(name="青禾县市场监督管理局", short_name="县市场监管局"), 0.7, ("食品安全",))
    decision = choose(turn, replace(finding("食堂用过期油"), organs=(organ,)), NEW, context())
    assert decision.kind is ReplyKind.REFER
    assert decision.organ == organ
    assert decision.nearest == ()
