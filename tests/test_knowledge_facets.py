"""按要素搜索: counts by organ, field, year, kind, validity and audience."""

from __future__ import annotations

import json
from datetime import date

import pytest

from bot.app import House
from bot.channels import pages
from bot.cli import main
from bot.config import Settings
from knowledge.facets import count, fits, issuers, values
from knowledge.model import DocumentKind, Facet, Filters, PolicyDocument, Question, Validity

POLICY = PolicyDocument(
    "a",
    DocumentKind.POLICY,
    "甲",
    number="青政办发〔2025〕1号",
    issuer="青禾县民政局 青禾县财政局",
    written_on=date(2025, 3, 1),
    topic="社会救助",
    audience="困难群众",
)
GUIDE = PolicyDocument("b", DocumentKind.SERVICE_GUIDE, "乙", issuer="青禾县民政局", written_on=date(2026, 1, 1))
LAPSED = PolicyDocument("c", DocumentKind.POLICY, "丙", issuer="青禾县财政局", validity=Validity.REPEALED)
ALL = (POLICY, GUIDE, LAPSED)


def counts(facets: tuple[Facet, ...], name: str) -> dict[str, int]:
    return {facet.value: facet.count for facet in facets if facet.name == name}


def test_each_of_several_issuers_is_counted() -> None:
    assert issuers(POLICY) == ("青禾县民政局", "青禾县财政局")
    assert counts(count(ALL), "organ") == {"青禾县民政局": 2, "青禾县财政局": 2}


def test_what_is_not_known_is_not_counted() -> None:
    found = count(ALL)
    assert counts(found, "year") == {"2026": 1, "2025": 1} and counts(found, "topic") == {"社会救助": 1}
    assert values(LAPSED, "year") == () and count(()) == ()


def test_an_element_is_counted_under_the_other_conditions() -> None:
    found = count(ALL, Filters(organ="青禾县民政局", kind=DocumentKind.POLICY))
    assert counts(found, "kind") == {"policy": 1, "service_guide": 1}
    assert counts(found, "organ") == {"青禾县民政局": 1, "青禾县财政局": 2}
    assert counts(found, "audience") == {"困难群众": 1}


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(), "abc"),
        (Filters(documents=("a", "c")), "ac"),
        (Filters(number="青政办发〔2025〕1号"), "a"),
        (Filters(validity=Validity.REPEALED), "c"),
        (Filters(audience="学生和家长"), ""),
    ],
)
def test_conditions_keep_what_meets_them(filters: Filters, kept: str) -> None:
    assert "".join(d.id for d in ALL if fits(d, filters)) == kept


def test_the_list_page_counts_as_the_library_does() -> None:
    shown = {
        group.field: {o.label: o.count for o in group.options} for group in pages.browse(ALL, Filters(), "", 1).groups
    }
    assert shown["organ"] == counts(count(ALL), "organ")


def test_search_counts_the_documents_it_found(demo_house: House) -> None:
    found = demo_house.library.ask(Question("高龄津贴"), facets=True).facets
    assert counts(found, "kind") and all(facet.count > 0 for facet in found)
    assert {facet.name for facet in found} >= {"organ", "topic", "year", "kind", "validity"}
    assert demo_house.library.ask(Question("高龄津贴")).facets == ()
    narrowed = demo_house.library.ask(
        Question("高龄津贴", Filters(kind=DocumentKind.SERVICE_GUIDE)), facets=True
    ).facets
    assert set(counts(narrowed, "kind")) == {"service_guide"}


def test_the_command_prints_the_counts(
    demo_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIANMIN_DATA__FOLDER", str(demo_settings.data.folder))
    assert main(["search", "高龄津贴", "--organ", "青禾县民政局", "--facets", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"organ", "kind"} <= {facet["name"] for facet in told["facets"]}
    assert told["record"]["filters"] == {"organ": "青禾县民政局"} and told["hits"]
    assert main(["search", "高龄津贴", "--json"]) == 0
    assert "facets" not in json.loads(capsys.readouterr().out)
