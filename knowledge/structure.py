"""公文解析: from the raw text of one file to a document with its elements and its citable passages.

``parse`` is a pure function of the text. It reads the frame of the 公文 (:mod:`knowledge.frame`), cuts the body into
numbered items (:mod:`knowledge.outline`), and reads dates, validity and citations from the sentences. What it cannot
tell it leaves empty or unknown; it never guesses a 公开属性.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import PurePath

from knowledge.citations import Citation, amends, find_titles, interprets, repeals, tidy_title
from knowledge.dates import find_dates, parse_date
from knowledge.dialogue import is_dialogue
from knowledge.effect import period
from knowledge.frame import ATTACHMENT_LIST, Frame, Part, secrecy_mark, stated_attribute, take_frame
from knowledge.guides import count_labels
from knowledge.headings import match_article
from knowledge.lines import Line, tidy
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Organ,
    Passage,
    PolicyDocument,
    SourceRank,
    Validity,
)
from knowledge.numbers import canonical, find_numbers
from knowledge.outline import cut
from knowledge.passages import plain
from knowledge.readers.raw import RawDocument
from knowledge.units import Directory

__all__ = ["Citation", "ParsedDocument", "parse"]


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """解析结果: the document, its passages in reading order, and what it says about other documents.

    ``classified`` is the 密级 mark found, else empty. ``set_aside`` holds every line that went into no passage: the
    frame of the 公文 (head, signature, imprint) and the page furniture, as printed.
    """

    document: PolicyDocument
    passages: tuple[Passage, ...]
    classified: str = ""
    cited_numbers: tuple[str, ...] = ()
    cited_titles: tuple[str, ...] = ()
    repeals: tuple[Citation, ...] = ()
    amends: tuple[Citation, ...] = ()
    interprets: Citation | None = None
    warnings: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()


_GUIDE_TITLE = re.compile(
    r"办事指南|服务指南|办理指南|申请指南|申领指南|办理流程|申请流程|办事流程|操作流程|操作指南|办理须知|申请须知|报名指南|登记指南|指南$"
)
_FAQ_TITLE = re.compile(r"问答|常见问题|热点问题|百问|问题解答|答疑|Q\s*&\s*A|你问我答", re.I)
_INTERPRETATION_TITLE = re.compile(r"解读|图解|一图读懂|图说|起草说明|政策说明|读懂")
_FUNCTION_TITLE = re.compile(
    r"机构职能|主要职责|职能配置|内设机构|权责清单|权力清单|责任清单|机构简介|机构信息|机构设置|机构概况|职责清单|三定|领导分工|部门职能|单位职能"
)
_CATALOGUE_TITLE = re.compile(r"(?:目录|事项清单|一览表|标准指引|清单)(?:[（(][^（()）]{2,20}[）)])?$")
_GAZETTE_TITLE = re.compile(r"政府公报|公报.{0,12}第\s*\d+\s*期|\d{4}\s*年第\s*[\d一二三四五六七八九十]+\s*期")
_NOTICE_TITLE = re.compile(r"(?:通知|通告|公告|通报|批复|函|意见|报告|请示|纪要|决定)(?:[（(][^（()）]{2,20}[）)])?$")
_LAW_TITLE = re.compile(r"(?:法|法典|条例|规定|办法|解释|规则|细则|决定|章程)(?:[（(][^（()）]{2,20}[）)])?$")
_ENACTED = re.compile(r"通过|公布|修订|修正|令第|批准|发布|施行")


def parse(raw: RawDocument, *, path: str, document_id: str, organs: Sequence[Organ] = ()) -> ParsedDocument:
    """Understand one document.

    ``path`` is where it was read from (its stem serves as the title of a text that has none); ``document_id`` becomes
    the prefix of passage ids; ``organs`` is the directory to which names of responsible units are brought.
    """
    tidied = tidy(raw)
    known_title = tidy_title(raw.metadata.get("标题", ""))
    frame = take_frame(tidied.lines, known_title=known_title)
    metadata = {**frame.labels, **raw.metadata}
    directory = _directory(tuple(organs))
    warnings = list(raw.warnings)
    title = _title(frame, known_title or tidy_title(frame.labels.get("标题", "")))
    guide = _is_guide(title, frame)
    passages = _passages(frame.parts or _title_alone(frame), directory, document_id, guide=guide)
    if not title:
        title = _matter(passages) or PurePath(path.replace("\\", "/")).stem
        warnings.append("no title was found in the text; the matter's or the file's name stands in for it")
    text = "\n".join(line.text for part in frame.parts for line in part.lines if not line.is_row)
    kind = _kind(title, frame, guide)
    number = frame.number or canonical(metadata.get("文号", "")) or _law_number(frame, kind)
    attribute = _attribute(frame, metadata, warnings)
    written_on = frame.written_on or _enacted_on(frame, kind) or parse_date(metadata.get("成文日期", ""))
    _compare_dates(frame, metadata, warnings)
    published_on = parse_date(metadata.get("发布日期", ""))
    effective_on, expires_on = period(text, frame, metadata, written_on, published_on, kind)
    classified = frame.classified or _stated_secrecy(metadata)
    if not passages:
        warnings.append("no passage was found; look at the file by eye")
    document = PolicyDocument(
        id=document_id,
        kind=kind,
        title=title,
        number=number,
        issuer=_issuer(frame, title, metadata, kind),
        written_on=written_on,
        printed_on=frame.printed_on,
        published_on=published_on,
        effective_on=effective_on,
        expires_on=expires_on,
        attribute=attribute,
        validity=_stated_validity(metadata),
        source_rank=_source_rank(raw, kind),
        source_url=metadata.get("网址", ""),
        index_number=metadata.get("索引号", ""),
        topic=metadata.get("主题分类", ""),
        audience=_audience(metadata, passages, kind),
        addressees=frame.addressees,
        copies_to=frame.copies_to,
        contacts=tuple(dict.fromkeys(frame.contacts)),
        keywords=_keywords(frame.keywords or metadata.get("关键词", "")),
        path=path,
        passages=len(passages),
    )
    acts = kind in (DocumentKind.POLICY, DocumentKind.LAW)
    everything = f"{title}\n{text}\n" + "\n".join(p.text for p in passages if " 表" in p.locator or p.locator == "表")
    return ParsedDocument(
        document=document,
        passages=passages,
        classified=classified,
        cited_numbers=_cited_numbers(everything, number),
        cited_titles=_cited_titles(everything, title, frame.attached_title),
        repeals=_without_self(repeals(title, text), title, number) if acts else (),
        amends=_without_self(amends(title, text), title, number) if acts else (),
        interprets=interprets(title, text) if kind is DocumentKind.INTERPRETATION else None,
        warnings=tuple(warnings),
        set_aside=(*frame.set_aside, *tidied.dropped),
    )


@lru_cache(maxsize=4)
def _directory(organs: tuple[Organ, ...]) -> Directory:
    """Made once for a run over many files: turning the names round costs more than reading a short notice."""
    return Directory(organs)


def _title(frame: Frame, known: str) -> str:
    """The printed title where it is a whole one, else the container's, else what stands at the head."""
    if frame.title_is_whole:
        return frame.title
    return known or frame.title or frame.attached_title


