"""Readers of container formats, on small files of our own making: what they keep, what they drop, what they refuse."""

from __future__ import annotations

import io
import logging
import re
import struct
import sys
import tempfile
import time
import zipfile
from datetime import datetime
from functools import cache
from pathlib import Path

import openpyxl
import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office_files import OFD, XML, Pdf, W, docx, numbering, ofd, p, pack, stroke, table, tc, text_object

from bot.app import House
from knowledge.errors import (
    DocumentTooLarge,
    EmptyDocument,
    EncryptedDocument,
    MissingConverter,
    ScannedDocument,
    UnknownFormat,
    UnreadableDocument,
)
from knowledge.model import DisclosureAttribute, Stage
from knowledge.readers import archive, container, ocr, office, process, read
from knowledge.readers.layout import Glyph, Page, Rule, Setter
from knowledge.readers.numbering import chinese, figure
from knowledge.readers.raw import BlockKind, RawDocument
from knowledge.structure import parse

BOMB = '<!DOCTYPE x [<!ENTITY a "哈哈哈哈"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
INDENT = "\u3000\u3000"


def lines(raw: RawDocument) -> list[str]:
    return [block.text for block in raw.blocks]


def rows(raw: RawDocument) -> list[tuple[str, ...]]:
    return [block.cells for block in raw.blocks if block.kind is BlockKind.ROW]


# ---------------------------------------------------------------- DOCX


def test_paragraphs_and_table_rows_keep_their_order(tmp_path: Path) -> None:
    body = (p("前"), table(("事项", "单位"), ("巡查", "县交通运输局")), p("后"))
    raw = read(docx(tmp_path / "a.docx", *body))
    assert lines(raw) == ["前", "事项 单位", "巡查 县交通运输局", "后"]
    assert rows(raw) == [("事项", "单位"), ("巡查", "县交通运输局")]


def test_cells_merged_down_are_repeated_and_cells_merged_across_are_given_once(tmp_path: Path) -> None:
    body = table(
        ("领域", "事项", "时限"),
        (tc("社会救助", merge="restart"), "低保", "10日"),
        (tc("", merge="continue"), "特困", "15日"),
        (tc("合计两项", span=2), "25日"),
    )
    assert rows(read(docx(tmp_path / "a.docx", body)))[1:] == [
        ("社会救助", "低保", "10日"),
        ("社会救助", "特困", "15日"),
        ("合计两项", "", "25日"),
    ]


def test_tables_that_only_lay_out_the_page_become_paragraphs(tmp_path: Path) -> None:
    imprint = table(("抄送：县委办公室。",), ("青禾县人民政府办公室", "2026年3月2日印发"))
    head = table(("青禾县民政局", tc("文件", merge="restart")), ("青禾县财政局", tc("", merge="continue")))
    raw = read(docx(tmp_path / "a.docx", head, table(("唯一的一栏",)), imprint))
    assert not rows(raw)
    assert lines(raw)[0] == "青禾县民政局\u3000青禾县财政局文件"
    assert "青禾县人民政府办公室\u30002026年3月2日印发" in lines(raw)


def test_tracked_insertions_stay_and_deletions_comments_and_hidden_text_go(tmp_path: Path) -> None:
    changes = (
        "<w:ins><w:r><w:t>插入</w:t></w:r></w:ins><w:del><w:r><w:delText>删除</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>移走</w:t></w:r></w:moveFrom><w:r><w:commentReference w:id='1'/></w:r>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t>隐藏</w:t></w:r><w:r><w:rPr><w:vanish w:val='0'/></w:rPr><w:t>可见</w:t></w:r>"
    )
    comments = f'<w:comments xmlns:w="{W}"><w:comment w:id="1">{p("批注")}</w:comment></w:comments>'
    raw = read(docx(tmp_path / "a.docx", p("正文", inner=changes), parts={"comments": comments}))
    assert lines(raw) == ["正文插入可见"]
    assert raw.warnings


def test_a_deleted_paragraph_mark_joins_two_paragraphs(tmp_path: Path) -> None:
    deleted = '<w:rPr><w:del w:id="1"/></w:rPr>'
    assert lines(read(docx(tmp_path / "a.docx", p("前半", more=deleted), p("后半")))) == ["前半后半"]


def test_text_boxes_and_notes_are_text(tmp_path: Path) -> None:
    box = (
        "<w:r><mc:AlternateContent><mc:Choice><w:txbxContent>{0}</w:txbxContent></mc:Choice>"
        "<mc:Fallback><w:txbxContent>{0}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r>"
    ).format(p("框中文字"))
    note = "<w:r><w:footnoteReference w:id='2'/></w:r>"
    notes = f'<w:footnotes xmlns:w="{W}"><w:footnote w:type="separator" w:id="0">{p()}</w:footnote><w:footnote w:id="2">{p("脚注文字")}</w:footnote></w:footnotes>'
    raw = read(docx(tmp_path / "a.docx", p("甲", inner=box), p("乙", inner=note), parts={"footnotes": notes}))
    assert lines(raw) == ["甲", "框中文字", "乙", "注1：脚注文字"]


@pytest.mark.parametrize("prefix", ["w", "ns0"])
@pytest.mark.parametrize("namespace", [W, "http://purl.oclc.org/ooxml/wordprocessingml/main"])
def test_any_prefix_and_the_strict_namespace_are_read(tmp_path: Path, prefix: str, namespace: str) -> None:
    raw = read(docx(tmp_path / "a.docx", p("文字"), prefix=prefix, namespace=namespace))
    assert lines(raw) == ["文字"]


