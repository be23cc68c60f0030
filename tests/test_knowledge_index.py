"""One conformance suite for every engine: what the library may rely on."""

from __future__ import annotations

import builtins
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knowledge import analysis
from knowledge.errors import IndexUnavailable
from knowledge.index import IndexedPassage, IndexFilter, PassageIndex
from knowledge.index.engines import ENGINES, open_index

ROOT = Path(__file__).parents[1]
Opener = Callable[[], PassageIndex]


def entry(
    name: str,
    body: str,
    document: str = "",
    attribute: str = "public",
    validity: str = "in_force",
    kind: str = "policy",
    issuer: str = "青禾县民政局",
    topic: str = "社会救助",
    audience: str = "个人",
    year: int = 2026,
    number: str = "",
) -> IndexedPassage:
    return IndexedPassage(
        name, document or f"d-{name}", body, attribute, validity, kind, issuer, topic, audience, year, number
    )


PENSION = entry("pension", "城乡居民基本养老保险\n缴费档次\n断缴的年限可以补缴，补缴部分不享受政府补贴。")
HOUSING = entry("housing", "公共租赁住房管理办法\n申请条件\n申请人应当在县城无自有住房。", kind="law", year=2023)
ALLOWANCE = entry(
    "allowance", "高龄津贴发放管理办法\n标准\n年满八十周岁的老年人每月发放50元。", number="青政办发〔2026〕8号"
)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(engine: str, tmp_path: Path) -> Iterator[Opener]:
    opened: list[PassageIndex] = []

    def open_one() -> PassageIndex:
        opened.append(open_index(engine, tmp_path / "index"))
        return opened[-1]

    yield open_one
    for index in opened:
        index.close()


@pytest.fixture
def index(opener: Opener) -> PassageIndex:
    index = opener()
    index.replace([PENSION, HOUSING, ALLOWANCE])
    index.commit("1")
    return index


def ids(index: PassageIndex, text: str, where: IndexFilter | None = None, limit: int = 10) -> list[str]:
    return [c.id for c in index.search(text, where or IndexFilter(), limit)]


def test_finds_by_words_and_counts_what_it_holds(index: PassageIndex) -> None:
    assert ids(index, "养老保险断缴能补缴吗")[0] == "pension"
    assert ids(index, "公租房申请条件")[0] == "housing"
    assert index.count() == 3
    assert index.stamp() == "1"


def test_folds_numbers_width_and_traditional_characters(index: PassageIndex) -> None:
    assert ids(index, "年滿８０周歲")[0] == "allowance"


def test_replacing_a_document_drops_its_former_passages(index: PassageIndex) -> None:
    index.replace([entry("p2", "城乡居民基本养老保险\n待遇领取", document="d-pension")])
    index.commit("2")
    assert ids(index, "养老保险") == ["p2"]
    assert index.count() == 3


def test_a_document_replaced_twice_before_the_commit_keeps_the_last(index: PassageIndex) -> None:
    index.replace([entry("a", "临时救助标准", document="d"), entry("b", "临时救助对象", document="d")])
    index.replace([entry("c", "临时救助程序", document="d")])
    index.commit("2")
    assert ids(index, "临时救助") == ["c"]


def test_passages_of_one_document_may_arrive_between_those_of_another(index: PassageIndex) -> None:
    index.replace([entry("a1", "临时救助一", "a"), entry("b1", "临时救助二", "b"), entry("a2", "临时救助三", "a")])
    index.commit("2")
    assert sorted(ids(index, "临时救助")) == ["a1", "a2", "b1"]


def test_removing_takes_every_passage_of_a_document(index: PassageIndex) -> None:
    index.remove(["d-pension", "never-there"])
    index.commit("2")
    assert ids(index, "养老保险断缴") == []
    assert index.count() == 2


def test_nothing_is_visible_before_the_commit(index: PassageIndex, opener: Opener) -> None:
    index.replace([entry("x", "临时救助对象")])
    index.remove(["d-pension"])
    reader = opener()
    assert ids(reader, "临时救助") == []
    assert ids(reader, "养老保险") == ["pension"]
    index.commit("2")
    assert ids(reader, "临时救助") == ["x"]
    assert ids(reader, "养老保险") == []


def test_closing_drops_what_was_staged(index: PassageIndex, opener: Opener) -> None:
    index.replace([entry("x", "临时救助对象")])
    index.close()
    again = opener()
    again.commit("2")
    assert again.count() == 3