def _title_alone(frame: Frame) -> list[Part]:
    """A text of one line that looked like a title is still to be found and read."""
    return [Part("", [Line(frame.title)])] if frame.title else []


def _matter(passages: Sequence[Passage]) -> str:
    """What a guide says under 事项名称."""
    for passage in passages[:4]:
        if passage.locator == "事项名称":
            name = re.sub(r"^[【\[]?事项名称[】\]]?\s*[：:]?\s*", "", passage.text).strip()
            return tidy_title(name) if len(name) <= 60 else ""
    return ""


def _passages(parts: Sequence[Part], directory: Directory, document_id: str, *, guide: bool) -> tuple[Passage, ...]:
    passages: list[Passage] = []
    for part in parts:
        preface = "正文" if part.name in ("通知", "令") else "前言"
        if part.name == ATTACHMENT_LIST:
            drafts = plain(part.lines, ATTACHMENT_LIST, (), directory)
        else:
            drafts = cut(part.lines, directory, guide=guide and not part.name, preface=preface)
        attached = part.name.startswith("附件") and part.name != ATTACHMENT_LIST
        for draft in drafts:
            if not draft.text.strip():
                continue
            ordinal = len(passages) + 1
            locator = draft.locator
            if attached:
                locator = f"{part.name} {locator}".replace(" 前言", "").replace(" 正文", "") or part.name
            path = (part.title, *draft.path) if attached and part.title else draft.path
            passages.append(
                Passage(
                    id=f"{document_id}-{ordinal}",
                    document=document_id,
                    ordinal=ordinal,
                    locator=locator,
                    path=path,
                    text=draft.text,
                    anchor=f"p-{ordinal}",
                    part=parts[0].name if part.name == ATTACHMENT_LIST else part.name,
                    lead=draft.lead,
                    units=draft.units,
                )
            )
    return tuple(passages)


