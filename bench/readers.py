"""How fast each format is read and understood on one core, and whether the same text comes out of every format.

The documents of the demo county are written in every format that can be made by code (.doc and .wps by LibreOffice, a
scan from the PDF, where these are installed), then read one after the other. Times are processor time, programs
included. ``alike`` is the share of the passages of the Word file that come out of the other format word for word,
``characters`` the likeness of the whole text.

    python bench/readers.py [--documents 60] [--scans 2] [--json]
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import openpyxl  # noqa: E402
import pypdfium2  # noqa: E402
from office_files import Pdf, docx, ofd, p, text_object  # noqa: E402
from rapidfuzz.distance import Levenshtein  # noqa: E402

from knowledge.errors import KnowledgeError  # noqa: E402
from knowledge.readers import ocr, office, process, read  # noqa: E402
from knowledge.readers.raw import Block, BlockKind, RawDocument  # noqa: E402
from knowledge.structure import ParsedDocument, parse  # noqa: E402

_WIDE = 28  # full-width characters a line, as GB/T 9704 sets them
_LINES = 22  # lines a page
_LARGER = 1.375  # a title is set in 22 points, the body in 16
_TITLE_WIDE = 18
_CENTRED = re.compile(r"^\S{2,16}〔\d{4}〕\d+号$")
_RIGHT = re.compile(r"^(?:\d{4}年\d{1,2}月\d{1,2}日|青禾县\S{2,20}(?:局|室|会|府))$")


@dataclass(frozen=True, slots=True)
class Measure:
    """One format: ``seconds`` for reading, ``parsing`` for understanding; the shares are 0..1, None for tables."""

    format: str
    documents: int
    megabytes: float
    seconds: float
    parsing: float
    documents_a_second: float
    megabytes_a_second: float
    alike: float | None
    characters: float | None


def main() -> int:
    """Measure every format; 1 when a file could not be read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--scans", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sources = sorted((ROOT / "demo" / "documents").iterdir())[: args.documents]
    with tempfile.TemporaryDirectory(prefix="bianmin-bench-") as name:
        measures, failed = _measure(sources, Path(name), args.scans)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if args.json:
        print(json.dumps({"formats": [asdict(m) for m in measures], "memory_mb": memory}, ensure_ascii=False))
    else:
        print(
            f"{'format':8}{'files':>6}{'MB':>8}{'docs/s':>10}{'MB/s':>8}{'read ms':>9}{'parse ms':>10}{'alike':>8}{'characters':>12}"
        )
        for m in measures:
            each = (1000 * m.seconds / m.documents, 1000 * m.parsing / m.documents)
            print(
                f"{m.format:8}{m.documents:6}{m.megabytes:8.2f}{m.documents_a_second:10.1f}{m.megabytes_a_second:8.2f}"
                f"{each[0]:9.1f}{each[1]:10.1f}"
                + ("" if m.alike is None or m.characters is None else f"{m.alike:8.1%}{m.characters:12.1%}")
            )
        print(f"peak memory {memory:.0f} MB")
    return int(failed)


def _measure(sources: list[Path], folder: Path, scans: int) -> tuple[list[Measure], bool]:
    texts = {path.stem: read(path) for path in sources}
    made = {name: list(_write(texts, folder / name, writer)) for name, writer in _WRITERS.items()}
    made["txt"] = [path for path in sources if path.suffix == ".txt"]
    made["md"] = [path for path in sources if path.suffix == ".md"]
    made["html"] = [path for path in sources if path.suffix == ".html"]
    if office.converter():
        made["doc"] = _old_word(made["docx"][:5], folder / "doc")
    if ocr.available() and scans:
        made["scan"] = [_scan(path, folder) for path in made["pdf"][:scans]]
    wanted = {path.stem: parse(read(path), path=path.name, document_id="d") for path in made["docx"]}
    measures, failed = [], False
    for name, paths in sorted(made.items()):
        if not paths:
            continue
        seconds = parsing = found = whole = characters = 0.0
        for path in paths:
            start = _cpu()
            try:
                raw = read(path)
            except KnowledgeError as error:
                print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
                failed = True
                continue
            middle = _cpu()
            parsed = parse(raw, path=path.name, document_id="d")
            parsing += _cpu() - middle
            seconds += middle - start
            whole += len(_passages(wanted[path.stem]))
            found += len(_passages(wanted[path.stem]) & _passages(parsed))
            characters += Levenshtein.normalized_similarity(_text(wanted[path.stem]), _text(parsed))
        size = sum(path.stat().st_size for path in paths) / 1e6
        table = name in ("csv", "xlsx")
        measures.append(
            Measure(
                name,
                len(paths),
                size,
                seconds,
                parsing,
                len(paths) / seconds,
                size / seconds,
                None if table else found / max(whole, 1),
                None if table else characters / len(paths),
            )
        )
    return measures, failed


