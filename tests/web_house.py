"""A small house behind the web door: real types, hand-written fakes, replies of every kind in realistic words.

Everything is fictional (青禾县). The tests of the web door and of the browser share it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import anyio
import httpx
from starlette.applications import Starlette

from bot.channels.web import exception_handlers, routes
from bot.config import ApiSettings, ServerSettings, Settings, WebSettings
from knowledge.errors import UnknownDocument
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Finding,
    Hit,
    LibraryState,
    LinkKind,
    Passage,
    PolicyDocument,
    Question,
    SearchRecord,
    Stage,
    Validity,
)
from register.errors import UnknownEntry
from register.inquiry import (
    Choice,
    Entry,
    EntryStatus,
    Inquiry,
    OrganCard,
    Reply,
    ReplyKind,
    SearchFacts,
    Source,
    Step,
)
from register.seal import Seal

AS_OF = date(2026, 11, 20)


def _document(identifier: str, kind: DocumentKind, title: str, **more: object) -> PolicyDocument:
    base = PolicyDocument(identifier, kind, title, attribute=DisclosureAttribute.PUBLIC, stage=Stage.PUBLISHED)
    return replace(base, **more)  # type: ignore[arg-type]


ALLOWANCE = _document(
    "gaoling",
    DocumentKind.POLICY,
    "青禾县高龄津贴发放管理办法",
    number="青政办规〔2026〕1号",
    issuer="青禾县人民政府办公室",
    written_on=date(2026, 2, 26),
    published_on=date(2026, 3, 2),
    effective_on=date(2026, 4, 1),
    expires_on=date(2031, 3, 31),
    topic="养老服务",
    audience="老年人",
    index_number="QH0001/2026-00021",
    addressees="各乡镇人民政府，县政府有关部门：",
    source_url="https://www.qinghe.example/zwgk/gaoling.html",
)
OLD_ALLOWANCE = _document(
    "gaoling-2023",
    DocumentKind.POLICY,
    "青禾县高龄津贴发放管理办法（试行）",
    number="青政办规〔2023〕4号",
    issuer="青禾县人民政府办公室",
    written_on=date(2023, 5, 9),
    topic="养老服务",
    validity=Validity.REPEALED,
)
EXPLAINED = _document(
    "gaoling-jiedu",
    DocumentKind.INTERPRETATION,
    "《青禾县高龄津贴发放管理办法》解读",
    issuer="青禾县民政局",
    written_on=date(2026, 3, 5),
    topic="养老服务",
)
GUIDE = _document(
    "gaoling-zhinan",
    DocumentKind.SERVICE_GUIDE,
    "高龄津贴申报办事指南",
    issuer="青禾县民政局",
    written_on=date(2026, 4, 1),
    topic="养老服务",
)
MORE_GUIDES = tuple(
    _document(f"zn-{i}", DocumentKind.SERVICE_GUIDE, title, issuer=issuer, written_on=date(2025, 6, i + 1), topic=topic)
    for i, (title, issuer, topic) in enumerate(
        [
            ("临时救助申请办事指南", "青禾县民政局", "社会救助"),
            ("小学一年级入学报名办事指南", "青禾县教育局", "义务教育"),
            ("居民医保参保缴费办事指南", "青禾县医疗保障局", "医疗卫生"),
            ("居住证申领办事指南", "青禾县公安局", "户籍管理"),
            ("农机购置补贴申请办事指南", "青禾县农业农村局", "涉农补贴"),
            ("最低生活保障申请办事指南", "青禾县民政局", "社会救助"),
        ]
    )
)
DOCUMENTS = (ALLOWANCE, OLD_ALLOWANCE, EXPLAINED, GUIDE, *MORE_GUIDES)

CLAUSES = (
    (
        "第二条",
        ("第一章　总则",),
        "第二条　具有本县户籍、年满80周岁的老年人，享受高龄津贴。高龄津贴与养老金、低保金、残疾人两项补贴可以同时享受。",
    ),
    (
        "第三条",
        ("第一章　总则",),
        "第三条　高龄津贴标准为：\n（一）80周岁至89周岁，每人每月60元；\n（二）90周岁至99周岁，每人每月120元；\n（三）100周岁以上，每人每月600元。",
    ),
    (
        "第四条",
        ("第二章　发放",),
        "第四条　高龄津贴从老年人年满80周岁的当月起计发；年满90周岁、100周岁的，从达到相应年龄的当月起按新标准计发。",
    ),
    (
        "第五条",
        ("第二章　发放",),
        "第五条　津贴通过社会保障卡按月发放，每月15日前到账。发放安排如下：\n年龄 | 月标准 | 发放渠道\n80—89周岁 | 60元 | 社会保障卡\n90—99周岁 | 120元 | 社会保障卡\n100周岁以上 | 600元 | 社会保障卡，县民政局上门慰问",
    ),
    (
        "第六条",
        ("第三章　监督",),
        "第六条　户口迁出本县或者去世的，从次月起停发。家属应当在30日内告知户籍所在地乡镇人民政府。",
    ),
    (
        "第七条",
        ("第三章　监督",),
        "第七条　任何单位和个人不得截留、挪用津贴资金。对骗取津贴的，由县民政局责令退回；情节严重的，依法处理。",
    ),
)


def passages_of(document: PolicyDocument) -> tuple[Passage, ...]:
    return tuple(
        Passage(f"{document.id}:{i}", document.id, i, locator, path, text, f"p-{i}")
        for i, (locator, path, text) in enumerate(CLAUSES, 1)
    )


def source_from(document: PolicyDocument, clause: int) -> Source:
    locator, path, text = CLAUSES[clause]
    return Source(
        document=document.id,
        title=document.title,
        number=document.number,
        issuer=document.issuer,
        written_on=document.written_on.isoformat() if document.written_on else "",
        locator=locator,
        quote=text,
        validity=document.validity.value,
        url=f"{document.url}#p-{clause + 1}",
        kind=document.kind.value,
        validity_label=document.validity.label,
        heading=" › ".join(path),
    )


FACTS = SearchFacts(
    query="80岁老人每月能领多少高龄津贴",
    terms=("80岁", "老人", "高龄津贴"),
    expanded=("80周岁", "老年人"),
    filters={},
    scope_documents=52,
    scope_passages=1180,
    index_version="7",
    as_of=AS_OF.isoformat(),
    hits=6,
    seconds=0.012,
)
CIVIL = OrganCard(
    "青禾县民政局", "0999-5553142", "青禾县政务大道6号政务服务中心二楼B12号窗口", "工作日 8:30—12:00，14:30—18:00"
)
DISCLAIMER = "这是便民答复，帮您找到信息，不是对申请公开的正式答复，不影响您依法申请公开的权利。"
STEPS = (
    Step("打电话问青禾县民政局：0999-5553142", "tel:09995553142"),
    Step("换一种说法再问，例如写上文件名或者办什么事"),
    Step("需要正式答复的，可以申请政府信息公开", "/p/zhinan"),
)

REPLIES: dict[str, Reply] = {
    "津贴": Reply(
        ReplyKind.ANSWER,
        "80至89周岁每人每月60元……",
        confidence=0.91,
        lead="高龄津贴的标准，《青禾县高龄津贴发放管理办法》第三条是这样规定的：",
        sources=(source_from(ALLOWANCE, 1),),
        search_record=FACTS,
    ),
    "旧办法": Reply(
        ReplyKind.ANSWER,
        "这份文件已经废止……",
        confidence=0.7,
        lead="您问的这份文件里是这样写的：",
        notice="注意：这份文件已于2026年4月1日废止，下面的内容不能再作为办事依据。现行规定见《青禾县高龄津贴发放管理办法》。",
        sources=(source_from(OLD_ALLOWANCE, 1),),
        search_record=FACTS,
    ),
    "指南": Reply(
        ReplyKind.ANSWER,
        "高龄津贴申报……",
        confidence=0.88,
        lead="高龄津贴申报，办事指南上这样写：",
        sources=(source_from(GUIDE, 0),),
        facts=(
            ("办理条件", "具有本县户籍、年满80周岁的老年人。"),
            ("申请材料", "1.老年人身份证。\n2.老年人社会保障卡。\n3.亲属代办的，另需代办人身份证。"),
            ("办理地点", "户籍所在地乡镇便民服务中心；行动不便的由村（社区）代办。"),
            ("办理时限", "5个工作日"),
            ("收费", "不收费"),
            ("咨询电话", "0999-5553142"),
        ),
        search_record=FACTS,
    ),
    "补贴": Reply(
        ReplyKind.CHOICES,
        "您问的是哪一种补贴？",
        confidence=0.4,
        lead="您问的是哪一种补贴？",
        choices=(
            Choice("高龄津贴：80岁以上老人每月领的", "高龄津贴"),
            Choice("农机购置补贴：买农机具的补贴", "农机购置补贴"),
            Choice("残疾人两项补贴：生活补贴和护理补贴", "残疾人两项补贴"),
            Choice("都不是", "都不是"),
        ),
        search_record=FACTS,
    ),
    "孩子": Reply(
        ReplyKind.CLARIFY, "您想问的是孩子上学，还是孩子看病报销？", lead="您想问的是孩子上学，还是孩子看病报销？"
    ),
    "无人机": Reply(
        ReplyKind.NOT_FOUND,
        "本库未检索到……",
        lead="本库未检索到和“无人机飞防补贴”直接有关的公开文件。",
        nearest=(source_from(ALLOWANCE, 1), source_from(GUIDE, 0)),
        organ=CIVIL,
        organ_reason="这类事情一般由这个部门负责。",
        steps=STEPS,
        search_record=FACTS,
        disclaimer=DISCLAIMER,
    ),
    "水费": Reply(
        ReplyKind.NOT_HELD,
        "水费由青禾县供水公司负责……",
        lead="水费的收取和减免由青禾县供水有限公司负责，本机关没有这方面的材料。",
        organ=OrganCard("青禾县供水有限公司", "0999-5558111、0999-5558112", "青禾县清源街3号", "每天 8:00—20:00"),
        organ_reason="职能：自来水供应、水费收取、管网维修",
        steps=STEPS[:2],
        search_record=FACTS,
        disclaimer=DISCLAIMER,
    ),
    "统计": Reply(
        ReplyKind.NEEDS_CREATION,
        "需要另外整理……",
        lead="您要的汇总数字，本库未检索到现成的文件，需要把几份材料合在一起算。",
        nearest=(source_from(ALLOWANCE, 3),),
        steps=STEPS,
        search_record=FACTS,
        disclaimer=DISCLAIMER,
    ),
    "那个": Reply(
        ReplyKind.UNCLEAR,
        "还没弄明白……",
        lead="还没弄明白您想问哪件事。",
        choices=(Choice("养老金", "养老金怎么领"), Choice("医保", "医保怎么报销")),
        steps=STEPS,
        search_record=FACTS,
        disclaimer=DISCLAIMER,
    ),
    "举报": Reply(
        ReplyKind.REFER,
        "请找信访局……",
        lead="您说的是一件投诉，由青禾县信访局受理，办得更快。",
        organ=OrganCard(
            "青禾县信访局", "0999-5550012", "青禾县禾丰路1号东门接待大厅", "工作日 8:30—12:00，14:30—18:00"
        ),
        steps=(Step("打 12345 政务服务便民热线", "tel:12345"),),
    ),
    "你好": Reply(ReplyKind.SMALLTALK, "您好！政策和办事的问题都可以问我。\n例如：高龄津贴有多少？"),
    "出错": Reply(ReplyKind.FAILED, "这次没能答上来，已经记下。请打 0999-5550101 问。", steps=(Step("过一会儿再问"),)),
}


@dataclass
class FakeReception:
    """Answers by the first word of ``REPLIES`` that the question holds; the same message key finds the first."""

    entries: dict[int, Entry] = field(default_factory=dict)
    asked: list[Inquiry] = field(default_factory=list)
    fails_with: Exception | None = None

    def answer(self, inquiry: Inquiry, /) -> tuple[int, Reply]:
        if self.fails_with:
            raise self.fails_with
        self.asked.append(inquiry)
        for entry in self.entries.values():
            if (entry.channel, entry.message_key) == (inquiry.channel, inquiry.message_key):
                assert entry.reply is not None
                return entry.entry, entry.reply
        reply = next((r for word, r in REPLIES.items() if word in inquiry.text), REPLIES["那个"])
        number = len(self.entries) + 1
        now = datetime.now(UTC)
        self.entries[number] = Entry(
            number,
            inquiry.channel,
            inquiry.message_key,
            inquiry.conversation,
            inquiry.received_at,
            now,
            EntryStatus.SETTLED,
            reply.kind,
            inquiry.text,
            reply,
        )
        return number, reply


@dataclass
class FakeBook:
    """Finds the reception's entries and keeps judgements."""

    reception: FakeReception
    judged: dict[int, bool] = field(default_factory=dict)

    def find(self, entry: int, /) -> Entry:
        try:
            return self.reception.entries[entry]
        except KeyError as error:
            raise UnknownEntry(str(entry)) from error

    def judge(self, entry: int, useful: bool, /) -> None:
        self.judged[entry] = useful


