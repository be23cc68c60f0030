"""The library: what comes in, what may leave, what a killed process leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.app import House, build
from bot.config import Settings
from knowledge import tables
from knowledge.errors import UnknownDocument
from knowledge.library import title_likeness
from knowledge.model import DisclosureAttribute, IngestOutcome, IngestStatus, LinkKind, Question, Stage, Validity

Write = Callable[..., Path]


def take(house: House, *paths: Path, **options: object) -> list[IngestOutcome]:
    return list(house.library.ingest(paths, **options))  # type: ignore[arg-type]


def found(house: House, text: str) -> list[str]:
    return [hit.document.id for hit in house.library.ask(Question(text)).hits]


def test_a_document_that_states_its_attribute_is_published_and_found(house: House, document: Write) -> None:
    [outcome] = take(house, document())
    assert outcome.status is IngestStatus.ADDED
    assert outcome.document is not None and outcome.document.stage is Stage.PUBLISHED
    hits = house.library.ask(Question("桥梁管护经费补助多少钱")).hits
    assert hits and "800元" in hits[0].passage.text


def test_the_same_file_again_is_unchanged_and_a_changed_one_is_a_new_version(house: House, document: Write) -> None:
    take(house, document())
    [again] = take(house, document())
    assert again.status is IngestStatus.UNCHANGED
    [changed] = take(house, document(body="一、经费\n每座桥每年补助管护经费900元。\n"))
    assert changed.status is IngestStatus.UPDATED
    assert changed.document is not None and changed.document.version == 2
    texts = [h.passage.text for h in house.library.ask(Question("桥梁管护经费")).hits]
    assert any("900元" in t for t in texts) and not any("800元" in t for t in texts)
    former = house.library.former_version(changed.document.id, 1)
    assert former is not None and "800元" in str(former)


def test_the_same_text_under_two_names_is_kept_once(house: House, document: Write) -> None:
    [first] = take(house, document("a.txt"))
    [second] = take(house, document("b.txt"))
    assert second.status is IngestStatus.UNCHANGED and "same text as" in second.reason
    assert first.document and second.document and first.document.id == second.document.id


def test_two_texts_under_one_number_wait_for_a_person(house: House, document: Write) -> None:
    take(house, document("a.txt"))
    [second] = take(house, document("b.txt", title="青禾县人民政府办公室关于另一件事的通知", body="一、另一件事。\n"))
    assert second.document is not None and second.document.stage is Stage.DRAFT
    assert "文号" in second.document.held


@pytest.mark.parametrize(
    ("attribute", "kept"),
    [
        ("", DisclosureAttribute.UNKNOWN),
        ("（此件依申请公开）", DisclosureAttribute.ON_REQUEST),
        ("（此件不公开）", DisclosureAttribute.SECRET),
        ("（此件删减后公开）", DisclosureAttribute.REDACTED),
    ],
)
def test_what_is_not_open_never_reaches_a_citizen(
    house: House, document: Write, attribute: str, kept: DisclosureAttribute
) -> None:
    [outcome] = take(house, document(attribute=attribute))
    assert outcome.document is not None and outcome.document.attribute is kept
    assert outcome.document.stage is Stage.DRAFT and outcome.document.held
    assert found(house, "桥梁管护经费补助多少钱") == []
    assert house.library.documents() == []
    with pytest.raises(UnknownDocument):
        house.library.open_document(outcome.document.id)
    assert house.library.open_document(outcome.document.id, staff=True)[1]


def test_an_attribute_on_the_command_line_opens_only_texts_that_state_none(house: House, document: Write) -> None:
    silent = document("a.txt", attribute="")
    closed = document("b.txt", attribute="（此件依申请公开）", number="青政办发〔2026〕91号", title="关于乙事的通知")
    one, two = take(house, silent, closed, attribute=DisclosureAttribute.PUBLIC)
    assert one.document is not None and one.document.stage is Stage.PUBLISHED
    assert two.document is not None and two.document.stage is Stage.DRAFT


def test_staff_open_a_waiting_text_by_ingesting_it_again_with_an_attribute(house: House, document: Write) -> None:
    path = document(attribute="")
    take(house, path)
    [again] = take(house, path, attribute=DisclosureAttribute.PUBLIC)
    assert again.status is IngestStatus.UPDATED
    assert found(house, "桥梁管护经费补助多少钱")


def test_personal_data_hold_a_text_back_until_staff_have_dealt_with_it(house: House, document: Write) -> None:
    [outcome] = take(house, document(body="一、名单\n补助对象身份证号码11010519491231002X。\n"))
    assert outcome.document is not None and outcome.document.stage is Stage.DRAFT
    assert "个人信息" in outcome.document.held
    still = house.library.publish(outcome.document.id)
    assert still.stage is Stage.DRAFT
    opened = house.library.publish(outcome.document.id, force=True)
    assert opened.stage is Stage.PUBLISHED


def test_a_secrecy_mark_is_refused_by_name_and_the_run_goes_on(house: House, document: Write) -> None:
    secret = document("s.txt")
    secret.write_text("机密★5年\n" + secret.read_text("utf-8"), "utf-8")
    first, second = take(house, secret, document("b.txt"))
    assert first.status is IngestStatus.REJECTED and first.error == "ClassifiedDocument"
    assert second.status is IngestStatus.ADDED
    assert len(house.library.documents(staff=True)) == 1


def test_a_withdrawn_document_is_gone_at_once_in_every_process(
    house: House, settings: Settings, document: Write
) -> None:
    [outcome] = take(house, document())
    assert outcome.document is not None
    other = build(settings)
    try:
        assert found(other, "桥梁管护经费补助多少钱")
        house.library.withdraw(outcome.document.id, "数字有误")
        assert found(other, "桥梁管护经费补助多少钱") == []
        with pytest.raises(UnknownDocument):
            other.library.open_document(outcome.document.id)
    finally:
        other.close()
    [again] = take(house, document(body="一、经费\n改正后为700元。\n"))
    assert again.document is not None and again.document.stage is Stage.DRAFT, (
        "a withdrawn text does not come back alone"
    )


@pytest.mark.parametrize("order", ["old first", "new first"])
def test_a_repeal_by_exact_number_takes_effect_whichever_comes_first(house: House, document: Write, order: str) -> None:
    old = document(
        "old.txt", number="青政办发〔2020〕5号", title="青禾县人民政府办公室关于桥梁管护的通知", day="2020年1月5日"
    )
    new = document(
        "new.txt",
        number="青政办发〔2026〕6号",
        title="青禾县人民政府办公室关于加强桥梁管护的通知",
        body="一、经费\n每座桥每年补助900元。\n本通知自2026年4月1日起施行，《青禾县人民政府办公室关于桥梁管护的通知》（青政办发〔2020〕5号）同时废止。\n",
    )
    take(house, *([old, new] if order == "old first" else [new, old]))
    by_number = {d.number: d for d in house.library.documents()}
    assert by_number["青政办发〔2020〕5号"].validity is Validity.REPEALED
    kinds = [(k, d.number, incoming) for k, d, incoming in house.library.links_of(by_number["青政办发〔2020〕5号"].id)]
    assert (LinkKind.REPEALS, "青政办发〔2026〕6号", True) in kinds


def test_a_closed_text_repeals_nothing_in_the_citizens_eyes(house: House, document: Write) -> None:
    old = document("old.txt", number="青政办发〔2020〕5号", title="关于桥梁管护的通知", day="2020年1月5日")
    new = document(
        "new.txt",
        number="青政办发〔2026〕6号",
        title="关于加强桥梁管护的通知",
        body="一、《关于桥梁管护的通知》（青政办发〔2020〕5号）同时废止。\n",
        attribute="（此件依申请公开）",
    )
    take(house, old, new)
    [shown] = house.library.documents()
    assert shown.validity is Validity.IN_FORCE
    assert house.library.links_of(shown.id) == ()


def test_validity_follows_the_calendar(settings: Settings, document: Write) -> None:
    path = document(body="一、经费\n每座桥补助800元。\n本通知自2026年1月1日起施行，有效期至2026年12月31日。\n")
    before = build(settings, today=lambda: date(2026, 6, 1))
    [outcome] = take(before, path)
    before.close()
    assert outcome.document is not None and outcome.document.validity is Validity.IN_FORCE
    after = build(settings, today=lambda: date(2027, 1, 1))
    try:
        assert after.library.documents()[0].validity is Validity.EXPIRED
        assert after.library.refresh_validity() == 1
        after.library.sync()
        assert after.library.refresh_validity() == 0
    finally:
        after.close()


def test_links_found_by_title_are_proposed_and_a_refused_one_stays_refused(house: House, document: Write) -> None:
    old = document("old.txt", number="", title="青禾县桥梁管护办法", day="2020年1月5日")
    new = document(
        "new.txt",
        number="青政办发〔2026〕6号",
        title="青禾县桥梁管护条例",
        body="一、《青禾县桥梁管护办法》同时废止。\n",
    )
    take(house, old, new)
    by_title = {d.title: d for d in house.library.documents()}
    target = by_title["青禾县桥梁管护办法"]
    assert target.validity is Validity.IN_FORCE, "a title alone repeals nothing"
    proposed = [x for x in house.library.proposed_links() if x.kind is LinkKind.REPEALS]
    assert [(x.target, x.confirmed) for x in proposed] == [(target.id, False)]
    house.library.link(proposed[0].source, proposed[0].target, LinkKind.REPEALS, "核对属实")
    assert house.library.open_document(target.id)[0].validity is Validity.REPEALED
    house.library.unlink(proposed[0].source, proposed[0].target, LinkKind.REPEALS)
    assert house.library.open_document(target.id)[0].validity is Validity.IN_FORCE
    assert house.library.proposed_links() == []


@pytest.mark.parametrize(
    ("cited", "title", "at_least", "below"),
    [
        ("青禾县高龄津贴发放办法", "青禾县人民政府关于印发青禾县高龄津贴发放办法的通知", 100, 101),
        ("青禾县高龄津贴发放办法", "青禾县高龄津贴发放办法（试行）", 90, 100),
        ("青禾县高龄津贴发放办法", "青禾县公共交通管理办法", 0, 88),
        ("", "青禾县公共交通管理办法", 0, 1),
    ],
)
def test_likeness_of_titles(cited: str, title: str, at_least: float, below: float) -> None:
    assert at_least <= title_likeness(cited, title) < below


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "empty.txt", "EmptyDocument"),
        (bytes(range(256)) * 40, "garbage.txt", "UnknownFormat"),
        (b"anything", "x.xyz", "UnknownFormat"),
    ],
)
def test_bad_files_are_rejected_by_name_and_the_rest_is_taken(
    house: House, document: Write, tmp_path: Path, content: bytes, name: str, error: str
) -> None:
    bad = tmp_path / name
    bad.write_bytes(content)
    first, second = take(house, bad, document())
    assert (first.status, first.error) == (IngestStatus.REJECTED, error) and first.reason
    assert second.status is IngestStatus.ADDED


def test_a_file_beyond_the_cap_is_refused_without_being_read(house: House, tmp_path: Path) -> None:
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    [outcome] = take(house, huge)
    assert outcome.error == "DocumentTooLarge"


def test_the_index_is_rebuilt_when_its_folder_is_lost(settings: Settings, document: Write) -> None:
    import shutil

    first = build(settings)
    take(first, document())
    first.close()
    shutil.rmtree(settings.data.folder / "index")
    second = build(settings)
    try:
        assert "rebuilt" in second.library.ensure_index()
        assert found(second, "桥梁管护经费补助多少钱")
        assert second.library.ensure_index() == ""
    finally:
        second.close()


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from bot.app import build
from bot.config import DataSettings, Settings
house = build(replace(Settings(), data=DataSettings(folder=Path(sys.argv[1]))))
for n, outcome in enumerate(house.library.ingest(sorted(Path(sys.argv[2]).iterdir())), 1):
    if n == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("after", [1, 55])
def test_a_killed_ingest_is_finished_by_the_next_one(settings: Settings, document: Write, after: int) -> None:
    paths = [
        document(
            f"{n:03}.txt",
            number=f"青政办发〔2026〕{100 + n}号",
            title=f"关于第{n}号桥管护的通知",
            body=f"一、第{n}号桥每年补助{n}元。\n",
        )
        for n in range(60)
    ]
    folder = paths[0].parent
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(settings.data.folder), str(folder), str(after)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    house = build(settings)
    try:
        outcomes = take(house, *sorted(folder.iterdir()))
        assert sum(o.status is IngestStatus.UNCHANGED for o in outcomes) >= after
        assert house.library.state().documents == 60
        with house.library._engine.connect() as connection:
            rows = connection.execute(select(tables.passages.c.id)).all()
        assert house.library._index.count() == len(rows) == house.library.state().passages
        assert house.library.ensure_index() == ""
    finally:
        house.close()
