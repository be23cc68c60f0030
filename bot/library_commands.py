"""文库命令: ``bianmin lists``, ``crawl``, ``ledger`` and ``show``: the library's lists, its website, its ledger, its memory."""

from __future__ import annotations

import argparse
import csv
import importlib.resources
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

import httpx
from openpyxl import Workbook
from openpyxl.styles import Font
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bot.app import House, build
from bot.config import Settings
from bot.errors import ConfigError
from desk.ledger import Timeliness, as_json, ledger, write_xlsx
from knowledge.crawl import Crawler, CrawlPlan, CrawlReport
from knowledge.lists import BadRow, Manifest, read_manifest, read_organs
from knowledge.model import DisclosureAttribute, IngestOutcome, PolicyDocument
from register.calendar import WorkCalendar
from register.clock import now_beijing

Emit = Callable[[object, Iterable[str]], None]
Describe = Callable[[IngestOutcome], dict[str, object]]
err = Console(stderr=True, highlight=False)

LISTS = ("organs", "catalogue", "manifest")


# --- lists -----------------------------------------------------------------------------------------------------------


def lists_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin lists``."""
    parser.add_argument("action", choices=["template", "import"], help="write a table to fill in, or take one in")
    parser.add_argument(
        "which", choices=LISTS, help="organs 机构名录/权责清单, catalogue 公开事项标准目录, manifest 著录清单"
    )
    parser.add_argument(
        "file", type=Path, nargs="?", help="import: the table; template: where to write (- or none: stdout)"
    )
    parser.add_argument(
        "--xlsx", type=Path, nargs="?", const=Path(), metavar="FILE", help="template: as Excel workbook"
    )
    parser.add_argument("--attribute", choices=["public"], help="import catalogue: 公开属性 of the catalogue itself")


def run_lists(args: argparse.Namespace, settings: Settings, emit: Emit, describe: Describe) -> int:
    """One command; the exit code."""
    if args.action == "template":
        return _template(args, emit)
    if args.file is None:
        raise ConfigError(f"lists import {args.which} needs the file to take in")
    if args.which == "manifest":
        raise ConfigError("a manifest is taken in together with its files: bianmin ingest FOLDER --manifest FILE")
    house = build(settings)
    try:
        if args.which == "organs":
            table = read_organs(args.file)
            if table.organs:
                house.library.replace_organs(table.organs)
            value: dict[str, object] = {"organs": len(table.organs)}
            lines, bad = [f"{len(table.organs)} organs"], table.bad
        else:
            attribute = DisclosureAttribute(args.attribute) if args.attribute else None
            outcomes, bad = house.library.take_catalogues(args.file, attribute=attribute)
            value = {"documents": [describe(o) for o in outcomes]}
            lines = [
                f"{o.status.value:9}  {o.document.title} ({o.document.passages} matters) {o.document.held}"
                for o in outcomes
                if o.document
            ]
    finally:
        house.close()
    report_bad(args.file, bad)
    emit({**value, "bad": [asdict(b) for b in bad]}, lines)
    return 1 if bad else 0


def report_bad(path: Path, bad: Sequence[BadRow]) -> None:
    """The rows that were left out, one line each on stderr."""
    for row in bad:
        where = f"{path} sheet {row.sheet} line {row.line}" if row.sheet else f"{path} line {row.line}"
        err.print(f"{where}: {row.reason}", markup=False, soft_wrap=True)


def manifest_of(path: Path | None) -> Manifest | None:
    """The manifest to go with ``ingest``, its bad rows reported."""
    if path is None:
        return None
    manifest = read_manifest(path)
    report_bad(path, manifest.bad)
    return manifest


def template_text(which: str) -> str:
    """The template of a list as CSV text."""
    return (importlib.resources.files("templates") / "lists" / f"{which}.csv").read_text("utf-8")


def _template(args: argparse.Namespace, emit: Emit) -> int:
    text = template_text(args.which)
    target = args.file if args.file is not None and str(args.file) != "-" else None
    if args.xlsx is not None:
        target = args.xlsx if args.xlsx != Path() else target or Path(f"{args.which}.xlsx")
        _write_workbook(text, target)
    elif target is not None:
        target.write_text(text, "utf-8-sig")  # with the mark, Excel opens it as UTF-8
    value = {"file": str(target) if target else None, "columns": next(csv.reader(io.StringIO(text)))}
    emit(value, [f"written: {target}"] if target else text.splitlines())
    return 0


def _write_workbook(text: str, path: Path) -> None:
    book = Workbook()
    sheet = book.active
    for row in csv.reader(io.StringIO(text)):
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        sheet.column_dimensions[cell.column_letter].width = 22
    for row in sheet.iter_rows():
        for cell in row:
            cell.number_format = "@"
    sheet.freeze_panes = "A2"
    book.save(path)


# --- the website -----------------------------------------------------------------------------------------------------


def crawl_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin crawl``."""
    parser.add_argument("--max-pages", type=int, help="most requests of this call (default: crawl.max_pages)")


