"""What a message means in its conversation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies_samples import NOW, PENSION, context, event, finding, hit, offered, talking

from register.inquiry import Choice, Conversation, Reply, ReplyKind
from replies.conversation import advance, fresh, read
from replies.kinds import choose
from replies.model import Decision, TurnKind, Vagueness

NEW = Conversation("c")
LABELS = ("农机购置补贴——《农机购置补贴实施方案》", "一次性创业补贴——《就业创业若干措施》", "高龄津贴", "危房改造补助")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("继续", TurnKind.CONTINUE),
        ("继续。", TurnKind.CONTINUE),
        ("换个问题", TurnKind.RESET),
        ("人工", TurnKind.HUMAN),
        ("转人工！", TurnKind.HUMAN),
        ("人工，我家低保的事", TurnKind.HUMAN),
        ("有用", TurnKind.USEFUL),
        ("没用", TurnKind.USELESS),
        ("答非所问", TurnKind.USELESS),
        ("你好", TurnKind.GREETING),
        ("您好呀~", TurnKind.GREETING),
        ("在吗？", TurnKind.GREETING),
        ("谢谢啦", TurnKind.THANKS),
        ("好的", TurnKind.THANKS),
        ("再见", TurnKind.BYE),
        ("你是谁", TurnKind.ABOUT),
        ("你是机器人吗？", TurnKind.ABOUT),
        ("菜单", TurnKind.MENU),
        ("ＨＥＬＰ", TurnKind.MENU),
        ("?", TurnKind.MENU),
        ("", TurnKind.EMPTY),
        ("   \n", TurnKind.EMPTY),
        ("👍👍🎉", TurnKind.EMPTY),
        ("\u200d\u200b\ufeff\u200d", TurnKind.EMPTY),
        ("啥", TurnKind.EMPTY),
        ("……", TurnKind.EMPTY),
        ("2", TurnKind.EMPTY),
        ("第二个", TurnKind.EMPTY),
        ("最后一个", TurnKind.EMPTY),
        ("都不是", TurnKind.EMPTY),
        ("低保怎么申请", TurnKind.QUESTION),
        ("人工智能产业扶持政策", TurnKind.QUESTION),
        ("继续教育补贴怎么领", TurnKind.QUESTION),
        ("有用工补贴吗", TurnKind.QUESTION),
        ("你好，低保怎么申请", TurnKind.QUESTION),
    ],
)
def test_a_message_out_of_the_blue(text: str, kind: TurnKind) -> None:
    assert read(text, NEW).kind is kind


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("subscribe", "", TurnKind.WELCOME),
        ("image", "", TurnKind.MEDIA),
        ("voice", "", TurnKind.MEDIA),
        ("voice", "低保怎么申请", TurnKind.QUESTION),
        ("location", "", TurnKind.MEDIA),
        ("menu:", "", TurnKind.MENU),
        ("menu:人工", "", TurnKind.HUMAN),
        ("CLICK:低保怎么申请", "", TurnKind.QUESTION),
        ("unsubscribe", "", TurnKind.BYE),
        ("something_new", "", TurnKind.MENU),
    ],
)
def test_an_event_instead_of_text(name: str, text: str, kind: TurnKind) -> None:
    assert read(event(name, text), NEW).kind is kind


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("2", 1),
        ("２", 1),
        ("2.", 1),
        ("二", 1),
        ("第二个", 1),
        ("第2个", 1),
        ("选2", 1),
        ("我要第二个", 1),
        ("第三", 2),
        ("3吧", 2),
        ("最后一个", 3),
        ("创业那个", 1),
        ("农机那个", 0),
        ("高龄津贴", 2),
        ("危房的", 3),
        ("问高龄津贴", 2),
        (LABELS[1], 1),
    ],
)
def test_a_choice_can_be_picked_in_many_ways(text: str, index: int) -> None:
    turn = read(text, offered(*LABELS))
    assert turn.kind is TurnKind.PICK
    assert turn.picked is not None
    assert turn.picked.label == LABELS[index]


@pytest.mark.parametrize("text", ["5", "第九个", "0"])
def test_a_number_beyond_the_choices_is_asked_again(text: str) -> None:
    turn = read(text, offered(*LABELS))
    assert turn.kind is TurnKind.PICK_MISSED
    decision = choose(turn, None, offered(*LABELS), context())
    assert decision.kind is ReplyKind.CHOICES
    assert [choice.label for choice in decision.choices] == list(LABELS)


def test_a_new_question_leaves_the_choices_alone() -> None:
    turn = read("医保断缴了怎么补", offered(*LABELS))
    assert turn.kind is TurnKind.QUESTION
    assert turn.question == "医保断缴了怎么补"


def test_an_ambiguous_word_is_not_a_pick() -> None:
    assert read("补贴", offered(*LABELS)).kind is TurnKind.QUESTION


def test_yes_picks_the_only_choice() -> None:
    assert read("是的", offered("高龄津贴")).kind is TurnKind.PICK
    assert read("是的", offered(*LABELS)).kind is not TurnKind.PICK


def test_none_of_these_is_understood_while_choices_are_pending() -> None:
    assert read("都不是", offered(*LABELS)).kind is TurnKind.NONE_OF_THESE


def test_a_pick_goes_to_the_very_passage_that_was_offered() -> None:
    first = choose(
        read("补贴标准怎么定", NEW),
        finding("补贴标准", [PENSION, hit("创业补贴办法", "每人5000元。", document="d5", lead="创业补贴")], 0.4),
        NEW,
        context(),
    )
    after = advance(NEW, read("补贴标准怎么定", NEW), first, Reply(first.kind, "…", choices=first.choices), NOW, 7)
    turn = read("第二个", after)
    assert turn.filters.documents == ("d5",)
    assert turn.passage == "d5-3"
    assert turn.needs_search


@pytest.mark.parametrize(
    ("text", "question", "aspect"),
    [
        ("那要带什么材料？", "低保 需要什么材料", "materials"),
        ("多少钱", "低保 标准是多少", "amount"),
        ("找谁办", "低保 由哪个部门负责", "who"),
        ("在哪办", "低保 在哪里办理地点", "place"),
        ("要多久", "低保 什么时候办理时限", "time"),
        ("电话呢", "低保 咨询电话", "phone"),
        ("低保多少钱", "低保 标准是多少", "amount"),
    ],
)
def test_a_follow_up_inherits_the_subject(text: str, question: str, aspect: str) -> None:
    turn = read(text, talking(subject="低保"))
    assert (turn.question, turn.aspect, turn.followup) == (question, aspect, True)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("租金多少", "公租房 租金多少"),
        ("多久能批下来", "公租房 多久能批下来"),
        ("每个月几号到账", "公租房 每个月几号到账"),
    ],
)
def test_a_figure_or_a_step_of_a_matter_is_no_matter_of_its_own(text: str, question: str) -> None:
    turn = read(text, talking(subject="公租房"))
    assert (turn.question, turn.followup, turn.subject) == (question, True, "公租房")


@pytest.mark.parametrize(("text", "question"), [("晚上呢", "出租车起步价 晚上"), ("那外地人呢", "出租车起步价 外地人")])
def test_what_about_varies_the_subject(text: str, question: str) -> None:
    assert read(text, talking(subject="出租车起步价")).question == question


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("你都会做些啥", TurnKind.ABOUT),
        ("你到底是真人还是机器", TurnKind.ABOUT),
        ("这里能办什么事", TurnKind.ABOUT),
        ("可以问你哪些问题呀", TurnKind.ABOUT),
        ("谢谢你，帮了大忙", TurnKind.THANKS),
        ("讲得很清楚，太感谢了", TurnKind.THANKS),
        ("好的谢谢，再见", TurnKind.THANKS),
        ("没别的事了，拜拜", TurnKind.BYE),
        ("老师您好，早上好呀", TurnKind.GREETING),
        ("明白啦", TurnKind.USEFUL),
    ],
)
def test_small_talk_is_recognised_however_it_is_put(text: str, kind: TurnKind) -> None:
    assert read(text, NEW).kind is kind


@pytest.mark.parametrize(
    "text",
    [
        "谢谢，那低保怎么申请",
        "你好，高龄津贴多少钱",
        "你能帮我查公租房吗",
        "请问怎么办",
        "这里能办居住证吗",
        "有什么好政策",
    ],
)
def test_small_talk_with_anything_else_in_it_is_a_question(text: str) -> None:
    assert read(text, NEW).kind is TurnKind.QUESTION


@pytest.mark.parametrize("text", ["123456", "补贴补贴补贴补贴补贴补贴", "就是办手续", "就是那个事怎么办"])
def test_what_names_no_matter_is_not_taken_for_one(text: str) -> None:
    turn = read(text, NEW)
    assert turn.kind is TurnKind.EMPTY or turn.vagueness is Vagueness.NO_MATTER


@pytest.mark.parametrize("text", ["贷款的事", "残疾人有啥好处", "老人有哪些优惠", "低保"])
def test_a_topic_with_no_more_than_a_wish_is_a_bare_topic(text: str) -> None:
    assert read(text, NEW).vagueness is Vagueness.BARE_TOPIC


def test_beside_an_answer_only_what_points_to_a_choice_takes_it() -> None:
    after = talking(
        choices=(Choice("申请和审核——《公租房办法》", "公租房办法 申请和审核"),),
        subject="公租房",
        slots={"kind": "answer"},
    )
    assert read("1", after).kind is TurnKind.PICK
    assert read("第一个", after).kind is TurnKind.PICK
    assert read("申请和审核——《公租房办法》", after).kind is TurnKind.PICK
    assert read("好的", after).kind is TurnKind.THANKS
    assert read("要什么材料", after).question == "公租房 需要什么材料"
    assert read("低保怎么申请", after).question == "低保怎么申请"


@pytest.mark.parametrize("text", ["医保多少钱", "高龄津贴怎么领", "农机购置补贴标准是多少"])
def test_a_question_with_a_subject_of_its_own_inherits_nothing(text: str) -> None:
    turn = read(text, talking(subject="低保"))
    assert not turn.followup
    assert turn.question == text


def test_and_what_about_varies_the_subject_and_does_not_pile_up() -> None:
    state = talking(subject="低保标准")
    for who in ("农村的", "城里的", "残疾人"):
        turn = read(f"那{who}呢", state)
        assert turn.followup
        state = advance(state, turn, Decision(ReplyKind.ANSWER, "answer"), Reply(ReplyKind.ANSWER, "…"), NOW)
    assert state.subject == "低保标准 残疾人"


def test_the_answer_to_a_question_back_completes_the_first_question() -> None:
    state = talking(asked_back=True, question="补贴怎么申请")
    assert read("农机的", state).question == "农机的 补贴怎么申请"
    assert read("农机的", state).followup
    assert not read("低保要什么材料", state).followup


def test_changing_the_question_forgets_the_subject() -> None:
    state = talking(subject="低保", document="d1", last_entry=4)
    turn = read("换个问题", state)
    after = advance(state, turn, choose(turn, None, state, context()), Reply(ReplyKind.SMALLTALK, "…"), NOW)
    assert (after.subject, after.document, after.last_entry) == ("", "", 4)
    assert read("多少钱", after).vagueness is Vagueness.NO_MATTER


def test_small_talk_leaves_what_is_pending() -> None:
    state = offered(*LABELS)
    turn = read("谢谢", state)
    after = advance(state, turn, choose(turn, None, state, context()), Reply(ReplyKind.SMALLTALK, "…"), NOW, 9)
    assert after.choices == state.choices
    assert after.last_entry == 0


def test_useful_judges_the_last_answer_and_not_the_thanks() -> None:
    turn = read("低保怎么申请", NEW)
    state = advance(NEW, turn, Decision(ReplyKind.ANSWER, "answer"), Reply(ReplyKind.ANSWER, "…"), NOW, entry=12)
    thanks = read("谢谢", state)
    state = advance(state, thanks, Decision(ReplyKind.SMALLTALK, "x"), Reply(ReplyKind.SMALLTALK, "…"), NOW, entry=13)
    assert state.last_entry == 12


def test_the_rest_of_a_long_answer_shrinks_with_every_continue() -> None:
    state = talking(more="甲。乙。", slots={"kind": "answer"})
    turn = read("继续", state)
    decision = choose(turn, None, state, context())
    assert (decision.kind, decision.rest) == (ReplyKind.ANSWER, "甲。乙。")
    assert advance(state, turn, decision, Reply(ReplyKind.ANSWER, "甲。", more="乙。"), NOW).more == "乙。"


def test_a_conversation_expires_after_its_minutes() -> None:
    state = offered(*LABELS)
    assert fresh(state, NOW + timedelta(minutes=30), 30) == state
    late = fresh(state, NOW + timedelta(minutes=31), 30)
    assert (late.choices, late.question) == ((), "")


def test_a_clock_that_jumps_back_far_forgets_and_a_small_step_does_not() -> None:
    state = offered(*LABELS)
    assert fresh(state, NOW - timedelta(minutes=2), 30) == state
    assert fresh(state, NOW - timedelta(days=2), 30).choices == ()


def test_a_thousand_turns_do_not_swell_the_conversation() -> None:
    state = NEW
    for number in range(1000):
        turn = read(f"那第{number}批的呢" if number % 3 else "补贴标准怎么定", state)
        found = finding("x", [PENSION], 0.4 if number % 2 else 0.9)
        decision = choose(turn, found if turn.needs_search else None, state, context())
        state = advance(state, turn, decision, Reply(decision.kind, "…", choices=decision.choices), NOW, number)
    assert len(state.subject) < 80
    assert len(state.question) <= 300
    assert len(state.slots) < 10


def test_ten_thousand_characters_are_cut_for_the_search() -> None:
    turn = read("低保怎么申请，" * 1500, NEW)
    assert len(turn.question) <= 300
    assert turn.shortened
    assert len(turn.shown) == 60


@pytest.mark.parametrize(
    ("text", "number", "only"),
    [
        ("青政发〔2024〕5号", "青政发〔2024〕5号", True),
        ("青政发[2024]5号", "青政发〔2024〕5号", True),
        ("青政发（2024）第5号 全文", "青政发〔2024〕5号", True),
        ("查一下青政发〔2024〕5号", "青政发〔2024〕5号", True),
        ("青政发〔2024〕5号补贴多少钱", "青政发〔2024〕5号", False),
    ],
)
def test_a_document_number_is_looked_up_as_such(text: str, number: str, only: bool) -> None:
    turn = read(text, NEW)
    assert (turn.filters.number, turn.number_only) == (number, only)


def test_the_second_of_two_questions_waits_its_turn() -> None:
    turn = read("低保怎么申请？另外想问高龄津贴多少钱", NEW)
    assert turn.question == "低保怎么申请"
    assert turn.aside == "想问高龄津贴多少钱"


def test_what_is_shown_back_is_one_safe_line() -> None:
    turn = read("{{ office }}\r\n<b>低保</b>\x00\u202e怎么申请王八蛋" + "很" * 100, NEW)
    assert turn.shown.startswith("{{ office }} <b>低保</b>怎么申请＊＊＊")
    assert len(turn.shown) == 60
    assert "\n" not in turn.shown


def test_an_emergency_is_not_taken_for_a_follow_up_or_a_pick() -> None:
    for state in (talking(subject="低保"), talking(asked_back=True, question="怎么申请")):
        turn = read("着火了怎么办", state)
        assert turn.triage is not None
        assert turn.triage.at_once
        assert not turn.needs_search


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400))
def test_anything_can_be_read(text: str) -> None:
    for state in (NEW, offered(*LABELS), talking(subject="低保"), talking(asked_back=True, question="怎么申请")):
        turn = read(text, state)
        assert len(turn.question) <= 300
        assert len(turn.shown) <= 60
        assert replace(turn, raw="") == replace(read(text, state), raw="")
