"""公文解析: from the raw text of one file to a document with its elements and its citable passages.

``parse`` is a pure function of the text. It reads the frame of the 公文 (:mod:`knowledge.frame`), cuts the body into
numbered items (:mod:`knowledge.outline`), and reads dates, validity and citations from the sentences. What it cannot
tell it leaves empty or unknown; it never guesses a 公开属性.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePath

from knowledge import outline
from knowledge.citations import Citation, amends, find_titles, interprets, repeals, tidy_title
from knowledge.dates import find_dates, numeral, parse_date, years_later
from knowledge.frame import ATTACHMENT_LIST, Frame, Part, secrecy_mark, stated_attribute, take_frame
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
_SUBJECT = re.compile(
    r"(?:本|该|此|上述|新)(?:法|条例|办法|规定|细则|通知|意见|方案|解释|决定|规则|标准|公告|通告|措施|政策|预案|规划|计划|制度|规程|要点|章程"
    r"|指南|清单|目录|实施|若干|文)|新标准"
)
_IN_FORCE = re.compile(r"施行|实施|执行|生效|起试行")
_FROM = re.compile(
    r"(?:自|从)(?P<when>[^自从，。；\n]{1,40}?)(?:之日)?(?:起|开始)?(?:正式)?(?:施行|实施|执行|生效|试行)$"
)
_SPEAKS_OF_ITSELF = re.compile(
    r"本(?:法|条例|办法|规定|细则|通知|意见|方案|规则|标准|公告|通告|措施|政策|文|制度|规程)[^，。；]{0,30}(?:有效|试行|，)|^\s*有效期"
)
_SPAN = re.compile(
    r"自[^，。；\n]{4,24}?(?:起)?(?:施行|实施|执行)?(?:至|到)(?P<when>[^，。；\n]{4,24}?)(?:止|有效|期间)"
)
_FOR_YEARS = re.compile(r"有效期(?:限)?(?:为|是|：|:)?\s*(?P<n>\d{1,2}|[一二三四五六七八九十两]{1,2})\s*年")
_TRIAL_YEARS = re.compile(
    r"试行(?:期(?:限)?(?:为)?)?\s*(?P<n>\d{1,2}|[一二三四五六七八九十两]{1,2})\s*年|暂行期(?:限)?(?:为)?\s*(?P<m>\d{1,2}|[一二三四五六七八九十两]{1,2})\s*年"
)
_FOR_MONTHS = re.compile(r"有效期(?:限)?(?:为)?\s*(?P<n>\d{1,2})\s*个月")
_UNTIL = re.compile(
    r"(?:有效期(?:限)?(?:延长)?(?:至|到|截至|截止到?)|(?:施行|实施|执行|有效|试行)(?:期)?(?:至|到))\s*(?P<when>[^，。；\n]{4,30})"
)
_YEAR_END = re.compile(r"^(\d{4})年(?:年?底|末|12月底)")


def parse(raw: RawDocument, *, path: str, document_id: str, organs: Sequence[Organ] = ()) -> ParsedDocument:
    """Understand one document.

    ``path`` is where it was read from (its stem serves as the title of a text that has none); ``document_id`` becomes
    the prefix of passage ids; ``organs`` is the directory to which names of responsible units are brought.
    """
    tidied = tidy(raw)
    known_title = tidy_title(raw.metadata.get("标题", ""))
    frame = take_frame(tidied.lines, known_title=known_title)
    metadata = {**frame.labels, **raw.metadata}
    directory = Directory(organs)
    warnings = list(raw.warnings)
    title = _title(frame, known_title or tidy_title(frame.labels.get("标题", "")))
    guide = _is_guide(title, frame)
    passages = _passages(frame.parts, directory, document_id, guide=guide)
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
    effective_on, expires_on = _validity_dates(text, frame, metadata, written_on, published_on, kind)
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


def _title(frame: Frame, known: str) -> str:
    """The printed title where it is a whole one, else the container's, else what stands at the head."""
    if frame.title_is_whole:
        return frame.title
    return known or frame.title or frame.attached_title


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
            drafts = outline.plain(part.lines, ATTACHMENT_LIST, directory)
        else:
            drafts = outline.cut(part.lines, directory, guide=guide and not part.name, preface=preface)
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
    if not notice and not frame.number and outline.is_dialogue(_main_lines(frame)):
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
    return outline.guide_labels(lines) >= 4


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


# ---------------------------------------------------------------- validity