def test_clearing_is_staged_like_any_change(index: PassageIndex) -> None:
    index.clear()
    assert index.count() == 3
    index.replace([entry("x", "临时救助对象")])
    index.commit("2")
    assert index.count() == 1
    assert ids(index, "养老保险") == []
    assert ids(index, "临时救助") == ["x"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (IndexFilter(kinds=("law",)), {"housing"}),
        (IndexFilter(year=2023), {"housing"}),
        (IndexFilter(number="青政办发〔2026〕8号"), {"allowance"}),
        (IndexFilter(documents=("d-pension", "d-housing")), {"pension", "housing"}),
        (IndexFilter(issuers=("青禾县民政局",)), {"pension", "housing", "allowance"}),
        (IndexFilter(issuers=("青禾县教育局",)), set()),
        (IndexFilter(topics=("社会救助",), audiences=("个人",), kinds=("policy",)), {"pension", "allowance"}),
        (IndexFilter(validities=("repealed",)), set()),
        (IndexFilter(attributes=("public",)), {"pension", "housing", "allowance"}),
        (IndexFilter(attributes=("redacted",)), set()),
    ],
)
def test_conditions_are_part_of_the_query(index: PassageIndex, where: IndexFilter, expected: set[str]) -> None:
    assert set(ids(index, "管理办法 养老保险 标准 缴费 申请", where)) == expected


def test_a_condition_does_not_eat_into_the_limit(opener: Opener) -> None:
    index = opener()
    index.replace([entry(f"n{i}", "高龄津贴 高龄津贴 高龄津贴") for i in range(60)])
    index.replace([entry("wanted", "高龄津贴的发放和许多别的事情写在同一段话里", kind="law")])
    index.commit("1")
    assert ids(index, "高龄津贴", IndexFilter(kinds=("law",)), limit=1) == ["wanted"]


@pytest.mark.parametrize("attribute", ["on_request", "secret", "unknown"])
def test_a_closed_passage_is_out_of_reach_of_citizens(opener: Opener, attribute: str) -> None:
    index = opener()
    index.replace(
        [entry("closed", "内部会议纪要", attribute=attribute), entry("open", "会议纪要公开版", attribute="redacted")]
    )
    index.commit("1")
    assert ids(index, "会议纪要") == ["open"]
    assert ids(index, "会议纪要", IndexFilter(attributes=("public", "redacted", attribute))) == [
        "open",
        "closed",
    ] or set(ids(index, "会议纪要", IndexFilter(attributes=("public", "redacted", attribute)))) == {"open", "closed"}
    assert set(ids(index, "会议纪要", IndexFilter(attributes=()))) == {"open", "closed"}
    assert ids(index, "会议纪要", IndexFilter(attributes=(attribute,))) == ["closed"]
    assert index.frequencies(["会议纪要"], ["内部"]).bigrams == (0,)


def test_frequencies_count_passages_not_occurrences(index: PassageIndex) -> None:
    found = index.frequencies(["养老保险", "没有的词"], ["补缴", "办法"])
    assert found.passages == 3
    assert found.words == (0, 0) or found.words[1] == 0
    assert found.bigrams == (1, 2)


@pytest.mark.parametrize(
    "text", ["", "  ", "?!。", "的了吗", "AND OR NOT (", '"养老', "养老*", "title:养老 ~2 ^3", "\x00", "𠮷"]
)
def test_odd_questions_are_questions(index: PassageIndex, text: str) -> None:
    assert isinstance(ids(index, text), list)


def test_a_question_of_two_hundred_terms_is_answered_by_its_rarest(index: PassageIndex) -> None:
    random.seed(1)
    noise = "".join(random.sample([chr(0x4E00 + i) for i in range(3000)], 400))
    assert ids(index, f"{noise}断缴补缴")[:1] == ["pension"]
    assert ids(index, "养老保险断缴" * 2000)[:1] == ["pension"]


def test_equal_scores_come_in_the_order_of_their_ids(opener: Opener) -> None:
    index = opener()
    index.replace([entry(name, "同样的一段话") for name in ("c", "a", "b")])
    index.commit("1")
    assert ids(index, "同样的一段话") == ["a", "b", "c"]


def test_a_limit_below_one_finds_nothing(index: PassageIndex) -> None:
    assert ids(index, "养老保险", limit=0) == []


def test_a_reopened_index_holds_what_was_committed(index: PassageIndex, opener: Opener) -> None:
    index.close()
    again = opener()
    assert again.count() == 3
    assert again.stamp() == "1"
    assert ids(again, "养老保险断缴")[0] == "pension"


def test_an_index_that_was_never_built_is_unavailable_and_can_be_built(opener: Opener) -> None:
    index = opener()
    for ask in (index.count, index.stamp, lambda: index.search("养老", IndexFilter(), 5)):
        with pytest.raises(IndexUnavailable, match="rebuild"):
            ask()
    index.clear()
    index.commit("0")
    assert index.count() == 0
    assert index.stamp() == "0"
    assert ids(index, "养老") == []


