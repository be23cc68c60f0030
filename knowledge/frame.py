"""公文格式要素: the frame of a document around its text (GB/T 9704-2012 §7): head, addressees, signature, notes, imprint.

``take_frame`` walks over the lines once from the top and once from the bottom, takes what belongs to the frame, and
leaves the parts that are to be cut into passages. Every line that is taken is kept in ``set_aside``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from knowledge.citations import tidy_title
from knowledge.dates import find_dates, only_date, parse_date
from knowledge.headings import Style, match_article, match_token
from knowledge.lines import Line
from knowledge.model import DisclosureAttribute
from knowledge.numbers import find_numbers, only_number
from knowledge.readers.fields import labelled, labelled_fields

GENRE = (
    "通知|通告|公告|通报|报告|请示|批复|复函|意见|函|纪要|决定|决议|命令|令|公报|议案|办法|规定|规则|细则|条例|法典|法|解释|方案|预案|规划|计划"
    "|要点|措施|清单|目录|指南|指引|须知|手册|说明|解读|图解|问答|解答|标准|规范|制度|章程|简介|职责|职能|流程|名单|一览表|年报|总结|答复|公示"
    "|声明|纲要|准则|概况|安排|分工|台账|机制|举措|政策|问题|建议|倡议书|公开信|一封信|约定|合同|申请表|表|书|汇编|指标|细目|事项|若干规定|程序|规程"
)
_TITLE_END = re.compile(rf"(?:{GENRE})(?:[（(〔\[][^（()）〕\]]{{2,30}}[）)〕\]])?[》”]?(?:政策解读|解读|的解读)?$")
_NOTICE_END = re.compile(r"(?:通知|通告|公告|通报|决定|命令|令|函|意见|批复|请示|报告)(?:[（(][^（()）]{2,20}[）)])?$")
_ISSUES = re.compile(
    r"关于(?:同意|修订|重新|联合|批转|转发|印发|公布|发布|颁布|下发|颁发|批准)|(?:印发|转发|批转|公布|发布)[^。]{2,80}的通知"
)
_WRAPS = re.compile(r"印发|转发|批转|公布|发布|颁布|下发|颁发")
_RED_HEAD = re.compile(r"^[\u4e00-\u9fff（）\s]{2,60}(?:文件|公报)$")
_ORDER_HEAD = re.compile(r"^[\u4e00-\u9fff\s]{2,40}(?:令|公告)$")
_URGENCY = re.compile(r"^(?:特急|加急|平急|急件|特提|特\s+急|加\s+急|明电|内部明电)$")
_COPY_NUMBER = re.compile(r"^(?:№|No\.?|份号[：:]?)?\s*0\d{4,6}$|^0{2,}\d{1,5}$")
_SIGNER = re.compile(r"^签\s*发\s*人\s*[：:]")
_LEADER = re.compile(
    r"^(?:省长|市长|州长|县长|区长|旗长|总理|主席|主任|部长|局长|代县长|代市长)\s{0,4}[\u4e00-\u9fff]\s{0,2}[\u4e00-\u9fff]{0,3}\s{0,2}[\u4e00-\u9fff]$"
)
_SECRET = re.compile(
    r"^(?:密\s*级\s*[：:]\s*)?[【\[（(]?\s*(绝\s*密|机\s*密|秘\s*密)\s*[】\]）)]?\s*(?:[★☆*＊]\s*(.{0,12}))?$"
)
_SECRET_STAR = re.compile(
    r"^(?:[\dN№o.\s]{0,12}|密\s*级\s*[：:]\s*)[【\[（(]?\s*(绝\s*密|机\s*密|秘\s*密)\s*[★☆]\s*(?:[^\n。，]{0,20})$"
)
_COPIES = re.compile(r"^(?:抄\s*送|抄\s*报|分\s*送|抄送机关)\s*[：:]\s*")
_SENT_TO = re.compile(r"^(?:主\s*送)\s*[：:]\s*")
_PRINTED = re.compile(r"^.{0,60}\d\s*日\s*印\s*发\s*$|^.{0,60}日印发$")
_PRINTS = re.compile(r"^(?:（|\()?共印\s*\d+\s*份|^(?:打印|校对|校核|承办)[：:]")
_ATTACHMENT = re.compile(r"^附\s*件\s*([0-9０-９]{1,3}|[一二三四五六七八九十]{1,3})?\s*(?:[：:.．、]\s*)?(.*)$")
_ATTACHMENT_LIST = re.compile(r"^附\s*件?\s*[：:]\s*(\S.*)$")
_LIST_ITEM = re.compile(r"^\d{1,2}\s?[.．、]\s*\S")
_ORGAN = re.compile(
    r"^[\u4e00-\u9fff（）()〇·]{2,40}?(?:人民政府|政府|办公室|办公厅|委员会|局|厅|部|委|办|院|署|会|中心|小组|指挥部|处|支队|大队|所|站|公司|集团|银行|支行"
    r"|国务院|党组|联席会议|工会|学校|管理局|专班|组)(?:[（(]代章[）)])?$"
)
_HISTORY = re.compile(r"(?:通过|公布|修订|修正|发布|施行|批准|审议|修改)[）)]?\s*$")
_ADDRESSEE = re.compile(
    r"各|政府|部门|单位|局|委|办|公司|院|会|厅|学校|同志|代表|委员|群众|居民|市民|村|社区|处|中心|机构"
)
_PUBLIC = r"主动公开|公开发布|公开发行|向社会公开|全文公开"
_REDACTED = r"删减后(?:主动|予以)?公开(?:发布)?|部分公开|删减公开|经删减后公开"
_REQUEST = r"(?:可)?依申请公开"
_CLOSED = r"不予公开|不公开|不宜公开|非公开|暂不公开|免予公开|不予主动公开"
_PHRASE = rf"(?P<redacted>{_REDACTED})|(?P<request>{_REQUEST})|(?P<closed>{_CLOSED})|(?P<public>{_PUBLIC})"
_NOTE = re.compile(
    rf"^[（(【\[〔]?\s*(?:此件|本件|该件|此文|本文|此文件)\s*(?:属性|属|为|拟|可以?)?\s*[：:]?\s*(?:{_PHRASE})\s*[）)】\]〕]?[。.]?$"
)
_NOTE_END = re.compile(rf"[（(【\[]\s*(?:此件|本件|此文)\s*(?:可以?)?(?:{_PHRASE})\s*[）)】\]][。.]?$")
_NOTE_LABEL = re.compile(
    rf"(?:公开(?:属性|方式|类别|形式|类型|选项|程度|性质|范围)|信息(?:公开)?(?:属性|类别|类型|选项)|公文属性|文件属性)\s*[：:]\s*[（(【\[]?\s*(?:此件|本件)?\s*(?:{_PHRASE}|(?P<bare>公开))"
)
_NOTE_BARE = re.compile(rf"^[（(【\[]?\s*(?:{_PHRASE})\s*[）)】\]]?[。.]?$")
_ATTRIBUTES = {
    "redacted": DisclosureAttribute.REDACTED,
    "request": DisclosureAttribute.ON_REQUEST,
    "closed": DisclosureAttribute.SECRET,
    "public": DisclosureAttribute.PUBLIC,
    "bare": DisclosureAttribute.PUBLIC,
}
_CONTACT = re.compile(
    r"(?:联\s*系\s*人|联系电话|咨询电话|咨询热线|服务热线|电子邮箱|电子邮件|邮\s*箱|监督电话|举报电话|传\s*真|联系方式|电\s*话|通讯地址|联系地址)"
    r"(?:及(?:联系)?电话)?\s*(?:[：:]|(?=[（(]?\d))"
)
_DATE_ENDS = set("日0123456789０１２３４５６７８９")
_DIALOGUE = re.compile(r"^(?:问|答|Q|A)\s*\d*\s*[：:]|^【[^】]{1,12}】$|^【(?:问|答)】")
_KEYWORDS = re.compile(r"^(?:主\s*题\s*词|关\s*键\s*词)\s*[：:]\s*(.*)$")


ATTACHMENT_LIST = "附件说明"


@dataclass(slots=True)
class Part:
    """文件部分: lines under one name (「通知」, 「附件1」, empty for the main part) and its own title."""

    name: str
    lines: list[Line]
    title: str = ""


@dataclass(slots=True)
class Frame:
    """版头、主体、版记要素 as found in the text."""

    parts: list[Part] = field(default_factory=list)
    title: str = ""
    title_is_whole: bool = False
    attached_title: str = ""
    number: str = ""
    classified: str = ""
    red_head: str = ""
    order: bool = False
    signers: list[str] = field(default_factory=list)
    addressees: str = ""
    copies_to: str = ""
    written_on: date | None = None
    printed_on: date | None = None
    history: list[str] = field(default_factory=list)
    attributes: list[DisclosureAttribute] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)
    keywords: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)


def note_attribute(text: str) -> DisclosureAttribute | None:
    """公开属性 of an 附注 line (（此件公开发布）, 公开方式：主动公开); None for any sentence that merely mentions one."""
    if len(text) > 60:
        match = _NOTE_END.search(text[-40:])
    else:
        match = _NOTE.match(text) or _NOTE_LABEL.search(text) or _NOTE_END.search(text)
        if match and _NOTE_LABEL.search(text) is match and not _is_label_line(text, match.start()):
            match = None
    return _attribute_of(match)


def bare_attribute(text: str) -> DisclosureAttribute | None:
    """公开属性 of a line that holds the word alone (「主动公开」): only good next to a date or in the imprint."""
    return _attribute_of(_NOTE_BARE.match(text)) if len(text) <= 20 else None


def stated_attribute(value: str) -> DisclosureAttribute | None:
    """公开属性 from the value of a metadata field."""
    value = re.sub(r"\s", "", value)
    if value in ("公开", "是"):
        return DisclosureAttribute.PUBLIC
    return note_attribute(f"公开属性：{value}") if len(value) <= 40 else None


def _is_label_line(text: str, start: int) -> bool:
    before = text[:start].strip(" \u3000（(【[信息政府")
    return not before or bool(re.search(r"\s$", text[:start])) or len(before) <= 4


def _attribute_of(match: re.Match[str] | None) -> DisclosureAttribute | None:
    if match is None:
        return None
    return next((_ATTRIBUTES[name] for name, value in match.groupdict().items() if value), None)


def secrecy_mark(text: str, *, in_head: bool) -> str:
    """The 密级 mark that a line consists of (机密★1年, 秘密); empty for a sentence that speaks of secrets."""
    if len(text) > 60:
        return ""
    match = _SECRET_STAR.match(text)
    if match is None and in_head:
        match = _SECRET.match(text)
        if match is None and re.match(r"^0?\d{4,6}\s+(?:绝密|机密|秘密)", text):
            return text.strip()
    return text.strip() if match else ""


def is_organ(text: str) -> bool:
    """Whether a line is the name of one organ and nothing else."""
    plain = re.sub(r"\s", "", text)
    return len(text) <= 44 and (bool(_ORGAN.match(plain)) or plain in ("办公室", "办公厅", "国务院"))


def organs_of(text: str) -> list[str]:
    """Organs of a signature line: one, or several set apart by spaces; empty when it is anything else."""
    pieces = [piece for piece in re.split(r"[\s\u3000]+", text.strip()) if piece]
    if len(pieces) > 1 and all(is_organ(piece) and len(piece) >= 3 for piece in pieces):
        return pieces
    return [re.sub(r"\s", "", text)] if is_organ(text) else []


def take_frame(lines: Sequence[Line], *, known_title: str = "") -> Frame:
    """Split ``lines`` into the frame and the parts that hold text. ``known_title``: what the container states."""
    frame = Frame()
    rest = _take_marks(list(lines), frame)
    rest = _take_head(rest, frame, known_title)
    rest = _take_foot(rest, frame)
    _split_parts(rest, frame, known_title)
    return frame


# ---------------------------------------------------------------- marks


def _take_marks(lines: list[Line], frame: Frame) -> list[Line]:
    """密级 wherever it stands as a line of its own, and the 附注 lines."""
    kept: list[Line] = []
    for place, line in enumerate(lines):
        if line.is_row:
            kept.append(line)
            continue
        mark = secrecy_mark(line.text, in_head=place < 10)
        if mark:
            frame.classified = frame.classified or mark
            frame.set_aside.append(line.text)
            continue
        attribute = note_attribute(line.text)
        if attribute is None and (_beside_date(lines, place) or _above_number(lines, place)):
            attribute = bare_attribute(line.text)
        if attribute is None:
            kept.append(line)
            continue
        frame.attributes.append(attribute)
        whole = len(line.text) <= 60 and not re.search(r"日\s*[（(【]", line.text) and "。" not in line.text[:-1]
        if whole and not only_number(line.text.split("公开")[0]):
            frame.set_aside.append(line.text)
            continue
        note = _NOTE_END.search(line.text)
        if note:
            frame.set_aside.append(line.text[note.start() :])
            kept.append(Line(line.text[: note.start()].rstrip(), line.level, centred=line.centred))
        else:
            kept.append(line)
    return kept


def _beside_date(lines: Sequence[Line], place: int) -> bool:
    near = [lines[n].text for n in (place - 1, place + 1) if 0 <= n < len(lines)]
    return any(only_date(text) is not None or _COPIES.match(text) or _PRINTED.match(text) for text in near)


def _above_number(lines: Sequence[Line], place: int) -> bool:
    """The top left corner of a red-headed first page, where some offices print the attribute."""
    if place > 4:
        return False
    below = [line.text for line in lines[place + 1 : place + 5] if not line.is_row]
    return any(only_number(text) or _RED_HEAD.match(text) for text in below)


# ---------------------------------------------------------------- head


def _take_head(lines: list[Line], frame: Frame, known_title: str) -> list[Line]:
    """Red head, number, title, history and addressees from the top."""
    place = 0
    title: list[Line] = []
    held: list[Line] = []
    while place < len(lines) and place < 40:
        line = lines[place]
        text = line.text
        if line.is_row:
            break
        whole = bool(title) and _is_complete("".join(part.text for part in title))
        printed = labelled_fields(text) if not title or whole else {}
        if printed or (not title and labelled(text)[0]):
            for name, value in printed.items():
                frame.labels.setdefault(name, value)
        elif whole and only_date(text) is not None and "年" not in text:
            frame.labels.setdefault("发布日期", text)
        elif _URGENCY.match(text) or _SIGNER.match(text) or (place < 4 and _COPY_NUMBER.match(text)):
            pass
        elif (number := only_number(text)) is not None and not frame.number:
            frame.number = number.canonical
        elif _RED_HEAD.match(text) and not whole:
            frame.set_aside.extend(part.text for part in title)
            title = []
            frame.red_head = re.sub(r"\s|文件$|公报$", "", text)
        elif (
            not title
            and not line.level
            and _ORDER_HEAD.match(text)
            and place + 1 < len(lines)
            and re.match(r"^[（(〔\[]?\s*第\s*[\d一二三四五六七八九十百]+\s*号", lines[place + 1].text)
        ):
            found = find_numbers(text + lines[place + 1].text)
            frame.order, frame.red_head = True, re.sub(r"\s|令$|公告$", "", text)
            if found and not frame.number:
                frame.number = found[0].canonical
            frame.set_aside.append(text)
            place += 1
            text = lines[place].text
        elif title and _is_history(text):
            frame.history.append(text)
        elif title and line.level and place + 1 < len(lines) and _is_history(lines[place + 1].text):
            held.append(line)  # 总则 of a code, printed above the history
            place += 1
            continue
        elif not _is_title_line(line, title):
            break
        else:
            title.append(line)
            place += 1
            continue
        frame.set_aside.append(text)
        place += 1
    consumed = _settle_title(title, frame, known_title)
    rest = [*title[consumed:], *held, *lines[place:]]
    return _take_addressees(rest, frame)


def _is_history(text: str) -> bool:
    """「2019年4月3日 国务院令第711号修订」, also in brackets."""
    if len(text) > 300 or not find_dates(text[:30]):
        return False
    return bool(_HISTORY.search(text)) or text[:1] in "（("


def _is_title_line(line: Line, title: list[Line]) -> bool:
    text = line.text
    joined = "".join(part.text for part in title)
    if title and _is_complete(joined):
        return bool(
            re.match(
                r"^(?:》|的[^，。]{0,20}$|等|通\s+知$|[（(](?:试行|暂行|修订|征求意见稿|\d{4}年)[^）)]*[）)]$)", text
            )
        )
    if len(text) > 100 or re.search(r"[。；？！]", text.rstrip("？")) or text[-1] in "：:，":
        return False
    if only_date(text) or (title and find_dates(text)):
        return False
    token = match_token(text)
    if token is not None and not (token.style is Style.DIGIT and not title and _TITLE_END.search(text)):
        return False
    if match_article(text) is not None or _DIALOGUE.match(text):
        return False
    if not title:
        return len(text) >= 2
    # A title already begun goes on while it is not complete and the lines stay short.
    return len(text) <= 50 and len(title) < 6


def _is_complete(title: str) -> bool:
    plain = tidy_title(title)
    if plain.count("《") > plain.count("》") or plain.endswith(("的", "关于", "和", "、")):
        return False
    if _ISSUES.search(plain) and _WRAPS.search(plain):
        return bool(_NOTICE_END.search(plain))
    if "关于" in plain and plain.endswith(("工作", "有关")):
        return False
    return bool(_TITLE_END.search(plain))


def _settle_title(title: list[Line], frame: Frame, known_title: str) -> int:
    """Decide how many of the candidate lines are the title; returns that count."""
    if not title:
        return 0
    for count in range(len(title), 0, -1):
        joined = tidy_title("\u3000".join(line.text for line in title[:count]))
        if _is_complete(joined):
            if count > 1 and _is_complete(tidy_title(title[0].text)) and _wrong_join(title[:count]):
                continue
            frame.title, frame.title_is_whole = joined, True
            frame.set_aside.extend(line.text for line in title[:count])
            return count
    if known_title:
        plain = re.sub(r"\s", "", known_title)
        count = 0
        while count < len(title) and re.sub(r"\s", "", title[count].text) in plain:
            count += 1
        frame.set_aside.extend(line.text for line in title[:count])
        return count
    first = title[0]
    if first.level or first.centred or len(first.text) <= 40:
        frame.title = tidy_title(first.text)
        frame.set_aside.append(first.text)
        return 1
    return 0


def _wrong_join(title: Sequence[Line]) -> bool:
    return not re.match(r"^(?:》|的|等|通\s+知$|[（(])", title[1].text)


def _take_addressees(lines: list[Line], frame: Frame) -> list[Line]:
    place = 0
    while place < min(len(lines), 4):
        text = lines[place].text
        if lines[place].is_row:
            break
        if (number := only_number(text)) is not None and not frame.number:
            frame.number = number.canonical
            frame.set_aside.append(text)
            place += 1
            continue
        if _is_history(text):
            frame.history.append(text)
            frame.set_aside.append(text)
            place += 1
            continue
        sent = _SENT_TO.match(text)
        if sent:
            frame.addressees = text[sent.end() :].rstrip("：:。")
        elif (
            text[-1] in "：:"
            and len(text) <= 400
            and "。" not in text
            and match_token(text) is None
            and _ADDRESSEE.search(text)
        ):
            if re.search(r"如下|下列|以下|通知|包括|规定", text[-8:]):
                break
            frame.addressees = text.rstrip("：:").strip()
        else:
            break
        frame.set_aside.append(text)
        place += 1
        break
    return lines[place:]


# ---------------------------------------------------------------- foot


def _take_foot(lines: list[Line], frame: Frame) -> list[Line]:
    """版记 wherever it stands (an attachment may follow it), and fields printed behind the text."""
    kept: list[Line] = []
    for line in lines:
        text = line.text
        if line.is_row:
            kept.append(line)
            continue
        copies = _COPIES.match(text)
        keywords = _KEYWORDS.match(text) if len(text) < 120 else None
        if copies:
            frame.copies_to = frame.copies_to or text[copies.end() :].strip().rstrip("。")
        elif _PRINTED.match(text) and len(text) <= 80:
            frame.printed_on = frame.printed_on or parse_date(text)
            if kept and is_organ(kept[-1].text) and only_date(re.sub(r"\s*印\s*发\s*$", "", text)):
                frame.set_aside.append(kept.pop().text)
        elif keywords:
            frame.keywords = frame.keywords or keywords[1].strip()
        elif not _PRINTS.match(text):
            kept.append(line)
            continue
        frame.set_aside.append(text)
    while kept and not kept[-1].is_row:
        name, value = labelled(kept[-1].text)
        if not name or not value or len(kept[-1].text) > 80:
            break
        frame.labels.setdefault(name, value)
        frame.set_aside.append(kept.pop().text)
    return kept


# ---------------------------------------------------------------- parts


def _split_parts(lines: list[Line], frame: Frame, known_title: str) -> None:
    title = frame.title or known_title
    lines, listed = _take_attachment_list(lines)
    wraps = bool(_WRAPS.search(title) and _NOTICE_END.search(title)) or frame.order
    start = 0
    if wraps:
        start = _take_wrapper(lines, frame)
    main, attachments = _take_attachments(lines[start:], frame)
    if frame.written_on is None:
        main = _take_signature(main, frame)
    if start and not main and len(attachments) == 1 and attachments[0].name == "附件":
        main = attachments.pop().lines  # the very text that the notice issues
    if main:
        frame.parts.append(Part("", main))
    if listed:
        frame.parts.insert(1 if start else len(frame.parts), Part(ATTACHMENT_LIST, listed))
    for part in attachments:
        part.lines = _take_signature(part.lines, frame) if frame.written_on is None else part.lines
        if part.lines or part.title:
            frame.parts.append(part)
    for part in frame.parts:
        for line in part.lines:
            if not line.is_row and _CONTACT.search(line.text):
                frame.contacts.extend(
                    s for s in re.split(r"(?<=。)", line.text) if len(s) <= 120 and _CONTACT.search(s)
                )


def _take_wrapper(lines: list[Line], frame: Frame) -> int:
    """The covering notice up to its date; returns where the attached text begins, 0 when there is no cover."""
    for place, line in enumerate(lines[:60]):
        if line.is_row or match_article(line.text) is not None:
            return 0
        signed = _signature_date(line)
        if signed is None or place == 0:
            continue
        after = place + 1
        if not any(_carries_text(later) for later in lines[after:]):
            return 0
        items = sum(1 for before in lines[:place] if (t := match_token(before.text)) and t.style is Style.HAN)
        attached, length = _attached_title(lines[after:])
        labelled_part = _ATTACHMENT.match(lines[after].text) is not None
        if items >= 2 and (labelled_part or not length):
            return 0  # a notice with text of its own, and attachments or notes behind it
        body = _sign(lines[: place + 1], frame)
        if body:
            frame.parts.append(Part("令" if frame.order else "通知", body))
        frame.attached_title = attached
        frame.set_aside.extend(later.text for later in lines[after : after + length])
        after += length
        while after < len(lines) and _is_history(lines[after].text):
            frame.history.append(lines[after].text)
            frame.set_aside.append(lines[after].text)
            after += 1
        return after
    return 0


def _carries_text(line: Line) -> bool:
    return line.is_row or len(line.text) >= 6


def _signature_date(line: Line) -> date | None:
    """The date of a signature line: a date alone, or behind the organ's name."""
    alone = only_date(line.text)
    if alone is not None:
        return alone
    if not 8 <= len(line.text) <= 80 or line.text.rstrip("）) \u3000")[-1:] not in _DATE_ENDS:
        return None
    found = find_dates(line.text)
    if len(found) == 1 and not line.text[found[0].end :].strip("（）() ") and organs_of(line.text[: found[0].start]):
        return found[0].on
    return None


