"""施行与有效期: from what day a document binds, and until when, in its own words."""

from __future__ import annotations

import re
from datetime import date, timedelta

from knowledge.dates import find_dates, numeral, parse_date, years_later
from knowledge.frame import Frame
from knowledge.model import DocumentKind

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


def period(
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
        own = (
            _SUBJECT.search(before) is not None
            or len(before.strip()) <= 1
            or before.endswith(("现予公布，", "通过，", "予以公布，"))
        )
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