def test_automatic_numbering_is_written_out(tmp_path: Path) -> None:
    shape = (
        ("chineseCountingThousand", "%1、"),
        ("chineseCounting", "（%2）"),
        ("decimal", "%3."),
        ("decimalEnclosedCircle", "%4"),
    )
    body = [p("总则", number=(1, 0)), p("甲", number=(1, 1)), p("子", number=(1, 2)), p("丑", number=(1, 2))]
    body += [
        p("乙", number=(1, 1)),
        p("寅", number=(1, 2)),
        p("卯", number=(1, 3)),
        p("附则", number=(1, 0)),
        p("又", number=(1, 1)),
    ]
    raw = read(docx(tmp_path / "a.docx", *body, parts={"numbering": numbering(shape)}))
    assert lines(raw) == ["一、总则", "（一）甲", "1.子", "2.丑", "（二）乙", "1.寅", "①卯", "二、附则", "（一）又"]


def test_a_list_that_begins_anew_and_an_article_number(tmp_path: Path) -> None:
    parts = {"numbering": numbering((("chineseCounting", "第%1条"),), overrides={2: 5})}
    body = [
        p("为规范管理", number=(1, 0)),
        p("本办法", number=(2, 0)),
        p("自印发", number=(2, 0)),
        p("无号", number=(9, 0)),
    ]
    raw = read(docx(tmp_path / "a.docx", *body, parts=parts))
    assert lines(raw) == ["第一条\u3000为规范管理", "第五条\u3000本办法", "第六条\u3000自印发", "无号"]


def test_heading_styles_and_their_numbering_are_followed_to_the_style_they_are_based_on(tmp_path: Path) -> None:
    styles = (
        f'<w:styles xmlns:w="{W}">'
        '<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="own"><w:name w:val="自定"/><w:basedOn w:val="1"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="loop"><w:name w:val="环"/><w:basedOn w:val="loop"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="toc"><w:name w:val="toc 1"/></w:style></w:styles>'
    )
    parts = {"styles": styles, "numbering": numbering((("chineseCounting", "%1、"),))}
    body = [p("目录项", style="toc"), p("一级", style="own"), p("正文", style="loop"), p("又一级", style="1")]
    raw = read(docx(tmp_path / "a.docx", *body, parts=parts))
    assert lines(raw) == ["一、一级", "正文", "二、又一级"]
    assert [b.level for b in raw.blocks] == [1, 0, 1]


def test_a_secrecy_mark_in_a_running_head_is_not_overlooked(tmp_path: Path) -> None:
    header = f'<w:hdr xmlns:w="{W}" xmlns:v="urn:v"><w:p><w:r><w:pict><v:textpath string="机密★1年"/></w:pict></w:r></w:p></w:hdr>'
    raw = read(docx(tmp_path / "a.docx", p("关于开展桥梁普查的通知"), p("各乡镇：请照办。"), parts={"header1": header}))
    assert parse(raw, path="a.docx", document_id="a").classified


@pytest.mark.parametrize(
    "declaration", [BOMB, OUTSIDE, "<!-- <a> -->" + OUTSIDE], ids=["bomb", "outside", "behind a comment"]
)
@pytest.mark.parametrize(
    "part", ["word/document.xml", "word/styles.xml", "word/_rels/document.xml.rels", "_rels/.rels"]
)
def test_xml_with_entities_is_refused_and_never_expanded(tmp_path: Path, declaration: str, part: str) -> None:
    path = docx(tmp_path / "a.docx", p("文字"), parts={"styles": f'<w:styles xmlns:w="{W}"/>'})
    with zipfile.ZipFile(path) as package:
        parts: dict[str, str | bytes] = {name: package.read(name).decode() for name in package.namelist()}
    parts[part] = str(parts[part]).replace(XML, XML + declaration).replace("文字", "&c;")
    with pytest.raises(UnreadableDocument, match="document type"):
        read(pack(path, parts))


def test_a_document_type_in_utf_16_is_seen_too(tmp_path: Path) -> None:
    path = docx(tmp_path / "a.docx", p("文字"))
    text = '<?xml version="1.0" encoding="UTF-16"?>' + BOMB + f'<w:document xmlns:w="{W}"><w:body/></w:document>'
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("word/x.xml", text.encode("utf-16"))
    with container.Package(path) as opened, pytest.raises(UnreadableDocument, match="document type"):
        opened.parse("word/x.xml")


# ---------------------------------------------------------------- PDF


def notice() -> Pdf:
    file = Pdf().page().text("关于做好桥梁管护工作的通知", 153, 100, 22)
    return file.lines(
        [
            "各乡镇人民政府，县政府各部门：",
            f"{INDENT}为做好全县桥梁管护工作，保障群众出行安全，根据有关规",
            "定（2026年3月），现将ABC def等12.5公里的有关事项通知如下。",
            f"{INDENT}一、管护责任",
            f"{INDENT}各乡镇每月巡查桥梁一次，发现问题及时上报县交通运输局。",
        ],
        y=160,
    )


