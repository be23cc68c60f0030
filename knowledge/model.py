"""The library's nouns: frozen values that travel between rooms.

Shapes: offsets are in characters, times are seconds (``float``), dates are Beijing dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol


class DocumentKind(StrEnum):
    """文件种类: what sort of text a document is; decides its card and its rank."""

    POLICY = "policy"  # 政策文件（含规范性文件、通知、方案）
    LAW = "law"  # 法律、法规、规章、司法解释
    INTERPRETATION = "interpretation"  # 政策解读
    SERVICE_GUIDE = "service_guide"  # 办事指南
    FUNCTION = "function"  # 机构职能、权责清单
    FAQ = "faq"  # 常见问题
    CATALOGUE = "catalogue"  # 公开事项目录
    GAZETTE = "gazette"  # 政府公报


class DisclosureAttribute(StrEnum):
    """公开属性: who may read a document (附注 line, GB/T 9704; 条例 arts. 13-16)."""

    PUBLIC = "public"  # 主动公开 / 此件公开发布
    REDACTED = "redacted"  # 删减后公开: only the redacted version may be ingested
    ON_REQUEST = "on_request"  # 依申请公开
    SECRET = "secret"  # noqa: S105  不公开
    UNKNOWN = "unknown"  # not stated: staff only

    @property
    def open_to_citizens(self) -> bool:
        """Whether text under this attribute may reach a citizen at all (design rule 3)."""
        return self in (DisclosureAttribute.PUBLIC, DisclosureAttribute.REDACTED)


class Validity(StrEnum):
    """效力: whether a text still binds."""

    IN_FORCE = "in_force"  # 有效
    AMENDED = "amended"  # 已修改（仍有效，部分条款已改）
    REPEALED = "repealed"  # 废止
    EXPIRED = "expired"  # 失效
    NOT_YET = "not_yet"  # 尚未生效

    @property
    def label(self) -> str:
        """The word that citizens and staff read."""
        return _VALIDITY_LABELS[self]

    @property
    def lapsed(self) -> bool:
        """True where an answer must warn before it quotes."""
        return self in (Validity.REPEALED, Validity.EXPIRED)


_VALIDITY_LABELS = {
    Validity.IN_FORCE: "有效",
    Validity.AMENDED: "已修改",
    Validity.REPEALED: "已废止",
    Validity.EXPIRED: "已失效",
    Validity.NOT_YET: "尚未施行",
}


class Stage(StrEnum):
    """状态: the life of a document in this library. Only ``PUBLISHED`` reaches citizens."""

    DRAFT = "draft"  # 待核: waits for staff
    PUBLISHED = "published"  # 已发布
    WITHDRAWN = "withdrawn"  # 已撤下


class UnitRole(StrEnum):
    """责任角色: how a unit takes part in an item."""

    LEAD = "lead"  # 牵头单位
    RESPONSIBLE = "responsible"  # 责任单位
    IMPLEMENT = "implement"  # 实施单位


class SourceRank(StrEnum):
    """来源等级: gazette > signed original > web page."""

    GAZETTE = "gazette"
    ORIGINAL = "original"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class ResponsibleUnit:
    """责任单位: one unit named at the end of an item, with the part it plays."""

    name: str
    role: UnitRole


@dataclass(frozen=True, slots=True)
class Passage:
    """条目: the smallest numbered item of a document, word for word.

    ``locator`` is what a citizen reads (「二、（四）10」, 「第三十三条」, 「正文」); ``path`` holds the texts
    of the headings above it, outermost first; ``text`` is verbatim apart from re-joined lines;
    ``anchor`` is the fragment in ``/p/{document}#{anchor}``; ``part`` names the part of a
    composite file (「通知」, 「附件1」), empty for the main part. ``lead`` is the first sentence
    when the item opens with a title of its own, else empty.
    """

    id: str
    document: str
    ordinal: int
    locator: str
    path: tuple[str, ...]
    text: str
    anchor: str
    part: str = ""
    lead: str = ""
    units: tuple[ResponsibleUnit, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """政策文件: one published or waiting document with its 公文 elements (GB/T 9704).

    ``id`` is short, stable over new versions and safe in a URL. ``number`` is the canonical 文号
    (``会政办发〔2020〕144号``) or empty. Dates are None where the text does not say.
    ``held`` says in Chinese why the document waits for staff, empty when it does not.
    """

    id: str
    kind: DocumentKind
    title: str
    number: str = ""
    issuer: str = ""
    written_on: date | None = None  # 成文日期
    printed_on: date | None = None  # 印发日期
    published_on: date | None = None  # 发布日期
    effective_on: date | None = None  # 施行日期
    expires_on: date | None = None  # 有效期届满日
    attribute: DisclosureAttribute = DisclosureAttribute.UNKNOWN
    validity: Validity = Validity.IN_FORCE
    stage: Stage = Stage.DRAFT
    held: str = ""
    source_rank: SourceRank = SourceRank.ORIGINAL
    source_url: str = ""  # address of the original on the county's site, if any
    index_number: str = ""  # 索引号
    topic: str = ""  # 公开领域 / 主题分类
    audience: str = ""  # 面向对象
    addressees: str = ""  # 主送
    copies_to: str = ""  # 抄送
    contacts: tuple[str, ...] = ()  # 联系方式 lines as printed
    keywords: tuple[str, ...] = ()
    path: str = ""  # where it was read from
    content_hash: str = ""  # sha256 of the file
    version: int = 1
    passages: int = 0  # how many passages it has

    @property
    def url(self) -> str:
        """Path of the citizen's page of this document."""
        return f"/p/{self.id}"


