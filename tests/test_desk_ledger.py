"""The publication ledger: attributes by year, the 20 working days, policies without an interpretation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from openpyxl import load_workbook

from bot.app import House, build
from bot.cli import main
from bot.config import Settings
from desk.ledger import (
    Timeliness,
    as_json,
    count_years,
    ledger,
    publication,
    share_by_issuer,
    write_xlsx,
)
from knowledge.lists import Stated
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    LinkKind,
    PolicyDocument,
    Stage,
    Validity,
)
from register.calendar import WorkCalendar

Write = Callable[..., Path]
CALENDAR = WorkCalendar.load()
TODAY = date(2026, 11, 21)


def policy(name: str = "d1", **changes: object) -> PolicyDocument:
    usual: dict[str, object] = {
        "attribute": DisclosureAttribute.PUBLIC,
        "stage": Stage.PUBLISHED,
        "issuer": "青禾县民政局",
        "written_on": date(2026, 3, 2),
        "published_on": date(2026, 3, 9),
    }
    return PolicyDocument(name, DocumentKind.POLICY, f"文件{name}", **{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "published", "due", "taken", "state"),
    [
        # The day of formation is not counted; 2026-01-30 + 20 crosses the spring festival (worked weekends 2-14, 2-28).
        (date(2026, 1, 30), date(2026, 3, 5), date(2026, 3, 5), 20, Timeliness.IN_TIME),
        (date(2026, 1, 30), date(2026, 3, 6), date(2026, 3, 5), 21, Timeliness.LATE),
        (date(2025, 9, 26), date(2025, 10, 30), date(2025, 10, 30), 20, Timeliness.IN_TIME),
        (date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 30), 0, Timeliness.IN_TIME),
        (date(2026, 3, 2), date(2026, 3, 1), date(2026, 3, 30), None, Timeliness.UNKNOWN),
        (None, date(2026, 3, 1), None, None, Timeliness.UNKNOWN),
    ],
)
def test_the_20_working_days_are_counted_by_the_calendar(
    written: date | None, published: date, due: date | None, taken: int | None, state: Timeliness
) -> None:
    found = publication(policy(written_on=written, published_on=published), None, CALENDAR, TODAY)
    assert (found.due, found.working_days, found.timeliness) == (due, taken, state)
    assert bool(found.reason) == (state is Timeliness.UNKNOWN)


def test_beyond_the_calendars_data_nothing_is_asserted() -> None:
    found = publication(
        policy(written_on=date(2026, 12, 10), stage=Stage.DRAFT, published_on=None), None, CALENDAR, date(2027, 3, 1)
    )
    assert found.provisional and found.due is None and found.timeliness is Timeliness.UNKNOWN and found.reason
    old = publication(policy(written_on=date(1999, 1, 4), published_on=date(1999, 2, 1)), None, CALENDAR, TODAY)
    assert old.timeliness is Timeliness.UNKNOWN and old.provisional and old.reason


def test_what_waits_is_pending_and_then_overdue() -> None:
    waiting = policy(stage=Stage.DRAFT, published_on=None, held="疑似个人信息")
    assert publication(waiting, None, CALENDAR, date(2026, 3, 30)).timeliness is Timeliness.PENDING
    assert publication(waiting, None, CALENDAR, date(2026, 3, 31)).timeliness is Timeliness.OVERDUE


def test_the_day_of_entry_proves_no_delay() -> None:
    document = policy(written_on=date(2019, 3, 4), published_on=date(2026, 11, 20))
    assert publication(document, date(2026, 11, 20), CALENDAR, TODAY).timeliness is Timeliness.UNKNOWN
    assert publication(document, date(2026, 11, 1), CALENDAR, TODAY).timeliness is Timeliness.LATE
    prompt = policy(written_on=date(2026, 11, 10), published_on=date(2026, 11, 20))
    assert publication(prompt, date(2026, 11, 20), CALENDAR, TODAY).timeliness is Timeliness.IN_TIME


def test_attributes_are_counted_by_year_and_the_closed_share_is_compared() -> None:
    def some(year: int, attribute: DisclosureAttribute, count: int) -> list[PolicyDocument]:
        day = date(year, 5, 6)
        return [policy(f"{year}{attribute}{n}", written_on=day, attribute=attribute) for n in range(count)]

    years = count_years(
        [
            *some(2024, DisclosureAttribute.PUBLIC, 6),
            *some(2024, DisclosureAttribute.SECRET, 2),
            *some(2025, DisclosureAttribute.PUBLIC, 9),
            *some(2025, DisclosureAttribute.ON_REQUEST, 1),
            *some(2025, DisclosureAttribute.UNKNOWN, 5),
            *some(2026, DisclosureAttribute.PUBLIC, 1),
            *some(2026, DisclosureAttribute.ON_REQUEST, 1),
            policy("undated", written_on=None),
        ]
    )
    assert [(y.year, y.total, y.closed_share, y.falling) for y in years] == [
        (2026, 2, 0.5, False),
        (2025, 15, 0.1, True),
        (2024, 8, 0.25, None),
        (0, 1, 0.0, None),
    ]
    assert count_years([]) == ()


def test_policies_without_an_interpretation_are_named_by_issuer() -> None:
    shares = share_by_issuer(
        [
            policy("a"),
            policy("b", written_on=date(2026, 5, 1)),
            policy("c", issuer="青禾县教育局"),
            policy("lapsed", validity=Validity.REPEALED),
            policy("closed", attribute=DisclosureAttribute.SECRET),
            policy("waiting", stage=Stage.DRAFT),
            policy("nobody", issuer=""),
        ],
        {"a"},
    )
    assert [(s.issuer, s.policies, s.interpreted, [d.document for d in s.lacking]) for s in shares] == [
        ("青禾县教育局", 1, 0, ["c"]),
        ("青禾县民政局", 2, 1, ["b"]),
        ("（未标明）", 1, 0, ["nobody"]),
    ]
    assert shares[1].share == 0.5


def test_the_ledger_of_a_real_library(settings: Settings, document: Write, tmp_path: Path) -> None:
    house = build(settings, today=lambda: TODAY)
    explained = document("a.txt")
    lonely = document("b.txt", number="青政办发〔2026〕91号", title="青禾县人民政府办公室关于渡口管护工作的通知")
    closed = document("c.txt", number="青政办发〔2026〕92号", title="关于丙事的通知", attribute="（此件不公开）")
    reading = tmp_path / "in" / "jiedu.txt"
    reading.write_text(
        "《青禾县人民政府办公室关于做好桥梁管护工作的通知》解读\n\n一、背景\n为做好《青禾县人民政府办公室关于做好桥梁管护工作的通知》"
        "（青政办发〔2026〕90号）的落实，现解读如下。\n（此件公开发布）\n",
        "utf-8",
    )
    try:
        stated = Stated(published_on=date(2026, 3, 20))
        list(house.library.ingest([explained, lonely, closed, reading], stated=lambda path: stated))
        house.library.withdraw(
            next(d.id for d in house.library.documents(staff=True) if d.number.endswith("92号")), "误收"
        )
        found = ledger(house.library, CALENDAR, TODAY)
    finally:
        house.close()
    assert found.documents == 3, "what was withdrawn is not counted"
    assert (found.policies, found.interpreted) == (2, 1)
    assert [d.title for s in found.issuers for d in s.lacking] == ["青禾县人民政府办公室关于渡口管护工作的通知"]
    assert found.timeliness[Timeliness.IN_TIME] == 2 and len(found.publications) == 2
    value = as_json(found)
    assert json.loads(json.dumps(value)) == value and value["as_of"] == "2026-11-21"


def test_an_unconfirmed_link_is_no_interpretation(house: House, document: Write) -> None:
    [one, two] = house.library.ingest(
        [document("a.txt"), document("b.txt", number="青政办发〔2026〕91号", title="关于渡口的解读")]
    )
    assert one.document and two.document
    assert ledger(house.library, CALENDAR, TODAY).interpreted == 0
    house.library.link(two.document.id, one.document.id, LinkKind.INTERPRETS, "核对属实")
    assert ledger(house.library, CALENDAR, TODAY).interpreted == 1


def test_no_title_becomes_a_formula_in_the_workbook(house: House, document: Write, tmp_path: Path) -> None:
    list(house.library.ingest([document("a.txt", attribute="（此件公开发布）")]))
    [shown] = house.library.documents()
    house.library.describe(shown.id, Stated(title='=HYPERLINK("http://x.example","点我")\x01', issuer="@SUM(1)"))
    path = tmp_path / "ledger.xlsx"
    write_xlsx(ledger(house.library, CALENDAR, TODAY), path)
    book = load_workbook(path)
    assert book.sheetnames == ["按年度和公开属性", "公开时效", "解读率", "尚无解读"]
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [c for c in cells if c.data_type == "f"]
    risky = [c for c in cells if str(c.value).startswith(("=", "@"))]
    assert risky and all(c.quotePrefix for c in risky)


def test_the_command_prints_and_writes(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[data]\nfolder = "{settings.data.folder}"\n', "utf-8")
    assert main(["--config", str(config), "ledger", "--json", "--xlsx", str(tmp_path / "l.xlsx")]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 0
    assert (tmp_path / "l.xlsx").stat().st_size > 1000
    assert main(["--config", str(config), "ledger", "--calendar", str(tmp_path / "none.toml")]) == 1
