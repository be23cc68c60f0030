"""Readers give text or a named error, never something in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import DocumentTooLarge, EmptyDocument, UnknownFormat, UnreadableDocument
from knowledge.readers import read, supported_suffixes
from knowledge.readers.fields import field_of, labelled
from knowledge.readers.html import read_markup
from knowledge.readers.raw import BlockKind, RawDocument
from knowledge.readers.text import blocks_of, decode

NOTICE = "青禾县人民政府办公室关于做好冬季供暖工作的通知\n\n各乡镇人民政府：\n现将有关事项通知如下：\n一、供暖时间。11月1日起供暖。\n"


def texts(raw: RawDocument) -> list[str]:
    return [block.text for block in raw.blocks]


@pytest.mark.parametrize("suffix", [".txt", ".md", ".TXT"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "gb2312"]
)
def test_a_text_reads_the_same_in_every_encoding_in_use(tmp_path: Path, encoding: str, suffix: str) -> None:
    path = tmp_path / f"通知{suffix}"
    path.write_bytes(NOTICE.encode(encoding))
    assert texts(read(path)) == [line for line in NOTICE.split("\n") if line]


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16-le", "utf-16-be"])
def test_a_very_short_text_is_not_mistaken_for_another_encoding(encoding: str) -> None:
    assert decode("青禾县供暖通知：11月1日起供暖。".encode(encoding), "甲.txt")[0] == "青禾县供暖通知：11月1日起供暖。"


def test_a_file_cut_in_the_middle_of_a_character_is_mended_with_a_warning() -> None:
    text, warnings = decode((NOTICE * 20).encode()[:-2], "甲.txt")
    assert text.startswith("青禾县") and warnings


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyDocument),
        (b"  \n\t \r\n", EmptyDocument),
        ("\ufeff\u3000\n".encode(), EmptyDocument),
        (bytes(range(256)) * 20, UnknownFormat),
        (b"%PDF-1.7 ...", UnreadableDocument),
        (b"PK\x03\x04" + b"\x00" * 50, UnreadableDocument),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, UnknownFormat),
        (b"\x00\x01\x02\x03" * 100, UnknownFormat),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, data: bytes, error: type[Exception]) -> None:
    path = tmp_path / "甲.txt"
    path.write_bytes(data)
    with pytest.raises(error, match=r"甲\.txt"):
        read(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "大.txt"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)

    def read_nothing(self: Path) -> bytes:
        raise AssertionError("the file was read")

    monkeypatch.setattr(Path, "read_bytes", read_nothing)
    with pytest.raises(DocumentTooLarge):
        read(path)
    path.write_text("青禾", "utf-8")
    with pytest.raises(DocumentTooLarge):
        read(path, max_bytes=5)


@pytest.mark.parametrize("name", ["甲.exe", "甲", "甲.txt.bak"])
def test_a_suffix_without_a_reader_is_refused_and_the_known_ones_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(NOTICE, "utf-8")
    with pytest.raises(UnknownFormat, match=r"\.txt"):
        read(path)


def test_a_missing_file_and_a_folder_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "夹.txt").mkdir()
    for path in (tmp_path / "无.txt", tmp_path / "夹.txt"):
        with pytest.raises(UnreadableDocument):
            read(path)


def test_the_table_of_readers_holds_the_plain_formats() -> None:
    assert {".txt", ".md", ".html", ".htm"} <= set(supported_suffixes())


def test_markdown_marks_become_kinds_of_blocks() -> None:
    blocks = blocks_of("# 标题\n<!-- 注释\n两行 -->\n正文\n---\n| 事项 | 时限 |\n|---|:--:|\n| 低保 | 30日 |\n")
    assert [(b.kind, b.text) for b in blocks] == [
        (BlockKind.HEADING, "标题"),
        (BlockKind.PARAGRAPH, "正文"),
        (BlockKind.RULE, "---"),
        (BlockKind.ROW, "事项 时限"),
        (BlockKind.ROW, "低保 30日"),
    ]
    assert blocks[3].header and not blocks[4].header and blocks[4].cells == ("低保", "30日")


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_a_named_error(data: bytes) -> None:
    try:
        text, _ = decode(data, "甲.txt")
    except UnreadableDocument:
        return
    assert isinstance(text, str) and text


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Z")), min_size=4, max_size=300))
def test_any_text_keeps_its_visible_characters(text: str) -> None:
    try:
        decoded, _ = decode(f"青禾县{text}".encode(), "甲.txt")
    except UnreadableDocument:
        return
    assert decoded == f"青禾县{text}"


@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: f"<p>{text}".encode("utf-8", "replace")))
)
def test_any_page_is_read_or_refused_by_name(data: bytes) -> None:
    try:
        raw = read_markup(data, "甲.html")
    except UnreadableDocument:
        return
    assert any(block.text.strip() for block in raw.blocks)


PAGE = """<!DOCTYPE html><html><head><meta charset="{charset}">
<meta name="SiteName" content="青禾县人民政府"><meta name="ArticleTitle" content="关于冬季供暖的通知">
<meta name="PubDate" content="2026-05-06\u00a016:41:53"><meta name="ContentSource" content="县政府  办公室">
<meta name="ColumnName" content="通知公告"><meta name="Url" content="https://www.qinghe.example/a.html">
<meta name="Keywords" content="青禾县,政务公开"><title>关于冬季供暖的通知-青禾县人民政府</title>
<script>var a = "不要读我";</script><style>p {{}}</style></head><body>
<div class="nav"><a href="/">首页</a><a href="/b">政务公开</a>欢迎访问青禾县人民政府网站，今天是个好日子</div>
<div class="search"><span class="title">文件状态</span><i>不限</i><i>现行有效</i></div>
<table><tr><td><b>索 引 号：</b></td><td>QH01/2026-0001</td><td>主题分类：</td><td>城乡建设\\供热</td></tr>
<tr><td>发文机关：</td><td>青禾县人民政府</td><td>成文日期：</td><td>2026年5月1日</td></tr>
<tr><td>标　　题：</td><td colspan="3">关于冬季供暖的通知</td></tr>
<tr><td>文　　号：</td><td></td><td>有效性：</td><td>有效</td></tr></table>
<ul><li><span>实施日期：</span> 2026年05月10日</li><li><span>失效日期：</span>2031年05月09日</li></ul>
<div class="article-content"><p style="text-align:center">关于冬季供暖的</p><p align="center">通&nbsp;知</p>
<p>各乡镇人民政府：</p><p>一、供暖时间。<br/>11月1日起供暖。</p>
<div style="display:none">隐藏的副本</div>
<table><tr><th>小区</th><th>电话</th></tr><tr><td rowspan="2">禾苑</td><td>0999-5550001</td></tr>
<tr><td>0999-5550002</td></tr></table><p><a href="/f.docx">附件：供暖名单.docx</a></p></div>
<div class="share">分享到微信</div><div class="footer">主办：青禾县人民政府 网站标识码 粤ICP备</div></body></html>"""


@pytest.mark.parametrize("charset", ["utf-8", "gb2312", "gbk"])
def test_a_saved_page_gives_its_fields_and_its_article_alone(charset: str) -> None:
    raw = read_markup(
        PAGE.replace("{charset}", charset).replace("{{}}", "{}").encode("gb18030" if charset != "utf-8" else "utf-8"),
        "甲.html",
    )
    assert raw.metadata == {
        "标题": "关于冬季供暖的通知",
        "发布日期": "2026-05-06 16:41:53",
        "来源": "县政府 办公室",
        "栏目": "通知公告",
        "网址": "https://www.qinghe.example/a.html",
        "索引号": "QH01/2026-0001",
        "主题分类": "城乡建设\\供热",
        "发文机关": "青禾县人民政府",
        "成文日期": "2026年5月1日",
        "有效性": "有效",
        "实施日期": "2026年05月10日",
        "失效日期": "2031年05月09日",
    }
    words = texts(raw)
    assert words == [
        "关于冬季供暖的",
        "通 知",
        "各乡镇人民政府：",
        "一、供暖时间。",
        "11月1日起供暖。",
        "小区 电话",
        "禾苑 0999-5550001",
        "禾苑 0999-5550002",
        "附件：供暖名单.docx",
    ]
    assert [block.centred for block in raw.blocks[:3]] == [True, True, False]
    assert raw.blocks[5].header and raw.blocks[7].cells == ("禾苑", "0999-5550002")
    assert raw.attachments == ("附件：供暖名单.docx",)


def test_a_page_that_states_the_wrong_charset_is_still_read() -> None:
    page = PAGE.replace("{charset}", "utf-8").encode("gb18030")
    assert "一、供暖时间。" in texts(read_markup(page, "甲.html"))


def test_an_article_without_a_known_container_is_found_by_its_text() -> None:
    page = (
        "<body><div id='a'><a href='/'>首页</a> 导航栏目一二三四</div><div id='b'><div>"
        + "".join(f"<p>第{n}段：青禾县人民政府办公室关于冬季供暖工作的若干具体要求。</p>" for n in range(5))
        + "</div></div><div class='footer'>版权所有：青禾县人民政府 网站标识码0000000000</div></body>"
    )
    assert [text[:3] for text in texts(read_markup(page.encode(), "甲.html"))] == [f"第{n}段" for n in range(5)]


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (b"", EmptyDocument),
        (b"<html><body><script>x</script></body></html>", EmptyDocument),
        (b"<html></html>", EmptyDocument),
        ("青禾县没有标签".encode(), UnknownFormat),
        (b"%PDF-1.4", UnknownFormat),
    ],
)
def test_a_page_without_text_is_refused_by_name(page: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_markup(page, "甲.html")


def test_deeply_nested_and_broken_markup_is_read() -> None:
    page = "<div>" * 800 + "青禾县供暖通知" + "</p></span>" * 10
    assert any("青禾县供暖通知" in text for text in texts(read_markup(page.encode(), "甲.html")))


def test_a_page_that_the_parser_would_cut_short_is_refused() -> None:
    with pytest.raises(UnreadableDocument, match="nested"):
        read_markup(("<div>" * 3000 + "青禾县供暖通知").encode(), "甲.html")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("索 引 号：", "索引号"),
        ("发文字号", "文号"),
        ("\n 标　　题：", "标题"),
        ("【文号】", "文号"),
        ("导航", ""),
        ("", ""),
    ],
)
def test_printed_labels_have_standard_names(label: str, name: str) -> None:
    assert field_of(label) == name


def test_a_labelled_line_is_told_from_a_sentence() -> None:
    assert labelled("发布日期：2026-05-06 16:41") == ("发布日期", "2026-05-06 16:41")
    assert labelled("现将有关事项通知如下：一、供暖") == ("", "")


# ---------------------------------------------------------------- real pages

FIELDS = {
    "html_01": {
        "标题": "广州市卫生健康委等4部门关于印发推进广州市家庭医生签约服务高质量发展实施方案的通知",
        "文号": "穗卫函〔2023〕1930号",
        "索引号": "11440100MB2C90856P/2023-00331",
        "发布机构": "广州市卫生健康委员会",
        "成文日期": "2023-10-19",
    },
    "html_02": {"索引号": "11440106007508528C/2024-00031", "成文日期": "2024-03-14", "发布日期": "2024-10-15 10:44"},
    "html_03": {
        "文号": "穗府办规〔2021〕7号",
        "统一编号": "GZ0220210007",
        "实施日期": "2021年04月16日",
        "失效日期": "2023年06月01日",
        "发布日期": "2021-04-19 23:04",
    },
    "html_04": {"发布日期": "2022-07-14 20:24:47", "来源": "市人社局 人力资源流动管理处"},
    "html_05": {"标题": "【人社】广州市劳动人事争议仲裁网上申请流程", "发布日期": "2022-05-06 16:41:53"},
    "html_06": {
        "文号": "国发〔2018〕43号",
        "索引号": "000014349/2018-00222",
        "成文日期": "2018年12月21日",
        "发布日期": "2018年12月29日",
        "发文机关": "国务院",
        "主题分类": "卫生、体育\\医药管理",
    },
}


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_real_pages_give_the_fields_that_they_print(shared: Path, name: str) -> None:
    (path,) = (shared / "samples").glob(f"{name}*.html")
    raw = read(path)
    assert FIELDS[name].items() <= raw.metadata.items()
    assert not any("首页" in text or "分享" in text or "网站标识码" in text for text in texts(raw))


def test_an_empty_cell_gives_no_field(shared: Path) -> None:
    (path,) = (shared / "samples").glob("html_02*.html")
    assert "文号" not in read(path).metadata


def test_the_hidden_copy_of_an_article_is_not_read(shared: Path) -> None:
    (path,) = (shared / "samples").glob("html_03*.html")
    assert sum(text.count("本通知自印发之日起施行") for text in texts(read(path))) == 1
