"""问句命令: ``bianmin lexicon``, ``matters`` and ``answered``: what helps to understand and to answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from bot.app import build
from bot.config import Settings
from bot.errors import ConfigError
from knowledge import lexicon, matters, organs
from knowledge.answered import ApprovedAnswer

Emit = Callable[[object, Iterable[str]], None]


def lexicon_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin lexicon``."""
    parser.add_argument("action", choices=["check"], help="read the dictionary and say what it holds")
    parser.add_argument("file", type=Path, nargs="?", help="a dictionary that is not in use yet")


def run_lexicon(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """One command; the exit code. A dictionary that cannot be read is a ``ConfigError`` naming file and line."""
    own = args.file or (Path(settings.answers.lexicon) if settings.answers.lexicon else None)
    try:
        found = lexicon.load(own)
        mine = lexicon.read_entries(own) if own else {}
    except lexicon.BadLexicon as error:
        raise ConfigError(str(error)) from error
    shipped = lexicon.shipped().entries
    changes = {
        "added": sorted(words for words, sayings in mine.items() if sayings and words not in shipped),
        "replaced": sorted(words for words, sayings in mine.items() if sayings and words in shipped),
        "removed": sorted(words for words, sayings in mine.items() if not sayings),
    }
    value = {
        "file": str(own or ""),
        "entries": len(found.entries),
        "sayings": found.sayings,
        **changes,
    }
    lines = [f"{len(found.entries)} entries, {found.sayings} sayings"]
    lines += [f"{name}: {'、'.join(words)}" for name, words in changes.items() if words]
    emit(value, lines)
    return 0


def matters_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin matters``."""
    parser.add_argument("action", choices=["check"], help="read the list of matters and say what it holds")
    parser.add_argument("file", type=Path, nargs="?", help="a list that is not in use yet")
    parser.add_argument("--ask", metavar="QUESTION", help="say which organs of the directory a question would go to")


def run_matters(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """One command; the exit code. A list that cannot be used is a ``ConfigError`` naming file, class and matter."""
    own = args.file or (Path(settings.answers.matters) if settings.answers.matters else None)
    try:
        known = matters.load(own)
    except matters.BadMatters as error:
        raise ConfigError(str(error)) from error
    house = build(settings)
    try:
        directory = house.library.organs()
    finally:
        house.close()
    unknown = [name for name, who in organs.owners(known, directory).items() if not who]
    found = organs.match(args.ask, directory, known=known) if args.ask else ()
    clashes = known.clashes()
    value = {
        "file": str(own or ""),
        "classes": len(known.classes),
        "matters": known.count,
        "sayings": known.sayings,
        "clashes": clashes,
        "without_organ": unknown,
        "found": [{"organ": m.organ.name, "score": m.score, "because": m.because} for m in found],
    }
    lines = [f"{len(known.classes)} classes, {known.count} matters, {known.sayings} sayings"]
    lines += [f"two classes own: {clash}" for clash in clashes]
    if unknown:
        lines.append(f"no organ in the directory for: {'、'.join(unknown)}")
    if args.ask:
        lines += [f"{m.score:.2f}  {m.organ.name}  {'、'.join(m.because[:3])}" for m in found] or ["no organ fits"]
    emit(value, lines)
    return 1 if clashes else 0


def answered_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin answered``."""
    parser.add_argument(
        "action",
        choices=["add", "list", "remove"],
        nargs="?",
        default="list",
        help="add QUESTION DOCUMENT: this item answers this question from now on; remove NUMBER takes it back",
    )
    parser.add_argument("what", nargs="?", help="the question as a citizen would ask it, or the number of an answer")
    parser.add_argument("document", nargs="?", help="id of an open document")
    parser.add_argument("--locator", default="", help="the item that answers: 第九条, 二、（一）")
    parser.add_argument("--by", default="", help="who approved it")


def run_answered(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """One command; the exit code."""
    if args.action == "add" and not (args.what and args.document):
        raise ConfigError("answered add needs QUESTION and DOCUMENT (an id; see: bianmin documents)")
    if args.action == "remove" and not (args.what or "").isdecimal():
        raise ConfigError("answered remove needs the number of an answer; see: bianmin answered list")
    house = build(settings)
    try:
        if args.action == "add":
            kept = house.library.approve_answer(args.what, args.document, args.locator, by=args.by)
            emit({**asdict(kept), "holds": True}, [_line(kept, True)])
        elif args.action == "remove":
            house.library.forget_answer(int(args.what))
            emit({"id": int(args.what), "removed": True}, [f"removed: {args.what}"])
        else:
            known = house.library.approved_answers()
            emit([{**asdict(a), "holds": holds} for a, holds in known], [_line(a, holds) for a, holds in known])
    finally:
        house.close()
    return 0


def _line(answer: ApprovedAnswer, holds: bool) -> str:
    state = "" if holds else "  [asleep: the document has changed or is not open; look at it and add it again]"
    return f"{answer.id}. {answer.question} → {answer.document} {answer.locator}{state}"