def run_crawl(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """Take in the columns of the county's website; 1 when something could not be had or was taken down."""
    own = settings.crawl
    if not own.start_urls:
        raise ConfigError("crawl.start_urls is empty; name the column pages in [crawl] of config.toml")
    if args.max_pages is not None and args.max_pages < 1:
        raise ConfigError("--max-pages must be at least 1")
    plan = CrawlPlan(
        start_urls=own.start_urls,
        link_pattern=own.link_pattern,
        article_pattern=own.article_pattern,
        allowed_host=own.allowed_host,
        delay_seconds=own.delay_seconds,
        max_pages=args.max_pages or own.max_pages,
        recheck_days=own.recheck_days,
        attribute=DisclosureAttribute(own.attribute) if own.attribute else None,
        contact=settings.office.email,
    )
    house = build(settings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=err, transient=True) as bar, httpx.Client(timeout=30.0) as client:
            task = bar.add_task("crawl", total=None)
            report = Crawler(
                house.engine,
                house.library,
                plan,
                settings.data.folder / "pages",
                client,
                seen=lambda done, waiting: bar.update(task, completed=done, total=done + waiting),
            ).crawl()
    finally:
        house.close()
    emit(asdict(report), _crawl_lines(report))
    for address, problem in report.problems:
        err.print(f"{address}: {problem}", markup=False, soft_wrap=True)
    return 1 if report.vanished or report.problems or report.stopped else 0


def _crawl_lines(report: CrawlReport) -> list[str]:
    lines = [
        f"{report.requests} requests: {report.columns} columns, {report.articles} articles, "
        f"{report.not_modified} not modified",
        f"documents: {report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.rejected} rejected; {report.broken} broken links",
    ]
    lines += [f"no longer on the site, held for you: {document}" for document in report.vanished]
    lines += [f"on the site again: {document}" for document in report.returned]
    return [*lines, report.stopped] if report.stopped else lines


# --- the ledger ------------------------------------------------------------------------------------------------------


def ledger_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin ledger``."""
    parser.add_argument("--xlsx", type=Path, metavar="FILE", help="write a workbook")
    parser.add_argument("--calendar", type=Path, help="your own working-day file")


def run_ledger(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """The publication ledger; the exit code."""
    calendar = WorkCalendar.load(args.calendar)
    house = build(settings)
    try:
        found = ledger(house.library, calendar, now_beijing().date())
    finally:
        house.close()
    if args.xlsx:
        write_xlsx(found, args.xlsx)
    states = found.timeliness
    lines = [
        f"{y.year or '----'}  {y.total:5}  " + "  ".join(f"{a.value} {n}" for a, n in y.counts.items() if n)
        for y in found.years
    ]
    lines.append("  ".join(f"{state.label} {states[state]}" for state in Timeliness))
    lines.append(f"解读: {found.interpreted}/{found.policies}")
    lines += [f"{i.issuer}: {i.interpreted}/{i.policies}" for i in found.issuers]
    if args.xlsx:
        lines.append(f"written: {args.xlsx}")
    emit(as_json(found), lines)
    return 0


# --- one document ----------------------------------------------------------------------------------------------------


def show_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin show``."""
    parser.add_argument("document")
    parser.add_argument("--version", type=int, metavar="N", help="the text of a former version")


def run_show(
    args: argparse.Namespace, settings: Settings, emit: Emit, describe: Callable[[PolicyDocument], dict[str, object]]
) -> int:
    """A document for staff: its elements, links, history and versions, or the text of a former version."""
    house = build(settings)
    try:
        if args.version is not None:
            return _show_version(house, args, emit)
        document, passages = house.library.open_document(args.document, staff=True)
        links = house.library.links_of(args.document, staff=True)
        history = house.library.history(args.document)
        versions = house.library.former_versions(args.document)
    finally:
        house.close()
    own = {k: v for k, v in asdict(document).items() if v not in ("", None, ())}
    value = {
        **describe(document),
        "elements": json.loads(json.dumps(own, default=_plain, ensure_ascii=False)),
        "links": [
            {"kind": kind.value, "document": other.id, "title": other.title, "incoming": incoming}
            for kind, other, incoming in links
        ],
        "history": [{"at": at, "kind": kind, "detail": detail} for at, kind, detail in history],
        "versions": [{"version": n, "replaced_at": at, "title": title} for n, at, title in versions],
    }
    lines = [f"{document.title} {document.number}  [{document.validity.label}] {document.stage.value}"]
    lines += [document.held] if document.held else []
    lines += [f"{'<-' if incoming else '->'} {kind.value} {other.id} {other.title}" for kind, other, incoming in links]
    lines += [f"{at} {kind} {detail}" for at, kind, detail in history]
    lines += [f"version {n} until {at}: {title}" for n, at, title in versions]
    lines += [f"version {document.version} now: {len(passages)} passages"]
    emit(value, lines)
    return 0


def _show_version(house: House, args: argparse.Namespace, emit: Emit) -> int:
    house.library.open_document(args.document, staff=True)
    found = house.library.former_version(args.document, args.version)
    if found is None:
        raise ConfigError(f"'{args.document}' has no former version {args.version}; see: bianmin show {args.document}")
    passages = found["passages"]
    assert isinstance(passages, list)
    emit(found, [f"{p['locator']} {p['text']}" for p in passages])
    return 0


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
