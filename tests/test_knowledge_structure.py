"""A 公文 is understood: its elements, its items as a citizen would cite them, what it does to other documents."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.dates import numeral
from knowledge.lines import tidy
from knowledge.model import DisclosureAttribute, DocumentKind, Organ, SourceRank, UnitRole, Validity
from knowledge.readers import read
from knowledge.readers.raw import Block, BlockKind, RawDocument
from knowledge.readers.text import blocks_of
from knowledge.structure import ParsedDocument, parse
from knowledge.units import Directory, find_unit_groups


def parsed(text: str, *, path: str = "文件.txt", metadata: dict[str, str] | None = None, **more: str) -> ParsedDocument:
    raw = RawDocument(tuple(blocks_of(text)), more.get("format", "txt"), metadata or {})
    return parse(raw, path=path, document_id="d")


def locators(document: ParsedDocument) -> list[str]:
    return [passage.locator for passage in document.passages]


NOTICE = """青禾县人民政府办公室文件

青政办发〔2026〕8 号

青禾县人民政府办公室
关于印发《青禾县便民服务提升方案》的
通　知

各乡镇人民政府，县政府各部门：
　　现将《青禾县便民服务提升方案》印发给你们，请认真贯彻执行。

　　　　　　　　　　青禾县人民政府办公室
　　　　　　　　　　　2026年3月5日
　　（此件公开发布）

青禾县便民服务提升方案

　　为提升便民服务水平，根据《国务院关于甲的意见》（国发〔2025〕1号），制定本方案。
　　一、总体要求
　　坚持以人民为中心。
　　二、重点任务
　　(一)优化办事流程
　　1.推进“一件事”办理。年底前上线10件。（牵头单位：县行政审批局；责任单位：县公安局、县民政局）
　　2．减少材料。能共享的不再提交。（县政府办公室牵头，县直各部门、各乡<镇>人民政府负责）
　　（二）加强窗口建设。
　　各窗口实行首问负责制。（责任单位：县政务服务中心等部门，各乡镇）
　　3.延长服务时间。周六上午开放。
　　三、保障措施
　　（一）加强领导。各单位要明确分管负责人：
　　（1）县直部门明确一名副职；
　　（2）乡镇明确一名班子成员。
　　本方案自2026年4月1日起施行，有效期5年。