def _validity_dates(
    text: str,
    frame: Frame,
    metadata: dict[str, str],
    written_on: date | None,
    published_on: date | None,
    kind: DocumentKind,
) -> tuple[date | None, date | None]:
    """(施行日期, 有效期届满日): the page's fields first, then the sentences at the end of the text."""
    effective = parse_date(metadata.get("实施日期", ""))
    expires = parse_date(metadata.get("失效日期", ""))
    if kind not in (DocumentKind.POLICY, DocumentKind.LAW, DocumentKind.CATALOGUE, DocumentKind.FUNCTION):
        return effective, expires
    if effective is None and kind is DocumentKind.LAW:
        effective = next((parse_date(line) for line in frame.history if re.search(r"施行[）)]?$", line)), None)
    base = _last_whole_text(frame) or written_on if kind is DocumentKind.LAW else written_on
    stated, sentence = _effective_sentence(text, base, frame.printed_on, published_on)
    effective = effective or stated
    if expires is None:
        expires = _expiry(sentence, text, effective or written_on)
    return effective, expires


def _last_whole_text(frame: Frame) -> date | None:
    """The day on which a law was last issued as a whole: 修正 changes articles and leaves 「自公布之日起」 as it was."""
    days = [
        found.on
        for line in frame.history
        if not re.search(r"修正[）)]?$|施行[）)]?$", line)
        for found in find_dates(line)
    ]
    return max(days, default=None)


def _effective_sentence(
    text: str, written_on: date | None, printed_on: date | None, published_on: date | None
) -> tuple[date | None, str]:
    """The last statement 「本…自…起施行」: (day, that sentence and what follows it in its paragraph)."""
    best: tuple[date | None, str] = (None, "")
    for match in _IN_FORCE.finditer(text):
        start = max(text.rfind(mark, max(0, match.start() - 120), match.start()) for mark in "。\n") + 1
        start = max(start, match.start() - 120)
        since = max(text.rfind("自", start, match.start()), text.rfind("从", start, match.start()))
        found = _FROM.match(text, since, match.end()) if since >= 0 else None
        if not found:
            continue
        before = text[start:since]
        own = _SUBJECT.search(before) is not None or len(before.strip()) <= 1 or "现予公布" in before
        if not own or (re.search(r"《[^》]*》[^，。]{0,12}$", before) and not re.search(r"本|印发|现予", before)):
            continue
        day = _day_of(found["when"], written_on, printed_on, published_on)
        if day is not None:
            end = text.find("\n", match.end())
            best = (day, text[start : end if 0 <= end <= match.end() + 300 else match.end() + 300])
    return best


def _day_of(when: str, written_on: date | None, printed_on: date | None, published_on: date | None) -> date | None:
    found = find_dates(when)
    if found:
        return found[0].on
    base: date | None = None
    if re.search(r"印发|下发|发文", when):
        base = printed_on or written_on or published_on
    elif re.search(r"公布|发布|颁布|公告|通过|签发|作出|即日", when):
        base = written_on or published_on or printed_on
    if base is None:
        return None
    later = re.search(r"(\d{1,3}|[一二三四五六七八九十]{1,3})\s*(?:个)?(日|天|月)后", when)
    if later:
        count = numeral(later[1]) or 0
        return base + timedelta(days=count * (30 if later[2] == "月" else 1))
    return base


def _expiry(sentence: str, text: str, start: date | None) -> date | None:
    """有效期届满日: 「有效期5年」, 「有效期至…」, 「试行2年」, 「自…至…」, said of the document itself."""
    own = [sentence] if sentence else []
    own += [s for s in re.split(r"[。\n]", text[-4000:]) if _SPEAKS_OF_ITSELF.search(s)]
    for said in own:
        until = _UNTIL.search(said) or (_SPAN.search(said) if said is sentence else None)
        day = _until_day(until["when"]) if until else None
        if day:
            return day
        years = _FOR_YEARS.search(said) or _TRIAL_YEARS.search(said)
        count = numeral(next(value for value in years.groups() if value)) if years else None
        if start and count and count <= 30:
            return years_later(start, count)
        months = _FOR_MONTHS.search(said)
        if months and start:
            month = start.month - 1 + int(months["n"])
            first = date(start.year + month // 12, month % 12 + 1, 1)
            return first + timedelta(days=start.day - 2)
    return None


def _until_day(when: str) -> date | None:
    found = find_dates(when)
    if found:
        return found[0].on
    end = _YEAR_END.match(re.sub(r"\s", "", when))
    return date(int(end[1]), 12, 31) if end and 1949 <= int(end[1]) <= 2200 else None


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