def test_broken_lines_of_a_pdf_are_joined_to_paragraphs(tmp_path: Path) -> None:
    raw = read(notice().save(tmp_path / "a.pdf"))
    assert lines(raw) == [
        "关于做好桥梁管护工作的通知",
        "各乡镇人民政府，县政府各部门：",
        "为做好全县桥梁管护工作，保障群众出行安全，根据有关规定（2026年3月），现将ABC def等12.5公里的有关事项通知如下。",
        "一、管护责任",
        "各乡镇每月巡查桥梁一次，发现问题及时上报县交通运输局。",
    ]
    assert raw.blocks[0].centred
    assert (raw.pages, raw.format, raw.ocr) == (1, "pdf", False)


def test_page_numbers_and_running_heads_go_and_sentences_go_on_over_the_page(tmp_path: Path) -> None:
    file, carried = Pdf(), [f"{INDENT}总的要求。"]
    for number, word in enumerate(("桥梁", "道路", "水库", "学校", ""), 1):
        first = f"{INDENT}{word}的管护由所在乡镇负责并且每月巡查一次做好记录，发现"
        second = f"{word}损坏的应当在两日以内上报县交通运输局，并且马上设置"
        file.page().text("青禾县人民政府公报", 220, 60, 10).text(f"— {number} —", 280, 800, 14)
        file.lines([*carried, first, second] if word else carried)
        carried = ["明显的标志。"]
    text = lines(read(file.save(tmp_path / "a.pdf")))
    assert text == ["总的要求。"] + [
        f"{word}的管护由所在乡镇负责并且每月巡查一次做好记录，发现{word}损坏的应当在两日以内上报县交通运输局，并且马上设置明显的标志。"
        for word in ("桥梁", "道路", "水库", "学校")
    ]


def test_a_year_alone_in_the_last_line_is_not_taken_for_a_page_number(tmp_path: Path) -> None:
    file = Pdf().page().lines(["项目开始的年份", "2025"]).page().lines(["项目结束的年份", "2031"])
    assert "2031" in "".join(lines(read(file.save(tmp_path / "a.pdf"))))


def test_two_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    file = Pdf().page().text("青禾县人民政府公报二〇二六年第三期目录和正文摘要", 90, 80, 16)
    left = [f"左栏第{n}行的文字排满左边这一栏" for n in "一二三四五六"]
    right = [f"右栏第{n}行的文字排满右边这一栏" for n in "一二三四五六"]
    file.lines(left, x=60, y=130, size=14, leading=22).lines(right, x=310, y=130, size=14, leading=22)
    text = "".join(lines(read(file.save(tmp_path / "a.pdf"))))
    assert text.index("左栏第六行") < text.index("右栏第一行")
    assert text.index("目录和正文") < text.index("左栏第一行")


def test_characters_stored_in_any_order_are_read_in_the_order_of_the_page(tmp_path: Path) -> None:
    file = Pdf().page().text("管护", 136, 100).text("第二行", 72, 128).text("做好桥梁", 72, 100)
    text = lines(read(file.save(tmp_path / "a.pdf")))
    assert "".join(text).startswith("做好桥梁管护")


def test_a_character_printed_twice_for_boldness_is_read_once(tmp_path: Path) -> None:
    file = Pdf().page().text("通知", 72, 100).text("通知", 72.4, 100)
    assert lines(read(file.save(tmp_path / "a.pdf"))) == ["通知"]


def test_ruled_tables_become_rows(tmp_path: Path) -> None:
    file = Pdf().page().text("补贴标准一览表", 200, 80)
    for y in (100, 130, 160, 190):
        file.line(72, y, 472, y)
    for x in (72, 272, 472):
        file.line(x, 100, x, 190)
    file.line(372, 130, 372, 190)
    for y, cells in ((120, ("档次", "补贴")), (150, ("一级", "200元")), (180, ("二级", "100元"))):
        for x, cell in zip((80, 280), cells, strict=True):
            file.text(cell, x, y, 12)
    file.text("每月", 380, 150, 12).text("每年", 380, 180, 12).text("表后文字。", 72, 230)
    raw = read(file.save(tmp_path / "a.pdf"))
    assert rows(raw) == [("档次", "补贴", ""), ("一级", "200元", "每月"), ("二级", "100元", "每年")]
    assert lines(raw)[-1] == "表后文字。"


def test_a_page_that_lies_on_its_side_is_read_and_a_watermark_askew_is_not(tmp_path: Path) -> None:
    file = Pdf().page()
    for place, line in enumerate(("横排大表的第一行", "横排大表的第二行。")):
        file.text(line, 100 + place * 28, 700, turn=(0, 1, -1, 0))
    file.text("内部草稿", 200, 300, 40, turn=(0.7, 0.7, -0.7, 0.7))
    assert "".join(lines(read(file.save(tmp_path / "a.pdf")))) == "横排大表的第一行横排大表的第二行。"


def test_joint_issuers_and_the_word_for_document_are_one_letterhead(tmp_path: Path) -> None:
    file = Pdf().page().text("青禾县民政局", 120, 100, 30).text("青禾县财政局", 120, 150, 30).text("文件", 360, 125, 34)
    file.text("青民发〔2026〕7号", 220, 200).text("关于提高低保标准的通知", 180, 260, 22)
    file.lines(["各乡镇人民政府：", f"{INDENT}低保标准自2026年7月起提高。"], y=300)
    parsed = parse(read(file.save(tmp_path / "a.pdf")), path="a.pdf", document_id="a")
    assert parsed.document.title == "关于提高低保标准的通知"
    assert parsed.document.number == "青民发〔2026〕7号"


