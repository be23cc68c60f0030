"""What travels inside this room: how a message was read, what was decided, who answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from knowledge.matters import Matters
from knowledge.model import DocumentKind, Filters, Finding, Hit, Organ, OrganMatch, Passage, PolicyDocument
from register.inquiry import Choice, ReplyKind


class TurnKind(StrEnum):
    """话轮种类: what a message is in its conversation."""

    QUESTION = "question"  # 提问，要检索
    PICK = "pick"  # 选了一项，要检索
    PICK_MISSED = "pick_missed"  # 选的序号不在选项里
    NONE_OF_THESE = "none_of_these"  # 都不是
    CONTINUE = "continue"  # 继续
    RESET = "reset"  # 换个问题
    HUMAN = "human"  # 人工
    USEFUL = "useful"  # 有用
    USELESS = "useless"  # 没用
    GREETING = "greeting"
    THANKS = "thanks"
    BYE = "bye"
    ABOUT = "about"  # 你是谁
    MENU = "menu"
    WELCOME = "welcome"  # 关注
    MEDIA = "media"  # 图片、语音等，读不了
    EMPTY = "empty"  # 空白、表情、单个字

    @property
    def asks(self) -> bool:
        """Whether the message wants something looked up."""
        return self in (TurnKind.QUESTION, TurnKind.PICK)


class TriageKind(StrEnum):
    """分流种类 (order of handling; 条例 arts. 36(7), 39, 41, 55)."""

    EMERGENCY = "emergency"  # 紧急
    COMPLAINT = "complaint"  # 投诉举报
    CONSUMER = "consumer"  # 消费投诉
    PETITION = "petition"  # 信访
    OWN_RECORD = "own_record"  # 本人记录
    UTILITY = "utility"  # 公共企事业单位
    REGISTRY = "registry"  # 登记资料
    PUBLICATION = "publication"  # 公开出版物
    DUTY = "duty"  # 履职申请
    APPLICATION = "application"  # 依申请公开
    PROGRESS = "progress"  # 查办理进度

    @property
    def reply(self) -> ReplyKind:
        """The kind of reply that this line of triage leads to."""
        if self is TriageKind.APPLICATION:
            return ReplyKind.APPLICATION
        if self is TriageKind.PROGRESS:
            return ReplyKind.PROGRESS
        return ReplyKind.REFER


@dataclass(frozen=True, slots=True)
class Contact:
    """联系渠道: where a referred matter is taken up. ``phone`` may be empty for an organ without one."""

    name: str
    phone: str = ""
    what: str = ""  # what it is for, one short phrase
    address: str = ""
    hours: str = ""


@dataclass(frozen=True, slots=True)
class Triage:
    """分流结果: which line of triage a message falls under.

    ``at_once`` is True where the referral is due whatever the library holds; otherwise it is due only when
    nothing published answers. ``organ`` names an organ to look up in the directory, empty for none.
    """

    kind: TriageKind
    rule: str
    template: str
    contacts: tuple[Contact, ...]
    basis: tuple[str, ...]
    at_once: bool
    matched: str
    organ: str = ""


class SensitiveAction(StrEnum):
    """敏感词处置."""

    MASK = "mask"  # 显示时遮盖
    REFUSE = "refuse"  # 婉拒，不检索
    ALERT = "alert"  # 照常答复，提醒工作人员


@dataclass(frozen=True, slots=True)
class Screening:
    """敏感词检查结果: what the word list says about one text. ``masked`` is safe to show."""

    masked: str
    actions: tuple[SensitiveAction, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the message is declined without a search."""
        return SensitiveAction.REFUSE in self.actions

    @property
    def alert(self) -> bool:
        """Whether staff should look at the entry."""
        return SensitiveAction.ALERT in self.actions


class Vagueness(StrEnum):
    """含糊程度: what a question lacks to be searched well."""

    CLEAR = "clear"
    NO_MATTER = "no_matter"  # 没说是哪件事
    BARE_TOPIC = "bare_topic"  # 只有一个词，没说问什么


class Missing(StrEnum):
    """所缺: the one thing a clarification asks for."""

    MATTER = "matter"  # 哪件事
    ASPECT = "aspect"  # 哪一方面
    WHO = "who"  # 谁办
    YEAR = "year"  # 哪一年
    PLACE = "place"  # 哪个乡镇、单位