# ---------------------------------------------------------------- elements


def _kind(title: str, frame: Frame, guide: bool) -> DocumentKind:
    notice = bool(_NOTICE_TITLE.search(title))
    if _GAZETTE_TITLE.search(title):
        return DocumentKind.GAZETTE
    if _INTERPRETATION_TITLE.search(title) and not notice:
        return DocumentKind.INTERPRETATION
    if _FAQ_TITLE.search(title) and not notice:
        return DocumentKind.FAQ
    if guide:
        return DocumentKind.SERVICE_GUIDE
    if _FUNCTION_TITLE.search(title) and not notice:
        return DocumentKind.FUNCTION
    if _is_law(title, frame):
        return DocumentKind.LAW
    if _CATALOGUE_TITLE.search(title) and not notice:
        return DocumentKind.CATALOGUE
    if not notice and not frame.number and is_dialogue(_main_lines(frame)):
        return DocumentKind.FAQ
    return DocumentKind.POLICY


def _main_lines(frame: Frame) -> list[Line]:
    return [line for part in frame.parts if not part.name for line in part.lines]


def _is_guide(title: str, frame: Frame) -> bool:
    """By its title, or by its sections where it is no 公文 and no interpretation."""
    if _NOTICE_TITLE.search(title) or _INTERPRETATION_TITLE.search(title) or _FAQ_TITLE.search(title):
        return False
    if _GUIDE_TITLE.search(title):
        return True
    lines = _main_lines(frame)
    if frame.number or frame.signers or any(match_article(line.text) for line in lines):
        return False
    return count_labels(lines) >= 4


def _is_law(title: str, frame: Frame) -> bool:
    own = frame.attached_title if frame.order and frame.attached_title else title
    if not _LAW_TITLE.search(own) or not any(match_article(line.text) for p in frame.parts for line in p.lines):
        return False
    if frame.order or own.startswith(("中华人民共和国", "最高人民")) or any(map(_ENACTED.search, frame.history)):
        return True
    return bool(re.search(r"(?:条例|[^办]法)$", own)) and not frame.number


_ENACTORS = (
    (re.compile(r"全国人民代表大会常务委员会"), "全国人民代表大会常务委员会"),
    (re.compile(r"全国人民代表大会"), "全国人民代表大会"),
    (re.compile(r"中共中央.{0,3}国务院"), "中共中央 国务院"),
    (re.compile(r"最高人民法院"), "最高人民法院"),
    (re.compile(r"最高人民检察院"), "最高人民检察院"),
    (re.compile(r"国务院"), "国务院"),
    (re.compile(r"([\u4e00-\u9fff]{2,14}人民代表大会(?:常务委员会)?)"), ""),
    (re.compile(r"([\u4e00-\u9fff]{2,12}人民政府)令"), ""),
)


def _issuer(frame: Frame, title: str, metadata: dict[str, str], kind: DocumentKind) -> str:
    """发文机关: signature, else title, red head, history of a law, metadata; joint issuers with a space between."""
    if frame.signers:
        return " ".join(dict.fromkeys(frame.signers))
    if frame.red_head and frame.order:
        return frame.red_head.removeprefix("中华人民共和国")
    if kind is DocumentKind.LAW:
        for line in reversed(frame.history):
            for pattern, name in _ENACTORS:
                match = pattern.search(line)
                if match:
                    return name or match[1]
    named = re.match(r"^([\u4e00-\u9fff（）\s]{2,80}?)关于", title)
    if named and not re.search(r"[，。]", named[1]):
        organs = named[1].split()
        if organs and all(
            re.search(r"(?:政府|室|厅|局|委|部|院|会|署|中心|组|办|处|公司|所|站|队)$", organ) for organ in organs
        ):
            return " ".join(organs)
    if frame.red_head:
        return frame.red_head
    return metadata.get("发文机关") or metadata.get("发布机构") or ""