def test_a_pdf_under_a_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncryptedDocument):
        read(Pdf(encrypted=True).page().text("文字", 72, 100).save(tmp_path / "a.pdf"))


def test_300_pages_are_read_and_501_are_refused(tmp_path: Path) -> None:
    file = Pdf()
    for number in range(300):
        file.page().text(f"第{number}节的内容。", 72, 100)
    assert read(file.save(tmp_path / "a.pdf")).pages == 300
    for _ in range(201):
        file.page()
    with pytest.raises(DocumentTooLarge):
        read(file.save(tmp_path / "b.pdf"))


def test_a_scan_without_ocr_is_named_and_never_an_empty_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    scan = Pdf().picture(20, 30, bytes(600)).save(tmp_path / "a.pdf")
    with pytest.raises(ScannedDocument, match="tesseract"):
        read(scan)
    mixed = Pdf().page().text("有文字的一页。", 72, 100)
    raw = read(mixed.picture(20, 30, bytes(600)).save(tmp_path / "b.pdf"))
    assert lines(raw) == ["有文字的一页。"]
    assert raw.warnings == ("第2页是图片，没有读出文字",)
    assert raw.unread_pages == (2,)


@pytest.mark.parametrize("kind", ["pdf", "ofd"])
def test_a_text_with_an_unread_page_waits_for_staff_although_it_says_it_is_public(
    tmp_path: Path, house: House, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    said = "（此件公开发布）"
    if kind == "pdf":
        file = notice().text(said, 72, 400).picture(20, 30, bytes(600)).save(tmp_path / "a.pdf")
    else:
        words = ("关于做好桥梁管护工作的通知", "各乡镇每月巡查桥梁一次，发现问题及时上报。", said)
        page = "".join(text_object(line, 28, 40 + 20 * n) for n, line in enumerate(words))
        file = ofd(tmp_path / "a.ofd", page, stroke(20, 50, 120, 50))
    (outcome,) = house.library.ingest([file])
    assert outcome.document is not None
    assert outcome.document.stage is Stage.DRAFT
    assert "第2页是图片，没有读出文字" in outcome.document.held
    assert house.library.documents() == []
    published = house.library.publish(outcome.document.id, attribute=DisclosureAttribute.PUBLIC, force=True)
    assert published.stage is Stage.PUBLISHED  # a person has compared it with the original


def test_a_page_with_a_seal_is_no_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    last = (
        notice().page().lines(["青禾县人民政府办公室", "2026年3月2日"]).picture(20, 20, bytes(400), (300, 80, 420, 200))
    )
    raw = read(last.save(tmp_path / "a.pdf"))
    assert lines(raw)[-1].endswith("2026年3月2日")
    assert not raw.warnings


def test_text_that_a_scanner_put_behind_its_picture_is_marked_as_recognised(tmp_path: Path) -> None:
    file = Pdf().picture(20, 30, bytes(600))
    for place, line in enumerate(
        ("关于做好桥梁管护工作的通知", "各乡镇每月巡查桥梁一次并且做好记录，发现问题及时上报。")
    ):
        file.text(line, 72, 100 + 28 * place, mode=3)
    raw = read(file.save(tmp_path / "a.pdf"))
    assert "桥梁管护" in "".join(lines(raw))
    assert raw.ocr
    assert "OCR，待核" in raw.warnings


def test_secrecy_in_a_watermark_or_a_running_head_is_not_overlooked(tmp_path: Path) -> None:
    askew = notice().text("机密★1年", 200, 400, 40, turn=(0.7, 0.7, -0.7, 0.7))
    head = Pdf()
    for word in ("桥梁", "道路", "水库", "学校"):
        head.page().text("秘密★长期", 60, 40, 10).lines(
            [f"关于{word}管护的通知", f"{word}由乡镇管护。", f"{word}每月巡查。"]
        )
    turned = ' CTM="0.7 0.7 -0.7 0.7 0 0"'
    drawn = ofd(tmp_path / "c.ofd", text_object("正文。", 28, 100) + text_object("机密", 80, 100, more=turned))
    for path in (askew.save(tmp_path / "a.pdf"), head.save(tmp_path / "b.pdf"), drawn):
        assert parse(read(path), path=path.name, document_id="a").classified, path


def test_blank_pages_are_an_empty_document_not_a_scan(tmp_path: Path) -> None:
    with pytest.raises(EmptyDocument):
        read(Pdf().page().page().save(tmp_path / "a.pdf"))


def test_a_scan_is_read_by_ocr_and_marked_for_checking(tmp_path: Path) -> None:
    if not ocr.available():
        pytest.skip("tesseract with chi_sim is not installed")
    page = pypdfium2.PdfDocument(notice().save(tmp_path / "text.pdf"))[0]
    bitmap = page.render(scale=2.5, grayscale=True)
    pixels = b"".join(
        bytes(bitmap.buffer)[y * bitmap.stride : y * bitmap.stride + bitmap.width] for y in range(bitmap.height)
    )
    if min(pixels) > 128:
        pytest.skip("no Chinese font on this machine to make a scan with")
    raw = read(Pdf().picture(bitmap.width, bitmap.height, pixels).save(tmp_path / "scan.pdf"))
    assert raw.ocr
    assert "OCR，待核" in raw.warnings
    assert "桥梁" in "".join(lines(raw))


# ---------------------------------------------------------------- OFD


def test_ofd_text_is_put_back_in_reading_order_and_the_title_is_not_the_metadata(tmp_path: Path) -> None:
    page = (
        text_object("月巡查桥梁一次。", 28 + 5.6 * 9, 120)
        + text_object("青政办发〔2026〕90号", 80, 60)
        + text_object("各乡镇每", 28 + 5.6 * 5, 120)
        + text_object("一、责任。", 28, 120)
        + text_object("关于做好桥梁管护工作的通知", 55, 80, size=7.7)
        + text_object("— 1 —", 95, 280, size=4)
    )
    raw = read(ofd(tmp_path / "a.ofd", page))
    assert lines(raw) == ["青政办发〔2026〕90号", "关于做好桥梁管护工作的通知", "一、责任。各乡镇每月巡查桥梁一次。"]
    assert (raw.format, raw.pages, raw.metadata) == ("ofd", 1, {})


def test_ofd_repeats_in_deltas_and_a_matrix_are_followed(tmp_path: Path) -> None:
    matrix = ' CTM="0.5 0 0 0.5 0 0"'
    page = text_object("放大后缩小", 28, 50, size=11.2, more=matrix, delta="g 4 11.2") + text_object(
        "在右边", 28 + 5.6 * 5, 44.4
    )
    assert lines(read(ofd(tmp_path / "a.ofd", page))) == ["放大后缩小在右边"]


def test_ofd_page_templates_are_part_of_the_page(tmp_path: Path) -> None:
    raw = read(
        ofd(
            tmp_path / "a.ofd",
            text_object("正文。", 28, 100),
            template=text_object("青禾县人民政府文件", 40, 40, size=12),
        )
    )
    assert lines(raw) == ["青禾县人民政府文件", "正文。"]


def test_ofd_tables_become_rows_and_attachments_are_listed(tmp_path: Path) -> None:
    page = "".join(stroke(20, y, 120, y) for y in (50, 60, 70)) + "".join(stroke(x, 50, x, 70) for x in (20, 70, 120))
    for x, y, cell in ((25, 57, "档次"), (75, 57, "标准"), (25, 67, "一级"), (75, 67, "200元")):
        page += text_object(cell, x, y, size=4)
    raw = read(ofd(tmp_path / "a.ofd", page, attachment="附表.xlsx"))
    assert rows(raw) == [("档次", "标准"), ("一级", "200元")]
    assert raw.attachments == ("附表.xlsx",)


def test_ofd_that_is_only_drawn_is_a_scan_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ScannedDocument):
        read(ofd(tmp_path / "a.ofd", stroke(20, 50, 120, 50)))
    with pytest.raises(EmptyDocument):
        read(ofd(tmp_path / "b.ofd", ""))