@dataclass(frozen=True, slots=True)
class Turn:
    """话轮: what one message means in its conversation.

    ``question`` is what to search for (at most 300 characters), ``raw`` the message as it came, ``shown`` a form
    that is safe to show back (one line, at most 60 characters, sensitive words masked). ``followup`` is True where
    the subject was inherited or a question back was answered.
    """

    kind: TurnKind
    question: str = ""
    raw: str = ""
    shown: str = ""
    picked: Choice | None = None
    followup: bool = False
    filters: Filters = field(default_factory=Filters)
    vagueness: Vagueness = Vagueness.CLEAR
    subject: str = ""  # what the question is about, without question words
    base: str = ""  # the subject before 「那…呢」 varied it; empty where nothing was varied
    core: str = ""  # the letters that name the matter, without general words
    aspect: str = ""  # code of the aspect asked for ("materials", "fee" …), empty for none
    passage: str = ""  # id of the passage picked
    aside: str = ""  # a second question in the same message, to be asked on its own
    shortened: bool = False  # the message was too long and only its beginning is searched
    number_only: bool = False  # the message is nothing but a 文号
    wants_creation: str = ""  # the cue that asks for statistics, a certificate …
    triage: Triage | None = None
    screening: Screening | None = None

    @property
    def needs_search(self) -> bool:
        """Whether the library has to be asked before a reply can be chosen."""
        if not self.kind.asks or not self.question:
            return False
        if self.screening is not None and self.screening.refused:
            return False
        # A complaint is referred at once, but the directory of organs still says whose work it is about.
        return self.triage is None or not self.triage.at_once or self.triage.kind in HANDLED


HANDLED = (TriageKind.COMPLAINT, TriageKind.OWN_RECORD)
"""Referrals that name the organ whose work it is, beside the line to call."""


@dataclass(frozen=True, slots=True)
class OfficeInfo:
    """本机关: the office that answers, as citizens read it. ``handover_days`` 0 means: promise nothing."""

    name: str
    county: str = ""
    assistant: str = "便民答复助手"
    address: str = ""
    phone: str = ""
    hours: str = ""
    email: str = ""
    hotline: str = "12345"
    apply_url: str = ""
    notice: str = ""
    handover_days: int = 0  # working days within which staff answer a hand-over


@dataclass(frozen=True, slots=True)
class Context:
    """答复条件: everything besides the message and the finding that a decision depends on.

    Thresholds are probabilities (0..1). ``own_organ`` is the name under which the office stands in the organ
    directory; ``directory`` holds the organs that referrals may name.
    """

    answer_at: float
    choices_at: float
    office: OfficeInfo
    today: date
    own_organ: str = ""
    directory: tuple[Organ, ...] = ()
    organ_at: float = 0.3  # score from which a function match names an organ
    organ_sure_at: float = 0.6  # score from which an outside organ wins over mere choices
    family_at: float = 0.5  # probability that is enough where the first hits agree on one matter that is named
    family_share: float = 0.45  # share of the first hits' say from which they agree
    matters: Matters | None = None  # the office's own list of departments' matters; None: the one that ships

    @property
    def surer_at(self) -> float:
        """Half way between the threshold and certainty: asked of what is easily mistaken."""
        return (1 + self.answer_at) / 2


@dataclass(frozen=True, slots=True)
class Decision:
    """处理意见: what kind of reply is due, by which rule, with what. Words come later, from the templates.

    ``hits`` hold the answer (first one is quoted); ``nearest`` are pointers of a miss; ``variant`` picks a wording
    within the kind. ``guide`` holds the passages of the service guide quoted first, once they were opened.
    """

    kind: ReplyKind
    rule: str
    question: str = ""  # safe to show
    variant: str = ""
    hits: tuple[Hit, ...] = ()
    nearest: tuple[Hit, ...] = ()
    plain: Hit | None = None  # interpretation, guide or FAQ that says it in plain words
    choices: tuple[Choice, ...] = ()
    targets: tuple[str, ...] = ()  # "document passage" of each choice, empty where a choice is only words
    organ: OrganMatch | None = None
    contacts: tuple[Contact, ...] = ()
    basis: tuple[str, ...] = ()
    validity_of: str = ""  # "repealed" | "expired" | "amended" | "not_yet" | "replaced": warn before quoting
    missing: Missing | None = None
    matched: str = ""  # the cue that decided (triage, creation)
    number: str = ""  # 文号 that was asked for
    aside: str = ""
    shortened: bool = False
    corrected: str = ""
    related: tuple[str, ...] = ()  # further questions worth asking
    confidence: float = 0.0
    finding: Finding | None = None
    guide: tuple[Passage, ...] = ()
    interpretations: tuple[PolicyDocument, ...] = ()  # 解读 of the first hit's document
    origins: tuple[PolicyDocument, ...] = ()  # what the first hit's document explains or is based on
    replacements: tuple[PolicyDocument, ...] = ()  # what repealed the first hit's document
    amendments: tuple[PolicyDocument, ...] = ()  # what amended it
    rest: str = ""  # what 「继续」 shows
    aspect: str = ""
    alert: bool = False  # staff should look at this entry

    @property
    def guide_wanted(self) -> str:
        """Id of the service guide whose sections would make a card, empty if none or already there."""
        if self.kind is not ReplyKind.ANSWER or self.guide or not self.hits:
            return ""
        document = self.hits[0].document
        return document.id if document.kind is DocumentKind.SERVICE_GUIDE else ""