　　抄送：县委办公室，县人大常委会办公室。
　　青禾县人民政府办公室　　　　2026年3月6日印发
"""


def test_a_notice_with_its_plan_is_one_document_with_two_parts() -> None:
    result = parsed(NOTICE)
    document = result.document
    assert document.title == "青禾县人民政府办公室关于印发《青禾县便民服务提升方案》的通知"
    assert document.number == "青政办发〔2026〕8号"
    assert document.issuer == "青禾县人民政府办公室"
    assert (document.written_on, document.printed_on) == (date(2026, 3, 5), date(2026, 3, 6))
    assert (document.effective_on, document.expires_on) == (date(2026, 4, 1), date(2031, 3, 31))
    assert document.attribute is DisclosureAttribute.PUBLIC
    assert document.kind is DocumentKind.POLICY
    assert document.addressees == "各乡镇人民政府，县政府各部门"
    assert document.copies_to == "县委办公室，县人大常委会办公室"
    assert [(p.part, p.locator) for p in result.passages] == [
        ("通知", "正文"),
        ("", "前言"),
        ("", "一、"),
        ("", "二、（一）1"),
        ("", "二、（一）2"),
        ("", "二、（二）"),
        ("", "二、（二）3"),
        ("", "三、（一）"),
        ("", "文末"),
    ]


def test_passages_carry_heading_path_lead_anchor_and_id() -> None:
    passage = parsed(NOTICE).passages[3]
    assert passage.path == ("二、重点任务", "(一)优化办事流程")
    assert passage.lead == "推进“一件事”办理。"
    assert passage.text == (
        "1.推进“一件事”办理。年底前上线10件。（牵头单位：县行政审批局；责任单位：县公安局、县民政局）"
    )
    assert (passage.id, passage.anchor, passage.ordinal, passage.document) == ("d-4", "p-4", 4, "d")


def test_an_enumeration_within_one_sentence_stays_together() -> None:
    passage = parsed(NOTICE).passages[7]
    assert passage.text.endswith("：\n（1）县直部门明确一名副职；\n（2）乡镇明确一名班子成员。")


def test_citations_name_numbers_and_titles_of_others_only() -> None:
    result = parsed(NOTICE)
    assert result.cited_numbers == ("国发〔2025〕1号",)
    assert result.cited_titles == ("国务院关于甲的意见",)


# ---------------------------------------------------------------- elements


@pytest.mark.parametrize(
    ("line", "attribute"),
    [
        ("（此件公开发布）", DisclosureAttribute.PUBLIC),
        ("(此件主动公开)", DisclosureAttribute.PUBLIC),
        ("此件公开发布", DisclosureAttribute.PUBLIC),
        ("主动公开", DisclosureAttribute.PUBLIC),
        ("公开属性：主动公开", DisclosureAttribute.PUBLIC),
        ("公开方式:主动公开", DisclosureAttribute.PUBLIC),
        ("信息公开选项：主动公开", DisclosureAttribute.PUBLIC),
        ("（此件删减后公开）", DisclosureAttribute.REDACTED),
        ("（此件依申请公开）", DisclosureAttribute.ON_REQUEST),
        ("（此件可依申请公开）", DisclosureAttribute.ON_REQUEST),
        ("公开属性：依申请公开", DisclosureAttribute.ON_REQUEST),
        ("（此件不公开）", DisclosureAttribute.SECRET),
        ("（此件不予公开）", DisclosureAttribute.SECRET),
        ("公开属性：不予公开", DisclosureAttribute.SECRET),
        ("", DisclosureAttribute.UNKNOWN),
        ("要坚持主动公开为原则、不予公开为例外，规范标注“此件公开发布”。", DisclosureAttribute.UNKNOWN),
        ("此件公开发布的范围由县政府办公室确定", DisclosureAttribute.UNKNOWN),
        ("（此件公开发布）\n（此件不予公开）", DisclosureAttribute.UNKNOWN),
    ],
)
def test_the_attribute_is_read_in_all_its_wordings_and_never_guessed(line: str, attribute: DisclosureAttribute) -> None:
    text = f"青禾县民政局关于甲的通知\n各乡镇：\n请按时报送。\n青禾县民政局\n2026年1月5日\n{line}\n"
    assert parsed(text).document.attribute is attribute


def test_a_heading_of_a_guide_is_no_attribute() -> None:
    text = "青禾县政府信息公开指南\n一、范围\n主动公开\n县政府网站公布。\n二、申请\n依申请公开\n到窗口申请。\n"
    assert parsed(text).document.attribute is DisclosureAttribute.UNKNOWN


@pytest.mark.parametrize(
    "mark", ["机密★1年", "秘密★", "绝密", "密级：秘密", "机 密★长期", "000012　机密★1年", "【秘密】"]
)
def test_a_secrecy_mark_at_the_head_is_reported(mark: str) -> None:
    assert parsed(f"{mark}\n青禾县民政局文件\n青民发〔2026〕1号\n关于甲的通知\n各乡镇：\n请报送。\n").classified


@pytest.mark.parametrize(
    "line",
    [
        "不得泄露国家秘密。",
        "中华人民共和国保守国家秘密法",
        "国家秘密的密级分为绝密、机密、秘密三级。",
        "易发生单项否决（泄露国家秘密）的账号应当优化。",
        "保护商业秘密和个人隐私",
        "绝密级国家秘密是最重要的国家秘密",
    ],
)
def test_speaking_of_secrets_is_no_secrecy_mark(line: str) -> None:
    assert not parsed(f"青禾县民政局关于甲的通知\n各乡镇：\n{line}\n一、请报送。\n{line}\n").classified


def test_secrecy_in_the_metadata_is_reported() -> None:
    assert parsed("青禾县民政局关于甲的通知\n各乡镇：\n请报送。\n", metadata={"密级": "秘密"}).classified == "秘密"


@pytest.mark.parametrize(
    ("sentence", "effective", "expires"),
    [
        ("本办法自2026年4月1日起施行，有效期5年。", date(2026, 4, 1), date(2031, 3, 31)),
        ("本办法自2026年4月1日起施行，有效期五年。", date(2026, 4, 1), date(2031, 3, 31)),
        ("本办法自2026年4月1日起施行，有效期至2027年12月31日。", date(2026, 4, 1), date(2027, 12, 31)),
        ("本办法自2026年4月1日起施行，有效期至2028年底。", date(2026, 4, 1), date(2028, 12, 31)),
        ("本办法自2026年4月1日起试行，试行期2年。", date(2026, 4, 1), date(2028, 3, 31)),
        ("本办法自2026年4月1日起执行，试行一年。", date(2026, 4, 1), date(2027, 3, 31)),
        ("本办法自印发之日起施行。", date(2026, 1, 5), None),
        ("本办法自发布之日起30日后施行，有效期3年。", date(2026, 2, 4), date(2029, 2, 3)),
        ("本办法自印发之日起施行，有效期6个月。", date(2026, 1, 5), date(2026, 7, 4)),
        ("《青禾县乙办法》自2019年1月1日起施行，按其规定办理。", None, None),
        ("居住证有效期10年，期满换领。", None, None),
        ("企业自成立之日起执行新标准。", None, None),
    ],
)
def test_effect_and_expiry_are_read_from_the_documents_own_sentence(
    sentence: str, effective: date | None, expires: date | None
) -> None:
    text = f"青禾县民政局关于印发甲办法的通知\n各乡镇：\n请执行。\n青禾县民政局\n2026年1月5日\n甲办法\n第一条　甲。\n第二条　{sentence}\n"
    document = parsed(text).document
    assert (document.effective_on, document.expires_on) == (effective, expires)


def test_fields_of_the_page_win_over_sentences() -> None:
    page = {
        "实施日期": "2026-05-01",
        "失效日期": "2026年06月30日",
        "发布日期": "2026-04-02 10:00",
        "索引号": "QH01/2026-1",
        "主题分类": "民政",
        "有效性": "已废止",
        "网址": "https://www.qinghe.example/a.html",
        "公开属性": "主动公开",
        "关键词": "低保；救助",
    }
    document = parsed(
        "青禾县民政局关于甲的通知\n各乡镇：\n本通知自2026年1月1日起施行，有效期5年。\n", metadata=page, format="html"
    ).document
    assert (document.effective_on, document.expires_on) == (date(2026, 5, 1), date(2026, 6, 30))
    assert document.published_on == date(2026, 4, 2)
    assert (document.index_number, document.topic, document.keywords) == ("QH01/2026-1", "民政", ("低保", "救助"))
    assert document.validity is Validity.REPEALED
    assert document.attribute is DisclosureAttribute.PUBLIC
    assert document.source_rank is SourceRank.WEB
    assert document.source_url == "https://www.qinghe.example/a.html"


@pytest.mark.parametrize(
    ("stated", "validity"),
    [
        ("有效", Validity.IN_FORCE),
        ("现行有效", Validity.IN_FORCE),
        ("失效", Validity.EXPIRED),
        ("已失效", Validity.EXPIRED),
        ("废止", Validity.REPEALED),
        ("已修改", Validity.AMENDED),
        ("尚未生效", Validity.NOT_YET),
        ("", Validity.IN_FORCE),
    ],
)
def test_the_pages_word_on_validity_is_understood(stated: str, validity: Validity) -> None:
    assert (
        parsed("青禾县民政局关于甲的通知\n各乡镇：\n甲。\n", metadata={"有效性": stated}).document.validity is validity
    )


def test_joint_issuers_are_joined_by_a_space() -> None:
    text = (
        "青民发〔2026〕3号\n青禾县民政局　青禾县财政局\n关于做好供暖补助的通知\n各乡镇：\n请发放。\n"
        "　青禾县民政局　　　　　青禾县财政局\n　2026年1月5日\n"
    )
    document = parsed(text).document
    assert document.title == "青禾县民政局 青禾县财政局关于做好供暖补助的通知"
    assert document.issuer == "青禾县民政局 青禾县财政局"


def test_the_number_is_the_documents_own_and_not_one_it_cites() -> None:
    text = (
        "关于转发国办发〔2025〕9号文件的通知\n各乡镇：\n现将国办发〔2025〕9号转发给你们。\n青禾县民政局\n2026年1月5日\n"
    )
    result = parsed(text)
    assert result.document.number == ""
    assert result.cited_numbers == ("国办发〔2025〕9号",)


def test_a_title_over_several_paragraphs_is_put_together() -> None:
    text = (
        "国务院关于在先行区\n暂时调整实施《中华人民共和国药品管理法\n实施条例》有关规定的决定\n各部门：\n现予公布。\n"
    )
    assert (
        parsed(text).document.title
        == "国务院关于在先行区暂时调整实施《中华人民共和国药品管理法实施条例》有关规定的决定"
    )


def test_the_containers_title_serves_where_the_text_prints_none() -> None:
    text = "青民发〔2026〕3号\n各乡镇：\n现将办法印发。\n青禾县民政局\n2026年1月5日\n青禾县供暖补助办法\n第一条　甲。\n第二条　乙。\n"
    title = "青禾县民政局关于印发青禾县供暖补助办法的通知"
    result = parsed(text, metadata={"标题": title})
    assert result.document.title == title
    assert [(p.part, p.locator) for p in result.passages] == [("通知", "正文"), ("", "第一条"), ("", "第二条")]


def test_a_text_without_a_title_is_named_after_its_file_with_a_warning() -> None:
    result = parsed("现将有关事项说明如下，请各单位认真组织学习，并结合实际抓好落实。\n" * 2, path="夹/会议记录.txt")
    assert result.document.title == "会议记录"
    assert any("title" in warning for warning in result.warnings)


def test_an_order_promulgates_a_regulation() -> None:
    text = (
        "青禾县人民政府令\n第5号\n《青禾县生活垃圾管理办法》已经审议通过，现予公布，自2026年5月1日起施行。\n"
        "县长　张　三\n2026年3月5日\n青禾县生活垃圾管理办法\n第一章　总　则\n第一条　甲。\n第二条　乙。\n"
    )
    document = parsed(text).document
    assert (document.title, document.number) == ("青禾县生活垃圾管理办法", "青禾县人民政府令第5号")
    assert (document.kind, document.issuer) == (DocumentKind.LAW, "青禾县人民政府")
    assert (document.written_on, document.effective_on) == (date(2026, 3, 5), date(2026, 5, 1))


def test_contacts_are_taken_as_printed() -> None:
    text = "关于报送信息的通知\n各乡镇：\n请于9月10日前报送。\n联系人：李某　王某\n联系电话：0999-5550101\n青禾县民政局\n2026年1月5日\n"
    assert parsed(text).document.contacts == ("联系人：李某　王某", "联系电话：0999-5550101")


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("《青禾县低保办法》政策解读", DocumentKind.INTERPRETATION),
        ("一图读懂青禾县低保办法", DocumentKind.INTERPRETATION),
        ("低保办理办事指南", DocumentKind.SERVICE_GUIDE),
        ("医保常见问题解答", DocumentKind.FAQ),
        ("青禾县民政局机构职能", DocumentKind.FUNCTION),
        ("青禾县民政局权责清单", DocumentKind.FUNCTION),
        ("青禾县基层政务公开标准目录", DocumentKind.CATALOGUE),
        ("青禾县人民政府公报 2026年第3期", DocumentKind.GAZETTE),
        ("关于公布青禾县基层政务公开标准目录的通知", DocumentKind.POLICY),
        ("关于做好政策解读工作的通知", DocumentKind.POLICY),
        ("中华人民共和国民法典", DocumentKind.LAW),
    ],
)
def test_the_kind_follows_from_the_title(title: str, kind: DocumentKind) -> None:
    assert parsed(f"{title}\n第一条 甲事项。\n第二条 乙事项。\n").document.kind is kind


def test_a_page_copied_as_text_gives_up_its_fields_and_its_furniture() -> None:
    text = (
        "首页 > 政务公开 > 政策文件\n索 引 号：QH01/2026-12\n发布机构：青禾县人民政府办公室　　成文日期：2026-03-05\n"
        "关于做好供暖工作的通知\n发布时间：2026-03-09 10:20 来源：县政府办公室 浏览次数：35次\n青政办发〔2026〕5号\n"
        "各乡镇人民政府：\n一、供暖时间。11月1日起。\n二、供暖费用。按平方米计。\n分享到：微信 微博\n【打印本页】 【关闭窗口】\n"
    )
    result = parsed(text)
    document = result.document
    assert (document.title, document.number) == ("关于做好供暖工作的通知", "青政办发〔2026〕5号")
    assert (document.index_number, document.issuer) == ("QH01/2026-12", "青禾县人民政府办公室")
    assert (document.written_on, document.published_on) == (date(2026, 3, 5), date(2026, 3, 9))
    assert [p.text for p in result.passages] == ["一、供暖时间。11月1日起。", "二、供暖费用。按平方米计。"]


def test_the_only_attachment_of_a_notice_is_the_text_that_it_issues() -> None:
    text = (
        "青禾县人民政府办公室\n关于印发青禾县出庭应诉工作规定的通知\n（青政办发〔2026〕11号）\n各乡镇人民政府：\n现印发给你们。\n"
        "附件：青禾县出庭应诉工作规定\n青禾县人民政府办公室\n2026年3月5日\n附件\n青禾县出庭应诉工作规定\n第一条 甲。\n第二条 乙。\n"
    )
    result = parsed(text)
    assert result.document.number == "青政办发〔2026〕11号"
    assert [(p.part, p.locator) for p in result.passages] == [
        ("通知", "正文"),
        ("通知", "附件说明"),
        ("", "第一条"),
        ("", "第二条"),
    ]


def test_an_organ_below_the_date_is_the_issuer() -> None:
    assert parsed("关于预算执行的公示\n现公示如下。\n2026年7月10日\n青禾县财政局\n").document.issuer == "青禾县财政局"


def test_an_announcement_of_the_peoples_congress_brings_a_regulation_into_force() -> None:
    text = (
        "青禾县人民代表大会常务委员会公告\n〔第3号〕\n《青禾县城市管理条例》已于2026年1月10日通过，自2026年7月1日起施行。\n"
        "青禾县人民代表大会常务委员会\n2026年3月1日\n青禾县城市管理条例\n（2026年1月10日青禾县第十届人民代表大会通过）\n"
        "第一条 甲。\n第二条 乙。\n"
    )
    document = parsed(text).document
    assert (document.title, document.kind) == ("青禾县城市管理条例", DocumentKind.LAW)
    assert document.number == "青禾县人民代表大会常务委员会公告第3号"
    assert document.effective_on == date(2026, 7, 1)


# ---------------------------------------------------------------- items


def test_numbering_decides_and_heading_marks_are_ignored() -> None:
    text = "# 青禾县工作方案\n##### 一、甲\n甲文。\n## （一）乙\n乙文。\n# （二）丙\n丙文。\n#### 二、丁\n丁文。\n"
    assert locators(parsed(text)) == ["一、", "一、（一）", "一、（二）", "二、"]


def test_items_nest_from_han_numerals_down_to_circles() -> None:
    text = "青禾县工作方案\n一、甲\n（一）乙\n1.丙\n（1）丁\n①戊事项。\n②己事项。\n（2）庚事项。\n2.辛事项。\n(二)壬事项。\n二、癸\n"
    assert locators(parsed(text)) == [
        "一、（一）1（1）①",
        "一、（一）1（1）②",
        "一、（一）1（2）",
        "一、（一）2",
        "一、（二）",
        "二、",
    ]
    assert parsed(text).passages[0].path == ("一、甲", "（一）乙", "1.丙", "（1）丁")


def test_dotted_decimals_name_their_parents_themselves() -> None:
    text = "青禾县防汛应急预案\n1 总则\n1.1 编制目的\n保障安全。\n1.2 适用范围\n本县。\n2 组织体系\n2.1 指挥部\n2.1.1 职责\n统一指挥。\n"
    result = parsed(text)
    assert locators(result) == ["1.1", "1.2", "2.1.1"]
    assert result.passages[2].path == ("2 组织体系", "2.1 指挥部")


def test_mentions_are_not_taken_for_items() -> None:
    text = (
        "青禾县补贴方案\n一、标准\n按下列标准执行。\n1.5倍以内的据实发放。\n第三条规定的除外。\n"
        "（一）项所列人员优先。\n二、三产业从业人员同等对待，由县人力资源和社会保障局负责核定。\n二、期限\n一年。\n"
    )
    assert locators(parsed(text)) == ["一、", "二、"]


def test_a_number_that_is_due_is_not_a_decimal() -> None:
    text = "青禾县农机补贴方案\n（一）上限。\n1.一般机具不超过5万元。\n2.100马力以上拖拉机不超过15万元。\n3.200马力以上不超过25万元。\n"
    assert locators(parsed(text)) == ["（一）1", "（一）2", "（一）3"]


def test_a_long_item_is_cut_at_its_paragraphs() -> None:
    paragraphs = "\n".join(f"第{n}段内容：" + "青禾县便民服务事项。" * 60 for n in range(1, 5))
    result = parsed(f"青禾县工作方案\n一、甲\n{paragraphs}\n二、乙事项。\n")
    assert len(result.passages) > 2 and result.passages[0].locator.startswith("一、第1")
    assert all(len(p.text) <= 1500 for p in result.passages)


def test_text_without_any_number_is_the_body() -> None:
    result = parsed("关于放假的公告\n　　县政务服务中心10月1日至7日放假。\n　　急事请拨打12345。\n")
    assert [(p.locator, p.text) for p in result.passages] == [
        ("正文", "县政务服务中心10月1日至7日放假。\n急事请拨打12345。")
    ]


def test_headings_of_the_container_serve_where_nothing_is_numbered() -> None:
    result = parsed("# 青禾县旅游简介\n## 地理\n位于东川省。\n## 交通\n有高铁站。\n")
    assert [(p.locator, p.lead) for p in result.passages] == [("地理", "地理"), ("交通", "交通")]


def set_in_lines(paragraph: str, width: int = 24) -> str:
    """A paragraph as a page shows it: the first line two characters shorter, an empty line between all lines."""
    lines = [paragraph[: width - 2], *(paragraph[n : n + width] for n in range(width - 2, len(paragraph), width))]
    return "\n\n".join(line for line in lines if line) + "\n\n"


def test_lines_broken_by_hand_are_joined_and_page_furniture_is_dropped() -> None:
    paragraphs = [
        "为切实做好今年秋冬季森林防火工作，保障人民群众生命财产安全和生态安全，根据有关规定，经县人民政府研究同意，现就有关事项通知如下：",
        "一、严格火源管理，切实把好野外火源管控的第一道关口和入山路口",
        "（一）严禁野外用火。各乡镇要加强宣传，落实护林员职责。（责任单位：县林业和草原局，各乡镇人民政府）",
        "（二）加强巡护。每天巡护不少于2次。",
    ]
    title = "青禾县人民政府办公室关于加强秋\n\n冬季森林防火工作的通知\n\n"
    to = "各乡镇人民政府，县政府各部门，各直属机构，县属各国\n\n有企业，各有关单位：\n\n"
    broken = [set_in_lines(paragraph) for paragraph in paragraphs]
    text = f"{title}{to}{broken[0]}{broken[1]}[bookmark: _GoBack]{broken[2]}— 1 —\n\n{broken[3]}"
    result = parsed(text)
    assert result.document.title == "青禾县人民政府办公室关于加强秋冬季森林防火工作的通知"
    assert result.document.addressees == "各乡镇人民政府，县政府各部门，各直属机构，县属各国有企业，各有关单位"
    assert [p.text for p in result.passages] == [paragraphs[0], paragraphs[2], paragraphs[3]]
    assert result.passages[1].path == (paragraphs[1],)
    assert "— 1 —" in result.set_aside


def test_running_heads_of_a_paged_document_are_dropped() -> None:
    blocks = []
    for page in range(1, 6):
        blocks += [Block("青禾县人民政府公报", page=page), Block(f"第{page}项内容是便民服务的一项要求。", page=page)]
        blocks.append(Block(str(page), page=page))
    texts = [line.text for line in tidy(RawDocument(tuple(blocks), "pdf", pages=5)).lines]
    assert texts.count("青禾县人民政府公报") == 1
    assert not any(text.isdigit() for text in texts)


def test_an_article_is_one_passage_with_its_items() -> None:
    text = "青禾县甲办法\n第一章　总则\n第一条　适用下列情形：\n（一）甲；\n（二）乙。\n第一条之一　补充。\n第二条　丙。\n第二款内容。\n第二章　附则\n第三条　丁。\n"
    result = parsed(text)
    assert locators(result) == ["第一条", "第一条之一", "第二条", "第三条"]
    assert result.passages[0].text == "第一条　适用下列情形：\n（一）甲；\n（二）乙。"
    assert result.passages[3].path == ("第二章　附则",)


def test_a_long_article_is_cut_at_its_clauses() -> None:
    clause = "县民政局应当按照规定办理。" * 50
    text = (
        f"青禾县甲办法\n第一条　甲。\n第二条　{clause}\n有下列情形的：\n（一）{clause}\n第三款{clause}\n第三条　乙。\n"
    )
    result = parsed(text)
    assert locators(result) == ["第一条", "第二条第一款", "第二条第二款", "第二条第三款", "第三条"]
    assert result.passages[2].text.startswith("有下列情形的：\n（一）")


def test_attachments_are_parts_of_their_own() -> None:
    text = (
        "青政办发〔2026〕9号\n关于印发2026年重点工作的通知\n各乡镇：\n现印发给你们。\n附件：1.任务分工\n　　　2.联络表\n"
        "青禾县人民政府办公室\n2026年3月5日\n附件1\n2026年重点工作任务分工\n一、甲\n（一）乙事项。\n附件2\n联络表\n"
        "| 单位 | 电话 |\n|---|---|\n| 县财政局 | 0999-5550000 |\n"
    )
    result = parsed(text)
    assert [(p.part, p.locator) for p in result.passages] == [
        ("通知", "正文"),
        ("通知", "附件说明"),
        ("附件1", "附件1 一、（一）"),
        ("附件2", "附件2 表"),
    ]
    assert result.passages[2].path == ("2026年重点工作任务分工", "一、甲")
    assert result.passages[3].text == "单位：县财政局；电话：0999-5550000"


def test_tables_are_read_row_by_row_under_their_heads() -> None:
    rows = "".join(f"| 低保审核{n} | {n}日 | 县民政局、县财政局 |\n" for n in range(1, 60))
    result = parsed(f"青禾县任务清单\n一、分工\n见下表。\n\n| 事项 | 时限 | 责任单位 |\n|---|---|---|\n{rows}")
    tables = [p for p in result.passages if "表" in p.locator]
    assert tables[0].text.startswith("事项：低保审核1；时限：1日；责任单位：县民政局、县财政局\n")
    assert tables[0].locator.startswith("一、 表 第1—")
    assert tables[0].path == ("一、分工",)
    assert [(u.name, u.role) for u in tables[0].units] == [
        ("县民政局", UnitRole.RESPONSIBLE),
        ("县财政局", UnitRole.RESPONSIBLE),
    ]
    assert sum(p.text.count("事项：") for p in tables) == 59


def test_a_service_guide_has_one_passage_a_section() -> None:
    text = "老年人优待证办理指南\n【受理条件】年满60周岁。\n【办理材料】\n1.身份证；\n2.照片。\n办理时限：当场办结\n四、办理地点\n县政务服务中心一楼\n咨询电话：0999-5550102\n"
    result = parsed(text)
    assert result.document.kind is DocumentKind.SERVICE_GUIDE
    assert locators(result) == ["受理条件", "办理材料", "办理时限", "办理地点", "咨询电话"]
    assert result.passages[1].text == "【办理材料】\n1.身份证；\n2.照片。"


def test_a_guide_may_be_recognised_by_its_sections_alone() -> None:
    text = "残疾证办理\n受理条件：符合标准。\n申请材料：身份证。\n办理地点：县残联。\n办理时限：20个工作日。\n"
    assert parsed(text).document.kind is DocumentKind.SERVICE_GUIDE


def test_a_guide_for_several_matters_keeps_them_apart() -> None:
    text = "县政务服务中心办事指南\n一、低保申请\n受理条件：低收入。\n申请材料：身份证。\n二、残疾证办理\n受理条件：残疾。\n"
    assert [(p.path, p.locator) for p in parsed(text).passages] == [
        (("一、低保申请",), "受理条件"),
        (("一、低保申请",), "申请材料"),
        (("二、残疾证办理",), "受理条件"),
    ]


def test_questions_and_answers_stay_together() -> None:
    text = "医保热点问答\n一、参保\n问：怎么缴费？\n答：手机缴费。\n也可以到银行。\n问：何时截止？\n答：12月31日。\n二、报销\n问：报多少？\n答：八成。\n"
    result = parsed(text)
    assert result.document.kind is DocumentKind.FAQ
    assert [(p.path, p.locator, p.lead) for p in result.passages] == [
        (("一、参保",), "第1问", "怎么缴费？"),
        (("一、参保",), "第2问", "何时截止？"),
        (("二、报销",), "第3问", "报多少？"),
    ]
    assert result.passages[0].text == "问：怎么缴费？\n答：手机缴费。\n也可以到银行。"


def test_numbered_questions_are_located_by_their_numbers() -> None:
    text = "常见问题解答\n一、社保\n1.断缴能补吗？\n答：能。\n2.交多少？\n答：300元。\n二、医保\n3.怎么备案？\n答：手机备案。\n"
    assert locators(parsed(text)) == ["一、1", "一、2", "二、3"]


# ---------------------------------------------------------------- units


def units(text: str, *organs: Organ) -> list[tuple[str, str]]:
    groups = find_unit_groups(text, Directory(organs))
    return [(unit.name, unit.role.value) for group in groups for unit in group.units]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("甲。（责任单位：县财政局，各乡镇）", [("县财政局", "responsible"), ("各乡镇", "responsible")]),
        (
            "甲。(牵头单位:县政府办公室;责任单位:各乡镇政府、县政府各部门)",
            [("县政府办公室", "lead"), ("各乡镇政府", "responsible"), ("县政府各部门", "responsible")],
        ),
        (
            "甲。（牵头单位：县委编办、县政府办公室，实施单位：各乡镇（街道））",
            [("县委编办", "lead"), ("县政府办公室", "lead"), ("各乡镇（街道）", "implement")],
        ),
        (
            "甲。（县财政局、县民政局牵头，县直各部门、各乡<镇>人民政府负责）",
            [
                ("县财政局", "lead"),
                ("县民政局", "lead"),
                ("县直各部门", "responsible"),
                ("各乡（镇）人民政府", "responsible"),
            ],
        ),
        ("甲。（县行政审批局负责）", [("县行政审批局", "responsible")]),
        ("甲。（县民政局牵头，县财政局配合）", [("县民政局", "lead"), ("县财政局", "implement")]),
        (
            "甲。（责任单位：县司法局、县政务局等县级各有关部门；县级牵头单位：县发展改革局）",
            [
                ("县司法局", "responsible"),
                ("县政务局", "responsible"),
                ("县级各有关部门", "responsible"),
                ("县发展改革局", "lead"),
            ],
        ),
        ("甲。（责任单位：县卫生健康局等部门，各乡镇）", [("县卫生健康局", "responsible"), ("各乡镇", "responsible")]),
        ("乙\n责任单位：县教育局、县财政局", [("县教育局", "responsible"), ("县财政局", "responsible")]),
        ("县政务服务中心（大厅）和各村（居）负责落实", []),
        ("（以下简称《办法》）", []),
        ("（由家属签字后本人负责）", []),
    ],
)
def test_responsible_units_are_read_in_all_wordings(text: str, expected: list[tuple[str, str]]) -> None:
    assert units(text) == expected


def test_names_of_units_are_brought_to_the_directory() -> None:
    organs = (
        Organ("青禾县卫生健康局", short_name="县卫健局"),
        Organ("青禾县发展和改革局"),
        Organ("青禾县人力资源和社会保障局", aliases=("县人社局",)),
        Organ("青禾县市场监督管理局"),
        Organ("青禾县人民政府办公室"),
        Organ("青禾县住房和城乡建设局"),
    )
    text = "（责任单位：县卫健局、县卫生健康局、县发改局、县人社局、县市场监管局、县政府办、县住建局、县气象局）"
    assert [name for name, _ in units(text, *organs)] == [
        "青禾县卫生健康局",
        "青禾县发展和改革局",
        "青禾县人力资源和社会保障局",
        "青禾县市场监督管理局",
        "青禾县人民政府办公室",
        "青禾县住房和城乡建设局",
        "县气象局",
    ]


# ---------------------------------------------------------------- what one document does to another


def test_repeals_are_read_with_number_title_and_sentence() -> None:
    text = "青禾县民政局关于甲的通知\n各乡镇：\n本通知自2026年1月1日起施行。《关于乙的通知》（青民发〔2020〕1号）、《关于丙的通知》（青民发〔2021〕2号）同时废止。\n"
    assert [(c.number, c.title) for c in parsed(text).repeals] == [
        ("青民发〔2020〕1号", "关于乙的通知"),
        ("青民发〔2021〕2号", "关于丙的通知"),
    ]
    assert parsed(text).repeals[0].evidence.endswith("同时废止。")


def test_a_list_of_repealed_documents_is_read() -> None:
    text = "关于废止部分文件的决定\n各乡镇：\n决定废止下列文件：\n一、《甲办法》（青政发〔2010〕1号）\n二、《乙办法》（青政发〔2011〕2号）\n青禾县人民政府\n2026年1月5日\n"
    assert [(c.number, c.title) for c in parsed(text).repeals] == [
        ("青政发〔2010〕1号", "甲办法"),
        ("青政发〔2011〕2号", "乙办法"),
    ]


def test_amendments_are_read_from_title_and_text() -> None:
    text = "关于修改《青禾县甲办法》的通知\n各乡镇：\n决定对《青禾县甲办法》（青政规〔2024〕2号）作如下修改：\n一、将第四条修改为：“第四条　乙。”\n"
    assert [(c.number, c.title) for c in parsed(text).amends] == [("青政规〔2024〕2号", "青禾县甲办法")]


def test_an_interpretation_names_what_it_explains_and_repeals_nothing() -> None:
    text = "《青禾县甲办法》政策解读\n《青禾县甲办法》（青政规〔2026〕1号）已印发。《青禾县乙办法》（青政规〔2020〕2号）同时废止。\n一、背景\n甲。\n"
    result = parsed(text)
    assert result.interprets is not None
    assert (result.interprets.number, result.interprets.title) == ("青政规〔2026〕1号", "青禾县甲办法")
    assert result.repeals == ()


# ---------------------------------------------------------------- any text at all

_FRAGMENTS = re.split(
    r"\|",
    "一、|（一）|(二)|1.|2．|(1)|①|第一条　|第二条 |第三条规定|第一章 总则|附件|附件1|附件：1.甲|2.乙|《|》|（|）|：|。|；|，|〔2026〕8号|青政办发|令|第5号|"
    "2026年3月5日|青禾县人民政府办公室|关于印发|甲办法|的通知|（此件公开发布）|主动公开|机密★1年|抄送：甲|2026年3月6日印发|问：|答：|吗？|【办理条件】|申请材料：|"
    "（责任单位：县财政局）|有效期5年|自2026年3月5日起施行|同时废止|修改|解读|- 1 -|---|# |## |**|[bookmark: _GoBack]|甲乙丙|12|3.5万|各乡镇：|\n|\n|\n\n|　　| |\t|\u200b| a b ",
)
_TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(_FRAGMENTS), max_size=60).map("".join),
    st.lists(st.one_of(st.sampled_from(_FRAGMENTS), st.text(max_size=4)), max_size=40).map("".join),
)
_REMOVED = re.compile(r"\[bookmark:[^\]\n]{0,80}\]|\*\*|__(?=\S)|[\u200b\u200c\u200d\u2060\ufeff\u00ad]")


def _visible(text: str) -> Counter[str]:
    return Counter(character for character in _REMOVED.sub("", text) if not character.isspace())


def _all_of(result: ParsedDocument) -> Counter[str]:
    found: Counter[str] = Counter()
    for passage in result.passages:
        found += _visible(passage.text)
        for heading in passage.path:
            found += _visible(heading)
    for line in result.set_aside:
        found += _visible(line)
    return found


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(_TEXTS, st.sampled_from(["txt", "md", "docx", "html", "pdf"]))
def test_any_text_is_parsed_without_losing_a_character(text: str, kind: str) -> None:
    blocks = tuple(blocks_of(text))
    result = parse(RawDocument(blocks, kind), path="甲.txt", document_id="d")
    wanted: Counter[str] = Counter()
    for block in blocks:
        wanted += _visible("".join(block.cells) if block.cells else block.text)
    assert not wanted - _all_of(result)
    assert [p.anchor for p in result.passages] == [f"p-{n}" for n in range(1, len(result.passages) + 1)]
    assert all(p.text.strip() and p.locator for p in result.passages)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.lists(st.sampled_from(("", "甲", "单位：", "附件1", "责任单位", "乙；", "受理条件", "1.丙")), max_size=4),
        max_size=6,
    )
)
def test_any_table_is_parsed_without_losing_a_character(rows: list[list[str]]) -> None:
    blocks = tuple(Block("".join(row), BlockKind.ROW, cells=tuple(row)) for row in rows if row)
    result = parse(RawDocument(blocks, "docx"), path="甲.docx", document_id="d")
    assert not _visible("".join("".join(row) for row in rows)) - _all_of(result)


# ---------------------------------------------------------------- the five real plans

PLANS = {
    "会宁县": ("会政办发〔2020〕144号", "会宁县人民政府办公室", date(2020, 11, 10), date(2020, 11, 10), "unknown"),
    "临夏州": ("临州办发〔2020〕81号", "临夏回族自治州人民政府办公室", date(2020, 9, 25), None, "public"),
    "抚顺县": ("抚县政公领发〔2020〕6号", "抚顺县政务公开领导小组", date(2020, 8, 31), None, "public"),
    "代县": ("代政办发〔2021〕38号", "代县人民政府办公室", date(2021, 6, 28), date(2021, 6, 28), "public"),
    "洱源县": ("洱政办发〔2020〕62号", "洱源县人民政府办公室", date(2020, 10, 30), date(2020, 10, 30), "public"),
}
TITLES = {
    "会宁县": "会宁县人民政府办公室关于印发《会宁县政务公开工作实施方案》的通知",
    "临夏州": "临夏回族自治州人民政府办公室关于印发临夏州政务公开工作实施方案的通知",
    "抚顺县": "关于印发抚顺县2020年政务公开工作要点的通知",
    "代县": "代县人民政府办公室关于印发代县2021年政务公开工作实施方案的通知",
    "洱源县": "洱源县人民政府办公室关于印发洱源县2020年政务公开工作方案的通知",
}


_CONTACT_LINE = re.compile(r"联系人|联系电话|电子邮箱")


def plan(shared: Path, county: str) -> ParsedDocument:
    (path,) = (shared / "corpus").glob(f"{county}*.txt")
    return parse(read(path), path=str(path), document_id=county)


@pytest.mark.parametrize("county", PLANS)
def test_the_elements_of_the_five_plans(shared: Path, county: str) -> None:
    document = plan(shared, county).document
    found = (document.number, document.issuer, document.written_on, document.printed_on, document.attribute.value)
    assert found == PLANS[county]
    assert document.title == TITLES[county]
    assert document.kind is DocumentKind.POLICY


@pytest.mark.parametrize(("county", "count"), [("会宁县", 24), ("临夏州", 37), ("抚顺县", 20), ("代县", 20)])
def test_every_numbered_item_of_the_plans_is_a_passage(shared: Path, county: str, count: int) -> None:
    numbers = [re.search(r"\d+$", passage.locator) for passage in plan(shared, county).passages]
    assert [int(match[0]) for match in numbers if match] == list(range(1, count + 1))


def test_the_plan_without_item_numbers_is_cut_by_its_sections(shared: Path) -> None:
    sections = [
        f"{head}、（{n}）" for head, last in (("四", 9), ("五", 4), ("六", 2)) for n in "一二三四五六七八九"[:last]
    ]
    assert locators(plan(shared, "洱源县")) == ["正文", "前言", "一、", "二、", "三、", *sections]


@pytest.mark.parametrize(
    ("county", "groups", "lead", "responsible", "implement"),
    [
        ("会宁县", 28, 0, 28, 0),
        ("临夏州", 44, 44, 0, 44),
        ("抚顺县", 20, 18, 20, 0),
        ("代县", 20, None, 20, 0),
        ("洱源县", 22, 1, 22, 0),
    ],
)
def test_every_bracket_of_responsible_units_is_read(
    shared: Path, county: str, groups: int, lead: int | None, responsible: int, implement: int
) -> None:
    found = [group for passage in plan(shared, county).passages for group in find_unit_groups(passage.text)]
    assert len(found) == groups
    named = [sum(group.named(role) for group in found) for role in UnitRole]
    assert named == [named[0] if lead is None else lead, responsible, implement]


def test_a_citizen_finds_the_item_under_its_printed_number(shared: Path) -> None:
    passages = {passage.locator: passage for passage in plan(shared, "代县").passages}
    item = passages["二、（四）10"]
    assert item.path == ("二、任务分工", "（四）开通“便民答复”专线。")
    assert {(unit.name, unit.role.value) for unit in item.units} == {
        ("县行政审批局", "responsible"),
        ("各乡（镇）人民政府", "responsible"),
    }


@pytest.mark.parametrize("county", PLANS)
def test_no_character_of_the_plans_is_lost_and_none_is_broken(shared: Path, county: str) -> None:
    (path,) = (shared / "corpus").glob(f"{county}*.txt")
    raw = read(path)
    result = parse(raw, path=str(path), document_id="d")
    wanted: Counter[str] = Counter()
    for block in raw.blocks:
        wanted += _visible(block.text)
    assert not wanted - _all_of(result)
    for passage in result.passages:
        for line in passage.text.split("\n"):
            assert line[-1] in "。：:）)；" or line == passage.text.split("\n")[0] or _CONTACT_LINE.match(line), line


# ---------------------------------------------------------------- real laws and pages


def test_every_article_of_the_laws_is_found_once_under_its_chapter(shared: Path) -> None:
    laws = sorted((shared / "law").glob("*.md"))
    assert laws
    for path in laws:
        result = parse(read(path), path=str(path), document_id="d")
        source = path.read_text("utf-8")
        printed = re.findall(r"^第([一二三四五六七八九十百零]+)条", source, re.M)
        found = [match[1] for p in result.passages if (match := re.fullmatch(r"第(.+)条", p.locator))]
        assert [numeral(word) for word in found] == list(range(1, len(found) + 1)), path.name
        assert [numeral(word) for word in printed] == [numeral(word) for word in found], path.name
        headings = re.findall(r"^#+ (第[一二三四五六七八九十]+[编章节].*|[一二三四五六七八九十]+、.*)$", source, re.M)
        steps = {re.sub(r"\s", "", step) for p in result.passages for step in p.path}
        assert {re.sub(r"\s", "", heading) for heading in headings} <= steps, path.name
        assert result.document.kind is DocumentKind.LAW, path.name
        assert not result.classified, path.name


@pytest.mark.parametrize(
    ("name", "title", "number", "issuer", "written_on", "effective_on"),
    [
        ("条例", "中华人民共和国政府信息公开条例", "国务院令第711号", "国务院", date(2019, 4, 3), date(2019, 5, 15)),
        (
            "复议法2023",
            "中华人民共和国行政复议法",
            "",
            "全国人民代表大会常务委员会",
            date(2023, 9, 1),
            date(2024, 1, 1),
        ),
        ("民法典总则", "中华人民共和国民法典", "", "全国人民代表大会", date(2020, 5, 28), date(2021, 1, 1)),
        ("信访条例", "信访工作条例", "", "中共中央 国务院", date(2022, 2, 25), date(2022, 5, 1)),
        (
            "行诉解释2018",
            "最高人民法院关于适用《中华人民共和国行政诉讼法》的解释",
            "",
            "最高人民法院",
            date(2017, 11, 13),
            date(2018, 2, 8),
        ),
    ],
)
def test_the_head_of_a_law_is_read(
    shared: Path, name: str, title: str, number: str, issuer: str, written_on: date, effective_on: date
) -> None:
    path = shared / "law" / f"{name}.md"
    document = parse(read(path), path=str(path), document_id="d").document
    assert (document.title, document.number, document.issuer) == (title, number, issuer)
    assert (document.written_on, document.effective_on, document.expires_on) == (written_on, effective_on, None)


@pytest.mark.parametrize(
    ("name", "number", "issuer", "written_on", "expires_on", "attribute"),
    [
        (
            "html_01",
            "穗卫函〔2023〕1930号",
            "广州市卫生健康委员会 广州市财政局 广州市人力资源和社会保障局 广州市医疗保障局",
            date(2023, 10, 19),
            None,
            "unknown",
        ),
        (
            "html_02",
            "穗民规字〔2024〕3号",
            "广州市民政局 广州市财政局 广州市市场监督管理局",
            date(2024, 3, 14),
            date(2029, 3, 31),
            "unknown",
        ),
        ("html_03", "穗府办规〔2021〕7号", "广州市人民政府办公厅", date(2021, 4, 13), date(2023, 6, 1), "public"),
        (
            "html_04",
            "穗人社规字〔2022〕2号",
            "广州市人力资源和社会保障局 广州市公安局",
            date(2022, 7, 7),
            date(2027, 7, 6),
            "public",
        ),
        ("html_05", "", "", None, None, "unknown"),
        ("html_06", "国发〔2018〕43号", "国务院", date(2018, 12, 21), None, "public"),
    ],
)
def test_real_pages_are_understood(
    shared: Path, name: str, number: str, issuer: str, written_on: date | None, expires_on: date | None, attribute: str
) -> None:
    (path,) = (shared / "samples").glob(f"{name}*.html")
    document = parse(read(path), path=str(path), document_id="d").document
    assert (document.number, document.issuer, document.written_on) == (number, issuer, written_on)
    assert (document.expires_on, document.attribute.value) == (expires_on, attribute)


def test_titles_of_real_pages_are_whole(shared: Path) -> None:
    for path in sorted((shared / "samples").glob("*.html")):
        raw = read(path)
        title = parse(raw, path=str(path), document_id="d").document.title
        assert re.sub(r"\s", "", title) == re.sub(r"\s", "", raw.metadata["标题"])