def test_ofd_under_a_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncryptedDocument):
        read(ofd(tmp_path / "a.ofd", text_object("正文。", 28, 100), parts={"Encryptions.xml": "<e/>"}))


def test_ofd_with_entities_is_refused(tmp_path: Path) -> None:
    bomb = f'{XML}{BOMB}<ofd:OFD xmlns:ofd="{OFD}"><ofd:DocRoot>&c;</ofd:DocRoot></ofd:OFD>'
    with pytest.raises(UnreadableDocument, match="document type"):
        read(ofd(tmp_path / "a.ofd", text_object("正文。", 28, 100), parts={"OFD.xml": bomb}))


def test_ofd_with_numbers_out_of_bounds_is_read_or_named(tmp_path: Path) -> None:
    wild = text_object("正文。", 28, 100) + text_object("远", 28, 100, delta="g 999999999 1e308").replace(
        'X="0"', 'X="1e300"'
    )
    assert lines(read(ofd(tmp_path / "a.ofd", wild))) == ["正文。"]


# ---------------------------------------------------------------- DOC, WPS, RTF


RTF = rb"{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0 SimSun;}}\f0\fs32 \'b9\'d8\'d3\'da\'b2\'e2\'ca\'d4\'b5\'c4\'cd\'a8\'d6\'aa\par}"


def ole(path: Path, *, encrypted: bool = False, stream: str = "WordDocument") -> Path:
    """A compound file with a directory of one stream, as much of it as a reader looks at."""
    head = bytearray(512)
    head[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<H", head, 30, 9)
    struct.pack_into("<I", head, 48, 0)
    entry = bytearray(512)
    name = stream.encode("utf-16-le") + b"\0\0"
    entry[: len(name)] = name
    struct.pack_into("<I", entry, 116, 1)
    block = bytearray(512)
    block[:2] = b"\xec\xa5"
    struct.pack_into("<H", block, 10, 0x0100 if encrypted else 0)
    path.write_bytes(bytes(head + entry + block))
    return path


def test_doc_without_libreoffice_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "converter", lambda: "")
    for name in ("a.doc", "a.wps"):
        with pytest.raises(MissingConverter, match="LibreOffice"):
            read(ole(tmp_path / name))


def test_doc_and_docx_under_a_password_are_named(tmp_path: Path) -> None:
    with pytest.raises(EncryptedDocument):
        read(ole(tmp_path / "a.doc", encrypted=True))
    with pytest.raises(EncryptedDocument):
        read(ole(tmp_path / "b.docx", stream="EncryptedPackage"))