def _cpu() -> float:
    """Seconds of processor time of this process and of the programs it has run: what one core needs."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _passages(parsed: ParsedDocument) -> set[tuple[str, str]]:
    return {(passage.locator, re.sub(r"\s", "", passage.text)) for passage in parsed.passages}


def _text(parsed: ParsedDocument) -> str:
    return re.sub(r"\s", "", "".join(passage.text for passage in parsed.passages))


# ---------------------------------------------------------------- writing


def _write(texts: dict[str, RawDocument], folder: Path, writer: Callable[[list[Block], Path], Path]) -> Iterator[Path]:
    folder.mkdir()
    for stem, raw in texts.items():
        blocks = [block for block in raw.blocks if block.kind is not BlockKind.RULE and block.text.strip()]
        yield writer(blocks, folder / stem)


def _docx(blocks: list[Block], path: Path) -> Path:
    body = []
    for block in blocks:
        centred = '<w:jc w:val="center"/>' if block.level == 1 else ""
        body.append(p(_plain(" ".join(block.cells) if block.cells else block.text), more=centred))
    return docx(path.with_suffix(".docx"), *body)


def _plain(text: str) -> str:
    return text.replace("**", "").strip()


@dataclass(frozen=True, slots=True)
class _Set:
    """A line on a page: its number there, its shift in body characters, and whether it is set as a title."""

    place: int
    shift: float
    text: str
    title: bool


def _set(blocks: list[Block]) -> Iterator[list[_Set]]:
    """Pages of lines as a word processor would set them: titles larger and centred, paragraphs two characters in."""
    page: list[_Set] = []
    titled = False
    for block in blocks:
        text = _plain(" ".join(block.cells) if block.cells else block.text)
        title = not titled and (block.level == 1 or len(text) > 8) and not _CENTRED.match(text)
        titled = titled or title
        if _CENTRED.match(text):
            shift = (_WIDE - len(text)) / 2
        elif _RIGHT.match(text):
            shift = _WIDE - 4.0 - len(text)
        else:
            shift = 0.0 if text.endswith("：") and len(text) < 40 and not block.level else 2.0
        for line in _wrapped(text, _TITLE_WIDE, _TITLE_WIDE) if title else _wrapped(text, _WIDE - shift, _WIDE):
            if len(page) == _LINES:
                yield page
                page = []
            page.append(_Set(len(page), (_WIDE - _width(line) * _LARGER) / 2 if title else shift, line, title))
            shift = 0.0
    yield page


def _width(text: str) -> float:
    return sum(0.5 if character.isascii() else 1.0 for character in text)


def _wrapped(text: str, width: float, further: float) -> Iterator[str]:
    line, used = "", 0.0
    for character in text:
        wide = 0.5 if character.isascii() else 1.0
        if used + wide > width and character not in "，。；：、）》”":
            yield line
            line, used, width = "", 0.0, further
        line += character
        used += wide
    yield line


def _pdf(blocks: list[Block], path: Path) -> Path:
    file = Pdf()
    for number, page in enumerate(_set(blocks), 1):
        file.page().text(f"— {number} —", 280, 800, 14)
        for line in page:
            file.text(line.text, 72 + 16 * line.shift, 110 + 28 * line.place, 16 * _LARGER if line.title else 16)
    return file.save(path.with_suffix(".pdf"))


def _ofd(blocks: list[Block], path: Path) -> Path:
    pages = []
    for number, page in enumerate(_set(blocks), 1):
        lines = [
            text_object(s.text, 28 + 5.6 * s.shift, 37 + 10 * s.place, size=5.6 * _LARGER if s.title else 5.6)
            for s in page
        ]
        pages.append("".join([*lines, text_object(f"— {number} —", 95, 285, size=5)]))
    return ofd(path.with_suffix(".ofd"), *pages)


def _rows(blocks: list[Block]) -> list[list[str]]:
    return [[str(n), *(block.cells or (_plain(block.text),))] for n, block in enumerate(blocks, 1)]


def _xlsx(blocks: list[Block], path: Path) -> Path:
    book = openpyxl.Workbook()
    for row in [["序号", "内容"], *_rows(blocks)]:
        book.active.append(row)
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


def _csv(blocks: list[Block], path: Path) -> Path:
    with path.with_suffix(".csv").open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows([["序号", "内容"], *_rows(blocks)])
    return path.with_suffix(".csv")


_WRITERS: dict[str, Callable[[list[Block], Path], Path]] = {
    "docx": _docx,
    "pdf": _pdf,
    "ofd": _ofd,
    "xlsx": _xlsx,
    "csv": _csv,
}


def _old_word(paths: list[Path], folder: Path) -> list[Path]:
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = [
        office.converter(),
        profile,
        "--headless",
        "--convert-to",
        "doc",
        "--outdir",
        str(folder),
        *map(str, paths),
    ]
    process.run(command, seconds=300)
    return sorted(folder.glob("*.doc"))


def _scan(path: Path, folder: Path) -> Path:
    file = Pdf()
    for page in pypdfium2.PdfDocument(path):
        bitmap = page.render(scale=200 / 72, grayscale=True)
        data, stride = bytes(bitmap.buffer), bitmap.stride
        rows = b"".join(data[y * stride : y * stride + bitmap.width] for y in range(bitmap.height))
        file.picture(bitmap.width, bitmap.height, rows)
    target = folder / "scan"
    target.mkdir(exist_ok=True)
    return file.save(target / path.name)


if __name__ == "__main__":
    sys.exit(main())