def _law_number(frame: Frame, kind: DocumentKind) -> str:
    """国务院令第711号 from the line that tells of the last change."""
    if kind is not DocumentKind.LAW:
        return ""
    for line in reversed(frame.history):
        found = find_numbers(line)
        if found:
            return found[-1].canonical
    return ""


def _enacted_on(frame: Frame, kind: DocumentKind) -> date | None:
    """The day of the last 通过, 修订 or 公布 of a law."""
    if kind is not DocumentKind.LAW:
        return None
    days = [found.on for line in frame.history if not re.search(r"施行[）)]?$", line) for found in find_dates(line)]
    return max(days, default=None)


def _compare_dates(frame: Frame, metadata: dict[str, str], warnings: list[str]) -> None:
    stated = parse_date(metadata.get("成文日期", ""))
    if frame.written_on and stated and stated != frame.written_on:
        warnings.append(f"成文日期: the text says {frame.written_on}, the page says {stated}; the text was taken")


def _attribute(frame: Frame, metadata: dict[str, str], warnings: list[str]) -> DisclosureAttribute:
    found = set(frame.attributes)
    stated = stated_attribute(metadata.get("公开属性", ""))
    if stated is not None:
        found.add(stated)
    if len(found) > 1:
        warnings.append("公开属性 is stated in contradictory ways; staff must decide")
        return DisclosureAttribute.UNKNOWN
    return found.pop() if found else DisclosureAttribute.UNKNOWN


def _stated_secrecy(metadata: dict[str, str]) -> str:
    return secrecy_mark(metadata.get("密级", ""), in_head=True) if metadata.get("密级") else ""


def _stated_validity(metadata: dict[str, str]) -> Validity:
    stated = re.sub(r"\s", "", metadata.get("有效性", ""))
    if not stated or len(stated) > 12:
        return Validity.IN_FORCE
    if re.search(r"尚未|未生效|待生效", stated):
        return Validity.NOT_YET
    if "废止" in stated and "未废止" not in stated:
        return Validity.REPEALED
    if re.search(r"失效|无效|过期|到期", stated) and "未失效" not in stated:
        return Validity.EXPIRED
    if re.search(r"修改|修订|修正", stated):
        return Validity.AMENDED
    return Validity.IN_FORCE


def _source_rank(raw: RawDocument, kind: DocumentKind) -> SourceRank:
    if kind is DocumentKind.GAZETTE or "公报" in raw.metadata.get("来源", ""):
        return SourceRank.GAZETTE
    return SourceRank.WEB if raw.format == "html" else SourceRank.ORIGINAL


def _audience(metadata: dict[str, str], passages: Sequence[Passage], kind: DocumentKind) -> str:
    stated = metadata.get("面向对象", "")
    if stated or kind is not DocumentKind.SERVICE_GUIDE:
        return stated
    for passage in passages:
        if passage.locator in ("服务对象", "面向对象", "适用对象"):
            text = re.sub(r"^[^：:\n]{0,12}[：:\n】]\s*", "", passage.text).strip()
            if 0 < len(text) <= 60 and "\n" not in text:
                return text.rstrip("。")
    return ""


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in re.split(r"[\s,，;；、]+", text) if word))


# ---------------------------------------------------------------- citations


def _cited_numbers(text: str, own: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n.canonical for n in find_numbers(text) if n.canonical != own))


def _cited_titles(text: str, title: str, attached: str) -> tuple[str, ...]:
    plain = re.sub(r"[\s《》]", "", title)
    own = {plain, re.sub(r"[\s《》]", "", attached)}
    found = []
    for match in find_titles(text):
        name = re.sub(r"[\s《》]", "", match.title)
        if name in own or (len(name) >= 6 and f"印发{name}" in plain):
            continue
        found.append(match.title)
    return tuple(dict.fromkeys(found))


def _without_self(citations: tuple[Citation, ...], title: str, number: str) -> tuple[Citation, ...]:
    return tuple(c for c in citations if c.title != title and not (number and c.number == number))