@dataclass
class FakeLibrary:
    """Holds the documents above."""

    held: tuple[PolicyDocument, ...] = DOCUMENTS
    questions: list[Question] = field(default_factory=list)

    def open_document(self, document_id: str, /) -> tuple[PolicyDocument, tuple[Passage, ...]]:
        for document in self.held:
            if document.id == document_id:
                return document, passages_of(document)
        raise UnknownDocument(document_id)

    def links_of(self, document_id: str, /) -> tuple[tuple[LinkKind, PolicyDocument, bool], ...]:
        self.open_document(document_id)
        links = {
            "gaoling": (
                (LinkKind.INTERPRETS, EXPLAINED, True),
                (LinkKind.GUIDES, GUIDE, True),
                (LinkKind.REPEALS, OLD_ALLOWANCE, False),
            ),
            "gaoling-2023": ((LinkKind.REPEALS, ALLOWANCE, True),),
            "gaoling-jiedu": ((LinkKind.INTERPRETS, ALLOWANCE, False),),
        }
        return links.get(document_id, ())

    def documents(self) -> list[PolicyDocument]:
        return list(self.held)

    def state(self) -> LibraryState:
        return LibraryState(52, 1180, 0, AS_OF, 7, "7", None)

    def ask(self, question: Question, /) -> Finding:
        self.questions.append(question)
        hits = tuple(
            Hit(passage, ALLOWANCE, 9.0 - i, matched=("津贴",))
            for i, passage in enumerate(passages_of(ALLOWANCE))
            if "津贴" in question.text
        )
        record = SearchRecord(
            question.text, ("津贴",), (), question.filters.described(), 52, 1180, "7", AS_OF, len(hits), 0.01
        )
        return Finding(question.text, hits, 0.8 if hits else 0.0, record)