def test_an_owner_file_is_no_document(tmp_path: Path) -> None:
    owner = tmp_path / "通知.doc"
    owner.write_bytes((b"\x04Anna" + b" " * 50 + b"\x04\0A\0n\0n\0a\0").ljust(162, b"\0"))
    locked = tmp_path / "~$通知.docx"
    locked.write_bytes(b"x")
    for path in (owner, locked):
        with pytest.raises(UnknownFormat, match="lock file"):
            read(path)


def test_libreoffice_converts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    if not office.converter():
        pytest.skip("LibreOffice is not installed")
    path = tmp_path / "-旧文件 ；1.doc"  # a name that a shell or an option parser would trip over
    path.write_bytes(RTF)
    before = set(Path(tempfile.gettempdir()).glob("bianmin-office-*"))
    assert lines(read(path)) == ["关于测试的通知"]
    assert set(Path(tempfile.gettempdir()).glob("bianmin-office-*")) == before


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).touch()"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    outcome = process.run([sys.executable, "-c", parent], seconds=1.5)
    assert outcome.code is None
    time.sleep(3)
    assert not mark.exists()


# ---------------------------------------------------------------- XLSX, CSV


def test_workbooks_are_rows_under_one_head(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "社会救助"
    for row in (
        ["青禾县公开事项目录"],
        ["序号", "事项", "公开对象", None, "比例"],
        ["序号", "事项", "全社会", "特定群众", "比例"],
        [1, "低保", "是", None, 0.25],
        [2, None, "是", "是", 1],
        ["注：以实际为准"],
    ):
        sheet.append(row)
    sheet.merge_cells("A1:E1")
    sheet.merge_cells("C2:D2")
    sheet.merge_cells("B4:B5")
    sheet["E4"].number_format = sheet["E5"].number_format = "0%"
    hidden = book.create_sheet("底稿")
    hidden.append(["不该", "出现"])
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    raw = read(tmp_path / "a.xlsx")
    assert lines(raw)[0] == "青禾县公开事项目录"
    assert rows(raw) == [
        ("序号", "事项", "公开对象/全社会", "公开对象/特定群众", "比例"),
        ("1", "低保", "是", "", "25%"),
        ("2", "低保", "是", "是", "100%"),
    ]
    assert lines(raw)[-1] == "注：以实际为准"
    assert raw.blocks[1].header
    assert raw.warnings


def test_cells_are_read_as_the_sheet_shows_them(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    values = [datetime(2026, 3, 2), datetime(2026, 3, 2, 8, 30), 12, 0.1 + 0.2, True, "=1/0", "二 行"]
    book.active.append(["日期", "时刻", "整数", "小数", "是否", "错误", "文字"])
    book.active.append(values)
    book.active.append([None, None, -3, 1e21, False, None, " 前后空格 "])
    book.save(tmp_path / "a.xlsx")
    assert rows(read(tmp_path / "a.xlsx"))[1:] == [
        ("2026-03-02", "2026-03-02 08:30", "12", "0.3", "是", "", "二 行"),
        ("", "", "-3", "1e+21", "否", "", "前后空格"),
    ]


def test_hidden_rows_and_columns_are_not_published(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["姓名", "电话", "村"], ["甲", "139", "东村"], ["乙", "138", "西村"]):
        book.active.append(row)
    book.active.column_dimensions["B"].hidden = True
    book.active.row_dimensions[3].hidden = True
    book.save(tmp_path / "a.xlsx")
    assert rows(read(tmp_path / "a.xlsx")) == [("姓名", "村"), ("甲", "东村")]


def test_a_workbook_with_entities_is_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["甲", "乙"])
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as package:
        parts: dict[str, str | bytes] = {name: package.read(name) for name in package.namelist()}
    sheet = bytes(parts["xl/worksheets/sheet1.xml"])
    parts["xl/worksheets/sheet1.xml"] = BOMB.encode() + sheet
    with pytest.raises(UnreadableDocument, match="document type"):
        read(pack(tmp_path / "b.xlsx", parts))


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16"])
def test_csv_is_read_in_any_chinese_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('事项,单位\n"低保,特困",县民政局\n临时救助,各乡镇人民政府\n'.encode(encoding))
    assert rows(read(path)) == [("事项", "单位"), ("低保,特困", "县民政局"), ("临时救助", "各乡镇人民政府")]


# ---------------------------------------------------------------- ZIP


def zipped(path: Path, members: dict[bytes, bytes]) -> Path:
    """A ZIP whose names are stored as these very bytes, without saying in which encoding, as Chinese Windows does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for place, (name, content) in enumerate(members.items()):
            package.writestr(f"{place:x<{len(name)}}"[: len(name)], content)
    data = path.read_bytes()
    for place, name in enumerate(members):
        data = data.replace(f"{place:x<{len(name)}}"[: len(name)].encode(), name)
    path.write_bytes(data)
    return path


def test_archives_give_their_members_with_chinese_names(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"内层.txt".encode("gb18030"): "内层文字。".encode()})
    path = zipped(
        tmp_path / "a.zip",
        {
            "关于桥梁的通知.txt".encode("gb18030"): "正文。".encode(),
            "附件/一览表.csv".encode(): "甲,乙\n".encode(),
            b"__MACOSX/._x": b"?",
            "附件/~$一览表.docx".encode("gb18030"): b"?",
            "往年.zip".encode("gb18030"): inner.read_bytes(),
        },
    )
    found = list(archive.members(path, tmp_path / "out"))
    assert [member.name for member in found] == ["关于桥梁的通知.txt", "附件/一览表.csv", "往年.zip/内层.txt"]
    assert [lines(read(member.path)) for member in found if member.path] == [["正文。"], ["甲 乙"], ["内层文字。"]]


@pytest.mark.parametrize("name", ["../逃出.txt", "/etc/逃出.txt", "a/../../逃出.txt", "..\\逃出.txt", "C:\\逃出.txt"])
def test_names_that_lead_outside_are_refused_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", {name.encode(): b"x", "好.txt".encode(): "好。".encode()})
    bad, good = archive.members(path, tmp_path / "in" / "out")
    assert bad.path is None
    assert "outside" in str(bad.error)
    assert good.path is not None and (tmp_path / "in" / "out") in good.path.parents
    assert not list(tmp_path.rglob("*逃出*"))


def test_links_passwords_and_archives_three_deep_are_refused_by_name(tmp_path: Path) -> None:
    deep = pack(tmp_path / "3.zip", {"c.txt": "底"})
    middle = pack(tmp_path / "2.zip", {"3.zip": deep.read_bytes()})
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        package.writestr(link, "/etc/passwd")
        package.writestr("2.zip", middle.read_bytes())
        package.writestr("locked.txt", "x")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(data))
    found = {member.name: member for member in archive.members(tmp_path / "a.zip", tmp_path / "out")}
    assert all(member.path is None for member in found.values())
    assert isinstance(found["locked.txt"].error, EncryptedDocument)
    assert set(found) == {"link.txt", "2.zip/3.zip", "locked.txt"}


def test_bombs_are_stopped_by_what_they_expand_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = pack(tmp_path / "a.zip", {"bomb.txt": bytes(40 * 1024 * 1024), "good.txt": "好。"})
    bad, good = archive.members(bomb, tmp_path / "out")
    assert isinstance(bad.error, DocumentTooLarge)
    assert good.path is not None
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    many = pack(tmp_path / "b.zip", {f"{n}.txt": "x" for n in range(5)})
    with pytest.raises(DocumentTooLarge):
        list(archive.members(many, tmp_path / "out2"))
    monkeypatch.setattr(container, "MAX_EXPANDED", 1024 * 1024)
    inside = docx(tmp_path / "c.docx", p("字" * 2_000_000))
    with pytest.raises(DocumentTooLarge):
        read(inside)


def test_an_archive_is_not_one_document(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.txt": "x"})
    with pytest.raises(UnknownFormat, match="archive"):
        read(path)
    path.rename(tmp_path / "a.docx")
    with pytest.raises(UnknownFormat, match="archive"):
        read(tmp_path / "a.docx")


# ---------------------------------------------------------------- content against suffix


def test_a_file_is_read_as_what_it_is_with_a_warning(tmp_path: Path) -> None:
    notice().save(tmp_path / "a.docx")
    docx(tmp_path / "b.doc", p("文字"))
    (tmp_path / "c.doc").write_text("<html><body><p>网页另存的文档。</p></body></html>", "utf-8")
    ofd(tmp_path / "d.pdf", text_object("正文。", 28, 100))
    for name, kind in (("a.docx", "pdf"), ("b.doc", "docx"), ("c.doc", "html"), ("d.pdf", "ofd")):
        raw = read(tmp_path / name)
        assert raw.format == kind
        assert any(f"is .{kind}" in warning for warning in raw.warnings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdf", "只是文字。".encode()),
        ("a.pdf", b"\x89PNG\r\n\x1a\n" + bytes(50)),
        ("a.docx", b"Rar!\x1a\x07" + bytes(50)),
        ("a.doc", b"MZ" + bytes(100)),
        ("a.exe", b"MZ" + bytes(100)),
        ("a.ofd", "随便".encode()),
    ],
)
def test_content_that_no_reader_knows_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnknownFormat):
        read(tmp_path / name)


def test_presentations_and_opendocument_are_named(tmp_path: Path) -> None:
    types = {"[Content_Types].xml": "<Types/>"}
    pack(tmp_path / "a.docx", {**types, "ppt/presentation.xml": "<p/>"})
    pack(tmp_path / "b.docx", {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<x/>"})
    ole(tmp_path / "c.doc", stream="Workbook")
    for name in ("a.docx", "b.docx", "c.doc"):
        with pytest.raises(UnknownFormat, match="save it as"):
            read(tmp_path / name)


# ---------------------------------------------------------------- numbering


def test_chinese_numerals() -> None:
    values = (1, 10, 11, 20, 21, 100, 101, 110, 115, 1001, 10_000)
    assert [chinese(n) for n in values] == (
        ["一", "十", "十一", "二十", "二十一", "一百", "一百零一", "一百一十", "一百一十五", "一千零一", "10000"]
    )
    assert [figure(n, "lowerRoman") for n in (4, 9, 40)] == ["iv", "ix", "xl"]
    assert figure(3, "bullet") == ""
    assert [figure(n, "decimalEnclosedCircleChinese") for n in (1, 21, 51)] == ["①", "㉑", "51"]


# ---------------------------------------------------------------- damaged bytes


@cache
def seeds() -> dict[str, bytes]:
    """One small sound file of each format."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {"numbering": numbering((("chineseCounting", "%1、"),)), "styles": f'<w:styles xmlns:w="{W}"/>'}
        book = openpyxl.Workbook()
        book.active.append(["事项", "单位"])
        book.active.append(["低保", "县民政局"])
        book.active.merge_cells("A1:A2")
        book.save(folder / "a.xlsx")
        docx(folder / "a.docx", p("关于测试的通知", number=(1, 0)), table(("甲", "乙")), parts=parts)
        ofd(folder / "a.ofd", text_object("关于测试的通知", 28, 50) + stroke(20, 50, 120, 50), attachment="a.jpg")
        notice().line(72, 300, 400, 300).save(folder / "a.pdf")
        ole(folder / "a.doc")
        pack(folder / "a.zip", {"a.txt": "文字", "b/c.txt": "文字"})
        (folder / "a.csv").write_text("甲,乙\n1,2\n", "utf-8")
        return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def inner_parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}


