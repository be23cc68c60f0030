"""The life of a document over years: its versions, its interpretations, and a run that was killed on the way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.ingest_endurance import check, counts, generate, run
from bot.app import House
from bot.cli import main
from bot.config import Settings
from knowledge.model import IngestStatus, LinkKind, Question

Write = Callable[..., Path]
POLICY = "青禾县人民政府办公室关于印发青禾县桥梁管护办法的通知"


def reading(folder: Path, cited: str, number: str = "") -> Path:
    """An interpretation that names its policy by title, with or without its 文号."""
    path = folder / "in" / "jiedu.txt"
    path.parent.mkdir(exist_ok=True)
    named = f"《{cited}》（{number}）" if number else f"《{cited}》"
    path.write_text(
        f"《{cited}》政策解读\n\n一、出台背景\n为做好桥梁管护工作，县政府办公室印发了{named}。\n"
        "二、主要内容\n每座桥每年补助管护经费800元。\n（此件公开发布）\n",
        "utf-8",
    )
    return path


def test_ten_versions_of_a_document_are_all_kept(
    house: House, document: Write, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(1, 11):
        path = document(body=f"一、经费\n每座桥每年补助管护经费{n}00元。\n")
        [outcome] = house.library.ingest([path])
        assert outcome.document is not None and outcome.document.version == n
        assert outcome.status is (IngestStatus.ADDED if n == 1 else IngestStatus.UPDATED)
    [shown] = house.library.documents()
    for n in range(1, 10):
        former = house.library.former_version(shown.id, n)
        assert former is not None and f"经费{n}00元" in json.dumps(former, ensure_ascii=False)
    assert house.library.former_version(shown.id, 10) is None, "the tenth is the present one"
    assert [v for v, _, _ in house.library.former_versions(shown.id)] == list(range(1, 10))
    hits = house.library.ask(Question("桥梁管护经费补助多少")).hits
    assert hits and all("1000元" in h.passage.text for h in hits if "补助" in h.passage.text)
    config = tmp_path / "config.toml"
    config.write_text(f'[data]\nfolder = "{settings.data.folder}"\n', "utf-8")
    for words in (["show", shown.id], ["documents", "--versions", shown.id]):
        assert main(["--config", str(config), *words, "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
        assert [v["version"] for v in value["versions"]] == list(range(1, 10))
        assert len(value["history"]) == 10 and value["version"] == 10
    assert main(["--config", str(config), "show", shown.id, "--version", "3"]) == 0
    assert "经费300元" in capsys.readouterr().out
    assert main(["--config", str(config), "show", shown.id, "--version", "77"]) == 2
    assert main(["--config", str(config), "show", "nobody"]) == 1


@pytest.mark.parametrize("order", ["policy first", "interpretation first"])
@pytest.mark.parametrize("number", ["青政办发〔2026〕90号", ""])
def test_an_interpretation_finds_its_policy_in_either_order(
    house: House, document: Write, tmp_path: Path, order: str, number: str
) -> None:
    files = [document("policy.txt", title=POLICY), reading(tmp_path, POLICY, number)]
    outcomes = list(house.library.ingest(files if order == "policy first" else files[::-1]))
    ids = {o.document.kind.value: o.document.id for o in outcomes if o.document}
    links = house.library.links_between(LinkKind.INTERPRETS)
    assert [(x.source, x.target) for x in links] == [(ids["interpretation"], ids["policy"])]
    assert [d.id for kind, d, _ in house.library.links_of(ids["policy"]) if kind is LinkKind.INTERPRETS] == [
        ids["interpretation"]
    ], "citizens are offered it"


@pytest.mark.parametrize("order", ["policy first", "interpretation first"])
def test_a_title_that_is_only_nearly_the_same_waits_for_a_person(
    house: House, document: Write, tmp_path: Path, order: str
) -> None:
    files = [
        document("policy.txt", title="青禾县人民政府办公室关于印发青禾县农村桥梁管护办法（试行）的通知"),
        reading(tmp_path, "青禾县人民政府办公室关于印发青禾县农村桥梁管护办法的通知"),
    ]
    outcomes = list(house.library.ingest(files if order == "policy first" else files[::-1]))
    ids = {o.document.kind.value: o.document.id for o in outcomes if o.document}
    assert house.library.links_between(LinkKind.INTERPRETS) == []
    [proposed] = [x for x in house.library.proposed_links() if x.kind is LinkKind.INTERPRETS]
    assert (proposed.source, proposed.target) == (ids["interpretation"], ids["policy"])
    assert house.library.links_of(ids["policy"]) == ()
    house.library.link(proposed.source, proposed.target, LinkKind.INTERPRETS, "核对属实")
    assert [d.id for _, d, _ in house.library.links_of(ids["policy"])] == [ids["interpretation"]]
    path = reading(tmp_path, "青禾县人民政府办公室关于印发青禾县农村桥梁管护办法的通知")
    path.write_text(path.read_text("utf-8").replace("800元", "900元"), "utf-8")
    list(house.library.ingest([path]))
    assert len(house.library.links_between(LinkKind.INTERPRETS)) == 1, "a new version keeps what staff confirmed"


def test_every_order_of_three_gives_the_same_links(settings: Settings, document: Write, tmp_path: Path) -> None:
    from dataclasses import replace

    from bot.app import build
    from bot.config import DataSettings

    old = document("old.txt", number="青政办发〔2020〕5号", title="青禾县桥梁管护办法", day="2020年1月5日")
    new = document(
        "new.txt",
        title=POLICY,
        body="一、经费\n每座桥补助900元。\n二、《青禾县桥梁管护办法》（青政办发〔2020〕5号）同时废止。\n",
    )
    files = [old, new, reading(tmp_path, POLICY, "青政办发〔2026〕90号")]
    seen = set()
    for n, order in enumerate(itertools.permutations(files)):
        house = build(replace(settings, data=DataSettings(folder=tmp_path / f"data{n}")))
        try:
            list(house.library.ingest(order))
            names = {d.id: Path(d.path).name for d in house.library.documents()}
            links = [
                (names[x.source], kind.value, names[x.target])
                for kind in LinkKind
                for x in house.library.links_between(kind)
            ]
            seen.add((tuple(sorted(links)), tuple(sorted((d.title, d.validity) for d in house.library.documents()))))
        finally:
            house.close()
    assert len(seen) == 1
    [(links, _)] = seen
    assert {("jiedu.txt", "interprets", "new.txt"), ("new.txt", "repeals", "old.txt")} <= set(links)


def test_an_ingest_command_killed_halfway_is_finished_by_the_next(tmp_path: Path) -> None:
    files, data = tmp_path / "in", tmp_path / "data"
    generate(files, 120)
    code, _ = run(data, files, kill_at=60)
    assert code < 0 and 60 <= counts(data)[0] < 120
    code, _ = run(data, files)
    assert code == 0
    found = check(data, 120)
    assert (found["documents"], found["double"], found["lost"], found["agree"]) == (120, 0, 0, True)
