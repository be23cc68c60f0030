"""A real house in a temporary directory: real SQLite, real index, real templates. Only the far ends of networks are fakes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import House, build
from bot.config import DataSettings, Settings
from knowledge.lists import read_organs

ROOT = Path(__file__).parent.parent
_SHARED = Path(os.environ.get("BIANMIN_TEST_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real texts and oracles that lie beside the project on the developers' machines."""
    if not _SHARED.is_dir():
        pytest.skip("the real corpus is not on this machine (BIANMIN_TEST_SHARED)")
    return _SHARED


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Default settings over an empty data folder."""
    return replace(Settings(), data=DataSettings(folder=tmp_path / "data"))


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """An empty house."""
    built = build(settings)
    yield built
    built.close()


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the demo county, loaded once."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    built = build(replace(Settings(), data=DataSettings(folder=folder)))
    try:
        built.library.replace_organs(read_organs(ROOT / "demo" / "organs.csv").organs)
        files = sorted((ROOT / "demo" / "documents").iterdir()) + sorted((ROOT / "demo" / "held").iterdir())
        rejected = [o for o in built.library.ingest(files) if o.error]
        assert not rejected, rejected
    finally:
        built.close()
    return folder


@pytest.fixture
def demo_settings(demo_folder: Path, tmp_path: Path) -> Settings:
    """Settings over a private copy of the demo county."""
    copy = tmp_path / "demo-data"
    shutil.copytree(demo_folder, copy)
    return replace(Settings(), data=DataSettings(folder=copy))


@pytest.fixture
def demo_house(demo_settings: Settings) -> Iterator[House]:
    """The demo county, in a copy that the test may change."""
    built = build(demo_settings)
    yield built
    built.close()


@pytest.fixture
def document(tmp_path: Path) -> Callable[..., Path]:
    """Write one small 公文 of our own to a file; words are the caller's."""

    def write(
        name: str = "a.txt",
        *,
        title: str = "青禾县人民政府办公室关于做好桥梁管护工作的通知",
        number: str = "青政办发〔2026〕90号",
        body: str = "一、管护责任\n（一）日常巡查。各乡镇每月巡查桥梁一次。（责任单位：县交通运输局）\n二、经费\n每座桥每年补助管护经费800元。\n",
        attribute: str = "（此件公开发布）",
        day: str = "2026年3月2日",
    ) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        signature = f"青禾县人民政府办公室\n{day}\n"
        path.write_text(
            f"{number}\n\n{title}\n\n各乡镇人民政府，县政府各部门：\n现将有关事项通知如下：\n{body}\n{signature}{attribute}\n",
            "utf-8",
        )
        return path

    return write
