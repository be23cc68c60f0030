"""来信正文: what of a mail's text are the citizen's own words now. Pure.

Cut away: the history that mail programs quote below an answer, signatures and the lines that phones add, disclaimers of
firms. Nothing is lost by it: the sealed original stays. When cutting would leave nothing, the text stays whole.
"""

from __future__ import annotations

import re

import lxml.html

_MOST_HTML = 3_000_000
_MOST_QUESTION = 4000
_MOST_BARE = 20_000  # of HTML that no parser reads; stripping it costs the square of its length

_DASHED = re.compile(
    r"^[>\s]*[-—_=]{2,}\s*(?:原始邮件|原邮件|回复的原邮件|转发的?邮件|转发邮件信息|被转发邮件信息|原始信件|邮件原件|"
    r"Original(?: Message)?|Original Mail|Forwarded [Mm]essage|Reply message|Begin forwarded message)[^\n]{0,40}$",
    re.IGNORECASE,
)
_FORWARDED = re.compile(r"转发|Forwarded", re.IGNORECASE)
_WROTE = re.compile(
    r"^\s*(?:On\b.{5,160}\bwrote|(?:在|于)?\s*(?:\d{4}|\d{1,2}月|周|星期).{3,160}(?:写道|寫道|写到|wrote)"
    r"|.{1,80}<[^>]{3,80}@[^>]{3,80}>.{0,60}(?:写道|寫道|wrote|于.{4,40}写道))\s*[:：]\s*$",
    re.IGNORECASE,
)
_FIELD_FIRST = re.compile(r"^\s*\**\s*(?:发件人|寄件者|From|Von)\s*\**\s*[:：]", re.IGNORECASE)
_FIELD = re.compile(
    r"^\s*\**\s*(?:发送时间|发送日期|日期|时间|收件人|主题|抄送|Sent|Date|To|Subject|Cc)\s*\**\s*[:：]", re.IGNORECASE
)
_SIGNATURE = re.compile(r"^(?:--|——|－－)\s*$")
_PHONE = re.compile(
    r"^[\s\-—]*(?:"
    r"(?:发自|来自|发送自|传送自|從|从)(?:我的|.{0,3}新浪|.{0,3}网易|.{0,3}QQ)?.{0,30}"
    r"(?:iPhone|iPad|手机|安卓|Android|邮箱|邮箱大师|客户端|邮件|Windows|华为|荣耀|小米|OPPO|vivo|Outlook|Foxmail|Mail)"
    r".{0,20}(?:发送|寄出)?"
    r"|Sent from (?:my )?.{2,40}|Get Outlook for .{2,12}|获取(?:适用于.{1,12}的)? ?Outlook.{0,20}"
    r"|本邮件由.{1,20}(?:发送|客户端发出)"
    r")[。.]?\s*$",
    re.IGNORECASE,
)
_CONFIDENTIAL = re.compile(
    r"^\s*(?:保密声明|免责声明|声明[:：]|本邮件及其附件(?:含有|包含|可能)|This (?:e-?mail|message).{0,60}(?:confidential|intended))",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"^\s*(?:(?:re|fw|fwd|aw|答复|回复|回覆|转发|轉發|转寄)\s*(?:\[\d+\])?\s*[:：]\s*|\[外部(?:邮件)?\]\s*|【外部邮件】\s*)+",
    re.IGNORECASE,
)
_EMPTY_SUBJECT = re.compile(
    r"^(?:无主题|\(?无标题\)?|\(?no subject\)?|无|咨询|来信|写信|提问|问题|求助|求解答|请教|请问|您好|你好|县长您好|"
    r"县长信箱|给县长的(?:一封)?信|群众来信|咨询问题|问个问题|政策咨询|hello|hi)[!！。.?？:：]?$",
    re.IGNORECASE,
)
_SALUTATION = re.compile(
    r"^(?:尊敬的|敬爱的|亲爱的|致)?[^\n，,。！!：:？?]{0,16}(?:县长|领导|主任|局长|书记|同志|工作人员|老师|政府|办公室|信箱|先生|女士)"
    r"[^\n，,。！!：:？?]{0,4}[，,：:！!]?\s*(?:您好|你好|好)?[！!，,。：:]*$|^(?:您好|你好|领导好|大家好)[！!，,。：:]*$"
)
_HELLO = re.compile(
    r"^(?:尊敬的|敬爱的|亲爱的)?[^\n，,。！!：:？?]{0,10}(?:县长|领导|主任|同志|工作人员)[^\n，,。！!：:？?]{0,4}"
    r"[，,：:！!]?\s*(?:您好|你好)[！!，,。：:]+\s*(?=\S)|^(?:您好|你好)[！!，,。：:]+\s*(?=\S)"
)
_CLOSING = re.compile(
    r"^(?:此致|敬礼|顺祝.{0,12}|祝.{1,12}|谢谢.{0,8}|感谢.{0,10}|多谢|盼复|望复|盼回复|望回复|请回复|期待(?:您的)?回复|打扰了|麻烦您?了)[！!，,。.~]*$"
)

_TAG = re.compile(r"<[^<>]*>")
_UNSPOKEN = re.compile(r"<(script|style|head|title)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    ]
)
_DROPPED = frozenset(("script", "style", "head", "title", "template", "noscript", "object", "svg"))


