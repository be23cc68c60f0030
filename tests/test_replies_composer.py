"""The words: every kind on every channel, quotes untouched, limits held, nothing forbidden, bad templates refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies_samples import OFFICE, PENSION, context, finding, hit, talking

from knowledge.model import DocumentKind, Passage
from register.inquiry import Channel, Conversation, Reply, ReplyKind
from replies import guide
from replies.composer import FORBIDDEN, SHIPPED, Composer
from replies.conversation import read
from replies.errors import TemplateMissing
from replies.kinds import choose, enrich
from replies.preview import Sample, samples
from replies.text import excerpt, sentences, size, split_at

BASE = "https://wen.qinghe.example"
COMPOSER = Composer(None, OFFICE, BASE)
NEW = Conversation("c")
SAMPLES = samples(OFFICE)


def answer(text: str, passage_text: str, channel: Channel = Channel.WECHAT, limit: int = 1900) -> Reply:
    found = finding(text, [hit("养老保险办法", passage_text, matched=("标准", "缴费"))], 0.9)
    return COMPOSER.compose(choose(read(text, NEW), found, NEW, context()), channel=channel, limit_bytes=limit)


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_wording_renders_on_every_channel(sample: Sample, channel: Channel) -> None:
    reply = COMPOSER.compose(sample.decision, channel=channel, limit_bytes=1900)
    assert reply.kind is sample.decision.kind
    assert reply.text
    assert size(reply.text) <= 1900
    assert "\ue000" not in reply.text + reply.more + reply.lead + reply.notice + reply.disclaimer
    assert "{{" not in reply.text
    assert "\n\n\n" not in reply.text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_own_words_forbid_nothing_and_claim_nothing(sample: Sample) -> None:
    text = COMPOSER.compose(sample.decision, channel=Channel.WEB).text
    assert not [word for word in FORBIDDEN if word in text]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_there_is_always_a_source_or_a_next_step(sample: Sample) -> None:
    reply = COMPOSER.compose(sample.decision, channel=Channel.WEB)
    asks_or_offers = any(word in reply.text for word in ("？", "请", "问我", "接着问", "来问", "回复"))
    assert reply.sources or reply.steps or reply.choices or reply.organ or asks_or_offers
    if reply.kind.convenience or reply.kind in (ReplyKind.ANSWER, ReplyKind.HANDOVER, ReplyKind.FAILED):
        assert reply.sources or reply.steps


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_there_are_never_two_questions_in_one_turn(sample: Sample) -> None:
    reply = COMPOSER.compose(sample.decision, channel=Channel.WEB)
    own = re.sub(r"“[^”]*”|「[^」]*」", "", reply.text)
    assert own.count("？") <= 1


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_own_words_are_short_sentences(sample: Sample) -> None:
    reply = COMPOSER.compose(sample.decision, channel=Channel.WEB)
    for part in (reply.lead, reply.notice, reply.disclaimer, *(step.text for step in reply.steps)):
        own = re.sub(r"「[^」]*」|《[^》]*》|https?://\S+", "", part)
        for sentence in re.split(r"[。！？：\n]", own):
            assert len(sentence) <= 60, sentence


def test_every_template_is_used_and_every_kind_has_one() -> None:
    names = {path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*.j2")}
    assert set(COMPOSER.check()) == names
    used = {f"{s.decision.kind.value}/{s.decision.variant or 'reply'}.txt.j2" for s in SAMPLES}
    included = {name for path in SHIPPED.rglob("*.j2") for name in re.findall(r'include "([^"]+)"', path.read_text())}
    fallbacks = {"smalltalk/reply.txt.j2"}  # every small talk has its wording; the kind's own is the net beneath
    assert names - used - included == fallbacks | {"_more.txt.j2"}
    assert {kind.value for kind in ReplyKind} == {name.split("/")[0] for name in names if "/" in name}


def test_an_answer_quotes_word_for_word_with_its_source_line() -> None:
    found = finding("x", [PENSION], 0.9)
    decision = choose(read("养老保险一年交多少", NEW), found, NEW, context())
    reply = COMPOSER.compose(decision, channel=Channel.WEB)
    source = reply.sources[0]
    assert source.quote == PENSION.passage.text
    assert f"「{source.quote}」" in reply.text
    assert f"《{PENSION.document.title}》（青政发〔2024〕5号），二、（四）10，2024年3月1日，有效" in reply.text
    assert f"{BASE}/p/d1#p3" in reply.text
    assert "资料截至2026年11月20日" in reply.text
    assert (source.url, source.validity_label, source.written_on) == ("/p/d1#p3", "有效", "2024-03-01")
    wechat = COMPOSER.compose(decision, channel=Channel.WECHAT, limit_bytes=1900)
    assert wechat.sources[0].url == f"{BASE}/p/d1#p3"


def test_the_operative_sentence_comes_first_on_wechat_and_the_rest_on_continue() -> None:
    preamble = "为贯彻落实上级部署，进一步做好全县保障工作，结合实际，制定本办法。" * 6
    text = f"{preamble}缴费标准为每年三百元。{'其他事项另行通知，请各乡镇认真组织实施。' * 6}"
    reply = answer("养老保险缴费多少", text)
    assert "缴费标准为每年三百元。" in reply.text[:180]
    assert len(reply.sources[0].quote) <= 150
    assert "（节选）" in reply.text
    assert "回复“继续”看下文" in reply.text
    assert text in reply.more
    web = answer("养老保险缴费多少", text, Channel.WEB, 0)
    assert web.sources[0].quote == text
    assert web.more == ""


def test_the_first_screen_holds_the_answer() -> None:
    reply = answer("养老保险缴费多少", "缴费标准为每年三百元。")
    assert "缴费标准为每年三百元。" in reply.text[:150]


def test_a_lapsed_text_wears_its_warning_before_its_words() -> None:
    sample = next(s for s in SAMPLES if s.name == "answer 已废止")
    reply = COMPOSER.compose(sample.decision, channel=Channel.WECHAT, limit_bytes=1900)
    assert reply.notice.startswith("注意：这份文件已废止")
    assert reply.text.index("已废止") < reply.text.index("「")
    assert "现行的是《" in reply.notice
    amended = next(s for s in SAMPLES if s.name == "answer 已修改")
    assert "修改它的是《" in COMPOSER.compose(amended.decision, channel=Channel.WEB).notice


def test_a_convenience_reply_says_what_was_searched_and_what_it_is_not() -> None:
    for name in ("not_found", "not_held", "needs_creation", "unclear"):
        sample = next(s for s in SAMPLES if s.name == name)
        reply = COMPOSER.compose(sample.decision, channel=Channel.WEB)
        assert "本库" in reply.text
        assert "未检索到" in reply.text
        assert "62份文件、930条内容，资料截至2026年11月20日" in reply.text
        assert "用的词：养老保险、缴费" in reply.text
        assert "城乡居民基本养老保险、缴费档次" in reply.text
        assert "第二十九条" in reply.text
        assert "救济途径" in reply.text
        assert "不是政府信息公开申请的正式答复" in reply.disclaimer
        assert [step.link for step in reply.steps if step.link.startswith("tel:")]
        assert reply.search_record is not None
        assert 1 <= len(reply.nearest) <= 3
        assert reply.basis


def test_not_held_names_the_organ_with_reason_phone_address_and_hours() -> None:
    sample = next(s for s in SAMPLES if s.name == "not_held")
    reply = COMPOSER.compose(sample.decision, channel=Channel.WECHAT, limit_bytes=1900)
    assert reply.organ is not None
    for part in (reply.organ.name, reply.organ.phone, reply.organ.address, reply.organ.hours):
        assert part
        assert part in reply.text[:300]
    assert "城乡居民基本养老保险" in reply.organ_reason


def test_an_emergency_begins_with_the_numbers() -> None:
    for name, number in (("refer/emergency", "119"), ("refer/emergency_mind", "12356")):
        sample = next(s for s in SAMPLES if s.name == name)
        text = COMPOSER.compose(sample.decision, channel=Channel.WECHAT, limit_bytes=1900).text
        assert number in text[:60]


def test_a_guide_becomes_a_card_in_its_own_words() -> None:
    sample = next(s for s in SAMPLES if s.name == "answer 办事指南")
    reply = COMPOSER.compose(sample.decision, channel=Channel.WEB)
    assert reply.facts == (
        ("条件", "年满16周岁的本县居民。"),
        ("材料", "居民身份证、户口簿。"),
        ("收费", "不收费。"),
        ("电话", "0999-5550120"),
    )
    assert "收费：不收费。" in reply.text


@pytest.mark.parametrize(
    ("path", "lead", "text", "expected"),
    [
        (("办理条件",), "", "年满60周岁。", ("条件", "年满60周岁。")),
        (("参保", "（二）申请材料"), "", "1.身份证。", ("材料", "1.身份证。")),
        ((), "收费标准", "收费标准：不收费。", ("收费", "不收费。")),
        ((), "", "五、办理时限\n10个工作日。", ("时限", "10个工作日。")),
        ((), "", "咨询电话：0999-5553111", ("电话", "0999-5553111")),
        (("设定依据",), "", "《办法》第十条。", None),
        ((), "", "申请材料不齐全的一次性告知。", None),
    ],
)
def test_a_section_of_a_guide_is_known_by_its_heading(
    path: tuple[str, ...], lead: str, text: str, expected: tuple[str, str] | None
) -> None:
    passage = Passage("p", "d", 1, "一", path, text, "a", lead=lead)
    assert guide.facts([passage]) == ((expected,) if expected else ())


def test_text_of_citizens_and_documents_is_never_a_template() -> None:
    reply = answer("{{ 7*7 }}{% for x in y %}养老保险缴费标准", "{{ office.phone }}缴费{% raw %}标准。", Channel.WEB, 0)
    assert "「{{ office.phone }}缴费{% raw %}标准。」" in reply.text
    miss = choose(read("{{ 7*7 }}观光船几点开", NEW), finding("x", [], 0.0), NEW, context())
    assert "{{ 7*7 }}观光船几点开" in COMPOSER.compose(miss, channel=Channel.WEB).text


def test_marks_smuggled_into_a_document_stay_text() -> None:
    reply = answer("养老保险缴费标准是多少", "缴费\ue0000\ue001标准。", Channel.WEB, 0)
    assert reply.sources[0].quote == "缴费\ue0000\ue001标准。"
    assert reply.text.count("缴费\ue0000\ue001标准。") == 1


def test_controls_never_leave_the_house() -> None:
    reply = answer("养老保险缴费标准是多少", "缴费\x0b标准\x00为\ud800三百元。", Channel.WECHAT)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\ud800-\udfff]", reply.text)
    reply.text.encode("utf-8")


def test_a_forbidden_word_in_a_quote_is_not_ours() -> None:
    reply = answer(
        "养老保险信息公开答复有哪几种标准", "经检索没有的，告知申请人该政府信息不存在；标准如下。", Channel.WEB, 0
    )
    assert "该政府信息不存在" in reply.sources[0].quote


def test_continue_walks_through_the_whole_passage() -> None:
    text = "。".join(f"第{n}项缴费标准按照县人民政府的规定执行并且向社会公布" for n in range(200)) + "。"
    reply = answer("养老保险缴费标准", text)
    seen = [reply.text]
    more, turns = reply.more, 0
    while more:
        turns += 1
        assert turns < 40
        state = talking(more=more, slots={"kind": "answer"})
        again = COMPOSER.compose(
            choose(read("继续", state), None, state, context()), channel=Channel.WECHAT, limit_bytes=1900
        )
        assert again == COMPOSER.continue_(state, limit_bytes=1900)
        assert size(again.text) <= 1900
        seen.append(again.text)
        more = again.more
    joined = "".join(re.sub(r"\n……回复“继续”看下文$", "", piece) for piece in seen)
    assert all(f"第{n}项缴费标准" in joined for n in range(200))


@settings(max_examples=120, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co"]), min_size=1, max_size=6000),
    st.integers(min_value=0, max_value=2500),
)
def test_the_limit_holds_for_any_passage(text: str, limit: int) -> None:
    reply = answer("养老保险缴费标准是多少", f"缴费{text}", Channel.WECHAT, limit)
    if limit:
        assert size(reply.text) <= limit
    assert reply.sources[0].quote in f"缴费{text}"


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=200), st.text(max_size=300), st.floats(0, 1))
def test_the_whole_path_bears_any_text(question: str, title: str, passage: str, confidence: float) -> None:
    found = finding(question, [hit(title, passage, lead=title[:30], matched=(question[:3],))], confidence)
    turn = read(question, NEW)
    decision = choose(turn, found if turn.needs_search else None, NEW, context())
    reply = COMPOSER.compose(decision, channel=Channel.WECHAT, limit_bytes=1900)
    assert size(reply.text) <= 1900
    reply.text.encode("utf-8")
    for source in reply.sources:
        assert source.quote in passage


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=800), st.integers(min_value=1, max_value=300), st.lists(st.text(min_size=1, max_size=4)))
def test_an_excerpt_is_a_piece_of_its_passage(text: str, limit: int, words: list[str]) -> None:
    piece = excerpt(text, words, limit)
    assert piece in text
    assert len(piece) <= limit
    assert bool(piece) == bool(text.strip())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=800))
def test_sentences_cover_the_text(text: str) -> None:
    covered = "".join(text[start:end] for start, end in sentences(text))
    assert re.sub(r"\s", "", covered) == re.sub(r"\s", "", text)


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=800), st.integers(min_value=4, max_value=900)
)
def test_a_split_loses_nothing(text: str, limit: int) -> None:
    head, tail = split_at(text, limit)
    assert size(head) <= limit
    assert re.sub(r"\s", "", head + tail) == re.sub(r"\s", "", text)


def test_a_split_leaves_links_whole() -> None:
    text = "看这里。\nhttps://wen.qinghe.example/p/d1?x=1#p3\n谢谢。" * 4
    for limit in range(60, size(text)):
        head, _ = split_at(text, limit)
        last = head.rsplit("\n", 1)[-1]
        assert not last.startswith("https") or last == "https://wen.qinghe.example/p/d1?x=1#p3"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("not_found/reply.txt.j2", "{% block lead %}\n\n该信息不存在。{% endblock %}", "reply.txt.j2:3: .*不存在"),
        (
            "answer/reply.txt.j2",
            "{% block lead %}\n{{ titel }}{% endblock %}",
            "reply.txt.j2:2: unknown variable 'titel'",
        ),
        ("answer/reply.txt.j2", "{% block lead %}\n{{ office.fon }}{% endblock %}", "reply.txt.j2:2: .*fon"),
        ("answer/reply.txt.j2", "{% block lead %}\n\n{% if %}{% endblock %}", "reply.txt.j2:3: "),
        ("answer/reply.txt.j2", "{% block lead %}好{% endblock %}\n外面的字", "reply.txt.j2:2: .*block"),
        ("answer/reply.txt.j2", "{# 空 #}", "renders to nothing"),
        ("answer/reply.txt.j2", "{% include 'nowhere.txt.j2' %}", "reply.txt.j2:1: "),
        ("answer/reply.txt.j2", "{% block lead %}{% include 'nowhere.txt.j2' %}{% endblock %}", "nowhere"),
        ("_disclaimer.txt.j2", "不予处理", "_disclaimer.txt.j2:1: .*不予处理"),
        ("menu/welcome.txt.j2", "{% block lead %}\n{{ 1 / 0 }}{% endblock %}", "welcome.txt.j2:2: .*zero"),
        ("menu/welcome.txt.j2", "{% block lead %}{{ ''.__class__.__mro__ }}{% endblock %}", "welcome.txt.j2"),
    ],
)
def test_an_override_with_an_error_is_refused_by_file_and_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    with pytest.raises(TemplateMissing, match=says):
        Composer(tmp_path, OFFICE, BASE)


def test_an_override_wins_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "smalltalk").mkdir()
    (tmp_path / "smalltalk" / "thanks.txt.j2").write_text("{% block lead %}别客气，乡亲。{% endblock %}", "utf-8")
    composer = Composer(tmp_path, OFFICE, BASE)
    thanks = choose(read("谢谢", NEW), None, NEW, context())
    assert composer.compose(thanks, channel=Channel.WEB).text == "别客气，乡亲。"
    bye = choose(read("再见", NEW), None, NEW, context())
    assert composer.compose(bye, channel=Channel.WEB).text == COMPOSER.compose(bye, channel=Channel.WEB).text


def test_a_channel_can_have_its_own_wording(tmp_path: Path) -> None:
    (tmp_path / "smalltalk").mkdir()
    (tmp_path / "smalltalk" / "bye.wechat.txt.j2").write_text("{% block lead %}微信再见。{% endblock %}", "utf-8")
    composer = Composer(tmp_path, OFFICE, BASE)
    bye = choose(read("再见", NEW), None, NEW, context())
    assert composer.compose(bye, channel=Channel.WECHAT).text == "微信再见。"
    assert composer.compose(bye, channel=Channel.WEB).text != "微信再见。"


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateMissing, match="is not a folder"):
        Composer(tmp_path / "nowhere", OFFICE, BASE)


def test_a_running_composer_keeps_its_templates_when_a_file_breaks(tmp_path: Path) -> None:
    (tmp_path / "smalltalk").mkdir()
    path = tmp_path / "smalltalk" / "bye.txt.j2"
    path.write_text("{% block lead %}走好。{% endblock %}", "utf-8")
    composer = Composer(tmp_path, OFFICE, BASE)
    path.write_text("{% block lead %}{{", "utf-8")
    bye = choose(read("再见", NEW), None, NEW, context())
    assert composer.compose(bye, channel=Channel.WEB).text == "走好。"


def test_the_failed_reply_needs_nothing() -> None:
    reply = COMPOSER.failed(Channel.WECHAT, limit_bytes=1900)
    assert reply.kind is ReplyKind.FAILED
    assert OFFICE.phone in reply.text


def test_an_office_without_page_phone_hours_or_mail_still_speaks(tmp_path: Path) -> None:
    bare = replace(OFFICE, apply_url="", hours="", email="", address="")
    composer = Composer(None, bare, BASE)
    for sample in samples(bare):
        reply = composer.compose(sample.decision, channel=Channel.WEB)
        assert "=>" not in reply.text
        assert "（）" not in reply.text


def test_a_promise_of_when_is_made_only_where_the_office_makes_one() -> None:
    handover = choose(read("人工", NEW), None, NEW, context())
    assert "工作日内" not in COMPOSER.compose(handover, channel=Channel.WEB).lead
    promising = Composer(None, replace(OFFICE, handover_days=3), BASE)
    assert "3个工作日内" in promising.compose(handover, channel=Channel.WEB).lead


def test_choices_are_numbered_as_they_are_picked() -> None:
    found = finding("x", [PENSION, hit("创业补贴办法", "5000元。", document="d5", lead="创业补贴")], 0.4)
    decision = choose(read("补贴标准怎么定", NEW), found, NEW, context())
    reply = COMPOSER.compose(decision, channel=Channel.WECHAT, limit_bytes=1900)
    assert f"1. {reply.choices[0].label}\n2. {reply.choices[1].label}" in reply.text


def test_a_guide_that_was_not_opened_is_still_quoted() -> None:
    passage = hit("养老保险参保办事指南", "带身份证。", kind=DocumentKind.SERVICE_GUIDE, document="g")
    decision = choose(read("养老保险带什么材料", NEW), finding("x", [passage], 0.9), NEW, context())
    assert COMPOSER.compose(decision, channel=Channel.WEB).facts == ()
    assert "带身份证。" in COMPOSER.compose(enrich(decision), channel=Channel.WEB).text


def test_samples_are_named_for_what_they_show() -> None:
    for sample in SAMPLES:
        wording = f"/{sample.decision.variant}" if sample.decision.variant else ""
        assert sample.name.split(" ")[0] in (sample.decision.kind.value, f"{sample.decision.kind.value}{wording}")


@pytest.mark.parametrize("channel", [Channel.WEB, Channel.KIOSK])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_where_there_are_buttons_nobody_is_told_to_reply(sample: Sample, channel: Channel) -> None:
    shown = COMPOSER.compose(sample.decision, channel=channel)
    if sample.decision.kind is ReplyKind.CHOICES:
        assert "点一下" in shown.lead
        assert "点一下" not in COMPOSER.compose(sample.decision, channel=Channel.WECHAT).lead
    if sample.decision.kind in (ReplyKind.CHOICES, ReplyKind.CLARIFY, ReplyKind.MENU):
        assert "回复" not in shown.text
