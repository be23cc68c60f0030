"""The timing of the path: it runs on the house as it is, and its shares add up."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bot.app import House

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def path() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_path", ROOT / "bench" / "path.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_every_step_of_a_question_is_timed(path: ModuleType, demo_house: House) -> None:
    taken = path.ask(demo_house, ["低保怎么申请", "你好"], "test")
    assert [set(steps) for steps in taken] == [{"read", "search", "decide", "compose", "register", "whole"}] * 2
    for steps in taken:
        assert all(seconds >= 0.0 for seconds in steps.values())
        assert sum(steps.values()) <= 2 * steps["whole"] + 1e-9


def test_the_table_says_how_much_each_step_takes(path: ModuleType) -> None:
    taken = [{"read": 0.001, "search": 0.003, "whole": 0.004}, {"read": 0.002, "search": 0.002, "whole": 0.004}]
    steps = {step.name: step for step in path.table(taken)}
    assert list(steps) == ["read", "search", "whole"]
    assert steps["search"].p50 == pytest.approx(2.5)
    assert steps["search"].share == pytest.approx(5 / 8)
    assert steps["whole"].share == pytest.approx(1.0)


def test_the_questions_are_the_demo_countys_own(path: ModuleType) -> None:
    assert len(path.questions()) > 100