def own_words(text: str) -> str:
    """The citizen's own words without quoted history and signature; the whole text where that would leave nothing."""
    text = text.replace("\u00a0", " ").replace("\u3000", " ").replace("\u200b", "").replace("\ufeff", "")
    lines = [line.rstrip() for line in text.split("\n")]
    kept: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.lstrip().startswith((">", "＞")):
            index += 1
            continue
        if _WROTE.match(line) or _wrote_in_two(lines, index):
            width = 1 if _WROTE.match(line) else 2
            after = index + width
            while after < len(lines) and not lines[after].strip():
                after += 1
            if after < len(lines) and lines[after].lstrip().startswith((">", "＞")):
                index = after  # marked quotes: an answer written below them is kept
                continue
            break
        if _history(lines, index) or _SIGNATURE.match(line) or _CONFIDENTIAL.match(line):
            break
        if not _PHONE.match(line):
            kept.append(line)
        index += 1
    own = _squeezed("\n".join(kept))
    return own or _squeezed("\n".join(re.sub(r"^[>＞\s]+", "", line) for line in lines))


def question_of(subject: str, text: str) -> str:
    """What is looked up: the subject, where it says something and is no answer's, and the text without courtesies."""
    body = [line.strip() for line in text.split("\n") if line.strip()]
    while body and _SALUTATION.match(body[0]):
        body.pop(0)
    if body:
        body[0] = _HELLO.sub("", body[0])
    stop = next((i for i, line in enumerate(body) if i and _CLOSING.match(line)), len(body))
    spoken = "\n".join(body[:stop])
    answered = _PREFIX.match(subject) is not None
    title = _PREFIX.sub("", subject).strip()
    if not spoken:
        return "" if answered or _EMPTY_SUBJECT.match(title) else title
    if answered or not title or _EMPTY_SUBJECT.match(title) or title in spoken:
        return spoken[:_MOST_QUESTION]
    return f"{title}\n{spoken}"[:_MOST_QUESTION]


def plain_subject(subject: str) -> str:
    """The subject without the Re: and 回复： of earlier rounds."""
    return _PREFIX.sub("", subject).strip()


def text_of_html(html: str) -> str:
    """The text of an HTML mail; blocks and line breaks become lines, quoted history is left out where it is marked."""
    html = html[:_MOST_HTML].replace("\x00", "")
    html = re.sub(r"^\s*<\?xml[^>]*\?>", "", html)
    if not html.strip():
        return ""
    try:
        root = lxml.html.document_fromstring(html)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return _TAG.sub(" ", html)
    pieces: list[str] = []
    _gather(root, pieces)
    lines = [" ".join(line.split()) for line in "".join(pieces).split("\n")]
    text = _squeezed("\n".join(lines))
    # The parser gives up below some hundred levels, and a mail may be nothing but a quotation.
    if text:
        return text
    bare = _TAG.sub(" ", _UNSPOKEN.sub(" ", html[:_MOST_BARE]))
    return _squeezed("\n".join(" ".join(line.split()) for line in bare.split("\n")))


def _gather(root: lxml.html.HtmlElement, pieces: list[str]) -> None:
    """Walk without recursion: a mail may nest ten thousand levels."""
    stack: list[tuple[lxml.html.HtmlElement, bool]] = [(root, False)]
    while stack:
        element, leaving = stack.pop()
        tag = element.tag if isinstance(element.tag, str) else ""
        if leaving:
            if tag in _BLOCKS:
                pieces.append("\n")
            elif tag in ("td", "th"):
                pieces.append(" ")
            if element is not root and element.tail:
                pieces.append(re.sub(r"\s+", " ", element.tail))
            continue
        stack.append((element, True))
        if not tag or tag in _DROPPED or _quoted(element):
            continue
        if tag == "br" or tag in _BLOCKS:
            pieces.append("\n")
        if element.text:
            pieces.append(re.sub(r"\s+", " ", element.text) if tag != "pre" else element.text)
        stack.extend((child, False) for child in reversed(element))


def _quoted(element: lxml.html.HtmlElement) -> bool:
    """The containers in which Gmail, Apple, Outlook, QQ and NetEase keep the earlier mail."""
    name = f"{element.get('id', '')} {element.get('class', '')} {element.get('name', '')}"
    if element.tag == "blockquote" and element.get("type") == "cite":
        return True
    if element.tag in ("blockquote", "div") and element.get("id", "") in (
        "isReplyContent",
        "divRplyFwdMsg",
        "mail-editor-reference-message-container",
    ):
        return True
    return element.tag == "includetail" or "gmail_quote" in name or "yahoo_quoted" in name or "ntes_not_fresh" in name


def _wrote_in_two(lines: list[str], index: int) -> bool:
    """「On …, someone」 / 「<address> wrote:」 broken over two lines."""
    if index + 1 >= len(lines) or not lines[index].strip():
        return False
    if not re.match(r"^\s*(?:On\b|在|于)", lines[index]):
        return False
    return len(lines[index]) < 120 and _WROTE.match(f"{lines[index].strip()} {lines[index + 1].strip()}") is not None


def _history(lines: list[str], index: int) -> bool:
    line = lines[index]
    if _DASHED.match(line):
        # What was forwarded without a word of one's own is the letter itself.
        return not (_FORWARDED.search(line) and not any(before.strip() for before in lines[:index]))
    if _FIELD_FIRST.match(line):
        following = [after for after in lines[index + 1 : index + 8] if after.strip()][:4]
        return sum(1 for after in following if _FIELD.match(after)) >= 2
    return False


def _squeezed(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip()