def test_a_damaged_index_says_so_and_is_rebuilt_in_place(index: PassageIndex, opener: Opener, tmp_path: Path) -> None:
    index.close()
    for file in (tmp_path / "index").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\x00garbage")
    again = opener()
    with pytest.raises(IndexUnavailable):
        again.search("养老保险", IndexFilter(), 5)
    again.clear()
    again.replace([PENSION])
    again.commit("2")
    assert ids(again, "养老保险") == ["pension"]
    assert again.count() == 1


def test_an_index_cut_short_is_unavailable_not_silently_empty(
    index: PassageIndex, opener: Opener, tmp_path: Path
) -> None:
    index.close()
    for file in (tmp_path / "index").rglob("*"):
        if file.is_file() and "lock" not in file.name.lower():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(IndexUnavailable):
        opener().search("养老保险", IndexFilter(), 5)


def test_a_folder_that_vanishes_under_a_reader_is_noticed(index: PassageIndex, tmp_path: Path) -> None:
    assert index.count() == 3
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(IndexUnavailable):
        index.search("养老保险", IndexFilter(), 5)


def test_an_index_of_another_token_version_asks_to_be_rebuilt(
    index: PassageIndex, engine: str, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[f"knowledge.index.{engine}"]
    index.close()
    monkeypatch.setattr(module, "_FORM", "another")
    newer = opener()
    with pytest.raises(IndexUnavailable, match="another version"):
        newer.count()
    newer.clear()
    newer.replace([PENSION])
    newer.commit("2")
    assert newer.count() == 1


def test_a_full_disk_is_named_and_leaves_the_former_index(
    index: PassageIndex, opener: Opener, engine: str, tmp_path: Path
) -> None:
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from knowledge.index import IndexedPassage\n"
        "from knowledge.index.engines import open_index\n"
        "from knowledge.errors import IndexUnavailable\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "index = open_index(sys.argv[1], Path(sys.argv[2]))\n"
        "index.count()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "try:\n"
        "    index.replace([IndexedPassage(f'x{i}', f'x{i}', '养老保险补缴办法' * 30 + str(i), 'public', '', '', '', '', '', 0, '')"
        " for i in range(300)])\n"
        "    index.commit('2')\n"
        "except IndexUnavailable as error:\n"
        "    print('NAMED', 'disk space' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, engine, str(tmp_path / "index"), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "NAMED True" in done.stdout, done.stderr
    survivor = opener()
    assert survivor.stamp() == "1"
    assert ids(survivor, "断缴")[0] == "pension"
    survivor.replace([entry("x", "临时救助对象")])
    survivor.commit("3")
    assert survivor.count() == 4


READER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from knowledge.index import IndexFilter
from knowledge.index.engines import open_index
index = open_index(sys.argv[1], Path(sys.argv[2]))
print("ready", index.stamp(), flush=True)
seen, deadline = -1, time.monotonic() + 30
while seen < 12 and time.monotonic() < deadline:
    hits = [c.id for c in index.search("临时救助对象", IndexFilter(), 50)]
    stamp = int(index.stamp())
    numbers = sorted(int(h[1:]) for h in hits)
    if numbers != list(range(len(numbers))):
        print("torn", numbers, flush=True)
        break
    if stamp != seen:
        seen = stamp
        print("saw", seen, time.time(), flush=True)
"""


def test_reader_processes_see_every_commit_within_a_second(index: PassageIndex, engine: str, tmp_path: Path) -> None:
    index.commit("0")
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, engine, str(tmp_path / "index"), str(ROOT)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline().startswith("ready")
        committed: dict[int, float] = {}
        for number in range(1, 13):
            index.replace([entry(f"n{i}", "临时救助对象认定", document="batch") for i in range(number)])
            index.commit(str(number))
            committed[number] = time.time()
            time.sleep(0.12)
        for reader in readers:
            out, _ = reader.communicate(timeout=40)
            assert "torn" not in out
            seen = {int(line.split()[1]): float(line.split()[2]) for line in out.splitlines() if line.startswith("saw")}
            assert 12 in seen
            assert max(seen[n] - committed[n] for n in seen if n in committed) < 1.0 + 2.0  # slack for a busy machine
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from knowledge.index import IndexedPassage
from knowledge.index.engines import open_index
index = open_index(sys.argv[1], Path(sys.argv[2]))
number = int(index.stamp())
print("ready", flush=True)
while True:
    number += 1
    index.replace([IndexedPassage(f"n{i}", "batch", f"临时救助对象认定{number}", "public", "", "", "", "", "", 0, "")
                   for i in range(number)])
    index.commit(str(number))
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_index(
    index: PassageIndex, opener: Opener, engine: str, tmp_path: Path
) -> None:
    index.replace([])
    index.commit("0")
    random.seed(7)
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, engine, str(tmp_path / "index"), str(ROOT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.stdout.readline()
        time.sleep(random.uniform(0.0, 0.25))
        os.kill(writer.pid, signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        reader = opener()
        stamp = int(reader.stamp())
        assert stamp >= max(said, default=0)
        assert len(reader.search("临时救助对象认定", IndexFilter(), 500)) == stamp
        assert ids(reader, "断缴")[0] == "pension"
        reader.close()
    survivor = opener()
    survivor.replace([entry("x", "高龄津贴补发")])
    survivor.commit("9999")
    assert survivor.stamp() == "9999"


def test_two_processes_may_write_one_after_the_other(index: PassageIndex, opener: Opener) -> None:
    other = opener()
    other.replace([entry("theirs", "临时救助对象")])
    other.commit("2")
    index.replace([entry("ours", "临时救助程序")])
    index.commit("3")
    assert set(ids(other, "临时救助")) == {"theirs", "ours"}
    assert other.stamp() == "3"


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(IndexUnavailable, match="lucene"):
        open_index("lucene", Path("x"))


def test_without_tantivy_the_pure_python_engine_takes_over_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "tantivy":
            raise ImportError("no wheel for this machine")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "knowledge.index.tantivy", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING):
        index = open_index("tantivy", tmp_path)
    assert index.name == "whoosh"
    assert "whoosh takes its place" in caplog.text


def test_the_pure_python_engine_warns_above_its_comfortable_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = open_index("whoosh", tmp_path)
    monkeypatch.setattr(sys.modules["knowledge.index.whoosh"], "COMFORTABLE", 2)
    with caplog.at_level(logging.WARNING):
        index.replace([PENSION, HOUSING, ALLOWANCE])
        index.commit("1")
    assert "become slow" in caplog.text


def test_both_engines_return_the_same_candidates(tmp_path: Path) -> None:
    bodies = [
        "城乡居民基本养老保险缴费档次和补贴标准",
        "城镇职工基本养老保险关系转移接续",
        "城乡居民基本医疗保险参保缴费",
        "最低生活保障审核确认程序",
        "高龄津贴发放标准和对象",
        "公共租赁住房申请条件和审核程序",
    ]
    found = {}
    for name in ENGINES:
        index = open_index(name, tmp_path)
        index.replace([entry(f"p{i}", body) for i, body in enumerate(bodies)])
        index.commit("1")
        found[name] = [set(ids(index, q)) for q in ("养老保险怎么缴费", "低保申请条件", "补贴标准")]
        index.close()
    assert found["tantivy"] == found["whoosh"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("二十个工作日", "20个工作日"),
        ("二〇二六年三月", "2026年3月"),
        ("第三十三条", "第33条"),
        ("百分之三十", "30%"),
        ("三百二十元", "320元"),
        ("ＡＢＣ１２３", "abc123"),
        ("養老保險費", "养老保险费"),
        ("著作權", "著作权"),
        ("20,000元", "20000元"),
        ("两次", "2次"),
    ],
)
def test_two_spellings_of_one_thing_are_one_text(one: str, other: str) -> None:
    assert analysis.normalise(one) == analysis.normalise(other)


@pytest.mark.parametrize(
    "text", ["统一年度", "千万不要", "十分重要", "一次性补贴", "一般", "万一", "乾隆", "著名", "十四五规划"]
)
def test_words_that_only_look_like_numbers_or_traditional_characters_stay(text: str) -> None:
    assert analysis.normalise(text) == text


@pytest.mark.parametrize("text", ["\ud800", "低保\ud83d怎么办", "\udfff\ud800低保", "😀\udc80a"])
def test_half_a_character_is_left_out_and_breaks_nothing(text: str) -> None:
    assert analysis.words(text) == analysis.words(analysis.normalise(text))
    assert ("低保" in analysis.question_terms(text).words) == ("低保" in text)
    analysis.normalise(text).encode()


def test_courtesies_and_question_words_are_no_search_terms() -> None:
    terms = analysis.question_terms("您好，请问一下生育津贴怎么领取呢？谢谢")
    assert terms.words == ("生育", "津贴", "领取")
    assert analysis.question_terms("怎么办？").bigrams
    assert not analysis.question_terms("的了吗")
    assert not analysis.question_terms("")