damage = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=0, max_size=6), st.integers(0, 6)), max_size=6)


def damaged(data: bytes, changes: list[tuple[float, bytes, int]], keep: float) -> bytes:
    for place, put, taken in changes:
        at = int(place * len(data))
        data = data[:at] + put + data[at + taken :]
    return data[: int(keep * len(data))]


def outcome(path: Path) -> None:
    """Read a damaged file: it may be read, or refused by name; anything else fails the test."""
    try:
        if path.suffix == ".zip":
            for member in archive.members(path, path.parent / "out"):
                assert member.path or member.error
        else:
            assert read(path).blocks
    except UnreadableDocument as error:
        assert str(error)


fuzzing = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".ofd", ".pdf", ".doc", ".zip", ".csv"])
@fuzzing
@given(changes=damage, keep=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_damaged_files_are_read_or_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, changes: list[tuple[float, bytes, int]], keep: float
) -> None:
    monkeypatch.setattr(office, "converter", lambda: "")
    monkeypatch.setattr(ocr, "available", lambda: False)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(damaged(seeds()[suffix], changes, keep))
    outcome(path)


place = st.one_of(st.floats(0, 900), st.floats(-1e30, 1e30), st.sampled_from([72.0, 88.0, 300.0]))


@fuzzing
@given(
    runs=st.lists(
        st.tuples(st.text("桥梁管护一、（）。12 ab", min_size=1, max_size=12), place, place, place), max_size=30
    ),
    strokes=st.lists(st.tuples(place, place, place, place), max_size=30),
)
def test_pages_of_any_geometry_are_set_or_refused_by_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    runs: list[tuple[str, float, float, float]],
    strokes: list[tuple[float, float, float, float]],
) -> None:
    monkeypatch.setattr(ocr, "available", lambda: False)
    file = Pdf().page()
    for text, x, y, size in runs:
        file.text(text, x, y, size)
    for x0, y0, x1, y1 in strokes:
        file.line(x0, y0, x1, y1)
    caplog.clear()
    outcome(file.save(tmp_path / "a.pdf"))
    assert not caplog.records, caplog.records[0].exc_info


