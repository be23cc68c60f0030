"""Real files with ground truth: what is read and understood, field by field. The table is printed with ``pytest -s``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest

from knowledge.errors import KnowledgeError
from knowledge.numbers import canonical
from knowledge.readers import ocr, office, read
from knowledge.structure import ParsedDocument, parse

KINDS = {"ofd", "docx", "doc", "wps", "pdf", "pdf-scan", "html"}
DATES = {"date", "成文日期"}
PRESENT = {
    "sentence",
    "text",
    "must also extract",
    "must contain",
    "last",
    "first rule",
    "addressee",
    "second",
    "last item",
}
TABLES = {"table header", "table row"}


@dataclass(frozen=True)
class Check:
    """One field of one file: what the manifest says and what came out."""

    file: str
    field: str
    wanted: str
    got: str
    right: bool


def plain(text: str) -> str:
    """Without spaces and without the difference between full-width and half-width forms."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).replace("“", '"').replace("”", '"')


def fields(truth: str) -> list[tuple[str, str]]:
    """``key=value`` pairs of the manifest, remarks in brackets cut off."""
    found = []
    for part in re.split(r";\s+(?=[A-Za-z\u4e00-\u9fff/ ]+(?:=|:|\s))", truth):
        for piece in re.split(r";\s+(?=must )", part):
            key, _, value = piece.partition("=")
            if piece.startswith("must also extract "):
                key, value = "must also extract", piece.removeprefix("must also extract ")
            elif piece.startswith("must contain "):
                key, value = "must contain", piece.removeprefix("must contain ")
            elif piece.startswith("must NOT contain "):
                key, value = "must NOT contain", piece.removeprefix("must NOT contain ")
            if value:
                value = re.sub(r"\s+\([a-zA-Z][^)]*(?:\)[^)]*)?\)$|^\(none\b.*", "", value).strip()
                found.append((key.strip(), value))
    return found


def text_of(parsed: ParsedDocument) -> str:
    parts = [parsed.document.title, parsed.document.addressees, *parsed.set_aside]
    for passage in parsed.passages:
        parts += [*passage.path, passage.lead, passage.text]
    return plain("".join(parts))


def check(name: str, field: str, wanted: str, parsed: ParsedDocument, attachments: tuple[str, ...]) -> Check | None:
    """The verdict on one field; None for remarks that are no field of ours."""
    document = parsed.document
    whole = text_of(parsed)
    if field in ("title", "ArticleTitle"):
        return Check(name, "title", wanted, document.title, plain(document.title) == plain(wanted))
    if field == "title/first heading":
        return Check(name, field, wanted, document.title, plain(wanted) in whole)
    if field == "number":
        return Check(name, field, wanted, document.number, document.number == canonical(wanted))
    if field in DATES:
        wanted_day = "-".join(n.zfill(2) for n in re.findall(r"\d+", wanted)[:3])
        got = document.written_on.isoformat() if document.written_on else ""
        return Check(name, "date", wanted_day, got, got == wanted_day)
    if field in ("发布日期", "PubDate"):
        wanted_day = "-".join(n.zfill(2) for n in re.findall(r"\d+", wanted)[:3])
        got = document.published_on.isoformat() if document.published_on else ""
        return Check(name, "published", wanted_day, got, got == wanted_day)
    if field == "索引号":
        return Check(name, field, wanted, document.index_number, document.index_number == wanted)
    if field in ("first heading", "headings"):
        heads = [plain(f"{p.path[-1] if p.path else ''}{p.lead}{p.text}") for p in parsed.passages]
        paths = [plain(part) for p in parsed.passages for part in p.path]
        for head in (plain(part) for part in wanted.split(" / ")):
            if not any(head in path for path in paths) and not any(head in text for text in heads):
                return Check(name, field, head, "", False)
        return Check(name, field, wanted, wanted, True)
    if field in PRESENT:
        return Check(name, field, wanted, "", plain(wanted) in whole)
    if field in TABLES:
        return Check(name, field, wanted, "", all(plain(cell) in whole for cell in wanted.split()))
    if field == "must NOT contain":
        return Check(name, field, wanted, "", plain(wanted) not in whole)
    if field == "attachment":
        return Check(name, field, wanted, " ".join(attachments), wanted in attachments)
    return None


def test_real_files_are_read_and_understood(shared: Path) -> None:
    checks: list[Check] = []
    outcomes: list[tuple[str, str]] = []
    for line in (shared / "samples" / "MANIFEST.tsv").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        name, kind, _source, _licence, _description, truth = line.split("\t")
        if kind not in KINDS or (kind == "pdf-scan" and not ocr.available()):
            continue
        if kind in ("doc", "wps") and not office.converter():
            continue
        path = shared / "samples" / name
        try:
            raw = read(path)
        except KnowledgeError as error:  # anything else fails the test: a file may fail, but never without a name
            outcomes.append((name, f"{type(error).__name__}: {error}"))
            none = "text=(none" in truth
            checks.append(Check(name, "refused by name", truth[:30], type(error).__name__, none))
            continue
        parsed = parse(raw, path=name, document_id="sample")
        outcomes.append((name, f"{len(parsed.passages)} passages"))
        for field, wanted in fields(truth):
            verdict = check(name, field, wanted, parsed, raw.attachments)
            if verdict is not None:
                checks.append(verdict)
    for name, outcome in outcomes:
        mine = [c for c in checks if c.file == name]
        print(f"{name:44} {sum(c.right for c in mine)}/{len(mine)}  {outcome}")
    wrong = [c for c in checks if not c.right]
    for verdict in wrong:
        print(f"  wrong: {verdict.file} {verdict.field}: wanted {verdict.wanted!r}, got {verdict.got!r}")
    share = 1 - len(wrong) / len(checks)
    print(f"{len(checks)} fields, {share:.1%} right")
    if len(checks) < 40:
        pytest.skip("too few samples or too few programs on this machine")
    assert share >= 0.95, wrong