def _sign(lines: list[Line], frame: Frame) -> list[Line]:
    """Take the signature at the end of ``lines`` (its last line holds the date); returns the text before it."""
    last = lines[-1]
    frame.written_on = _signature_date(last)
    signers: list[str] = []
    found = find_dates(last.text)
    if found:
        signers = organs_of(last.text[: found[0].start])
    frame.set_aside.append(last.text)
    rest = lines[:-1]
    while rest and not rest[-1].is_row and len(signers) < 20:
        if _LEADER.match(rest[-1].text):
            frame.set_aside.append(rest.pop().text)
            continue
        organs = organs_of(rest[-1].text)
        if not organs or match_token(rest[-1].text) is not None:
            break
        signers = [*organs, *signers]
        frame.set_aside.append(rest.pop().text)
    frame.signers = signers
    return rest


def _take_signature(lines: list[Line], frame: Frame) -> list[Line]:
    """Take the last signature of ``lines``; what stands behind it (contacts, notes) stays text."""
    for place in range(len(lines) - 1, max(-1, len(lines) - 40), -1):
        line = lines[place]
        if line.is_row or _signature_date(line) is None:
            continue
        if place == 0 or match_article(lines[place].text):
            return lines
        before, after = _sign(lines[: place + 1], frame), lines[place + 1 :]
        while after and not frame.signers and not after[0].is_row and (organs := organs_of(after[0].text)):
            frame.signers = organs  # some pages print the name below the date
            frame.set_aside.append(after.pop(0).text)
        return [*before, *after]
    return lines


