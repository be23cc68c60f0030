"""Names of the metadata fields of 政府信息公开 pages, as printed → as :class:`RawDocument` calls them."""

from __future__ import annotations

import re

_STANDARD: dict[str, tuple[str, ...]] = {
    "索引号": ("索引号", "信息索引号", "索取号"),
    "主题分类": ("主题分类", "分类", "组配分类", "信息分类", "体裁分类", "公开领域", "所属主题"),
    "发文机关": ("发文机关", "发文单位", "制发机关", "制定机关", "印发机关"),
    "发布机构": ("发布机构", "发布机关", "发布单位", "公开机构", "公开责任部门", "信息提供单位", "公开主体"),
    "标题": ("标题", "名称", "信息名称", "文件名称"),
    "文号": ("文号", "发文字号", "文件编号", "发文文号", "文件字号", "公文文号"),
    "成文日期": ("成文日期", "发文日期", "生成日期", "成文时间", "发文时间", "制发日期", "签发日期"),
    "发布日期": ("发布日期", "发布时间", "公开日期", "公开时间", "公布日期", "发表时间", "时间"),
    "实施日期": ("实施日期", "生效日期", "施行日期", "生效时间", "实施时间", "开始实施日期"),
    "失效日期": ("失效日期", "废止日期", "失效时间", "有效期至", "废止时间", "有效期截止", "终止日期"),
    "有效性": ("有效性", "效力状态", "文件状态", "时效性", "时效", "效力", "是否有效", "有效状态", "文件时效性"),
    "关键词": ("主题词", "关键词", "关键字"),
    "来源": ("来源", "信息来源", "文章来源", "稿源"),
    "公开属性": ("公开属性", "公开方式", "公开类别", "信息公开属性", "公开类型", "公开形式"),
    "密级": ("密级", "文件密级"),
    "统一编号": ("统一编号", "规范性文件统一编号", "规范性文件编号", "统一登记号"),
    "面向对象": ("面向对象", "服务对象分类"),
    "有效期": ("有效期", "有效期限"),
}
FIELDS: dict[str, str] = {label: name for name, labels in _STANDARD.items() for label in labels}
_INNER = re.compile(r"(?<![\u4e00-\u9fff])([\u4e00-\u9fff](?:[ \t\xa0\u3000]{0,6}[\u4e00-\u9fff]){1,9})\s{0,4}[：:]")
_LABELLED = re.compile(
    r"^\s*[【\[]?\s*([\u4e00-\u9fff](?:[ \t\xa0\u3000]*[\u4e00-\u9fff]){1,12})\s*[】\]]?\s*[：:]\s*(.*)$", re.S
)


def field_of(label: str) -> str:
    """Standard name of a printed label (``索 引 号：`` → ``索引号``), empty when it is none."""
    if len(label) > 200:
        return ""
    return FIELDS.get(re.sub(r"[\s：:【】\[\]]", "", label), "")


def holds_label(text: str) -> bool:
    """Whether a printed label with its colon stands anywhere in ``text``."""
    return any(field_of(match[1]) for match in _INNER.finditer(text))


def labelled(text: str) -> tuple[str, str]:
    """(standard name, value) of a line ``label：value``; two empty strings for any other line."""
    if len(text) > 400:
        return "", ""
    match = _LABELLED.match(text)
    if not match:
        return "", ""
    name = field_of(match[1])
    return (name, tidy_value(match[2])) if name else ("", "")


def labelled_fields(text: str) -> dict[str, str]:
    """Every field of a line that prints several (「发布日期：2026-03-09　来源：县政府办」), empty for any other line."""
    if len(text) > 400 or not labelled(text)[0]:
        return {}
    starts = [match for match in _INNER.finditer(text) if match.start() == 0 or text[match.start() - 1].isspace()]
    found: dict[str, str] = {}
    for number, match in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        name, value = field_of(match[1]), tidy_value(text[match.end() : end])
        if name and value:
            found.setdefault(name, value)
    return found


def tidy_value(text: str) -> str:
    """One line, ordinary spaces, no space at the ends."""
    return re.sub(r"[\s\xa0\u3000]+", " ", text).strip()