class LinkKind(StrEnum):
    """关联: how one document bears on another (``source`` acts on ``target``)."""

    INTERPRETS = "interprets"  # 解读
    REPEALS = "repeals"  # 废止
    AMENDS = "amends"  # 修改
    FORWARDS = "forwards"  # 转发、落实
    CITES = "cites"  # 引用
    GUIDES = "guides"  # 办事指南依据


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """文件关联: one proposed or confirmed link between two documents."""

    source: str
    target: str
    kind: LinkKind
    confirmed: bool
    evidence: str  # the words or the measure that speak for it


class OrganRelation(StrEnum):
    """与本机关的关系: how an organ stands to the office that runs this assistant."""

    OWN = "own"  # 本机关
    DEPARTMENT = "department"  # 县政府部门、直属单位
    TOWNSHIP = "township"  # 乡镇（街道）
    VERTICAL = "vertical"  # 垂直管理、派出机构（税务、气象、生态环境分局…）
    UTILITY = "utility"  # 公共企事业单位（供水、供电、公交…）
    OTHER = "other"  # 法院、检察院、人大等


@dataclass(frozen=True, slots=True)
class Organ:
    """机构: a body of the directory with its functions (机构职能) and public contacts."""

    name: str
    short_name: str = ""
    aliases: tuple[str, ...] = ()
    relation: OrganRelation = OrganRelation.DEPARTMENT
    functions: tuple[str, ...] = ()  # matters it handles, one short phrase each
    keywords: tuple[str, ...] = ()  # words citizens use for these matters
    phone: str = ""
    address: str = ""
    hours: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class OrganMatch:
    """职能匹配: why an organ probably holds what was asked."""

    organ: Organ
    score: float  # 0..1
    because: tuple[str, ...]  # the functions or words that matched
    words: tuple[str, ...] = ()  # what stands in the question and speaks for the organ, in normal form
    matters: tuple[str, ...] = ()  # official names of the matters that these words stand for, the widest first


@dataclass(frozen=True, slots=True)
class Filters:
    """检索条件: 按要素搜索. Empty means no restriction."""

    organ: str = ""
    year: int | None = None
    number: str = ""
    topic: str = ""
    audience: str = ""
    kind: DocumentKind | None = None
    validity: Validity | None = None
    documents: tuple[str, ...] = ()  # restrict to these ids

    def described(self) -> dict[str, str]:
        """Name → value of every condition that is set, for the search record."""
        pairs = {
            "organ": self.organ,
            "year": str(self.year or ""),
            "number": self.number,
            "topic": self.topic,
            "audience": self.audience,
            "kind": self.kind.value if self.kind else "",
            "validity": self.validity.value if self.validity else "",
            "documents": ",".join(self.documents),
        }
        return {name: value for name, value in pairs.items() if value}


@dataclass(frozen=True, slots=True)
class Feature:
    """特征: one measured property of a hit and its share of the score (explain mode)."""

    name: str
    value: float
    share: float


@dataclass(frozen=True, slots=True)
class Hit:
    """命中: a passage, its document, and why it was found."""

    passage: Passage
    document: PolicyDocument
    score: float
    matched: tuple[str, ...] = ()  # words of the question that the passage holds
    features: Sequence[Feature] = ()

    @property
    def url(self) -> str:
        """Path of the document page, opened at the passage."""
        return f"{self.document.url}#{self.passage.anchor}"


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """检索记录: what was searched, kept with every reply (代县 D18: the facts of the search)."""

    query: str
    terms: tuple[str, ...]
    expanded: tuple[str, ...]
    filters: dict[str, str]
    scope_documents: int
    scope_passages: int
    index_version: str
    as_of: date | None  # the day up to which the library was published
    hits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Facet:
    """要素: one value of a filter and how many documents carry it."""

    name: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """检索结果: ranked hits, how sure we are of the first, and the record of the search.

    ``confidence`` is the calibrated probability (0..1) that the first hit answers the question.
    ``corrected`` is the question as understood after typo or pinyin repair, else empty.
    ``suggestions`` are titles or questions near to what was asked, offered on a miss.
    """

    query: str
    hits: tuple[Hit, ...]
    confidence: float
    record: SearchRecord
    corrected: str = ""
    suggestions: tuple[str, ...] = ()
    facets: tuple[Facet, ...] = ()
    organs: tuple[OrganMatch, ...] = ()  # who handles the matter, best first
    approved_answer: str = ""  # id of a staff-approved answered question that is nearly the same


@dataclass(frozen=True, slots=True)
class Question:
    """提问: what the library is asked."""

    text: str
    filters: Filters = field(default_factory=Filters)
    limit: int = 10


class IngestStatus(StrEnum):
    """入库结果."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """入库回执: what became of one file."""

    path: str
    status: IngestStatus
    document: PolicyDocument | None = None
    reason: str = ""
    error: str = ""  # name of the error class when rejected


class PersonalDataFinder(Protocol):
    """个人信息检查: handed to the library by ``bot/app.py`` (the register owns the finder)."""

    def __call__(self, text: str) -> list[tuple[str, int, int]]:
        """(kind, start, end) of every personal datum in ``text``; offsets in characters."""
        ...


@dataclass(frozen=True, slots=True)
class LibraryState:
    """文库现状: what the page footers and health check say."""

    documents: int
    passages: int
    waiting: int
    as_of: date | None
    version: int
    index_version: str
    updated_at: datetime | None
