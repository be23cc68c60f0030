"""个人信息: finding and masking personal data (个保法 art. 4, 51: 去标识化; 民法典 art. 111).

Offsets are those of the original text: reading is done on a view of the same length in which full-width and other
digits are plain ones. Numbers may be spaced, hyphenated or written in Chinese numerals. What only looks personal is left
alone: 文号, 索引号, 统一社会信用代码, dates, amounts, postcodes, hotlines, and the published contacts of offices
(条例 art. 20(2) obliges to publish them), which the caller names.

Every pattern is bounded: the time grows with the length of the text, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from register.words import (
    COMMON_SURNAMES,
    COMPOUND_SURNAMES,
    FOLLOWS_NAME,
    NOT_GIVEN,
    NOT_GIVEN_LAST,
    NOT_GIVEN_WORDS,
    NOT_NAMES,
    OFFICE_WORDS,
    PUBLIC_FIGURES,
    SELDOM_SURNAMES,
    SURNAMES,
    TITLES,
    WORD_SURNAMES,
    WORKS_WORDS,
)


class DatumKind(StrEnum):
    """个人信息种类 (contract ``mask``: ``kind``)."""

    ID_CARD = "id_card"  # 身份证号
    MOBILE = "mobile"  # 手机号
    LANDLINE = "landline"  # 固定电话
    BANK_CARD = "bank_card"  # 银行卡号
    PLATE = "plate"  # 车牌号
    EMAIL = "email"  # 电子邮箱
    WECHAT = "wechat"  # 微信号
    QQ = "qq"  # QQ号
    PASSPORT = "passport"  # 护照
    PERMIT = "permit"  # 港澳台通行证
    ADDRESS = "address"  # 家庭详细住址
    NAME = "name"  # 姓名


@dataclass(frozen=True, slots=True)
class PersonalDatum:
    """个人信息: one find, ``text[start:end]`` of the original text."""

    kind: DatumKind
    start: int
    end: int


_Find = tuple[PersonalDatum, str]  # with its masked form

NO_CONTACTS: frozenset[str] = frozenset()


def find(text: str, *, office_contacts: frozenset[str] = NO_CONTACTS) -> list[PersonalDatum]:
    """All personal data, in order, never overlapping. ``office_contacts`` (numbers, mail addresses, names, street
    addresses, in any spelling) are left out."""
    return [datum for datum, _ in _finds(text, office_contacts)]


def mask(text: str, *, publish: bool = False, office_contacts: frozenset[str] = NO_CONTACTS) -> str:
    """``text`` with its personal data masked: as logs show them (138****8000), or, to be published, entirely."""
    return mask_with(text, publish=publish, office_contacts=office_contacts)[0]


def mask_with(
    text: str, *, publish: bool = False, office_contacts: frozenset[str] = NO_CONTACTS
) -> tuple[str, list[PersonalDatum]]:
    """As :func:`mask`, with what was found (offsets into the original ``text``)."""
    finds = _finds(text, office_contacts)
    if not finds:
        return text, []
    parts, at = [], 0
    for datum, masked in finds:
        parts += [text[at : datum.start], "****" if publish else masked]
        at = datum.end
    parts.append(text[at:])
    return "".join(parts), [datum for datum, _ in finds]


# ---- the view: same length, plain digits and letters ---------------------------------------------------------

_WIDE = re.compile(
    "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff20\uff0b\u0660-\u0669\u06f0-\u06f9Ⅹⅹ\U0001d7ce-\U0001d7ff]"
)
_TO_PLAIN = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))}
_TO_PLAIN |= {0xFF20: ord("@"), 0xFF0B: ord("+"), ord("Ⅹ"): ord("X"), ord("ⅹ"): ord("x")}
_TO_PLAIN |= {first + digit: ord("0") + digit for first in (0x660, 0x6F0) for digit in range(10)}
_TO_PLAIN |= {0x1D7CE + offset: ord("0") + offset % 10 for offset in range(50)}
_NUMERALS = re.compile("[零〇一二三四五六七八九幺]{11,}")
_FROM_NUMERALS = str.maketrans("零〇一二三四五六七八九幺", "001234567891")


def _view(text: str) -> str:
    if _WIDE.search(text):
        text = text.translate(_TO_PLAIN)
    if _NUMERALS.search(text):
        text = _NUMERALS.sub(lambda found: found[0].translate(_FROM_NUMERALS), text)
    return text


def _finds(text: str, office_contacts: frozenset[str]) -> list[_Find]:
    view = _view(text)
    finds: list[_Find] = []
    letters = _LETTER.search(view) is not None
    if _DIGIT.search(view):
        finds += _numbers(view)
        if letters:
            finds += _plates(view)
            finds += _passports(view)
        if "证" in view:
            finds += _permits(view)
    if "@" in view:
        finds += _mails(view)
    if letters or "微信" in view or "扣扣" in view:
        finds += _accounts(view)
    if _HOME_UNIT.search(view):
        finds += _addresses(view)
    if any(cue in view for cue in _CUES_BEFORE):
        finds += _names_after_cues(view)
    if any(cue in view for cue in _HONORIFICS):
        finds += _names_before_honorifics(view)
    if not finds:
        return finds
    if office_contacts:
        known = _known(office_contacts)
        finds = [found for found in finds if not _is_known(found[0], view, known)]
    return _apart(finds)


_DIGIT = re.compile("[0-9]")
_LETTER = re.compile("[A-Za-z]")
_PRECEDENCE = {kind: rank for rank, kind in enumerate(DatumKind)}


def _apart(finds: list[_Find]) -> list[_Find]:
    """In order and without overlaps: the earlier one wins, of two at the same place the longer one."""
    finds.sort(key=lambda f: (f[0].start, -f[0].end, _PRECEDENCE[f[0].kind]))
    kept: list[_Find] = []
    for found in finds:
        if not kept or found[0].start >= kept[-1][0].end:
            kept.append(found)
    return kept


# ---- numbers -------------------------------------------------------------------------------------------------

_GAP = " \t\n\u00a0\u2002-\u200f\u2010-\u2015\u2060\u3000\ufeff\u00ad\\-\u2212\uff0d.·•・．_"
_RUN = re.compile(f"[0-9](?:[{_GAP}]{{0,3}}[0-9]){{6,}}(?:[{_GAP}]?[Xx×](?![0-9A-Za-z]))?")
_GROUP = re.compile("[0-9]+")
_ID18 = re.compile(r"[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", re.ASCII)
_ID15 = re.compile(
    r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[123])\d{4}\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}",
    re.ASCII,
)
_MOBILE = re.compile(r"(?:0086|86|0)?(1[3-9]\d{9})", re.ASCII)
_MOBILE_SHAPES = {(11,), (3, 4, 4), (3, 8), (7, 4), (4, 3, 4), (3, 3, 5), (4, 4, 3), (5, 3, 3), (3, 5, 3)}
_LANDLINE = re.compile(r"(010|02\d|0[3-9]\d\d)([2-9]\d{6,7})", re.ASCII)
_LOCAL = re.compile(r"[2-9]\d{6,7}", re.ASCII)
_LOCAL_SHAPES = {(7,), (8,), (4, 4), (3, 4), (4, 3)}
_EXTENSION = re.compile(r"[ ]?(?:转|[-－—]|ext\.?)[ ]?[0-9]{1,6}(?![0-9])", re.IGNORECASE)
_AREA_BEFORE = re.compile(r"[(（]0\d{2,3}[)）][ \-－—]?$", re.ASCII)
_PHONE_CUE = re.compile(
    r"(?:电\s{0,4}话|座机|固话|家电|传真|tel|phone)(?:号码|号|[：:是为.\s]){0,4}(?:[0-9（）()\-－—]{7,14}[、，,;；/或和\s]{1,2}){0,3}$",
    re.IGNORECASE,
)
_CARD_CUE = re.compile(r"(?:卡号|账号|帐号|银行卡|储蓄卡|信用卡|账户|帐户|存折|卡)[^0-9]{0,8}$")
_CODE_CUE = re.compile(
    r"(?:(?<!证)(?<!证件)编号|单号|流水号?|序列号|索引号|案号|代码|批号|批准文号|许可证号?|注册号|发票号码?|订单号?|条码|追溯码|"
    r"税号|识别号|ISBN|ISSN|社保卡?编号)[：:为是\s]*$",
    re.IGNORECASE,
)
_CREDIT_CODE_CUE = re.compile(r"(?:信用代码|税号|识别号|机构代码|注册号)[：:为是（(\s]*$")
_AMOUNT_AFTER = re.compile(
    r"\.[0-9]{1,2}(?![0-9])|[ ]?(?:元|万|亿|千|吨|公里|米|㎡|平方|亩|％|%|人次|户|册|件|台|美元|欧元|公斤|度|立方)"
)
_LETTERS_BEFORE = re.compile(r"[A-Za-z]+$")
_LETTERS_AFTER = re.compile(r"[A-Za-z]+")
_LETTERS_OF_CUES = frozenset(
    {
        "id",
        "no",
        "sfz",
        "card",
        "tel",
        "phone",
        "mobile",
        "mob",
        "mp",
        "t",
        "m",
        "p",
        "v",
        "vx",
        "wx",
        "qq",
        "wechat",
        "weixin",
    }
)


class _Number(NamedTuple):
    """Neighbouring groups of digits read as one number."""

    view: str
    start: int
    end: int
    digits: str
    sizes: tuple[int, ...]
    broken: bool  # across lines
    dashed: bool  # a hyphen after the first group

    def before(self, width: int = 12) -> str:
        return self.view[max(0, self.start - width) : self.start]

    @property
    def single_digits(self) -> bool:
        return len(self.sizes) > 1 and set(self.sizes) == {1}


def _numbers(view: str) -> Iterator[_Find]:
    for run in _RUN.finditer(view):
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in _GROUP.finditer(run[0])]
        at = 0
        while at < len(groups):
            taken, found = _read_at(view, groups, at, run)
            if found is not None:
                yield found
            at += taken


def _read_at(view: str, groups: list[tuple[int, int]], at: int, run: re.Match[str]) -> tuple[int, _Find | None]:
    """The best reading of the number that begins with group ``at``, and how many groups it takes."""
    if view[groups[at][0] - 1 : groups[at][0]] == "*":
        return 1, None  # the tail of something masked before
    numbers = []
    for number in _candidates(view, groups, at):
        if len(number.digits) in (17, 18) and (found := _as_id(number, run)) is not None:
            return len(number.sizes), found
        numbers.append(number)
    for judge, lengths in _JUDGES:
        for number in reversed(numbers):  # a card of 16 digits may be the head of one of 19
            if len(number.digits) not in lengths or number.broken:
                continue
            found = judge(number)
            if found is not None and _bordered(view, number.start, number.end):
                return len(number.sizes), found
    return 1, None


def _candidates(view: str, groups: list[tuple[int, int]], at: int) -> Iterator[_Number]:
    """The numbers of 7 to 19 digits that begin with group ``at``."""
    start, before = groups[at]
    digits, sizes, gaps = "", [], ""
    for first, last in groups[at : at + 19]:
        gaps += view[before:first]
        before = last
        digits += view[first:last]
        sizes.append(last - first)
        if len(digits) > 19:
            return
        if len(digits) >= 7:
            dashed = len(sizes) > 1 and not view[start + sizes[0] : groups[at + 1][0]].isspace()
            yield _Number(view, start, last, digits, tuple(sizes), "\n" in gaps, dashed)


def _as_id(number: _Number, run: re.Match[str]) -> _Find | None:
    digits, end = number.digits, number.end
    if len(digits) == 17 and run.end() - end in (1, 2) and number.view[run.end() - 1] in "Xx×":
        digits, end = digits + "X", run.end()
    if _ID18.fullmatch(digits) is None or _CREDIT_CODE_CUE.search(number.before()):
        return None
    if not _bordered(number.view, number.start, end):
        return None
    return _datum(DatumKind.ID_CARD, number.start, end, f"{digits[:6]}***********{digits[-1]}")


def _as_mobile(number: _Number) -> _Find | None:
    match = _MOBILE.fullmatch(number.digits)
    if match is None:
        return None
    prefix = match.start(1)
    sizes = number.sizes
    if prefix and sizes[0] == prefix:
        sizes = sizes[1:]
    elif prefix:
        sizes = (sizes[0] - prefix, *sizes[1:])
    if sizes not in _MOBILE_SHAPES and not number.single_digits:
        return None
    start = number.start - 1 if number.view[number.start - 1 : number.start] == "+" else number.start
    before = number.before()
    if _CODE_CUE.search(before) or before.endswith(("¥", "￥", "$")):
        return None
    if len(number.sizes) == 1 and _AMOUNT_AFTER.match(number.view, number.end):
        return None
    plain = match[1]
    return _datum(DatumKind.MOBILE, start, number.end, f"{plain[:3]}****{plain[-4:]}")


def _as_bank_card(number: _Number) -> _Find | None:
    digits, sizes = number.digits, number.sizes
    if not 16 <= len(digits) <= 19 or not _luhn(digits):
        return None
    cue = _CARD_CUE.search(number.before(16)) is not None
    if not cue:
        regular = (
            len(sizes) == 1
            or number.single_digits
            or (set(sizes[:-1]) == {4} and sizes[-1] <= 4)
            or (len(sizes) == 2 and sizes[0] in (4, 6))
        )
        if digits[0] not in "3456" or not regular or _CODE_CUE.search(number.before()):
            return None
    return _datum(DatumKind.BANK_CARD, number.start, number.end, "*" * (len(digits) - 4) + digits[-4:])


def _as_landline(number: _Number) -> _Find | None:
    digits, view = number.digits, number.view
    end = number.end
    extension = _EXTENSION.match(view, end)
    if extension is not None:
        end = extension.end()
    area_size = number.sizes[0] if number.dashed and number.sizes[0] in (3, 4) and digits[0] == "0" else 0
    if area_size:
        area = digits[:area_size] if _LOCAL.fullmatch(digits, area_size) else ""
    else:
        match = _LANDLINE.fullmatch(digits)
        area = match[1] if match else ""
    sizes = number.sizes
    grouped = number.single_digits or len(sizes) == 1 or (sizes[0] == len(area) and sizes[1:] in _LOCAL_SHAPES)
    if area and grouped and not _CODE_CUE.search(number.before()):
        return _datum(DatumKind.LANDLINE, number.start, end, f"{area}-*******")
    if _LOCAL.fullmatch(digits) is None or sizes not in _LOCAL_SHAPES:
        return None
    before = number.before(60)
    bracketed = _AREA_BEFORE.search(before)
    if bracketed is not None:
        start = number.start - len(bracketed[0])
        return _datum(DatumKind.LANDLINE, start, end, f"{bracketed[0].rstrip(' -－—')}*******")
    if _PHONE_CUE.search(before):
        return _datum(DatumKind.LANDLINE, number.start, end, "*******")
    return None


def _as_old_id(number: _Number) -> _Find | None:
    if number.sizes not in ((15,), (6, 6, 3)) and not number.single_digits:
        return None
    if _ID15.fullmatch(number.digits) is None or _CODE_CUE.search(number.before()):
        return None
    if len(number.sizes) == 1 and _AMOUNT_AFTER.match(number.view, number.end):
        return None
    return _datum(DatumKind.ID_CARD, number.start, number.end, f"{number.digits[:6]}********{number.digits[-1]}")


_JUDGES: tuple[tuple[Callable[[_Number], _Find | None], range], ...] = (
    (_as_mobile, range(11, 16)),
    (_as_bank_card, range(16, 20)),
    (_as_landline, range(7, 13)),
    (_as_old_id, range(15, 16)),
)


def _bordered(view: str, start: int, end: int) -> bool:
    """Not a part of a longer code: no letters touch the number, but for those of a cue (tel, QQ, vx …)."""
    before = _LETTERS_BEFORE.search(view[max(0, start - 9) : start])
    if before is not None and before[0].lower() not in _LETTERS_OF_CUES:
        return False
    after = _LETTERS_AFTER.match(view[end : end + 9])
    return after is None or after[0].lower() in _LETTERS_OF_CUES


def _luhn(digits: str) -> bool:
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(d), 10)) for d in even)) % 10 == 0


def _datum(kind: DatumKind, start: int, end: int, masked: str) -> _Find:
    return PersonalDatum(kind, start, end), masked


# ---- plates, passports, mail, accounts -----------------------------------------------------------------------

_PLATE = re.compile(
    r"(?<![0-9A-Za-z])([京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][ ]?[A-HJ-NP-Za-hj-np-z])[·.•\s]?"
    r"([DFdf][A-HJ-NP-Za-hj-np-z0-9][0-9]{4}|[0-9]{5}[DFdf]|[A-HJ-NP-Za-hj-np-z0-9]{5}|[A-HJ-NP-Za-hj-np-z0-9]{4}[挂学警港澳])"
    r"(?![0-9A-Za-z])"
)
_PASSPORT = re.compile(
    r"(?<![0-9A-Za-z])(?:[EGDSPegdsp][0-9]{8}|(?:E[A-HJ-NP-Za-hj-np-z]|[DSP]E)[0-9]{7})(?![0-9A-Za-z])"
)
_PERMIT = re.compile(
    r"(?<![0-9A-Za-z])(?:[CWHMTL][0-9]{8}(?:[0-9]{2})?|C[A-Z][0-9]{7}|[0-9]{8}|[0-9]{10})(?![0-9A-Za-z])"
)
_PASSPORT_CUE = re.compile(r"护照[^0-9A-Za-z]{0,8}$|passport[^0-9A-Za-z]{0,8}$", re.IGNORECASE)
_PERMIT_CUE = re.compile(r"(?:通行证|回乡证|台胞证|还乡证)[^0-9A-Za-z]{0,8}$")
_LOOKS_DATED = re.compile(r"[A-Za-z](?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.ASCII)


def _plates(view: str) -> Iterator[_Find]:
    for match in _PLATE.finditer(view):
        tail = match[2]
        if sum(c.isdigit() for c in tail) >= 3:
            yield _datum(DatumKind.PLATE, match.start(), match.end(), f"{match[1]}***{tail[-2:]}")


def _passports(view: str) -> Iterator[_Find]:
    for match in _PASSPORT.finditer(view):
        cue = _PASSPORT_CUE.search(view[max(0, match.start() - 20) : match.start()])
        code = _CODE_CUE.search(view[max(0, match.start() - 12) : match.start()])
        if cue or (match[0][0] in "Ee" and not _LOOKS_DATED.fullmatch(match[0]) and not code):
            yield _datum(DatumKind.PASSPORT, match.start(), match.end(), match[0][0] + "*" * (len(match[0]) - 1))


def _permits(view: str) -> Iterator[_Find]:
    for match in _PERMIT.finditer(view):
        if _PERMIT_CUE.search(view[max(0, match.start() - 14) : match.start()]):
            yield _datum(DatumKind.PERMIT, match.start(), match.end(), "*" * len(match[0]))


_MAIL_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+\-]{0,63}$")
_MAIL_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,18}")


def _mails(view: str) -> Iterator[_Find]:
    at = view.find("@")
    while at >= 0:
        user = _MAIL_USER.search(view, max(0, at - 64), at)
        host = _MAIL_HOST.match(view, at + 1, at + 254)
        if user is not None and host is not None:
            yield _datum(DatumKind.EMAIL, user.start(), host.end(), f"{user[0][0]}***@***")
        at = view.find("@", at + 1)


_ACCOUNT = re.compile(
    r"(?<![A-Za-z])(?:(?P<qq>[Qq][Qq]|扣扣)|(?P<wechat>微信|[VvWw][Xx]|[Vv]信|薇信|[Ww]e[Cc]hat|weixin))"
    r"(?P<link>(?:号码|号|账号|[Ii][Dd](?![A-Za-z0-9])|[：:是为\s]){0,4})"
    r"(?P<value>[A-Za-z][A-Za-z0-9_\-]{5,19}|[0-9]{5,11})(?![A-Za-z0-9_@年月日.\-])"
)


def _accounts(view: str) -> Iterator[_Find]:
    for match in _ACCOUNT.finditer(view):
        value, link = match["value"], match["link"]
        firm = link.strip() != ""
        if match["qq"]:
            if value.isdigit() and value[0] != "0":
                yield _datum(DatumKind.QQ, match.start("value"), match.end("value"), "******")
        elif firm or (link == "" and match["wechat"].isascii()) or not value.isalpha():
            if value.isdigit() and not firm and not match["wechat"].isascii():
                continue  # 「微信20240501推送」
            yield _datum(DatumKind.WECHAT, match.start("value"), match.end("value"), "******")


# ---- home addresses ------------------------------------------------------------------------------------------

_NUM = r"(?:[0-9]{1,5}|[一二三四五六七八九十百零〇]{1,5}|[A-Za-z甲乙丙丁东西南北])(?:[-－之][0-9]{1,5})?"
_HOME_UNIT = re.compile(
    "[0-9一二三四五六七八九十百零〇甲乙丙丁A-Za-z东西南北](?:号|栋|幢|座|单元|楼|室|组|社|队|小组|村民小组|弄)"
)
_HOME = re.compile(
    r"(?P<place>村|社区|小区|新村|花园|家园|公寓|嘉园|苑|院|屯|庄|里|家属楼|居委会|路|街|巷|胡同|大道|弄)"
    rf"(?P<detail>(?:[ ，,]?{_NUM}(?:号楼|号院|号|栋|幢|座|单元|楼|层|室|村民小组|小组|组|社|队|弄|巷)){{1,6}}"
    rf"(?:[ -]?[0-9]{{3,4}}(?![0-9年]))?)"
)
_HOME_CUE = re.compile(
    r"(?:住址|家庭地址|家庭住址|家住|住在|现住|居住在|居住于|居住地|户籍地|户籍所在地|户籍|我家在|家在|住所|户口所在地|住)(?:址|地)?"
    r"[：:为是在于\s]*$"
)
_MAIL_CUE = re.compile(r"(?:详细|收件|收货|寄送|送达)地址[：:为是在于\s]*$")
_OFFICE_CUE = re.compile(
    r"(?:办公|办理|服务|受理|窗口|单位|经营|注册|机关|现场|报名|咨询|领取|缴费|接访)(?:地址|地点|场所|住所)[：:为是在于\s]*$"
)
_REGION = re.compile(
    r"(?:[一-龥]{2,6}(?:省|自治区))?(?:[一-龥]{1,6}(?:市|自治州|州|地区|盟))?(?:[一-龥]{1,6}(?:县|区|旗|市))?"
    r"(?:[一-龥]{1,6}(?:乡|镇|街道办事处|街道|苏木))?"
)
_ADDRESS_LEFT = re.compile(r"[一-龥0-9A-Za-z]{1,32}$")
_ADDRESS_STARTS = re.compile(
    r"(?:住址|地址|家住|住在|现住|居住在|居住于|居住地|户籍地|所在地|户籍|家在|住所|位于|来自|寄到|寄往|[是为在住我，])(?=[一-龥0-9])"
)
_OFFICE_AFTER = re.compile("[ ，,]?[一-龥]{0,6}?(?:" + "|".join(OFFICE_WORDS) + ")")
_WORKS_AFTER = re.compile("|".join(WORKS_WORDS))
_STRONG_UNIT = re.compile("栋|幢|单元|室|号楼")
_GROUP_UNIT = re.compile("组|社|队")
_ROADS = frozenset({"路", "街", "巷", "胡同", "大道", "弄", "院", "里"})


def _addresses(view: str) -> Iterator[_Find]:
    for match in _HOME.finditer(view):
        left = _ADDRESS_LEFT.search(view, max(0, match.start() - 32), match.start())
        start = left.start() if left is not None else match.start()
        for cue in _ADDRESS_STARTS.finditer(view, start, match.start()):
            start = cue.end()
        if start == match.start():
            continue  # nothing before 「村」: no name of a place
        before = view[max(0, start - 12) : start]
        region = _REGION.match(view, start, match.start())
        kept = region[0] if region is not None else ""
        home = _HOME_CUE.search(before) is not None
        if not home and (_OFFICE_CUE.search(before) or _OFFICE_AFTER.match(view, match.end())):
            continue
        home = home or _MAIL_CUE.search(before) is not None
        if home or _is_home(match["place"], match["detail"], kept, view, match.end()):
            yield _datum(DatumKind.ADDRESS, start, match.end(), f"{kept}****")


def _is_home(place: str, detail: str, region: str, view: str, end: int) -> bool:
    """Without a word like 「家住」: flats and houses in a village or estate, village groups below a named township."""
    if _STRONG_UNIT.search(detail):
        return place not in _ROADS or "室" in detail or "单元" in detail
    if place in _ROADS:
        return False  # 禾丰路1号 is how offices give their address
    if _GROUP_UNIT.search(detail) and "号" not in detail:
        return region.endswith(("乡", "镇", "街道", "街道办事处", "苏木")) and _WORKS_AFTER.match(view, end) is None
    return region != ""


# ---- names ---------------------------------------------------------------------------------------------------

_CUES_BEFORE = (
    "申请人",
    "投诉人",
    "举报人",
    "反映人",
    "信访人",
    "来信人",
    "联系人",
    "收件人",
    "户主",
    "当事人",
    "委托人",
    "监护人",
    "姓名",
    "姓 名",
    "姓　名",
    "姓  名",
    "名字",
    "本人",
    "我叫",
    "名叫",
    "我是",
)
_HONORIFICS = ("同志", "女士", "先生")
_NAME_BEFORE = re.compile(
    rf"(?P<cue>{'|'.join(_CUES_BEFORE)})"
    r"(?:姓名|名字)?(?P<link>[ \t\u3000]{0,4}[：:为是叫]?[ \t\u3000]{0,4})(?=(?P<rest>[一-龥·•]{1,16}))"
)
_HONORIFIC = re.compile("|".join(_HONORIFICS))
_MINORITY_NAME = re.compile(r"[一-龥]{1,8}(?:[·•][一-龥]{1,8}){1,3}")
_SPACED_NAME = re.compile(r"([一-龥])[ \u3000]{1,2}[一-龥](?![一-龥])")
_TRADES = frozenset("人生员民主者工户长师")


def _names_after_cues(view: str) -> Iterator[_Find]:
    for match in _NAME_BEFORE.finditer(view):
        start = match.start("rest")
        foreign = _MINORITY_NAME.match(view, start)
        if foreign is not None:
            yield _datum(DatumKind.NAME, start, foreign.end(), f"{foreign[0][0]}**")
            continue
        firm = match["cue"].endswith("叫") or match["link"].strip() in ("：", ":", "叫")
        apart = _SPACED_NAME.match(view, start) if firm else None
        if apart is not None and apart[1] in SURNAMES:
            yield _datum(DatumKind.NAME, start, apart.end(), f"{apart[1]}**")
            continue
        length = _name_at(view, start, firm, loose=match["cue"] == "我是")
        while length:
            yield _name(view, start, length)
            start += length + 1
            length = _name_at(view, start, False, loose=False) if view[start - 1 : start] == "、" else 0


def _names_before_honorifics(view: str) -> Iterator[_Find]:
    for match in _HONORIFIC.finditer(view):
        found = _name_until(view, match.start())
        if found is not None:
            yield found


def _name(view: str, start: int, length: int) -> _Find:
    surname = 2 if length > 2 and view[start : start + 2] in COMPOUND_SURNAMES else 1
    return _datum(DatumKind.NAME, start, start + length, f"{view[start : start + surname]}**")


def _name_at(view: str, start: int, firm: bool, loose: bool) -> int:
    """Length of the name that begins here, 0 for none. ``firm``: the cue leaves no doubt that a name follows."""
    surname = 2 if view[start : start + 2] in COMPOUND_SURNAMES else 1
    lengths = (surname + 2, surname + 1)
    if view[start + surname : start + surname + 2] in TITLES:
        return 0  # 王科长
    for length in lengths:
        word = view[start : start + length]
        if _is_name(word, surname) and _name_ends(view, start + length, word):
            if loose and (word[-1] in _TRADES or word[0] not in COMMON_SURNAMES):
                continue
            return length
    if firm:
        for length in lengths:
            if _is_name(view[start : start + length], surname):
                return length
    return 0


def _name_until(view: str, end: int) -> _Find | None:
    """The name right before an honorific; a surname alone (张女士) says nothing and is left."""
    for length in (3, 2, 4):
        start = end - length
        if start < 0:
            continue
        word = view[start:end]
        surname = 2 if word[:2] in COMPOUND_SURNAMES else 1
        if surname == 1 and length == 4:
            continue
        if word in PUBLIC_FIGURES:
            return None
        if not _is_name(word, surname):
            continue
        if word[0] in SELDOM_SURNAMES or (
            length == 3 and word[0] not in COMMON_SURNAMES and word[1] in COMMON_SURNAMES
        ):
            continue  # 「和李明同志」
        if length == 2 and view[end - 4 : end - 2] in COMPOUND_SURNAMES:
            continue
        return _name(view, start, length)
    return None


def _is_name(word: str, surname: int) -> bool:
    if len(word) <= surname or not all("一" <= c <= "龥" for c in word):
        return False
    if surname == 1 and word[0] not in SURNAMES:
        return False
    given = word[surname:]
    return (
        word[:2] not in NOT_NAMES
        and word not in PUBLIC_FIGURES
        and given not in TITLES
        and given not in NOT_GIVEN_WORDS
        and (given[0] not in NOT_GIVEN or given[0] == "某")
        and given[-1] not in NOT_GIVEN_LAST
    )


def _name_ends(view: str, end: int, word: str) -> bool:
    following = view[end : end + 2]
    if not following or not ("一" <= following[0] <= "龥"):
        return word[0] not in SELDOM_SURNAMES
    return word[0] not in WORD_SURNAMES and following.startswith(_FOLLOWS_NAME)


_FOLLOWS_NAME = tuple(FOLLOWS_NAME)


# ---- published contacts of offices ---------------------------------------------------------------------------

_DOOR = re.compile("[0-9]|[栋幢座室户组]|单元|号楼|家属|小区")
_NUMBER_KINDS = frozenset({DatumKind.MOBILE, DatumKind.LANDLINE, DatumKind.QQ, DatumKind.BANK_CARD})
_NOT_DIGITS = re.compile("[^0-9]")


@lru_cache(maxsize=128)
def _known(contacts: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    numbers, texts = set(), []
    for contact in contacts:
        plain = _view(contact).casefold().strip()
        digits = _NOT_DIGITS.sub("", re.split("转|ext", plain)[0])
        if len(digits) >= 5 and not any("一" <= c <= "龥" for c in plain):
            numbers |= {digits, digits.removeprefix("0086").removeprefix("86")}
            if digits.startswith("0"):  # a local number is dialled without its area code
                numbers |= {digits[3:], digits[4:]}
        if plain:
            texts.append(plain)
    return frozenset(numbers), tuple(texts)


def _is_known(datum: PersonalDatum, view: str, known: tuple[Iterable[str], tuple[str, ...]]) -> bool:
    numbers, texts = known
    value = view[datum.start : datum.end].casefold().strip()
    if datum.kind in _NUMBER_KINDS:
        digits = _NOT_DIGITS.sub("", re.split("转|ext", value)[0])
        return digits in numbers or digits.removeprefix("86") in numbers
    if datum.kind is DatumKind.ADDRESS:
        # What stands beside the office's address must not be somebody's door: 「…禾丰路1号家属院2栋402室」 is no office.
        return any(value in text or (text in value and not _DOOR.search(value.replace(text, "", 1))) for text in texts)
    return value in texts
