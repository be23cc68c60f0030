"""邮件解析: a mail's bytes → :class:`Mail`; nobody below sees MIME.

Mail is what other programs made of the standards, so nothing here trusts it: GBK labelled gb2312, charsets nobody knows,
text labelled base64, headers cut by gateways. Headers and parts are therefore decoded by hand; only the tree of parts is
left to :mod:`email`. Whatever cannot be read at all is :class:`UnreadableMail`, to be looked at by a person.

RFC 5322 (messages), RFC 2045-2047 (MIME), RFC 2231 (file names).
"""

from __future__ import annotations

import base64
import binascii
import codecs
import email.message
import email.parser
import email.policy
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime

from bot.channels.mailbox_words import own_words, question_of, text_of_html
from bot.errors import UnreadableMail

LONGEST_ID = 200
"""Longer message ids are dropped: in our own headers they would be folded into something no program reads."""

_MOST_REFERENCES = 30
_MOST_PARTS = 200
_LONGEST_HEADER = 20_000
_MOST_TEXT = 200_000  # characters of a letter that are read

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_ID = re.compile(r"<[^<>\s]+>")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]')

# The names under which Chinese mailers mean more than they say, and those that Python does not know.
_CHARSETS = {
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gb_2312": "gb18030",
    "x-gb2312": "gb18030",
    "euc-cn": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
    "ms936": "gb18030",
    "windows-936": "gb18030",
    "gb-18030": "gb18030",
    "hz-gb-2312": "hz",
    "big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "unicode-1-1-utf-7": "utf-7",
    "utf8": "utf-8",
    "utf8mb4": "utf-8",
    "x-utf-8": "utf-8",
    "unicode": "utf-16",
}
# What the library raises for mail that its authors had not thought of.
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
_SAY_NOTHING = frozenset(
    {"", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "8bit", "unknown"}
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """附件: a part that is no letter text. ``name`` is safe as a file name."""

    name: str
    type: str
    content: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Mail:
    """来信: one mail as the house sees it. Addresses are lower case; ids keep their angle brackets."""

    sender: str  # of From, empty if there is none
    sender_name: str
    reply_to: str  # where an answer goes: Reply-To, else From
    recipients: tuple[str, ...]  # To and Cc
    subject: str
    text: str  # the letter without quoted history and signature
    whole: str  # with them
    question: str  # what is looked up: subject and text without courtesies
    message_id: str  # empty where there is none or it is unusable
    in_reply_to: str
    references: tuple[str, ...]
    return_path: str | None  # envelope sender; "" for <>, None where no server has noted it
    date: datetime | None
    attachments: tuple[Attachment, ...]
    content_type: str
    parts: tuple[str, ...]  # content types of every part
    headers: tuple[tuple[str, str], ...]  # (lower-case name, decoded value), as they came

    def header(self, name: str) -> str | None:
        """The first header of this (lower-case) name, None if there is none."""
        return next((value for known, value in self.headers if known == name), None)


def parse(raw: bytes) -> Mail:
    """Read one mail. Raises :class:`UnreadableMail` for what is no mail; bad parts of a mail are read as far as possible."""
    message = _message(raw)
    headers = tuple((name.lower(), decoded(value)) for name, value in message.raw_items())
    first: dict[str, str] = {}
    for name, value in headers:
        first.setdefault(name, value)
    names = [(name.strip(), address) for name, address in _people(first.get("from", ""))]
    return_path = _return_path(first.get("return-path"))
    # A comma in an unquoted name makes two senders, and servers complete the first half to an address of their own.
    sender_name, sender = next((pair for pair in names if pair[1] == return_path), names[0] if names else ("", ""))
    answers_to = [address for _, address in _people(first.get("reply-to", ""))]
    subject = " ".join(first.get("subject", "").split())[:500]
    try:
        plain, attachments, types = _content(message)
    except _BROKEN as error:
        raise UnreadableMail(f"the parts cannot be read ({type(error).__name__}); answer by hand") from error
    whole = plain[:_MOST_TEXT]
    text = own_words(whole)
    ids = _ids(first.get("message-id", ""))
    answered = _ids(first.get("in-reply-to", ""))
    return Mail(
        sender=sender,
        sender_name=sender_name[:100],
        reply_to=answers_to[0] if len(answers_to) == 1 else sender,
        recipients=tuple(address for name in ("to", "cc") for _, address in _people(first.get(name, ""))),
        subject=subject,
        text=text,
        whole=whole,
        question=question_of(subject, text),
        message_id=ids[0] if ids else "",
        in_reply_to=answered[0] if answered else "",
        references=tuple(_ids(first.get("references", ""))[-_MOST_REFERENCES:]),
        return_path=return_path,
        date=_date(first.get("date", "")),
        attachments=attachments,
        content_type=message.get_content_type(),
        parts=types,
        headers=headers,
    )


def decoded(value: str) -> str:
    """A header's value as text: encoded words (RFC 2047) joined before decoding, raw bytes guessed, never an error."""
    value = value.replace("\r", "").replace("\n", "")
    raw = value.encode("utf-8", "surrogateescape")
    if not raw.isascii():
        value = charset_decoded(raw, "")
    pieces: list[str] = []
    pending, charset, end = b"", "", 0
    for match in _WORD.finditer(value):
        between = value[end : match.start()]
        content, label = _encoded_word(match), match.group(1).partition("*")[0].lower()
        if pending and (between.strip() or label != charset):
            pieces.append(charset_decoded(pending, charset))
            pending = b""
        if between.strip() or not end:
            pieces.append(between)
        pending, charset, end = pending + content, label, match.end()
    if pending:
        pieces.append(charset_decoded(pending, charset))
    pieces.append(value[end:])
    return "".join(pieces).strip()


def charset_decoded(raw: bytes, charset: str) -> str:
    """``raw`` in the charset it claims, else in the first that fits it, else with marks for what cannot be read."""
    label = charset.strip().strip("\"'").lower()
    label = _CHARSETS.get(label, label)
    candidates = ["utf-8", "gb18030", "big5hkscs"]
    if label not in _SAY_NOTHING and _known(label):
        candidates.insert(0, label)
    for candidate in candidates:
        try:
            return raw.decode(candidate)
        except (UnicodeError, ValueError):
            continue
    return raw.decode(candidates[0], "replace")


def safe_name(name: str, number: int, content_type: str) -> str:
    """A file name that is only a name: no folders, controls, reversed writing; at most 120 UTF-8 bytes."""
    name = _UNSAFE.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    while len(stem.encode("utf-8", "replace")) > 100:
        stem = stem[:-1]
    name = f"{stem}.{suffix[:15]}" if suffix else stem
    if not name:
        name = f"附件{number}.{'eml' if content_type == 'message/rfc822' else 'bin'}"
    return name.encode("utf-8", "replace").decode("utf-8")


# ---- headers ---------------------------------------------------------------------------------------------------------


def _message(raw: bytes) -> email.message.Message:
    raw = raw.lstrip(b"\r\n\t \x00\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    head, _, body = raw.partition(b"\n\n")
    lines: list[bytes] = []
    keeping = False
    for line in head.split(b"\n"):
        # Gateways put lines of their own among the headers; left there, the parser would take all that follows as body.
        if line[:1] in b" \t" and line:
            if keeping:
                lines.append(line)
            continue
        keeping = bool(_HEADER.match(line))
        if keeping:
            lines.append(line)
    known = {line.partition(b":")[0].strip().lower() for line in lines}
    if not known & {b"from", b"to", b"subject", b"date", b"message-id", b"received", b"return-path", b"sender"}:
        raise UnreadableMail("no header of a mail was found; look at the original and answer by hand")
    try:
        return email.parser.BytesParser(policy=email.policy.compat32).parsebytes(b"\n".join(lines) + b"\n\n" + body)
    except _BROKEN as error:
        raise UnreadableMail(f"the structure cannot be read ({type(error).__name__}); answer by hand") from error


def _encoded_word(match: re.Match[str]) -> bytes:
    coded = match.group(3).encode("utf-8", "surrogateescape")
    if match.group(2) in "qQ":
        return quopri.decodestring(coded.replace(b"_", b" "), header=False)
    return _unbase64(coded)


def _unbase64(coded: bytes) -> bytes:
    """Base64 with whatever padding it has. A single left-over letter carries no byte and is dropped (RFC 4648)."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", coded)
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    try:
        return base64.b64decode(kept + b"=" * (-len(kept) % 4))
    except (binascii.Error, ValueError):  # not reachable by the two lines above; a mail must not prove that wrong
        return coded


def _known(charset: str) -> bool:
    try:
        # Only text encodings: "hex" or "zip" as a charset would do something else, or raise in its own way.
        return getattr(codecs.lookup(charset), "_is_text_encoding", True) and charset not in ("idna", "punycode")
    except (LookupError, ValueError):
        return False


def _people(value: str) -> list[tuple[str, str]]:
    """(name, address) of everybody in an address header; what is no address is left out."""
    value = value[:_LONGEST_HEADER]
    found = []
    try:
        pairs = getaddresses([value])
    except (ValueError, IndexError, AttributeError, TypeError, RecursionError):
        pairs = []
    for name, address in pairs:
        match = _ADDRESS.fullmatch(address.strip())
        if match:
            found.append((name, match.group().lower()))
    if not found:  # unquoted commas and brackets in names: the address itself is still plain to see
        found = [("", match.group().lower()) for match in _ADDRESS.finditer(value)]
    return found


def _ids(value: str) -> list[str]:
    return [found for found in _ID.findall(value) if len(found) <= LONGEST_ID and found.isascii()]


def _return_path(value: str | None) -> str | None:
    if value is None:
        return None
    inner = value.strip().strip("<>").strip()
    return inner.lower()


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else None


# ---- content ---------------------------------------------------------------------------------------------------------


def _content(message: email.message.Message) -> tuple[str, tuple[Attachment, ...], tuple[str, ...]]:
    """(text, attachments, content types of all parts)."""
    texts: list[str] = []
    attachments: list[Attachment] = []
    types = [part.get_content_type() for part, _ in zip(message.walk(), range(_MOST_PARTS), strict=False)]
    for part, _ in zip(_leaves(message), range(_MOST_PARTS), strict=False):
        content_type = part.get_content_type()
        name = _file_name(part)
        attached = part.get_content_disposition() == "attachment" or bool(name)
        broken = content_type.startswith("multipart/")  # parts were announced, but none can be told from the next
        if (content_type in ("text/plain", "text/html") or broken) and not attached:
            text = charset_decoded(_payload(part), _charset(part))
            texts.append(text_of_html(text) if content_type == "text/html" or _is_html(text) else text)
        elif content_type not in ("message/delivery-status", "message/disposition-notification"):
            content = part.as_bytes() if part.is_multipart() else _payload(part)
            attachments.append(Attachment(safe_name(name, len(attachments) + 1, content_type), content_type, content))
    text = "\n\n".join(piece.strip() for piece in texts if piece.strip())
    return text.replace("\r\n", "\n").replace("\r", "\n"), tuple(attachments), tuple(types)


def _leaves(message: email.message.Message) -> Iterator[email.message.Message]:
    """The parts to read, in order: of alternatives only the best; an attached mail as a whole."""
    content_type = message.get_content_type()
    if content_type.startswith("message/") or not message.is_multipart():
        yield message
        return
    children = [child for child in message.get_payload() if isinstance(child, email.message.Message)]
    if content_type == "multipart/alternative":
        chosen = _best(children)
        children = [chosen] if chosen is not None else []
    for child in children:
        yield from _leaves(child)


def _best(children: list[email.message.Message]) -> email.message.Message | None:
    """Plain text where it says anything, else the last alternative (the richest one, RFC 2046)."""
    for child in children:
        if child.get_content_type() == "text/plain" and charset_decoded(_payload(child), _charset(child)).strip():
            return child
    return children[-1] if children else None


def _payload(part: email.message.Message) -> bytes:
    """The part's bytes. The library decodes by the label alone; without the label it hands over what is there."""
    coding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if coding in ("x-uuencode", "uuencode", "uue", "x-uue"):
        return _bytes(part)
    del part["content-transfer-encoding"]
    raw = _bytes(part)
    part["Content-Transfer-Encoding"] = coding
    if coding == "base64":
        foreign = len(_NOT_BASE64.findall(raw))
        return raw if foreign * 10 > len(raw) else _unbase64(raw)  # plain text under a wrong label stays as it is
    if coding == "quoted-printable":
        return quopri.decodestring(raw)
    return raw


def _bytes(part: email.message.Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: email.message.Message) -> str:
    try:
        value = part.get_param("charset", "")
        return str(collapse_rfc2231_value(value)) if value else ""
    except (ValueError, TypeError, LookupError, IndexError):
        return ""


def _file_name(part: email.message.Message) -> str:
    for header, key in (("content-disposition", "filename"), ("content-type", "name")):
        try:
            value = part.get_param(key, None, header)
            if value:
                return decoded(str(collapse_rfc2231_value(value)))
        except (ValueError, TypeError, LookupError, IndexError):
            continue
    return ""


def _is_html(text: str) -> bool:
    return text.lstrip()[:200].lower().startswith(("<html", "<!doctype html", "<div", "<meta"))
