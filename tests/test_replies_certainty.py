"""How likely the document found first answers: the witnesses beside the library's own confidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from replies_samples import PENSION, context, finding, hit

from knowledge.model import Finding, Organ, OrganMatch
from register.inquiry import Conversation
from replies import certainty, data, family
from replies.conversation import read
from replies.errors import RulesBroken

SOCIAL = Organ(name="青禾县人力资源和社会保障局", functions=("城乡居民基本养老保险参保登记",))
HOUSING = Organ(name="青禾县住房和城乡建设局", functions=("公共租赁住房保障",))
HERE = replace(context(), directory=(SOCIAL, HOUSING))
TEXT = "养老保险一年交多少"


def chance(found: Finding, text: str = TEXT) -> float:
    return certainty.chance(read(text, Conversation("c")), found, family.leading(found.hits), HERE)


def test_the_directory_speaks_for_the_documents_of_its_organ_and_against_those_of_others() -> None:
    nobody = finding(TEXT, [PENSION], 0.5)
    theirs = replace(
        nobody, organs=(OrganMatch(SOCIAL, 0.8, ("城乡居民基本养老保险",), (), ("城乡居民基本养老保险",)),)
    )
    others = replace(nobody, organs=(OrganMatch(HOUSING, 0.8, ("公共租赁住房保障",)),))
    assert chance(theirs) > chance(others)


def test_a_sure_library_and_a_named_matter_make_an_answer_likelier() -> None:
    assert chance(finding(TEXT, [PENSION], 0.9)) > chance(finding(TEXT, [PENSION], 0.3)) > 0.0
    unnamed = "每年缴纳的那个怎么过户"
    plain = replace(finding(unnamed, [PENSION], 0.9), record=replace(finding("x").record, expanded=()))
    assert chance(finding(TEXT, [PENSION], 0.9)) > chance(plain, unnamed)


def test_what_holds_nothing_of_the_matter_does_not_answer() -> None:
    alien = hit("异地就医备案通知", "备案怎么办：线上线下都可以。")
    assert chance(finding("房产证怎么过户", [alien], 0.9), "房产证怎么过户") == 0.0
    assert chance(finding(TEXT), TEXT) == 0.0


def test_a_document_is_the_work_of_the_organ_that_its_title_or_its_issuer_names() -> None:
    by_title = certainty.handlers(hit("青禾县公共租赁住房保障管理办法", "…"), HERE)
    assert max(by_title, key=lambda name: by_title[name]) == HOUSING.name
    by_issuer = certainty.handlers(hit("关于做好有关工作的通知", "…", issuer=SOCIAL.name), HERE)
    assert SOCIAL.name in by_issuer


def test_weights_that_do_not_fit_the_signs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "certainty.json").write_text(json.dumps({"weights": {"bias": 1.0}}), "utf-8")
    monkeypatch.setattr(data, "HERE", tmp_path)
    certainty.weights.cache_clear()
    with pytest.raises(RulesBroken, match="fit_certainty"):
        certainty.weights()
    monkeypatch.undo()
    certainty.weights.cache_clear()
    assert set(certainty.weights()) == set(certainty.Signs._fields)