@fuzzing
@given(
    places=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=80, unique=True),
    ruled=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(1, 30), st.booleans()), max_size=20),
)
def test_no_character_of_a_page_is_lost_or_doubled(
    places: list[tuple[int, int]], ruled: list[tuple[int, int, int, bool]]
) -> None:
    glyphs = [
        Glyph(chr(0x4E00 + n), 60 + 16.0 * x, 80 + 18.0 * y, 76 + 16.0 * x, 96 + 18.0 * y, 16.0)
        for n, (x, y) in enumerate(places)
    ]
    rules = [
        Rule(60 + 16.0 * x, 79 + 18.0 * y, 60 + 16.0 * (x + n * flat), 79 + 18.0 * (y + n * (not flat)))
        for x, y, n, flat in ruled
    ]
    setter = Setter()
    setter.add(Page(1, glyphs, rules))
    blocks = setter.blocks()
    told = "".join(block.text for block in blocks if not block.cells)
    in_rows = set("".join(block.text for block in blocks if block.cells))  # a cell merged downwards is told in each row
    assert sorted([*re.sub(r"[^\u4e00-\u9fff]", "", told), *(in_rows & {g.text for g in glyphs})]) == (
        sorted(g.text for g in glyphs)
    )


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".ofd"])
@fuzzing
@given(data=st.data())
def test_sound_containers_of_damaged_parts_are_read_or_refused_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, data: st.DataObject
) -> None:
    parts = inner_parts(seeds()[suffix])
    name = data.draw(st.sampled_from(sorted(parts)))
    if data.draw(st.booleans()):
        parts[name] = damaged(parts[name], data.draw(damage), 1.0)
    else:  # still sound XML, with other words in it
        words = data.draw(st.sampled_from([b'="1"', b'="0"', b'"1"', b"<w:", b"0", b"5.6"]))
        put = data.draw(st.sampled_from([b'="-1"', b'="1e999"', b'=""', b'"99999999999"', b"<x:", b"9" * 30, b" "]))
        parts[name] = parts[name].replace(words, put)
    path = tmp_path / f"a{suffix}"
    with caplog.at_level(logging.WARNING, "knowledge.readers.container"):
        caplog.clear()
        outcome(pack(path, dict(parts)))
    assert not caplog.records, caplog.records[0].exc_info  # these readers name every fault themselves
