"""模板样例: one made-up decision for every kind and wording, so that each template can be checked and looked at.

Everything here is fictional (青禾县). The decisions come from the same rules that serve citizens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Finding,
    Hit,
    LinkKind,
    Organ,
    OrganMatch,
    OrganRelation,
    Passage,
    PolicyDocument,
    SearchRecord,
    Stage,
    Validity,
)
from register.inquiry import Channel, Choice, Conversation, Inquiry, ReplyKind
from replies import conversation as talk
from replies import kinds
from replies.model import Context, Decision, Missing, OfficeInfo, Screening, SensitiveAction, Turn, TurnKind

OFFICE = OfficeInfo(
    name="青禾县人民政府办公室",
    county="青禾县",
    assistant="青禾便民答复助手",
    address="青禾县禾丰路1号",
    phone="0999-5550101",
    hours="工作日 8:30—12:00，14:30—18:00",
    email="zwgk@qinghe.example",
    hotline="12345",
    apply_url="/p/zhinan",
)
TODAY = date(2026, 11, 20)
_BUREAU = Organ(
    name="青禾县人力资源和社会保障局",
    short_name="县人社局",
    functions=("城乡居民基本养老保险", "就业创业补贴"),
    phone="0999-5550120",
    address="青禾县禾丰路8号",
    hours="工作日 8:30—12:00，14:30—18:00",
)
_TAX = Organ(name="国家税务总局青禾县税务局", relation=OrganRelation.VERTICAL, functions=("税费征收",))
_DIRECTORY = (
    _BUREAU,
    _TAX,
    Organ(name="青禾县信访局", phone="0999-5550130", address="青禾县禾丰路3号", hours="工作日"),
    Organ(name="青禾县市场监督管理局", phone="0999-5550131"),
    Organ(name="青禾县自然资源局", phone="0999-5550132", address="青禾县禾丰路6号"),
    Organ(name="青禾县档案馆", phone="0999-5550133", address="青禾县书院街2号"),
    Organ(name="青禾县自来水有限公司", relation=OrganRelation.UTILITY, phone="0999-5550134"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """样例: a named decision; ``name`` is 「kind」 or 「kind/wording」 with a note where there are several."""

    name: str
    decision: Decision


def hit(
    title: str,
    text: str,
    *,
    number: str = "",
    locator: str = "二、（四）10",
    kind: DocumentKind = DocumentKind.POLICY,
    validity: Validity = Validity.IN_FORCE,
    score: float = 10.0,
    matched: tuple[str, ...] = (),
    document: str = "d1",
    ordinal: int = 3,
    path: tuple[str, ...] = (),
    lead: str = "",
    issuer: str = "青禾县人民政府办公室",
    expires_on: date | None = None,
    effective_on: date | None = None,
    written_on: date | None = date(2024, 3, 1),
    audience: str = "",
) -> Hit:
    """A made-up hit in a published document of the fictional county."""
    return Hit(
        passage=Passage(f"{document}-{ordinal}", document, ordinal, locator, path, text, f"p{ordinal}", lead=lead),
        document=PolicyDocument(
            id=document,
            kind=kind,
            title=title,
            number=number,
            issuer=issuer,
            written_on=written_on,
            effective_on=effective_on,
            expires_on=expires_on,
            attribute=DisclosureAttribute.PUBLIC,
            validity=validity,
            stage=Stage.PUBLISHED,
            audience=audience,
        ),
        score=score,
        matched=matched,
    )


def finding(
    query: str,
    hits: Sequence[Hit] = (),
    confidence: float = 0.0,
    *,
    organs: Sequence[OrganMatch] = (),
    suggestions: tuple[str, ...] = (),
    corrected: str = "",
    filters: dict[str, str] | None = None,
    documents: int = 62,
) -> Finding:
    """A made-up finding over a library of ``documents`` documents."""
    return Finding(
        query=query,
        hits=tuple(hits),
        confidence=confidence,
        record=SearchRecord(
            query=query,
            terms=("养老保险", "缴费"),
            expanded=("城乡居民基本养老保险", "缴费档次"),
            filters=filters or {},
            scope_documents=documents,
            scope_passages=documents * 15,
            index_version="sample",
            as_of=TODAY if documents else None,
            hits=len(hits),
            seconds=0.004,
        ),
        corrected=corrected,
        suggestions=suggestions,
        organs=tuple(organs),
    )


PENSION = hit(
    "青禾县人民政府关于印发城乡居民基本养老保险实施办法的通知",
    "10.缴费标准。参加城乡居民基本养老保险的人员应当按规定缴纳养老保险费。缴费标准设为每年200元、500元、1000元三个档次，"
    "参保人自主选择一个档次，每年缴费一次，多缴多得。对重度残疾人，由县财政按最低档次代缴。",
    number="青政发〔2024〕5号",
    matched=("养老保险", "缴费", "档次"),
    lead="缴费标准",
)
_PLAIN = hit(
    "《城乡居民基本养老保险实施办法》政策解读",
    "一年交多少，由您自己选：200元、500元、1000元都可以，交得多，以后领得多。",
    locator="二、",
    kind=DocumentKind.INTERPRETATION,
    document="d2",
    score=8.0,
)
_GUIDE = hit(
    "城乡居民基本养老保险参保登记办事指南",
    "办理材料：居民身份证、户口簿。",
    locator="三、",
    kind=DocumentKind.SERVICE_GUIDE,
    document="d3",
    score=9.0,
    path=("三、办理材料",),
)
_OLD = hit(
    "青禾县城乡居民养老保险暂行办法",
    "每年缴费100元。",
    number="青政发〔2014〕9号",
    document="d4",
    validity=Validity.REPEALED,
    score=9.9,
)
_BOUND = hit("关于做好2027年居民医保参保缴费工作的通知", "2027年居民医保每人每年400元。", document="d6")
_OTHER = hit("青禾县就业创业补贴办法", "一次性创业补贴标准为5000元。", document="d5", score=9.9, lead="一次性创业补贴")


def context(office: OfficeInfo = OFFICE) -> Context:
    """The thresholds and the directory of the samples."""
    return Context(answer_at=0.55, choices_at=0.4, family_at=0.5, office=office, today=TODAY, directory=_DIRECTORY)


def samples(office: OfficeInfo = OFFICE) -> tuple[Sample, ...]:
    """One sample for every kind and every wording of a kind."""
    empty = Conversation("sample")
    asked = Conversation("sample", asked_back=True, question="有什么补贴")
    offered = Conversation("sample", choices=(Choice("就业补贴", "就业补贴"), Choice("养老保险", "养老保险")))

    def of(name: str, text: str, found: Finding | None = None, before: Conversation = empty) -> Sample:
        return Sample(name, kinds.choose(talk.read(text, before), found, before, context(office)))

    def event(name: str, code: str) -> Sample:
        turn = talk.read(_inquiry(code), empty)
        return Sample(name, kinds.choose(turn, None, empty, context(office)))

    fee = "养老保险一年交多少钱"
    answer = of("answer", fee, finding(fee, [PENSION, _OTHER], 0.9))
    old = of("answer 已废止", fee, finding(fee, [_OLD], 0.9))
    amended = of("answer 已修改", fee, finding(fee, [_with(PENSION, validity=Validity.AMENDED)], 0.9))
    guide = of("answer 办事指南", "养老保险参保带什么材料", finding(fee, [_GUIDE], 0.9))
    sections = (
        _GUIDE.passage,
        Passage("g1", "d3", 1, "一、", ("一、办理条件",), "年满16周岁的本县居民。", "p1"),
        Passage("g2", "d3", 2, "二、", ("二、收费标准",), "不收费。", "p2"),
        Passage("g4", "d3", 4, "四、", ("四、咨询电话",), "0999-5550120", "p4"),
    )
    refusing = Turn(
        kind=TurnKind.QUESTION,
        question="…",
        screening=Screening("…", (SensitiveAction.REFUSE,), ("样例",)),
    )
    miss = finding(fee, [PENSION, _OTHER], 0.1, suggestions=("养老保险缴费档次",))
    held = finding(fee, [PENSION], 0.1, organs=[OrganMatch(_BUREAU, 0.8, ("城乡居民基本养老保险",))])
    theirs = hit("退休人员体检服务指南", "由县人社局安排。", document="d7", lead="体检", score=9.0)
    waived = hit("青禾县社会救助细则", "重度残疾人的医保费由县财政代缴。", document="d8", score=9.8)
    agreeing = finding(
        fee, [theirs, PENSION, _OTHER], 0.16, organs=[OrganMatch(_BUREAU, 0.8, ("城乡居民基本养老保险",))]
    )
    outside = finding("个税", [], 0.0, organs=[OrganMatch(_TAX, 0.9, ())])
    return (
        answer,
        of("answer 有解读", fee, finding(fee, [PENSION, _PLAIN], 0.9, corrected="养老保险缴费档次")),
        replace(old, decision=kinds.enrich(old.decision, links=((LinkKind.REPEALS, PENSION.document, True),))),
        of("answer 已失效", fee, finding(fee, [_with(PENSION, expires_on=date(2025, 12, 31))], 0.9)),
        replace(
            amended,
            decision=kinds.enrich(amended.decision, links=((LinkKind.AMENDS, _OTHER.document, True),)),
        ),
        of("answer 尚未施行", fee, finding(fee, [_with(PENSION, effective_on=date(2027, 1, 1))], 0.9)),
        replace(guide, decision=kinds.enrich(guide.decision, guide=sections)),
        replace(
            answer,
            name="answer 有解读链接",
            decision=kinds.enrich(answer.decision, links=((LinkKind.INTERPRETS, _PLAIN.document, True),)),
        ),
        of("answer/number", "青政发〔2024〕5号", finding("青政发〔2024〕5号", [PENSION], 0.9)),
        replace(
            answer,
            name="answer 解读的原文件",
            decision=kinds.enrich(answer.decision, links=((LinkKind.INTERPRETS, PENSION.document, False),)),
        ),
        of("answer 同一事项", fee, finding(fee, [PENSION, _GUIDE, _with_words(PENSION, "按年缴费。", 4), _OTHER], 0.4)),
        of("answer 两个问题", f"{fee}？另外低保怎么申请", finding(fee, [PENSION], 0.9)),
        of("choices", "重度残疾人由财政代缴哪一档", _unexpanded(finding("代缴", [PENSION, waived, _OTHER], 0.6))),
        of("choices 有单位", "退休人员体检在哪做", agreeing),
        of("choices/one", "量血压在哪", finding("量血压", [_with_words(theirs, "量血压由县人社局安排。")], 0.25)),
        of("choices/again", "7", None, offered),
        of("clarify", "怎么申请", finding("怎么申请", [PENSION, _OTHER], 0.1)),
        of("clarify 哪一方面", "社保", finding("社保", [PENSION, _OTHER], 0.1)),
        *(
            Sample(f"clarify {missing.value}", Decision(ReplyKind.CLARIFY, "clarify", "社保", missing=missing))
            for missing in Missing
        ),
        event("clarify/media", "image"),
        of("clarify/empty", "👍"),
        of("clarify/calm", "你们都是废物", finding("x")),
        of("clarify/none", "都不是", None, offered),
        of("not_found", "青禾湖观光船几点开", miss),
        of(
            "not_found/number",
            "青政发〔2031〕99号",
            finding("青政发〔2031〕99号", filters={"number": "青政发〔2031〕99号"}),
        ),
        of("not_found/year", "2028年居民医保交多少钱", finding("居民医保", [_BOUND], 0.6)),
        of("not_held", "退休人员体检在哪做", held),
        of("not_held 没有电话", "个税退税怎么弄", outside),
        of("needs_creation", "统计一下历年各乡镇养老保险参保人数", miss),
        of("needs_creation 有单位", "统计一下历年各乡镇养老保险参保人数", held),
        of("unclear", "有什么好政策", miss, asked),
        of("unclear 都不是", "都不是", None, asked),
        of("refer/emergency", "我家着火了"),
        of("refer/emergency_mind", "我不想活了"),
        of("refer/complaint", "我要投诉镇卫生院"),
        of("refer/consumer", "超市买到过期食品"),
        of("refer/petition", "我要上访"),
        of("refer/own_record_correct", "我户口本上的名字写错了"),
        of("refer/own_record_query", "我的低保批了没"),
        of("refer/utility", "我家停水了什么时候来水"),
        of("refer/registry", "帮我查一下禾丰公司的股东"),
        of("refer/publication", "县志在哪里能借", finding("县志", [], 0.0)),
        of("refer/duty", "请求县政府查处违法建设"),
        Sample("refer", Decision(ReplyKind.REFER, "sample", contacts=(), organ=OrganMatch(_BUREAU, 1.0, ()))),
        of("application", "我要申请政府信息公开"),
        of("progress", "查询申请进度"),
        of("menu", "菜单"),
        of("menu/about", "你是谁"),
        event("menu/welcome", "subscribe"),
        of("smalltalk/greeting", "你好"),
        of("smalltalk/thanks", "谢谢"),
        of("smalltalk/bye", "再见"),
        of("smalltalk/reset", "换个问题"),
        of("smalltalk/useful", "有用"),
        of("smalltalk/useless", "没用"),
        of("smalltalk/no_more", "继续"),
        Sample("smalltalk/refuse", kinds.choose(refusing, None, empty, context(office))),
        of("handover", "人工"),
        Sample("failed", kinds.failed()),
        of("failed/empty", fee, finding(fee, documents=0)),
    )


def _with(
    template: Hit,
    *,
    validity: Validity = Validity.IN_FORCE,
    expires_on: date | None = None,
    effective_on: date | None = None,
) -> Hit:
    document = replace(template.document, validity=validity, expires_on=expires_on, effective_on=effective_on)
    return replace(template, document=document)


def _unexpanded(found: Finding) -> Finding:
    return replace(found, record=replace(found.record, expanded=()))


def _with_words(template: Hit, text: str, ordinal: int = 1) -> Hit:
    passage = replace(template.passage, id=f"{template.document.id}-{ordinal}", ordinal=ordinal, lead="", text=text)
    return replace(template, passage=passage)


def _inquiry(event: str) -> Inquiry:
    return Inquiry(Channel.WECHAT, "sample", "sample", "", datetime(2026, 11, 20, tzinfo=UTC), event=event)
