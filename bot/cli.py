"""命令行: the command ``bianmin``.

Every command takes ``--json``: one JSON value on stdout and nothing else there; progress and messages go to stderr.
Exit 0 done, 1 something failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import secrets
import shutil
import socket
import sqlite3
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bot import archives, library_commands, mailbox_commands, question_commands
from bot.app import House, asgi, build, health, make_composer, office_info, poll_telegram, wechat_of
from bot.channels import telegram
from bot.channels.api import finding_json, reply_json
from bot.channels.wechat_client import WeChatApi
from bot.channels.wechat_menu import menu_lines, menu_of
from bot.channels.wechat_store import WeChatStore
from bot.config import Settings, load
from bot.errors import BotError, ConfigError, PortInUse
from bot.rehearsal import read_dialogs, read_questions, regressions, rehearse
from bot.thinkers import Thinkers
from knowledge import lexicon, matters, sayings, semantic, training
from knowledge.errors import KnowledgeError
from knowledge.evaluation import evaluate
from knowledge.lists import BadRow, Stated, read_organs
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Filters,
    IngestOutcome,
    IngestStatus,
    LinkKind,
    PolicyDocument,
    Question,
    Validity,
)
from knowledge.training import stage_over
from register import privacy
from register.calendar import WorkCalendar
from register.clock import now_beijing
from register.errors import RegisterError
from register.inquiry import Channel, Entry, EntryStatus, Inquiry, ReplyKind
from replies.errors import ReplyError
from replies.preview import samples

log = logging.getLogger(__name__)
err = Console(stderr=True, highlight=False)

Handler = Callable[[argparse.Namespace, Settings], int]


class UsageError(Exception):
    """The words of the call are off: exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    # Defaults stand here: set on the parser they would undo a flag that stands before the command's name.
    args = parser.parse_args(arguments, argparse.Namespace(json=False, config=None, verbose=False))
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("httpx", "httpcore", "urllib3", "wechatpy"):
        # Their INFO and DEBUG lines print tokens and secrets that stand in addresses.
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = load(args.config)
        handler: Handler = args.handler
        return handler(args, settings)
    except (UsageError, ConfigError) as error:
        err.print(f"bianmin: {error}", markup=False, soft_wrap=True)
        return 2
    except (BotError, KnowledgeError, RegisterError, ReplyError, OSError) as error:
        err.print(f"bianmin: {error}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        err.print("bianmin: stopped; run the same command again to go on where it was")
        return 1


def _emit(args: argparse.Namespace, value: object, lines: Iterable[str]) -> None:
    """The JSON value, or the lines for people."""
    if args.json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    else:
        for line in lines:
            sys.stdout.write(line + "\n")


# --- library ---------------------------------------------------------------------------------------------------------


def document_json(document: PolicyDocument) -> dict[str, object]:
    """The contract's line of ``documents``."""
    return {
        "id": document.id,
        "kind": document.kind.value,
        "title": document.title,
        "number": document.number,
        "issuer": document.issuer,
        "written_on": _iso(document.written_on),
        "published_on": _iso(document.published_on),
        "attribute": document.attribute.value,
        "validity": document.validity.value,
        "passages": document.passages,
        "url": document.url,
        "stage": document.stage.value,
        "held": document.held,
        "topic": document.topic,
        "audience": document.audience,
        "version": document.version,
    }


def outcome_json(outcome: IngestOutcome) -> dict[str, object]:
    """The contract's line of ``ingest``."""
    d = outcome.document
    return {
        "path": outcome.path,
        "status": outcome.status.value,
        "id": d.id if d else None,
        "title": d.title if d else None,
        "number": d.number if d else None,
        "issuer": d.issuer if d else None,
        "written_on": _iso(d.written_on) if d else None,
        "attribute": d.attribute.value if d else None,
        "passages": d.passages if d else 0,
        "reason": outcome.reason,
        "stage": d.stage.value if d else None,
        "error": outcome.error,
    }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and every file below the folders named; hidden files and Office lock files are left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file())
            found += [p for p in below if not p.name.startswith((".", "~$"))]
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"{path} does not exist")
    return found


