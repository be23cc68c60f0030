"""From a question to a finding: who is found, on what conditions, how surely, and what the record says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from knowledge.errors import IndexUnavailable
from knowledge.index import Candidate, IndexedPassage
from knowledge.index.engines import ENGINES, open_index
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Filters,
    Passage,
    PolicyDocument,
    Question,
    Stage,
    Validity,
)
from knowledge.references import Registry
from knowledge.search import Searcher, ShelvedPassage

TODAY = date(2026, 11, 21)


def document(identity: str, title: str, **known: object) -> PolicyDocument:
    base = PolicyDocument(
        id=identity,
        kind=DocumentKind.POLICY,
        title=title,
        issuer="青禾县人民政府办公室",
        written_on=date(2026, 3, 1),
        attribute=DisclosureAttribute.PUBLIC,
        stage=Stage.PUBLISHED,
        topic="社会救助",
        audience="个人",
    )
    return replace(base, **known)  # type: ignore[arg-type]


LIBRARY: list[tuple[PolicyDocument, list[str]]] = [
    (
        document("yanglao", "青禾县城乡居民基本养老保险实施办法", number="青政办发〔2025〕48号"),
        [
            "城乡居民养老保险缴费档次设为每年300元至6000元共12个档次，由参保人自主选择。",
            "中途断缴的，可以按照补缴时的档次补缴断缴年限的养老保险费，补缴部分不享受政府缴费补贴。",
            "年满六十周岁、累计缴费满十五年的，可以按月领取养老保险待遇。",
        ],
    ),
    (
        document("gaoling", "青禾县高龄津贴发放管理办法", number="青政办发〔2026〕8号", issuer="青禾县民政局"),
        ["年满八十周岁的老年人每人每月发放高龄津贴50元。", "高龄津贴由户籍所在地乡镇人民政府受理申请。"],
    ),
    (
        document(
            "gaoling-old",
            "青禾县高龄津贴发放管理办法（试行）",
            number="青政办发〔2019〕48号",
            validity=Validity.REPEALED,
            written_on=date(2019, 5, 1),
        ),
        ["年满八十周岁的老年人每人每月发放高龄津贴30元。"],
    ),
    (
        document("gongzu", "青禾县公共租赁住房保障管理办法", topic="住房保障", kind=DocumentKind.SERVICE_GUIDE),
        [
            "申请公共租赁住房应当在县城无自有住房，且家庭收入低于规定标准。",
            "公共租赁住房租金按照市场租金的百分之六十执行。",
        ],
    ),
    (document("fanghuo", "青禾县森林防火期通告"), ["防火期内禁止一切野外用火，禁止上坟烧纸。"]),
]


class FakeShelf:
    """A shelf over :data:`LIBRARY`."""

    def __init__(self) -> None:
        self.passages = {
            f"{doc.id}-{i}": ShelvedPassage(Passage(f"{doc.id}-{i}", doc.id, i, f"第{i + 1}条", (), text, f"a{i}"), doc)
            for doc, texts in LIBRARY
            for i, text in enumerate(texts)
        }
        self._titles = tuple((doc.id, doc.title, doc.number) for doc, _ in LIBRARY)

    def fetch(self, ids: Sequence[str]) -> dict[str, ShelvedPassage]:
        return {i: self.passages[i] for i in ids if i in self.passages}

    def totals(self) -> tuple[int, int]:
        return len(LIBRARY), len(self.passages)

    def as_of(self) -> date | None:
        return TODAY

    def titles(self) -> Sequence[tuple[str, str, str]]:
        return self._titles


def indexed(shelved: ShelvedPassage) -> IndexedPassage:
    doc, passage = shelved.document, shelved.passage
    return IndexedPassage(
        id=passage.id,
        document=doc.id,
        body="\n".join((doc.title, *passage.path, passage.text)),
        attribute=doc.attribute.value,
        validity=doc.validity.value,
        kind=doc.kind.value,
        issuer=doc.issuer,
        topic=doc.topic,
        audience=doc.audience,
        year=doc.written_on.year if doc.written_on else 0,
        number=doc.number,
    )


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf()


@pytest.fixture(params=sorted(ENGINES))
def searcher(request: pytest.FixtureRequest, shelf: FakeShelf, tmp_path: Path) -> Iterator[Searcher]:
    index = open_index(str(request.param), tmp_path)
    index.replace(indexed(s) for s in shelf.passages.values())
    index.commit("7")
    yield Searcher(index, shelf, today=lambda: TODAY)
    index.close()


def found(searcher: Searcher, text: str, filters: Filters | None = None, **more: object) -> list[str]:
    finding = searcher.find(Question(text, filters or Filters()), **more)  # type: ignore[arg-type]
    return [hit.passage.id for hit in finding.hits]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("养老保险断缴了还能补缴吗？", "yanglao-1"),
        ("请问养老保险一年最少交多少钱", "yanglao-0"),
        ("八十岁老人高龄津贴多少钱", "gaoling-0"),
        ("公租房租金是市场租金的60%吗", "gongzu-1"),
        ("防火期能上坟燒紙嗎", "fanghuo-0"),
    ],
)
def test_the_passage_that_answers_comes_first(searcher: Searcher, question: str, expected: str) -> None:
    assert found(searcher, question)[0] == expected


def test_the_text_in_force_comes_before_the_repealed_one(searcher: Searcher) -> None:
    hits = found(searcher, "高龄津贴每月发多少元")
    assert hits.index("gaoling-0") < hits.index("gaoling-old-0")


def test_the_record_holds_the_facts_of_the_search(searcher: Searcher) -> None:
    finding = searcher.find(Question("请问断缴能补缴吗", Filters(topic="社会救助")), expanded=("中断缴费",))
    record = finding.record
    assert record.query == "请问断缴能补缴吗"
    assert "补缴" in record.terms
    assert "请问" not in record.terms
    assert record.expanded == ("中断缴费",)
    assert record.filters == {"topic": "社会救助"}
    assert (record.scope_documents, record.scope_passages) == (5, 9)
    assert record.index_version == "7"
    assert record.as_of == TODAY
    assert record.hits >= 1
    assert 0.0 < record.seconds < 60.0


def test_every_hit_says_which_words_and_features_brought_it(searcher: Searcher) -> None:
    hit = searcher.find(Question("养老保险断缴能补缴吗")).hits[0]
    assert {"养老保险", "补缴"} <= set(hit.matched)
    assert hit.score == pytest.approx(sum(f.share for f in hit.features))
    assert {"词语匹配", "来源等级"} <= {f.name for f in hit.features}


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        (Filters(topic="住房保障"), {"gongzu"}),
        (Filters(kind=DocumentKind.SERVICE_GUIDE), {"gongzu"}),
        (Filters(organ="青禾县民政局"), {"gaoling"}),
        (Filters(year=2019), {"gaoling-old"}),
        (Filters(validity=Validity.REPEALED), {"gaoling-old"}),
        (Filters(validity=Validity.IN_FORCE), {"yanglao", "gaoling", "gongzu", "fanghuo"}),
        (Filters(documents=("fanghuo", "gongzu")), {"fanghuo", "gongzu"}),
        (Filters(number="青政办发〔2026〕8号"), {"gaoling"}),
        (Filters(number="青政办发2026 8"), {"gaoling"}),
        (Filters(number="没有的文号〔1999〕1号"), set()),
        (Filters(topic="没有的领域"), set()),
        (Filters(organ="青禾县民政局", year=2019), set()),
    ],
)
def test_conditions_narrow_the_hits(searcher: Searcher, shelf: FakeShelf, filters: Filters, allowed: set[str]) -> None:
    hits = found(searcher, "老年人 津贴 养老 住房 防火 申请 规定", filters)
    assert {shelf.passages[i].document.id for i in hits} == allowed


def test_a_condition_that_the_index_did_not_know_yet_is_checked_again(searcher: Searcher, shelf: FakeShelf) -> None:
    lapsed = {
        key: ShelvedPassage(s.passage, replace(s.document, validity=Validity.EXPIRED)) if "gaoling-0" in key else s
        for key, s in shelf.passages.items()
    }
    shelf.passages = lapsed
    assert "gaoling-0" not in found(searcher, "高龄津贴", Filters(validity=Validity.IN_FORCE))


def test_what_the_shelf_does_not_give_out_is_not_found(searcher: Searcher, shelf: FakeShelf) -> None:
    del shelf.passages["yanglao-1"]
    assert "yanglao-1" not in found(searcher, "养老保险断缴补缴")


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        ("青政办发〔2026〕8号", {"gaoling"}),
        ("青政办发(2026)8号是什么文件", {"gaoling"}),
        ("青政办发2026 8", {"gaoling"}),
        ("请问青政办发【2025】第48号", {"yanglao"}),
        ("48号文", {"yanglao", "gaoling-old"}),
        ("《青禾县高龄津贴发放管理办法》", {"gaoling"}),
        ("《高令津贴发放管里办法》什么时候发的", {"gaoling", "gaoling-old"}),
        ("青禾县公共租赁住房保障管理办法", {"gongzu"}),
    ],
)
def test_a_named_document_leads_whatever_else_is_asked(
    searcher: Searcher, shelf: FakeShelf, question: str, documents: set[str]
) -> None:
    first = found(searcher, question)[0]
    assert shelf.passages[first].document.id in documents


@pytest.mark.parametrize("question", ["2026年3月能领吗", "补贴48元", "20号之前交", "一年交300元", "《没有这个办法》"])
def test_dates_and_amounts_name_no_document(question: str) -> None:
    assert not Registry(FakeShelf().titles()).named(question).documents


def test_a_whole_number_is_exact_and_leaves_the_rest_of_the_question() -> None:
    reference = Registry(FakeShelf().titles()).named("青政办发〔2025〕48号里断缴能补吗")
    assert reference.documents == {"yanglao"}
    assert reference.exact
    assert "断缴能补吗" in reference.rest
    assert "48" not in reference.rest


def test_a_bare_number_is_sure_of_its_document(searcher: Searcher) -> None:
    assert searcher.find(Question("青政办发〔2026〕8号")).confidence >= 0.9


def test_a_number_with_another_subject_is_not_sure(searcher: Searcher) -> None:
    sure = searcher.find(Question("青政办发〔2026〕8号")).confidence
    unsure = searcher.find(Question("青政办发〔2026〕8号里面外星人签证的费用")).confidence
    assert unsure < sure


def test_two_registered_prefixes_with_one_serial_are_told_apart_by_the_prefix() -> None:
    registry = Registry((("a", "甲", "临州办发〔2020〕48号"), ("b", "乙", "会政发〔2020〕48号"), ("c", "丙", "")))
    assert registry.named("临州办发2020 48").documents == {"a"}
    assert registry.named("会政发〔2020〕48号").documents == {"b"}
    assert registry.named("48号文").documents == {"a", "b"}
    assert registry.by_number("临州办发〔２０２０〕４８号") == {"a"}


def test_added_words_find_what_the_question_does_not_say(searcher: Searcher) -> None:
    assert "fanghuo-0" not in found(searcher, "点火烧荒")
    assert found(searcher, "点火烧荒", expanded=("野外用火",))[0] == "fanghuo-0"


@pytest.mark.parametrize("text", ["", "   ", "？！", "的了吗", "\x00\x01", "怎么"])
def test_a_question_without_content_finds_nothing_and_is_not_sure(searcher: Searcher, text: str) -> None:
    finding = searcher.find(Question(text))
    assert finding.confidence < 0.25
    assert finding.record.scope_documents == 5
    assert not finding.hits or text == "怎么"


@pytest.mark.parametrize(
    "text", ["养", "养老保险" * 2500, "AND OR NOT ( *", "'; DROP TABLE", "养老" + "\n" * 500 + "补缴"]
)
def test_odd_questions_get_a_finding(searcher: Searcher, text: str) -> None:
    finding = searcher.find(Question(text))
    assert 0.0 <= finding.confidence <= 1.0


@pytest.mark.parametrize("limit", [0, 1, 3, 1000])
def test_no_more_hits_than_asked_for(searcher: Searcher, limit: int) -> None:
    assert len(searcher.find(Question("养老保险 高龄津贴", limit=limit)).hits) <= limit


def test_questions_off_the_topic_are_less_sure_than_those_that_are_answered(searcher: Searcher) -> None:
    answered = [
        searcher.find(Question(q)).confidence
        for q in ("养老保险断缴能补缴吗", "高龄津贴每人每月发多少元", "公共租赁住房租金按市场租金多少执行")
    ]
    strange = [
        searcher.find(Question(q)).confidence
        for q in ("明天会下雨吗", "红烧肉怎么做好吃", "讲个笑话听听", "上海落户需要多少积分", "你叫什么名字")
    ]
    assert min(answered) > max(strange)


def test_a_miss_offers_titles_that_exist(searcher: Searcher) -> None:
    finding = searcher.find(Question("老年人高龄补助卡丢失"))
    titles = {doc.title for doc, _ in LIBRARY}
    assert finding.suggestions
    assert set(finding.suggestions) <= titles


def test_facets_count_documents(searcher: Searcher) -> None:
    facets = searcher.find(Question("高龄津贴 养老保险"), facets=True).facets
    counts = {(f.name, f.value): f.count for f in facets}
    assert counts["validity", "repealed"] == 1
    assert counts["organ", "青禾县民政局"] == 1
    assert searcher.find(Question("高龄津贴 养老保险")).facets == ()


def test_a_missing_index_is_an_error_with_a_name_not_an_empty_answer(shelf: FakeShelf, tmp_path: Path) -> None:
    searcher = Searcher(open_index("tantivy", tmp_path / "nothing"), shelf)
    with pytest.raises(IndexUnavailable):
        searcher.find(Question("养老保险"))


class Meaning:
    """A semantic stage that finds one passage near to anything."""

    def __init__(self, near: str) -> None:
        self.near = near

    def nearest(self, text: str, limit: int, allowed: Callable[[str], bool] | None) -> list[Candidate]:
        return [Candidate(self.near, 0.9)]

    def similarity(self, text: str, ids: Sequence[str]) -> list[float]:
        return [0.9 if i == self.near else 0.0 for i in ids]


@pytest.fixture
def index_of_all(shelf: FakeShelf, tmp_path: Path) -> Iterator[Callable[[str], Searcher]]:
    index = open_index("tantivy", tmp_path)
    index.replace(indexed(s) for s in shelf.passages.values())
    index.commit("1")
    yield lambda near: Searcher(index, shelf, semantic=Meaning(near), today=lambda: TODAY)
    index.close()


def test_meaning_finds_what_words_do_not(index_of_all: Callable[[str], Searcher]) -> None:
    assert found(index_of_all("fanghuo-0"), "点着山林")[0] == "fanghuo-0"


def test_meaning_cannot_step_over_a_condition(index_of_all: Callable[[str], Searcher]) -> None:
    assert found(index_of_all("fanghuo-0"), "点着山林", Filters(topic="住房保障")) == []


def test_meaning_knows_no_passages_that_the_shelf_hides(index_of_all: Callable[[str], Searcher]) -> None:
    assert found(index_of_all("hidden-0"), "点着山林") == []


def test_both_engines_agree_on_the_first_five(shelf: FakeShelf, tmp_path: Path) -> None:
    answers: dict[str, list[list[str]]] = {}
    for name in ENGINES:
        index = open_index(name, tmp_path)
        index.replace(indexed(s) for s in shelf.passages.values())
        index.commit("1")
        searcher = Searcher(index, shelf, today=lambda: TODAY)
        questions = ("养老保险断缴能补缴吗", "高龄津贴", "公租房", "防火期上坟", "每月多少元", "申请条件")
        answers[name] = [found(searcher, q)[:5] for q in questions]
        index.close()
    assert answers["tantivy"] == answers["whoosh"]
