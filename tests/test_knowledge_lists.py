"""Lists that offices keep in tables: organs and 权责清单, the catalogue of public matters, the manifest of a folder."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook

from bot.app import House
from bot.cli import main
from bot.config import Settings
from bot.library_commands import LISTS, template_text
from knowledge import topics
from knowledge.catalogue import read_catalogues
from knowledge.errors import DocumentTooLarge, EmptyDocument, KnowledgeError, UnknownFormat, UnreadableDocument
from knowledge.grid import MAX_BYTES, read_sheets
from knowledge.lists import Stated, read_manifest, read_organs, with_stated
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Filters,
    IngestStatus,
    OrganRelation,
    PolicyDocument,
    Question,
    Stage,
    Validity,
)

Write = Callable[..., Path]
Merges = Sequence[str]


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Write a workbook: sheet name → rows, with merged ranges."""

    def write(sheets: dict[str, Sequence[Sequence[object]]], merged: dict[str, Merges] | None = None) -> Path:
        book = Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(list(row))
            for area in (merged or {}).get(name, ()):
                sheet.merge_cells(area)
        path = tmp_path / "list.xlsx"
        book.save(path)
        return path

    return write


def csv_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


# --- organs ----------------------------------------------------------------------------------------------------------

DUTIES = """权责清单（2026年版）,,,,
机构名称,职权名称,联系电话,办公地址,关系
青禾县民政局,最低生活保障审核确认,0999-5552104,青禾县禾丰路12号,部门
青禾县民政局,临时救助,,,
青禾县民政局,临时救助,,,
青禾县水务局,取水许可,0999-5552110,,部门
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_rows_of_one_organ_are_gathered_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    found = read_organs(csv_file(tmp_path, DUTIES, encoding))
    assert [(o.name, o.functions) for o in found.organs] == [
        ("青禾县民政局", ("最低生活保障审核确认", "临时救助")),
        ("青禾县水务局", ("取水许可",)),
    ]
    assert found.organs[0].phone == "0999-5552104" and found.organs[0].relation is OrganRelation.DEPARTMENT
    assert found.bad == ()


def test_a_directory_in_excel_is_read_with_merged_cells(workbook: Callable[..., Path]) -> None:
    rows = [
        ["青禾县部门权责清单", None, None],
        ["部 门*", "权力名称", "咨询电话（工作日）"],
        ["青禾县教育局", "教师资格认定", "0999-5552103"],
        [None, "民办学校审批", None],
        [None, "=1+1", None],
    ]
    found = read_organs(workbook({"清单": rows}, {"清单": ["A1:C1", "A3:A5", "C3:C5"]}))
    [organ] = found.organs
    assert organ.functions == ("教师资格认定", "民办学校审批"), "a formula that was never computed has no value"
    assert [(b.line, b.sheet) for b in found.bad] == [(5, "清单")]


def test_bad_rows_are_reported_with_their_line_and_the_rest_is_taken(tmp_path: Path) -> None:
    text = (
        "名称,关系,职能,电话\n"
        '青禾县民政局,部门,"低保；\n临时救助",1\n'
        ",部门,无名,2\n"
        "青禾县水务局,衙门,取水许可,3\n"
        "青禾县民政局,部门,,1\n"
        "青禾县民政局,部门,殡葬管理,9\n"
        "青禾县农业农村局,部门,农机补贴,4\n"
    )
    found = read_organs(csv_file(tmp_path, text))
    assert [o.name for o in found.organs] == ["青禾县民政局", "青禾县农业农村局"]
    assert [b.line for b in found.bad] == [4, 5, 6, 7], "a cell over two lines counts as the file does"
    assert "empty" in found.bad[0].reason and "关系" in found.bad[1].reason
    assert "twice" in found.bad[2].reason and "earlier row says" in found.bad[3].reason


def test_what_is_no_such_table_is_an_error_that_names_the_template(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "日期,金额\n2026-01-01,3\n")
    with pytest.raises(UnreadableDocument, match="lists template organs"):
        read_organs(path)
    with pytest.raises(UnreadableDocument, match="lists template manifest"):
        read_manifest(path)
    with pytest.raises(UnreadableDocument, match="lists template catalogue"):
        read_catalogues(path)


def test_a_list_is_capped_and_never_trusted(tmp_path: Path, workbook: Callable[..., Path]) -> None:
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(DocumentTooLarge):
        read_sheets(huge)
    with pytest.raises(UnknownFormat):
        read_sheets(csv_file(tmp_path, "a,b").rename(tmp_path / "a.xls"))
    (tmp_path / "none.csv").write_text(",,\n,,\n", "utf-8")
    with pytest.raises(EmptyDocument):
        read_sheets(tmp_path / "none.csv")
    good = workbook({"a": [["名称", "职能"], ["青禾县民政局", "低保"]]})
    entity = tmp_path / "entity.xlsx"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(entity, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.startswith("xl/worksheets/sheet"):
                data = (
                    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
                    + data.split(b"?>")[-1]
                )
            target.writestr(name, data)
    with pytest.raises(UnreadableDocument, match="document type"):
        read_sheets(entity)
    cut = tmp_path / "cut.xlsx"
    cut.write_bytes(good.read_bytes()[:900])
    with pytest.raises(KnowledgeError):
        read_sheets(cut)


# --- the catalogue ---------------------------------------------------------------------------------------------------

REAL_HEAD = [
    ["青禾县社会救助领域基层政务公开标准目录", *[None] * 12],
    [
        "序号",
        "公开事项",
        None,
        "公开内容（要素）",
        "公开依据",
        "公开时限",
        "公开主体",
        "公开渠道和载体",
        "公开对象",
        None,
        "公开方式",
        None,
        "公开层级",
    ],
    [None, "一级事项", "二级事项", *[None] * 5, "全社会", "特定群体", "主动", "依申请公开", None],
]
REAL_MERGES = ["A1:M1", "A2:A3", "B2:C2", "D2:D3", "E2:E3", "F2:F3", "G2:G3", "H2:H3", "I2:J2", "K2:L2", "M2:M3"]


def real_rows() -> list[list[object]]:
    channel = "■政府网站  □政府公报\n■政务服务中心 □便民服务站"
    return [
        *([*row] for row in REAL_HEAD),
        [
            1,
            "最低生活保障",
            "政策法规",
            "低保政策文件、救助标准",
            "条例",
            "20个工作日内",
            "县民政局",
            channel,
            "√",
            None,
            "√",
            None,
            "县级",
        ],
        [
            2,
            None,
            "审核确认",
            "低保对象名单",
            "条例",
            "每季度",
            "县民政局",
            channel,
            None,
            "本村群众",
            "√",
            "√",
            "乡级",
        ],
        [3, "临时救助", "办事指南", None, "条例", "长期", "县民政局", channel, "√", None, "√", None, "县级"],
        ["注：公开渠道可多选", *[None] * 12],
    ]


def test_the_real_layout_with_merged_heads_becomes_items_of_eight_elements(workbook: Callable[..., Path]) -> None:
    found = read_catalogues(workbook({"1.社会救助": real_rows()}, {"1.社会救助": [*REAL_MERGES, "B4:B5"]}))
    [catalogue] = found.catalogues
    assert (catalogue.field, catalogue.title) == ("社会救助", "青禾县社会救助领域基层政务公开标准目录")
    first, second = catalogue.items
    assert (first.matter, first.groups) == ("政策法规", ("最低生活保障",))
    assert (first.channel, first.audience, first.manner) == ("政府网站、政务服务中心", "全社会", "主动")
    assert (second.groups, second.audience) == (("最低生活保障",), "特定群体：本村群众")
    assert second.manner == "主动、依申请公开" and second.level == "乡级"
    assert [name for name, _ in first.elements()][:3] == ["公开事项名称", "公开内容", "公开依据"]
    assert [(b.line, b.reason) for b in found.bad] == [(6, "公开内容 is empty")]


def test_a_catalogue_is_searched_like_any_published_text(house: House, workbook: Callable[..., Path]) -> None:
    other = [[*row] for row in real_rows()]
    other[0][0] = "青禾县养老服务领域基层政务公开标准目录"
    other[3][1:4] = ["高龄津贴", "发放名单", "八十周岁以上老人高龄津贴发放情况"]
    path = workbook(
        {"社会救助": real_rows(), "养老服务": other}, {n: [*REAL_MERGES, "B4:B5"] for n in ("社会救助", "养老服务")}
    )
    outcomes, bad = house.library.take_catalogues(path)
    assert all(o.document and o.document.stage is Stage.DRAFT for o in outcomes), "unknown attribute: staff only"
    outcomes, bad = house.library.take_catalogues(path, attribute=DisclosureAttribute.PUBLIC)
    assert len(outcomes) == 2 and len(bad) == 2
    documents = house.library.documents()
    assert {(d.kind, d.topic, d.passages) for d in documents} == {
        (DocumentKind.CATALOGUE, "社会救助", 2),
        (DocumentKind.CATALOGUE, "养老服务", 2),
    }
    hit = house.library.ask(Question("高龄津贴发放情况在哪里公开")).hits[0]
    assert hit.document.topic == "养老服务" and "公开渠道和载体：政府网站、政务服务中心" in hit.passage.text
    again, _ = house.library.take_catalogues(path, attribute=DisclosureAttribute.PUBLIC)
    assert {o.status for o in again} == {IngestStatus.UNCHANGED}


# --- the manifest ----------------------------------------------------------------------------------------------------


def test_what_a_manifest_says_wins_except_over_a_stricter_attribute() -> None:
    document = PolicyDocument("d", DocumentKind.POLICY, "旧题", attribute=DisclosureAttribute.ON_REQUEST, topic="救灾")
    said = Stated(title="新题", written_on=date(2026, 3, 2), attribute=DisclosureAttribute.PUBLIC)
    new = with_stated(document, said)
    assert (new.title, new.written_on, new.topic) == ("新题", date(2026, 3, 2), "救灾")
    assert new.attribute is DisclosureAttribute.ON_REQUEST
    closed = with_stated(new, Stated(attribute=DisclosureAttribute.SECRET))
    assert closed.attribute is DisclosureAttribute.SECRET


def manifest(tmp_path: Path, *rows: str) -> Path:
    head = "文件名,标题,文号,成文日期,公开属性,种类,公开领域,面向对象,效力,网址,索引号"
    return csv_file(tmp_path, "\n".join([head, *rows]) + "\n")


def test_a_folder_is_taken_in_with_its_manifest(house: House, document: Write, tmp_path: Path) -> None:
    silent = document("a.txt", attribute="")
    closed = document("b.txt", number="青政办发〔2026〕91号", title="关于乙事的通知", attribute="（此件不公开）")
    listed = read_manifest(
        manifest(
            tmp_path,
            "in/a.txt,桥梁管护工作通知,青政办发[2026]190号,2026年3月9日,主动公开,政策文件,交通运输,农民,已废止,https://www.qinghe.example/1.html,QH/2026-00001",
            "b.txt,,,,主动公开,,,,,,",
        )
    )
    assert listed.bad == ()
    one, two = house.library.ingest([silent, closed], stated=listed.of)
    d = one.document
    assert d is not None and d.stage is Stage.PUBLISHED
    assert (d.title, d.number, d.written_on) == ("桥梁管护工作通知", "青政办发〔2026〕190号", date(2026, 3, 9))
    shown = house.library.documents()[0]
    assert (shown.topic, shown.audience, shown.index_number) == ("交通运输", "农民", "QH/2026-00001")
    assert shown.validity is Validity.REPEALED and shown.source_url == "https://www.qinghe.example/1.html"
    assert two.document is not None and two.document.attribute is DisclosureAttribute.SECRET
    assert two.document.stage is Stage.DRAFT


def test_a_corrected_manifest_describes_known_files_anew(house: House, document: Write, tmp_path: Path) -> None:
    path = document("a.txt")
    [first] = house.library.ingest([path])
    assert first.document is not None
    listed = read_manifest(manifest(tmp_path, "a.txt,,,,,,城市综合执法,,,,"))
    [second] = house.library.ingest([path], stated=listed.of)
    assert second.status is IngestStatus.UPDATED
    assert house.library.documents()[0].topic == "城市综合执法"
    assert [v for v, _, _ in house.library.former_versions(first.document.id)] == [1]
    [third] = house.library.ingest([path], stated=listed.of)
    assert third.status is IngestStatus.UNCHANGED
    filtered = house.library.ask(Question("桥梁管护经费", Filters(topic="城市综合执法"))).hits
    assert filtered, "the index has followed"
    closed = read_manifest(manifest(tmp_path, "a.txt,,,,依申请公开,,,,,,"))
    list(house.library.ingest([path], stated=closed.of))
    assert house.library.documents() == []
    assert not house.library.ask(Question("桥梁管护经费")).hits


def test_bad_rows_of_a_manifest_name_what_is_wrong(tmp_path: Path) -> None:
    listed = read_manifest(
        manifest(
            tmp_path,
            "a.txt,甲,,昨天,,,,,,,",
            "b.txt,乙,,,半公开,,,,,,",
            "c.txt,丙,,,,小说,,,,,",
            "d.txt,丁,,,,,,,大概有效,,",
            "e.txt,戊,,,,,,,,javascript:1,",
            ",己,,,,,,,,,",
            "f.txt,庚,,,,,,,,,",
            "f.txt,辛,,,,,,,,,",
        )
    )
    assert [b.line for b in listed.bad] == [2, 3, 4, 5, 6, 7, 9]
    assert list(listed.entries) == ["f.txt"]
    for bad, word in zip(listed.bad, ("成文日期", "公开属性", "种类", "效力", "网址", "empty", "twice"), strict=True):
        assert word in bad.reason


# --- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "text", "field", "audience"),
    [
        ("青禾县高龄津贴发放管理办法", "80周岁以上老年人每月发放高龄津贴。", "养老服务", "老年人"),
        (
            "关于2026年秋季义务教育招生工作的通知",
            "小学入学年满六周岁的学生由家长报名。学区以公告为准。",
            "义务教育",
            "学生和家长",
        ),
        ("关于农机购置补贴的通知", "农民和农户购置农机，补贴按机具种类发放给农户。", "涉农补贴", "农民"),
        ("关于召开会议的通知", "请各单位准时参加。", "", ""),
    ],
)
def test_field_and_audience_are_said_only_where_words_are_clear(
    title: str, text: str, field: str, audience: str
) -> None:
    guess = topics.field_of_work(title, text)
    assert (guess.value, topics.audience(title, text).value) == (field, audience)
    assert bool(guess.because) == bool(field), "a value names the words that speak for it"


def test_there_are_the_26_fields_and_three_more() -> None:
    assert len(topics.known_fields()) == 29


def test_a_stated_field_is_never_overwritten(house: House, document: Write, tmp_path: Path) -> None:
    stated = PolicyDocument("d", DocumentKind.POLICY, "高龄津贴办法", topic="民政", audience="全县居民")
    assert topics.filled(stated, ["老年人高龄津贴养老服务"]) == ("民政", "全县居民")
    list(house.library.ingest([document()]))
    assert house.library.documents()[0].topic == "交通运输"


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Callable[..., int]:
    config = tmp_path / "config.toml"
    config.write_text(f'[data]\nfolder = "{settings.data.folder}"\n', "utf-8")
    return lambda *words: main(["--config", str(config), *map(str, words)])


@pytest.mark.parametrize("which", LISTS)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_template_is_read_back_without_a_bad_row(
    run: Callable[..., int], tmp_path: Path, which: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{which}.{form}"
    words = ["--xlsx", path] if form == "xlsx" else [path]
    assert run("lists", "template", which, *words) == 0
    reader = {"organs": read_organs, "catalogue": read_catalogues, "manifest": read_manifest}[which]
    assert reader(path).bad == ()
    if form == "xlsx":
        heads = [cell.value for cell in load_workbook(path).active[1]]
        assert ",".join(heads) == template_text(which).splitlines()[0]


def test_an_import_with_bad_rows_takes_the_rest_and_exits_1(
    run: Callable[..., int], tmp_path: Path, document: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv_file(tmp_path, "名称,职能\n青禾县民政局,低保\n,无名\n")
    assert run("lists", "import", "organs", path, "--json") == 1
    told = capsys.readouterr()
    assert json.loads(told.out) == {"organs": 1, "bad": [{"line": 3, "reason": "名称 is empty", "sheet": ""}]}
    assert "line 3" in told.err.replace("\n", " ")
    listed = manifest(tmp_path, "a.txt,,,,,,交通运输,,,,", ",,,,,,,,,,x")
    assert run("ingest", document("a.txt"), "--manifest", listed, "--json") == 1
    capsys.readouterr()
    assert run("documents", "--json") == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert shown["topic"] == "交通运输" and "audience" in shown
    assert run("lists", "import", "manifest", listed) == 2
    assert run("lists", "import", "organs") == 2