def _ingest(args: argparse.Namespace, settings: Settings) -> int:
    files, refused = archives.opened(_files(args.paths), settings.data.folder / "unpacked")
    manifest = library_commands.manifest_of(args.manifest)
    attribute = DisclosureAttribute(args.attribute) if args.attribute else None
    house = build(settings)
    try:
        outcomes = refused + _take_in(house, files, attribute, args.publish, manifest.of if manifest else None)
    finally:
        house.close()
    rejected = sum(o.status is IngestStatus.REJECTED for o in outcomes)
    _emit(args, [outcome_json(o) for o in outcomes], map(_outcome_line, outcomes))
    counts = ", ".join(f"{sum(o.status is s for o in outcomes)} {s.value}" for s in IngestStatus)
    waiting = sum(bool(o.document and o.document.held) for o in outcomes)
    err.print(f"{len(outcomes)} files: {counts}; {waiting} wait for staff")
    return 1 if rejected or (manifest and manifest.bad) else 0


def _take_in(
    house: House,
    files: Sequence[Path],
    attribute: DisclosureAttribute | None,
    publish: bool,
    stated: Callable[[Path], Stated | None] | None = None,
) -> list[IngestOutcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outcomes: list[IngestOutcome] = []
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("ingest", total=len(files))
        for outcome in house.library.ingest(files, attribute=attribute, publish=publish, stated=stated):
            outcomes.append(outcome)
            bar.advance(task)
    return outcomes


def _outcome_line(outcome: IngestOutcome) -> str:
    d = outcome.document
    if d is None:
        return f"{outcome.status.value:9}  {outcome.path}: {outcome.error}: {outcome.reason}"
    head = f"{outcome.status.value:9}  {d.id:12} {d.title} {d.number} ({d.passages} passages, {d.stage.value})"
    return f"{head}: {outcome.reason}" if outcome.reason else head


def _emitter(args: argparse.Namespace) -> library_commands.Emit:
    return lambda value, lines: _emit(args, value, lines)


def _lists(args: argparse.Namespace, settings: Settings) -> int:
    return library_commands.run_lists(args, settings, _emitter(args), outcome_json)


def _crawl(args: argparse.Namespace, settings: Settings) -> int:
    return library_commands.run_crawl(args, settings, _emitter(args))


def _ledger(args: argparse.Namespace, settings: Settings) -> int:
    return library_commands.run_ledger(args, settings, _emitter(args))


def _show(args: argparse.Namespace, settings: Settings) -> int:
    return library_commands.run_show(args, settings, _emitter(args), document_json)


def _documents(args: argparse.Namespace, settings: Settings) -> int:
    if args.versions:
        args.document, args.version = args.versions, None
        return _show(args, settings)
    house = build(settings)
    try:
        found = house.library.documents(staff=args.all)
    finally:
        house.close()
    lines = (
        f"{d.id:12} {d.written_on or '':10}  {d.validity.label}  {d.title} {d.number}"
        + (f"  [{d.held}]" if d.held else "")
        for d in found
    )
    _emit(args, [document_json(d) for d in found], lines)
    return 0


def _publish(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        attribute = DisclosureAttribute(args.attribute) if args.attribute else None
        document = house.library.publish(args.document, attribute=attribute, force=args.force)
    finally:
        house.close()
    _emit(args, document_json(document), [f"{document.stage.value}: {document.title} {document.held}"])
    return 1 if document.held else 0


def _withdraw(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        house.library.withdraw(args.document, args.reason)
    finally:
        house.close()
    _emit(args, {"id": args.document, "stage": "withdrawn"}, [f"withdrawn: {args.document}"])
    return 0


def _rule(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        house.library.rule(args.document, Validity(args.validity), args.reason)
    finally:
        house.close()
    _emit(args, {"id": args.document, "validity": args.validity}, [f"{args.document}: {args.validity}"])
    return 0


def _links(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        if args.action == "list":
            found = house.library.proposed_links()
            value: object = [asdict(link) for link in found]
            lines = [f"{x.source} {x.kind.value} {x.target}: {x.evidence}" for x in found]
        else:
            if not (args.source and args.target and args.kind):
                raise UsageError(f"links {args.action} needs SOURCE TARGET KIND")
            kind = LinkKind(args.kind)
            if args.action == "confirm":
                house.library.link(args.source, args.target, kind, "confirmed by staff")
            else:
                house.library.unlink(args.source, args.target, kind)
            value = {"source": args.source, "target": args.target, "kind": args.kind, "action": args.action}
            lines = [f"{args.action}: {args.source} {args.kind} {args.target}"]
    finally:
        house.close()
    _emit(args, value, lines)
    return 0


def _organs(args: argparse.Namespace, settings: Settings) -> int:
    no_bad_rows: tuple[BadRow, ...] = ()
    house = build(settings)
    try:
        if args.file is None:
            organs, bad = house.library.organs(), no_bad_rows
        else:
            table = read_organs(args.file)
            organs, bad = table.organs, table.bad
            house.library.replace_organs(organs)
    finally:
        house.close()
    for row in bad:
        err.print(f"{args.file} line {row.line}: {row.reason}", markup=False)
    value = {"organs": [asdict(o) for o in organs], "bad": [asdict(b) for b in bad]}
    _emit(args, value, (f"{o.name}  {o.phone}" for o in organs))
    return 1 if bad else 0


def _filters(args: argparse.Namespace) -> Filters:
    return Filters(
        organ=args.organ or "",
        year=args.year,
        number=args.number or "",
        topic=args.topic or "",
        audience=args.audience or "",
        kind=DocumentKind(args.kind) if args.kind else None,
        validity=Validity(args.validity) if args.validity else None,
    )


def _search(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        finding = house.library.ask(Question(args.text, _filters(args), args.limit), facets=args.facets)
    finally:
        house.close()
    lines = [
        f"{n}. {h.document.title} {h.document.number} {h.passage.locator}  [{h.document.validity.label}] {h.score:.3f}\n"
        f"   {h.passage.text[:120]}"
        for n, h in enumerate(finding.hits, 1)
    ]
    if finding.corrected:
        lines.insert(0, f"understood as: {finding.corrected}")
    lines += [f"{facet.name}: {facet.value} ({facet.count})" for facet in finding.facets]
    record = finding.record
    lines.append(f"{record.scope_documents} documents, {record.scope_passages} passages, as of {record.as_of}")
    _emit(args, finding_json(finding, facets=args.facets), lines)
    return 0


def _ask(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        inquiry = Inquiry(
            channel=Channel.CLI,
            message_key=secrets.token_hex(16),
            conversation=house.seal.pseudonym(f"cli:{args.conversation or secrets.token_hex(8)}"),
            text=args.text,
            received_at=now_beijing(),
        )
        entry, reply = house.reception.answer(inquiry)
        house.book.deliver(entry, "passive")
    finally:
        house.close()
    _emit(args, reply_json(entry, reply), [reply.text])
    return 0


# --- register --------------------------------------------------------------------------------------------------------


def entry_json(entry: Entry) -> dict[str, object]:
    """The contract's line of ``log``; question and reply are masked."""
    return {
        "entry": entry.entry,
        "channel": entry.channel.value,
        "message_key": entry.message_key,
        "received_at": entry.received_at.isoformat(),
        "settled_at": entry.settled_at.isoformat() if entry.settled_at else None,
        "status": entry.status.value,
        "kind": entry.kind.value if entry.kind else None,
        "question": entry.question,
        "reply": privacy.mask(entry.reply.text) if entry.reply else None,
        "deliveries": [{"at": d.at.isoformat(), "outcome": d.outcome} for d in entry.deliveries],
        "seconds": entry.seconds,
        "sources": [f"{s.title} {s.locator}" for s in entry.reply.sources] if entry.reply else [],
        "error": entry.error,
    }


def _log(args: argparse.Namespace, settings: Settings) -> int:
    since = _moment(args.since) if args.since else None
    house = build(settings)
    try:
        channel = Channel(args.channel) if args.channel else None
        status = EntryStatus(args.status) if args.status else None
        entries = house.book.log(
            since=since, channel=channel, limit=args.limit, status=status, undelivered=args.undelivered
        )
    finally:
        house.close()
    lines = (
        f"{e.entry:6} {e.received_at:%Y-%m-%d %H:%M:%S} {e.channel.value:8} {e.status.value:7} "
        f"{e.kind.value if e.kind else '-':14} {e.question[:60]}"
        for e in entries
    )
    _emit(args, [entry_json(e) for e in entries], lines)
    return 0


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since wants an ISO time such as 2026-11-20 or 2026-11-20T08:00, not '{text}'") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=now_beijing().tzinfo)


def _mask(args: argparse.Namespace, _: Settings) -> int:
    text = sys.stdin.read()
    masked, found = privacy.mask_with(text)
    if args.json:
        value = {"text": masked, "found": [{"kind": d.kind.value, "start": d.start, "end": d.end} for d in found]}
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(masked)
    return 0


def _workday(args: argparse.Namespace, _: Settings) -> int:
    try:
        start = date.fromisoformat(args.date)
    except ValueError as error:
        raise UsageError(f"DATE must look like 2026-11-20, not '{args.date}'") from error
    due = WorkCalendar.load(args.calendar).add_working_days(start, args.days)
    value: dict[str, object] = {"date": _iso(due.date), "provisional": due.provisional}
    if due.reason:
        value["reason"] = due.reason
    _emit(args, value, [f"{due.date or 'unknown'}{f'  ({due.reason})' if due.reason else ''}"])
    return 0


# --- house -----------------------------------------------------------------------------------------------------------


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    import uvicorn

    host, port = settings.server.host, settings.server.port
    _claim(host, port)
    with closing(build(settings)) as before:
        repaired = before.library.ensure_index()
    thinkers = Thinkers(settings, settings.server.processes) if settings.server.processes else None
    house = build(settings, thinker=thinkers)
    try:
        if repaired:
            err.print(f"bianmin: {repaired}")
        state = house.library.state()
        shown = f"http://{host}:{port}"
        err.print(f"bianmin: {state.documents} documents, {state.passages} passages, as of {state.as_of}")
        err.print(f"bianmin: citizens' page  {shown}/chat")
        err.print(f"bianmin: library         {shown}/browse")
        err.print("bianmin: stop with Ctrl-C")
        if state.documents == 0:
            err.print("bianmin: the library is empty; load documents with: bianmin ingest PATH")
        uvicorn.run(
            asgi(house),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
        )
    finally:
        if thinkers is not None:
            thinkers.close()
        house.close()
    return 0


def _claim(host: str, port: int) -> None:
    """Say in one line that the port is taken, instead of a trace from deep inside the server."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(
                f"cannot listen on {host}:{port} ({error.strerror}); stop the other program or set BIANMIN_SERVER__PORT"
            ) from error


def _mailbox(args: argparse.Namespace, settings: Settings) -> int:
    return mailbox_commands.run(args, settings, lambda value, lines: _emit(args, value, lines))


def _matters(args: argparse.Namespace, settings: Settings) -> int:
    return question_commands.run_matters(args, settings, _emitter(args))


def _lexicon(args: argparse.Namespace, settings: Settings) -> int:
    return question_commands.run_lexicon(args, settings, _emitter(args))


def _answered(args: argparse.Namespace, settings: Settings) -> int:
    return question_commands.run_answered(args, settings, _emitter(args))


def _wechat(args: argparse.Namespace, settings: Settings) -> int:
    if args.what == "progress":
        return _wechat_progress(args, settings)
    if args.action not in ("push", "show"):
        raise UsageError("wechat menu takes push or show")
    return _wechat_menu(args, settings)


def _wechat_progress(args: argparse.Namespace, settings: Settings) -> int:
    """Tell the citizen of an entry, by 订阅通知, that the matter has moved on."""
    if not (args.action or "").isdigit() or not args.state:
        raise UsageError("write it as: wechat progress ENTRY --state 已受理 [--case NUMBER] [--note WORDS]")
    if not settings.wechat.progress_template:
        raise ConfigError(
            "[wechat] progress_template is empty; set it to the id of the account's template for progress"
        )
    entry = int(args.action)
    house = build(settings)
    try:
        found = house.book.find(entry)
        if found.channel is not Channel.WECHAT:
            raise UsageError(f"entry {entry} came in by {found.channel.value}, not by WeChat")
        case = args.case or str(entry)
        queued = wechat_of(house).topics.progress(entry, found.conversation, case, args.state, note=args.note)
    finally:
        house.close()
    told = (
        "queued; bianmin serve sends it"
        if queued
        else "not queued: the citizen has not agreed to such notices, or has had this one already"
    )
    _emit(args, {"entry": entry, "queued": queued}, [told])
    return 0 if queued else 1


def _wechat_menu(args: argparse.Namespace, settings: Settings) -> int:
    """Set the account's menu to that of the configuration, or show what WeChat holds."""
    own = settings.wechat
    menu = menu_of(own.menu) if args.action == "push" else None
    if not own.app_id or not own.app_secret:
        raise ConfigError("WeChat's API needs BIANMIN_WECHAT__APP_ID and BIANMIN_WECHAT__APP_SECRET; set both")
    house = build(settings)
    try:
        api = WeChatApi(own.app_id, own.app_secret, WeChatStore(house.engine, house.seal), api_base=own.api_base)
        if menu is not None:
            api.push_menu(menu)
        shown = menu if menu is not None else api.show_menu()
    finally:
        house.close()
    _emit(args, shown, menu_lines(shown) or ["the account has no menu; set one with: bianmin wechat menu push"])
    return 0


def _telegram(args: argparse.Namespace, settings: Settings) -> int:
    """Answer on Telegram by polling, or look after the bot's webhook."""
    if not settings.telegram.token:
        raise ConfigError("Telegram needs BIANMIN_TELEGRAM__TOKEN; set the token that @BotFather gave")
    if args.what == "webhook":
        shown = asyncio.run(telegram.webhook(settings, args.action or "show", args.url))
        _emit(args, shown, [f"{name}: {value}" for name, value in shown.items()])
        return 0
    if args.action is not None:
        raise UsageError("telegram poll takes nothing more; webhooks: telegram webhook set|delete|show")
    house = build(settings)
    try:
        repaired = house.library.ensure_index()
        if repaired:
            err.print(f"bianmin: {repaired}")
        err.print("bianmin: fetching Telegram's updates; stop with Ctrl-C")
        asyncio.run(poll_telegram(house))
    finally:
        house.close()
    return 0


def _check(args: argparse.Namespace, settings: Settings) -> int:
    house = build(settings)
    try:
        done = house.library.ensure_index() if args.repair else ""
        problems = health(house)
    finally:
        house.close()
    lines = [done] if done else []
    lines += [f"problem: {p}" for p in problems] or ["all is well"]
    _emit(args, {"status": "failing" if problems else "ok", "problems": problems, "repaired": done}, lines)
    return 1 if problems else 0


def _seed_demo(args: argparse.Namespace, settings: Settings) -> int:
    import demo

    folder = Path(demo.__file__).parent
    house = build(settings)
    try:
        if args.if_empty and house.library.documents(staff=True):
            house.library.ensure_index()
            _emit(args, {"loaded": 0}, [])
            return 0
        err.print("bianmin: loading the fictional demo county 青禾县")
        house.library.replace_organs(read_organs(folder / "organs.csv").organs)
        outcomes = _take_in(house, _files([folder / "documents", folder / "held"]), None, False)
    finally:
        house.close()
    rejected = [o for o in outcomes if o.status is IngestStatus.REJECTED]
    for outcome in rejected:
        err.print(_outcome_line(outcome), markup=False)
    loaded = len(outcomes) - len(rejected)
    _emit(args, {"loaded": loaded}, [f"{loaded} documents loaded"])
    return 1 if rejected else 0


def _backup(args: argparse.Namespace, settings: Settings) -> int:
    """The database as a consistent copy, the originals, and the key that opens the sealed data."""
    if settings.database.url:
        raise UsageError("backup covers the embedded SQLite database; use pg_dump for database.url")
    folder = settings.data.folder
    source = folder / "bianmin.db"
    if not source.exists():
        raise UsageError(f"{source} does not exist; there is nothing to back up")
    partial = args.file.with_name(args.file.name + ".part")
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "bianmin.db"
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as target:
            live.backup(target)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            archive.add(copy, "bianmin.db")
            for name in ("register.key", "originals", "mail"):
                if (folder / name).exists():
                    archive.add(folder / name, name)
    partial.replace(args.file)
    _emit(args, {"file": str(args.file), "bytes": args.file.stat().st_size}, [f"written: {args.file}; keep it safe"])
    return 0


def _restore(args: argparse.Namespace, settings: Settings) -> int:
    """Put a backup back into an empty data folder and build the index again."""
    folder = settings.data.folder
    if (folder / "bianmin.db").exists():
        raise UsageError(f"{folder} already holds a database; name an empty folder with BIANMIN_DATA__FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            with tarfile.open(args.file, "r:gz") as archive:
                archive.extractall(scratch, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UsageError(f"{args.file} is not a backup of bianmin: {error}") from error
        if not (Path(scratch) / "bianmin.db").exists():
            raise UsageError(f"{args.file} is not a backup of bianmin: it holds no bianmin.db")
        for item in Path(scratch).iterdir():
            shutil.move(str(item), folder / item.name)
    house = build(settings)
    try:
        done = house.library.ensure_index()
        state = house.library.state()
    finally:
        house.close()
    _emit(args, {"documents": state.documents, "index": done}, [f"restored: {state.documents} documents; {done}"])
    return 0


def _train(args: argparse.Namespace, settings: Settings) -> int:
    """Vectors of the semantic stage: the shipped ones again, or the library's own."""
    if importlib.util.find_spec("torch") is None:
        raise UsageError(
            "training needs PyTorch; install it with: pip install 'bianmin[train]' (serving does not need it)"
        )
    if args.library == bool(args.texts):
        raise UsageError("name either --texts FILE… with --out FILE, or --library")
    if args.texts and args.out is None:
        raise UsageError("--texts needs --out FILE.npz")
    started = time.monotonic()
    recipe = training.Recipe(seed=args.seed, dimensions=args.dimensions, threads=args.threads)
    recipe = replace(recipe, tuning_epochs=args.tuning_epochs or recipe.tuning_epochs)
    pairs = [p for path in args.pairs for p in training.read_pairs(path, args.qrels)]
    if args.library:
        texts = _library_texts(settings)
        base = semantic.open_model()
        if base is None:
            raise UsageError("there is no shipped model to go on from; make one first with --texts and --out")
        target = args.out or settings.data.folder / semantic.OWN_MODEL
        recipe = replace(recipe, epochs=args.epochs or 4, rate=5e-4, batch=256)
    else:
        files = [list(training.read_texts(path)) for path in args.texts]
        texts = [text for file in files for text in file]
        wanted = {pair.passage for pair in pairs}
        judged = [text for file in files if any(t.id in wanted for t in file) for text in file]
        for path in args.written:
            pairs += training.read_written(path, judged)
        if args.words:
            added, taught = sayings.taught(lexicon.shipped().entries, matters.shipped(), judged, args.seed)
            judged, pairs = judged + added, pairs + taught
        base, target = None, args.out
        recipe = replace(recipe, epochs=args.epochs or recipe.epochs)
    if len(texts) < 2:
        raise UsageError("there is nothing to learn from: fewer than two passages")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, step: int, steps: int, loss: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=steps)
            bar.update(tasks[what], completed=step, description=f"{what} {loss:.3f}" if loss else what)

        if args.begin is not None:
            model = training.tuned(semantic.load_model(args.begin), judged, pairs, recipe, report)
        elif base is None:
            model = training.train(texts, judged, pairs, recipe, report)
        else:
            model = training.train_on(base, texts, pairs, recipe, report)
    semantic.save_model(model, target)
    value = {
        "file": str(target),
        "bytes": target.stat().st_size,
        "tokens": len(model.vocabulary),
        "dimensions": model.dimensions,
        "passages": len(texts),
        "pairs": len(pairs),
        "seconds": round(time.monotonic() - started, 1),
        "recipe": asdict(recipe),
    }
    target.with_suffix(".json").write_text(json.dumps(value | {"file": target.name}, indent=1) + "\n", "utf-8")
    _emit(args, value, [f"written: {target}, {value['bytes']} bytes; then: bianmin check --repair"])
    return 0


def _library_texts(settings: Settings) -> list[training.Text]:
    """What citizens may read, and nothing else: a model must not carry words of closed texts either."""
    house = build(settings)
    try:
        return [
            training.Text(p.id, d.id, d.title, " ".join(p.path), p.text)
            for d in house.library.documents()
            for p in house.library.open_document(d.id)[1]
        ]
    finally:
        house.close()


def _evaluate(args: argparse.Namespace, settings: Settings) -> int:
    """Judged sets (--corpus), a county's own question list (--own) or its dialogues (--dialogs)."""
    if args.own or args.dialogs:
        return _rehearse(args, settings)
    if not (args.corpus and args.queries and args.qrels):
        raise UsageError("evaluate needs --corpus, --queries and --qrels, or --own FILE, or --dialogs FOLDER")
    if bool(args.removed) != bool(args.answerable):
        raise UsageError("--removed and --answerable belong together")
    report = evaluate(
        args.corpus,
        args.queries,
        args.qrels,
        removed=args.removed,
        answerable=args.answerable,
        train_queries=args.train_queries,
        train_qrels=args.train_qrels,
        engine=args.engine or settings.index.engine,
        semantic=stage_over if settings.index.semantic else None,
        progress=lambda words: err.print(words, markup=False),
    )
    value = report.to_json()
    _emit(args, value, (f"{name:14} {figure}" for name, figure in value.items() if not isinstance(figure, list)))
    return 0


def _rehearse(args: argparse.Namespace, settings: Settings) -> int:
    scripts = read_questions(args.own) if args.own else read_dialogs(args.dialogs)
    house = build(settings)
    try:
        report = rehearse(house, scripts)
    finally:
        house.close()
    worse = regressions(report, args.baseline) if args.baseline else []
    if args.save:
        args.save.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=1), "utf-8")
    wrong = [f"{o.script}: {o.text}: {'; '.join(o.wrong)}" for o in report.outcomes if o.wrong]
    figures = (
        f"{report.messages} messages, right {report.right:.1%}, kinds right {report.kinds_right:.1%}, "
        f"right document first {report.first_right:.1%}, answered {report.answered:.1%}, "
        f"wrong answers {report.wrong_answers:.1%}"
    )
    _emit(args, {**report.to_json(), "regressions": worse}, [*wrong, figures])
    for line in worse:
        err.print(f"worse than before: {line}", markup=False)
    return 1 if worse else 0


def _templates(args: argparse.Namespace, settings: Settings) -> int:
    """Check every template with its declared variables, or show what a kind of reply looks like."""
    composer = make_composer(settings)
    chosen = [s for s in samples(office_info(settings)) if s.name.split("/")[0].split()[0] == args.kind]
    if args.action == "check":
        checked = composer.check()
        _emit(args, {"checked": list(checked)}, [f"{len(checked)} templates are in order"])
        return 0
    if not chosen:
        raise UsageError(f"preview needs a kind of reply: {', '.join(k.value for k in ReplyKind)}")
    channel = Channel(args.channel)
    limit = settings.wechat.reply_bytes if channel is Channel.WECHAT else 0
    shown = [(s.name, composer.compose(s.decision, channel=channel, limit_bytes=limit)) for s in chosen]
    _emit(
        args,
        [{"name": name, **reply_json(0, reply)} for name, reply in shown],
        (f"--- {name}\n{reply.text}\n" for name, reply in shown),
    )
    return 0


# --- the parser ------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON value on stdout")
    common.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="configuration file")
    common.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="say more on stderr")
    parser = argparse.ArgumentParser(prog="bianmin", description="政务公开便民答复助手", parents=[common])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, handler: Handler, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, parents=[common])
        sub.set_defaults(handler=handler)
        return sub

    attributes = [a.value for a in DisclosureAttribute if a is not DisclosureAttribute.UNKNOWN]

    sub = command("ingest", _ingest, "read files or folders into the library")
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    sub.add_argument("--attribute", choices=attributes, help="公开属性 of texts that state none")
    sub.add_argument("--publish", action="store_true", help="staff have checked what would be held")
    sub.add_argument(
        "--manifest", type=Path, metavar="FILE", help="著录清单: what staff say of the files (.xlsx, .csv)"
    )

    sub = command("documents", _documents, "list the published documents")
    sub.add_argument("--all", action="store_true", help="also what waits or was withdrawn (staff)")

    sub.add_argument("--versions", metavar="ID", help="history, links and versions of one document, as: show ID")

    library_commands.show_arguments(
        command("show", _show, "one document for staff: elements, links, history, versions")
    )
    library_commands.lists_arguments(
        command("lists", _lists, "tables of organs, public matters or files: template, import")
    )
    library_commands.crawl_arguments(command("crawl", _crawl, "take in the columns of the county's website"))
    library_commands.ledger_arguments(
        command("ledger", _ledger, "what was published, how fast, with what interpretation")
    )

    sub = command("publish", _publish, "open a waiting document to citizens")
    sub.add_argument("document")
    sub.add_argument("--attribute", choices=attributes)
    sub.add_argument("--force", action="store_true", help="what it was held for has been dealt with")

    sub = command("withdraw", _withdraw, "take a document out of the citizens' sight at once")
    sub.add_argument("document")
    sub.add_argument("--reason", required=True)

    sub = command("rule", _rule, "lay down a document's validity (立改废)")
    sub.add_argument("document")
    sub.add_argument("validity", choices=[v.value for v in Validity])
    sub.add_argument("--reason", required=True)

    sub = command("links", _links, "list, confirm or refuse links between documents")
    sub.add_argument("action", choices=["list", "confirm", "refuse"], nargs="?", default="list")
    sub.add_argument("source", nargs="?")
    sub.add_argument("target", nargs="?")
    sub.add_argument("kind", nargs="?", choices=[k.value for k in LinkKind])

    sub = command("organs", _organs, "show the organ directory, or replace it from a table")
    sub.add_argument("file", nargs="?", type=Path)

    sub = command("search", _search, "search the published passages")
    sub.add_argument("text")
    sub.add_argument("--limit", type=int, default=10)
    sub.add_argument("--organ")
    sub.add_argument("--year", type=int)
    sub.add_argument("--number")
    sub.add_argument("--topic")
    sub.add_argument("--audience")
    sub.add_argument("--kind", choices=[k.value for k in DocumentKind])
    sub.add_argument("--validity", choices=[v.value for v in Validity])
    sub.add_argument("--facets", action="store_true", help="also count what was found by 要素")

    question_commands.lexicon_arguments(command("lexicon", _lexicon, "check the dictionary of what people say"))
    question_commands.matters_arguments(command("matters", _matters, "check the list of what departments do"))
    question_commands.answered_arguments(
        command("answered", _answered, "questions whose answer staff have approved: answered add|list|remove")
    )

    sub = command("ask", _ask, "ask as a citizen would")
    sub.add_argument("text")
    sub.add_argument("--conversation", help="name of the conversation, to go on with it")

    sub = command("log", _log, "what came in and what became of it, masked")
    sub.add_argument("--since", help="ISO time")
    sub.add_argument("--channel", choices=[c.value for c in Channel])
    sub.add_argument("--status", choices=[s.value for s in EntryStatus])
    sub.add_argument("--undelivered", action="store_true", help="only replies that have not reached the citizen yet")
    sub.add_argument("--limit", type=int, default=50)

    command("mask", _mask, "mask personal data in the text on stdin")

    sub = command("workday", _workday, "count working days: workday add DATE N")
    sub.add_argument("action", choices=["add"])
    sub.add_argument("date")
    sub.add_argument("days", type=int)
    sub.add_argument("--calendar", type=Path, help="your own working-day file")

    command("serve", _serve, "serve the pages and the callbacks")

    sub = command("wechat", _wechat, "wechat menu push|show; wechat progress ENTRY --state WORDS tells a citizen")
    sub.add_argument("what", choices=["menu", "progress"])
    sub.add_argument("action", help="menu: push or show; progress: the number of the entry")
    sub.add_argument("--state", default="", help="progress: how the matter stands, such as 已受理 (5 characters)")
    sub.add_argument("--case", default="", help="progress: number of the case; otherwise that of the entry")
    sub.add_argument("--note", default="", help="progress: one more line where the template has a field for it")

    sub = command("mailbox", _mailbox, "look after the county mailbox: take in, answer, send; quarantine and drafts")
    mailbox_commands.arguments(sub)

    sub = command("telegram", _telegram, "answer on Telegram: telegram poll, or telegram webhook set|delete|show")
    sub.add_argument("what", choices=["poll", "webhook"])
    sub.add_argument("action", choices=["set", "delete", "show"], nargs="?")
    sub.add_argument("--url", default="", help="address for Telegram to call; otherwise server.base_url + /telegram")

    sub = command("check", _check, "say whether the house is in order")
    sub.add_argument("--repair", action="store_true", help="rebuild the index where it is missing or damaged")

    sub = command("seed-demo", _seed_demo, "load the fictional county 青禾县")
    sub.add_argument("--if-empty", action="store_true", help="only into an empty library")

    sub = command("train", _train, "train the vectors of the semantic stage (needs PyTorch)")
    sub.add_argument(
        "--texts", nargs="+", type=Path, metavar="FILE", default=[], help="passages: JSON lines, .md, .txt"
    )
    sub.add_argument("--pairs", nargs="+", type=Path, metavar="FILE", default=[], help="judged pairs: JSON lines")
    sub.add_argument("--qrels", type=Path, help="judgements in TREC form; --pairs then holds the questions")
    sub.add_argument(
        "--written", nargs="+", type=Path, metavar="FILE", default=[], help="questions for named articles: JSON lines"
    )
    sub.add_argument("--words", action="store_true", help="learn from the lexicon and the list of matters as well")
    sub.add_argument(
        "--begin", type=Path, metavar="FILE", help="tune this model (.npz) instead of starting from nothing"
    )
    sub.add_argument("--tuning-epochs", type=int)
    sub.add_argument("--library", action="store_true", help="go on with the library's own open passages")
    sub.add_argument("--out", type=Path, metavar="FILE", help="model to write (.npz)")
    sub.add_argument("--epochs", type=int)
    sub.add_argument("--dimensions", type=int, choices=[64, 128, 192, 256], default=256)
    sub.add_argument("--seed", type=int, default=20261121)
    sub.add_argument("--threads", type=int, default=2)

    sub = command(
        "evaluate", _evaluate, "measure search on a judged set, or answers on your own questions or dialogues"
    )
    for name in ("corpus", "queries", "qrels", "removed", "answerable", "train-queries", "train-qrels"):
        sub.add_argument(f"--{name}", type=Path, metavar="F")
    sub.add_argument("--engine", choices=["tantivy", "whoosh"])
    sub.add_argument("--own", type=Path, metavar="F", help="your own questions.toml")
    sub.add_argument("--dialogs", type=Path, metavar="FOLDER", help="your own dialogues")
    sub.add_argument("--save", type=Path, metavar="F", help="keep the report to compare with later")
    sub.add_argument("--baseline", type=Path, metavar="F", help="exit 1 when what was right there is wrong now")

    sub = command("templates", _templates, "check the reply templates, or preview a kind of reply")
    sub.add_argument("action", choices=["check", "preview"])
    sub.add_argument("kind", nargs="?", default="")
    sub.add_argument("--channel", choices=[c.value for c in Channel], default=Channel.WEB.value)

    sub = command("backup", _backup, "write database, originals and key into one file")
    sub.add_argument("file", type=Path)
    sub = command("restore", _restore, "put a backup back into an empty data folder")
    sub.add_argument("file", type=Path)
    return parser