@dataclass
class WebHouse:
    """The door with its fakes; ``app`` is what a server runs."""

    settings: Settings
    reception: FakeReception
    library: FakeLibrary
    book: FakeBook
    app: Starlette


def build(*, web: WebSettings | None = None, token: str = "", **server: object) -> WebHouse:
    settings = Settings(
        server=ServerSettings(**{"asks_per_minute": 1000, **server}),  # type: ignore[arg-type]
        web=web or WebSettings(),
        api=ApiSettings(token),
    )
    reception, library = FakeReception(), FakeLibrary()
    book = FakeBook(reception)
    app = Starlette(
        routes=list(routes(settings, reception, library, book, SEAL)),
        exception_handlers=exception_handlers(settings, library),
    )
    return WebHouse(settings, reception, library, book, app)


SEAL = Seal("a key for tests, long enough")


class visit:
    """A visitor with a cookie jar; requests run through the real ASGI application, one at a time."""

    def __init__(self, house: WebHouse, *, cookies: dict[str, str] | None = None, raise_errors: bool = True) -> None:
        self._house = house
        self._raise = raise_errors
        self.cookies = httpx.Cookies(cookies)

    def request(self, method: str, path: str, **more: object) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._house.app, raise_app_exceptions=self._raise)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000", cookies=self.cookies
            ) as client:
                response = await client.request(method, path, **more)  # type: ignore[arg-type]
                self.cookies = client.cookies
                return response

        return anyio.run(send)

    def get(self, path: str, **more: object) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: object) -> httpx.Response:
        return self.request("POST", path, **more)


class Tags(HTMLParser):
    """Start tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in wanted.items())]


TEMPLATES = Path(__file__).parents[1] / "templates" / "web"
