"""The semantic stage: vectors that say how near a question is to a passage, the file that keeps them, and their training."""

from __future__ import annotations

import json
import multiprocessing
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from bot import cli
from bot.app import House
from knowledge import semantic, training
from knowledge.errors import IndexUnavailable
from knowledge.index.engines import open_index
from knowledge.library import Library
from knowledge.model import Question
from knowledge.semantic import SemanticIndex, SemanticModel

WORDS = ("养老", "补缴", "退休", "低保", "救助", "困难", "垃圾", "清运", "环卫")
FIELDS = {"养老": 0, "补缴": 0, "退休": 0, "低保": 1, "救助": 1, "困难": 1, "垃圾": 2, "清运": 2, "环卫": 2}
PASSAGES = [
    ("pension-1", "pension", "退休人员补缴办法"),
    ("pension-2", "pension", "补缴"),
    ("relief-1", "relief", "困难群众救助"),
    ("waste-1", "waste", "环卫清运"),
]


def small_model(digest: str = "one", seed: int = 3) -> SemanticModel:
    """Words of one field lie in one direction."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(0.0, 30.0, (3, 64))
    table = np.array([directions[FIELDS[w]] + rng.normal(0.0, 5.0, 64) for w in WORDS])
    weights = np.ones(len(WORDS), np.float32)
    return SemanticModel(
        vocabulary={w: n for n, w in enumerate(WORDS)},
        table=np.clip(np.rint(table), -127, 127).astype(np.int8),
        asked=weights,
        told=weights,
        heat=3.0,
        centre=np.zeros(64, np.float32),
        digest=digest,
    )


@pytest.fixture
def index(tmp_path: Path) -> SemanticIndex:
    made = SemanticIndex(tmp_path / "vectors", small_model())
    made.replace(PASSAGES)
    made.commit("7")
    return made


def names(found: list[semantic.Candidate]) -> list[str]:
    return [c.id for c in found]


def test_a_question_finds_passages_without_a_common_word(index: SemanticIndex) -> None:
    assert names(index.nearest("养老怎么办", 2)) == ["pension-2", "pension-1"] or names(
        index.nearest("养老怎么办", 2)
    ) == ["pension-1", "pension-2"]
    assert names(index.nearest("低保", 1)) == ["relief-1"]
    assert names(index.nearest("垃圾", 1)) == ["waste-1"]


def test_the_score_is_the_cosine_and_similarity_agrees_with_it(index: SemanticIndex) -> None:
    found = index.nearest("低保", 4)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
    assert -1.001 <= found[-1].score < 0.5 < found[0].score <= 1.001
    again = index.similarity("低保", [c.id for c in found])
    assert again == pytest.approx([c.score for c in found], abs=1e-5)


def test_a_passage_without_a_vector_is_as_near_as_nothing(index: SemanticIndex) -> None:
    assert index.similarity("低保", ["relief-1", "unheard of"])[1] == 0.0
    assert index.similarity("低保", []) == []


@pytest.mark.parametrize("question", ["", "？", "xyz", "的", "🙂" * 50])
def test_a_question_of_unknown_words_finds_nothing(index: SemanticIndex, question: str) -> None:
    assert index.nearest(question, 5) == []
    assert index.similarity(question, ["relief-1"]) == [0.0]


def test_a_very_long_question_is_cut_not_refused(index: SemanticIndex) -> None:
    assert names(index.nearest("低保" * 50_000, 1)) == ["relief-1"]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_hits_are_given_where_none_are_wanted(index: SemanticIndex, limit: int) -> None:
    assert index.nearest("低保", limit) == []


def test_only_allowed_passages_are_given(index: SemanticIndex) -> None:
    assert names(index.nearest("低保", 9, lambda i: i.startswith("waste"))) == ["waste-1"]
    assert index.nearest("低保", 9, lambda _: False) == []


def test_a_replaced_document_loses_its_former_passages(index: SemanticIndex) -> None:
    index.replace([("pension-9", "pension", "退休")])
    assert index.count() == 4, "nothing shows before the commit"
    index.commit("8")
    assert sorted(names(index.nearest("养老", 9))) == ["pension-9", "relief-1", "waste-1"]
    assert index.stamp() == "8"


def test_a_removed_document_is_gone_and_clear_leaves_nothing(index: SemanticIndex) -> None:
    index.remove(["pension", "unheard of"])
    index.commit("8")
    assert sorted(names(index.nearest("养老", 9))) == ["relief-1", "waste-1"]
    index.clear()
    index.commit("9")
    assert (index.count(), index.stamp(), index.nearest("养老", 9)) == (0, "9", [])


def test_a_reader_sees_what_another_process_has_written(index: SemanticIndex, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=write_one, args=(tmp_path / "vectors",))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert index.stamp() == "from outside"
    assert names(index.nearest("垃圾", 1)) == ["waste-9"]


def write_one(folder: Path) -> None:
    other = SemanticIndex(folder, small_model())
    other.replace([("waste-9", "waste", "垃圾清运")])
    other.commit("from outside")


def test_two_writers_do_not_undo_each_other(index: SemanticIndex, tmp_path: Path) -> None:
    other = SemanticIndex(tmp_path / "vectors", small_model())
    index.replace([("a-1", "a", "低保")])
    other.replace([("b-1", "b", "救助")])
    index.commit("8")
    other.commit("9")
    assert {"a-1", "b-1", "relief-1"} <= set(names(index.nearest("困难", 9)))


def test_a_writer_killed_half_way_leaves_the_former_state(index: SemanticIndex, tmp_path: Path) -> None:
    (tmp_path / "vectors" / "passages.vectors.part").write_bytes(b"half")
    again = SemanticIndex(tmp_path / "vectors", small_model())
    assert (again.stamp(), again.count()) == ("7", 4)
    again.remove(["waste"])
    again.commit("8")
    assert again.count() == 3


@pytest.mark.parametrize("damage", ["cut", "foreign", "header", "empty", "no object"])
def test_a_damaged_file_counts_as_empty_and_can_be_filled_again(tmp_path: Path, damage: str) -> None:
    index = SemanticIndex(tmp_path, small_model())
    index.replace(PASSAGES)
    index.commit("7")
    file = tmp_path / "passages.vectors"
    whole = file.read_bytes()
    magic = whole.split(b"\n")[0] + b"\n"
    file.write_bytes(
        {
            "cut": whole[:-9],
            "foreign": b"PK" + whole,
            "header": magic + b"{}\n",
            "empty": b"",
            "no object": magic + b"3\n",
        }[damage]
    )
    assert (index.stamp(), index.count(), index.nearest("低保", 3)) == ("", 0, [])
    index.replace(PASSAGES)
    index.commit("8")
    assert (index.stamp(), index.count()) == ("8", 4)


def test_vectors_of_another_model_are_not_compared(index: SemanticIndex, tmp_path: Path) -> None:
    other = SemanticIndex(tmp_path / "vectors", small_model("two", seed=4))
    assert (other.stamp(), other.count()) == ("", 0)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    index = SemanticIndex(tmp_path / "file" / "vectors", small_model())
    index.replace(PASSAGES)
    with pytest.raises(IndexUnavailable, match="check --repair"):
        index.commit("1")


def test_a_large_library_is_searched_by_signs_first_and_agrees_with_the_exact_search(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    model = small_model()
    index = SemanticIndex(tmp_path, model)
    vocabulary = list(WORDS)
    texts = ["".join(rng.choice(vocabulary, 6)) for _ in range(6000)]
    index.replace((f"p{n}", f"d{n // 20}", text) for n, text in enumerate(texts))
    index.commit("1")
    fast = index.nearest("低保困难", 20)
    exact = index.nearest("低保困难", 20, lambda _: True)
    assert [c.score for c in fast] == pytest.approx([c.score for c in exact], abs=1e-5)


# --- kept by the library


def test_the_library_keeps_the_vectors_in_step_with_what_citizens_may_read(demo_house: House, tmp_path: Path) -> None:
    vectors = SemanticIndex(tmp_path / "vectors", small_model())
    library = Library(
        demo_house.engine,
        lambda: open_index("tantivy", tmp_path / "index"),
        semantic=vectors,
        today=lambda: date(2026, 11, 20),
    )
    library.ensure_index()
    before = library.state().passages
    assert vectors.count() == before > 100
    document = next(d for d in library.documents() if d.passages > 2)
    library.withdraw(document.id, "test")
    assert vectors.count() == before - document.passages
    assert vectors.stamp() == library.state().index_version
    (tmp_path / "vectors" / "passages.vectors").write_bytes(b"damaged")
    assert "made again" in library.ensure_index()
    assert vectors.count() == before - document.passages
    assert library.ensure_index() == ""
    assert library.ask(Question("低保")).record.hits > 0
    library.close()


# --- the model file


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = small_model()
    semantic.save_model(model, tmp_path / "m.npz")
    again = semantic.load_model(tmp_path / "m.npz")
    assert again.vocabulary == model.vocabulary
    assert again.question("低保补缴") == pytest.approx(model.question("低保补缴"), abs=1e-3)
    assert len(again.digest) == 16


def test_the_librarys_own_model_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    semantic.save_model(small_model(), tmp_path / semantic.OWN_MODEL)
    found = semantic.open_model(tmp_path)
    assert found is not None
    assert set(found.vocabulary) == set(WORDS)


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 no model"])
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(IndexUnavailable, match="no semantic model"):
        semantic.load_model(tmp_path / "m.npz")


def test_tables_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    model = small_model()
    broken = SemanticModel(model.vocabulary, model.table[:-1], model.asked, model.told, 3.0, model.centre, "")
    semantic.save_model(broken, tmp_path / "m.npz")
    with pytest.raises(IndexUnavailable, match="do not fit"):
        semantic.load_model(tmp_path / "m.npz")


def test_the_shipped_model_brings_lay_words_and_official_words_together() -> None:
    model = semantic.open_model()
    if model is None:
        pytest.skip("this installation has no weights/semantic.npz")
    question = model.question("公司拖欠工资不发怎么办")
    wages, parking = (
        model.passage(text).astype(np.float32) / semantic.SCALE
        for text in ("用人单位应当按照劳动合同约定和国家规定，及时足额支付劳动报酬", "机动车应当停放在规定地点")
    )
    assert question @ wages > question @ parking + 0.1


# --- training


def articles() -> list[training.Text]:
    subjects = {
        "养老": "参保人员中断缴费的，可以补缴，达到退休年龄后领取养老金。",
        "低保": "困难家庭可以申请低保，民政部门核对收入后给予救助。",
        "垃圾": "环卫部门负责清运垃圾，单位应当分类投放，不得乱倒。",
        "教育": "适龄儿童应当入学，学校不得收取学费，家长应当送孩子上学。",
    }
    return [
        training.Text(f"{name}-{n}", name, f"{name}办法", "总则", f"第{n}项规定，{text}由{name}机关执行，本办法有效。")
        for name, text in subjects.items()
        for n in range(12)
    ]


RECIPE = training.Recipe(
    dimensions=64, vocabulary=2000, reserve=200, epochs=8, batch=24, rate=1e-2, tuning_epochs=4, threads=1
)


def quiet(what: str, step: int, steps: int, loss: float) -> None:
    assert 0 < step <= steps, what


def test_articles_of_a_law_in_plain_text_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "某办法.md"
    file.write_text("# 某办法\n\n## 第一章 总则\n\n第一条 为了便民。\n\n第二条 本办法所称便民，\n是指方便。\n", "utf-8")
    found = list(training.read_texts(file))
    assert [(t.id, t.title, t.text) for t in found] == [
        ("某办法-0", "某办法", "第一条 为了便民。"),
        ("某办法-1", "某办法", "第二条 本办法所称便民，\n是指方便。"),
    ]


@pytest.mark.parametrize(("line", "wanted"), [("{", "line 1 is not JSON"), ("[]", "no JSON object"), ("{}", "lacks")])
def test_bad_training_files_are_named(tmp_path: Path, line: str, wanted: str) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(training.BadTrainingData, match=wanted):
        list(training.read_texts(file))
    with pytest.raises(training.BadTrainingData, match=wanted):
        training.read_pairs(file)


def test_pairs_are_read_in_both_forms(tmp_path: Path) -> None:
    pairs, questions, qrels = tmp_path / "p.jsonl", tmp_path / "q.jsonl", tmp_path / "r.tsv"
    pairs.write_text(json.dumps({"question": "问", "passage": "a"}) + "\n")
    questions.write_text(json.dumps({"id": "q1", "text": "问"}) + "\n")
    qrels.write_text("q1\t0\ta\t1\nq1\t0\tb\t0\nq2\t0\ta\t1\n")
    wanted = [training.Pair("问", "a")]
    assert training.read_pairs(pairs) == training.read_pairs(questions, qrels) == wanted


def test_a_piece_never_meets_itself_in_the_rest() -> None:
    corpus, vocabulary = training.number(articles(), 2000)
    rows = np.arange(len(corpus))
    pieces, rests, named = training.draw(corpus, rows, len(vocabulary), np.random.default_rng(1))
    assert len(pieces) == len(rests) == len(rows)
    full = training.whole(corpus, len(vocabulary))
    for row in rows[~named]:
        held = slice(full.starts[row], full.starts[row + 1])
        rest = slice(rests.starts[row], rests.starts[row + 1])
        assert set(rests.tokens[rest]) < set(full.tokens[held])


def test_evaluation_gets_the_shipped_vectors_over_its_own_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "open_model", small_model)
    stage = training.stage_over(articles(), ())
    assert stage is not None
    assert all(c.id.startswith("养老") for c in stage.nearest("退休", 12))
    monkeypatch.setattr(training, "open_model", lambda: None)
    assert training.stage_over(articles(), ()) is None, "without vectors evaluation goes on by words"


def test_training_learns_to_find_the_field_and_a_judged_lay_word(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    pairs = [training.Pair("老了没钱领", f"养老-{n}") for n in range(4)] + [
        training.Pair("娃儿念书", f"教育-{n}") for n in range(4)
    ]
    texts = articles()
    model = training.train(texts, texts, pairs, RECIPE, quiet)
    index = SemanticIndex(tmp_path, model)
    index.replace((t.id, t.document, f"{t.title}\n{t.text}") for t in texts)
    index.commit("1")
    assert index.nearest("退休", 1)[0].id.startswith("养老")
    assert index.nearest("娃儿念书", 1)[0].id.startswith("教育"), "a word that no text holds was learned from the pairs"
    again = training.train(texts, texts, pairs, RECIPE, quiet)
    assert np.array_equal(model.table, again.table), "the same seed gives the same vectors"


def test_going_on_with_a_model_adds_the_librarys_own_words() -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    model = small_model()
    grown = training.train_on(model, articles(), [], RECIPE, quiet)
    assert set(WORDS) < set(grown.vocabulary)
    assert "民政" in grown.vocabulary
    kept = model.question("低保困难") @ grown.question("低保困难")
    assert kept > 0.5, "what was known before is held"


def test_a_model_can_be_gone_on_with_again_and_again(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    model, file = small_model(), tmp_path / "model.npz"
    for _ in range(4):
        model = training.tuned(model, articles(), [training.Pair("老了没钱领", "养老-1")], RECIPE, quiet)
        semantic.save_model(model, file)
        model = semantic.load_model(file)
    assert model.asked.max() < 1000, "each turn would move the tokens' scale into their weights, beyond half precision"
    assert np.isfinite(model.question("养老")).all()


def test_the_command_trains_and_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch")
    texts, out = tmp_path / "texts.jsonl", tmp_path / "model.npz"
    rows = [{"id": t.id, "document": t.document, "title": t.title, "text": t.text} for t in articles()]
    texts.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    call = ["train", "--texts", str(texts), "--out", str(out), "--dimensions", "64", "--epochs", "1", "--json"]
    assert cli.main(call) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["passages"], said["dimensions"]) == (48, 64)
    assert semantic.load_model(out).dimensions == 64
    assert json.loads(out.with_suffix(".json").read_text())["recipe"]["seed"] == 20261121


@pytest.mark.parametrize("call", [["train"], ["train", "--texts", "x.jsonl"], ["train", "--library", "--texts", "x"]])
def test_a_wrong_call_of_the_command_is_wrong_usage(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(call) == 2
    assert "bianmin:" in capsys.readouterr().err