def _attached_title(lines: Sequence[Line]) -> tuple[str, int]:
    """(title, number of lines) of the text behind a covering notice."""
    pieces: list[str] = []
    for count, line in enumerate(lines[:4], 1):
        text = line.text
        stop = line.is_row or len(text) > 60 or text[-1:] in "。；：，" or only_date(text) is not None
        if stop or match_token(text) is not None or match_article(text) is not None or _ATTACHMENT.match(text):
            break
        pieces.append(text)
        joined = tidy_title("".join(pieces))
        if _TITLE_END.search(joined) and joined.count("《") == joined.count("》"):
            following = lines[count].text if count < len(lines) else ""
            if re.match(r"^[（(][^）)]{2,30}[）)]$", following) and not find_dates(following):
                return joined + following, count + 1
            return joined, count
    return "", 0


def _take_attachment_list(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """附件说明 (「附件：1.…  2.…」 before the signature), so that its numbers are not taken for items of the text."""
    for place, line in enumerate(lines):
        match = None if line.is_row or len(line.text) > 200 else _ATTACHMENT_LIST.match(line.text)
        if match is None or not re.match(r"(?:1\s?[.．、]|《|[\u4e00-\u9fff])", match[1]) or line.text[-1] in "。":
            continue
        end = place + 1
        if _LIST_ITEM.match(match[1]):
            while (
                end < len(lines)
                and not lines[end].is_row
                and _LIST_ITEM.match(lines[end].text)
                and len(lines[end].text) < 100
            ):
                end += 1
        elif not any(_signature_date(later) for later in lines[end : end + 8] if not later.is_row):
            continue  # 「附件：标题」 with its text behind it opens the attachment itself
        return [*lines[:place], *lines[end:]], lines[place:end]
    return lines, []


def _take_attachments(lines: list[Line], frame: Frame) -> tuple[list[Line], list[Part]]:
    """Split off 「附件1」 …; the list 「附件：1.…」 before the signature stays text."""
    main: list[Line] = []
    parts: list[Part] = []
    current: Part | None = None
    place = 0
    while place < len(lines):
        line = lines[place]
        signed = line.text.startswith("附") and _signed(main)
        heads = _opens_attachment(lines, place, started=current is not None, signed=signed)
        if heads is None:
            (main if current is None else current.lines).append(line)
            place += 1
            continue
        name, title, taken = heads
        current = Part(name, [], title)
        parts.append(current)
        frame.set_aside.extend(later.text for later in lines[place : place + taken])
        place += taken
    return main, parts


def _signed(lines: Sequence[Line]) -> bool:
    return any(_signature_date(line) is not None for line in lines[-8:] if not line.is_row)


def _opens_attachment(lines: Sequence[Line], place: int, *, started: bool, signed: bool) -> tuple[str, str, int] | None:
    """(part name, title, lines taken) where an attachment begins at ``place``."""
    line = lines[place]
    if line.is_row:
        filled = [cell for cell in line.cells if cell]
        if len(filled) != 1 or not line.opens_table:
            return None
        first, _, second = filled[0].partition("\n")
        match = _ATTACHMENT.match(first)
        if match and match[1] and not re.search(r"[。；]", first) and len(first) < 60:
            return f"附件{match[1]}", tidy_title(second or match[2]), 1
        return None
    match = _ATTACHMENT.match(line.text) if len(line.text) <= 80 else None
    if match is None or "。" in line.text or line.text[-1] in "；;，":
        return None
    number, rest = match[1] or "", match[2].strip()
    following = lines[place + 1] if place + 1 < len(lines) else None
    if following is None:
        return None
    listed = bool(_ATTACHMENT_LIST.match(line.text)) and not number
    if listed and (not (signed or started) or _LIST_ITEM.match(rest)):
        return None
    if not number and not rest and _LIST_ITEM.match(following.text) and not (signed or started):
        return None
    if rest and re.match(r"[《\u4e00-\u9fff]", rest) is None:
        return None
    if rest and re.match(r"(?:所列|规定|中|的|和|、|及|一并|为|是)", rest):
        return None
    name = f"附件{number}"
    if rest:
        return name, tidy_title(rest), 1
    title, count = _attached_title(lines[place + 1 :])
    return name, title, 1 + count
