"""思考进程: processes that look up and write answers beside the one that serves.

Python runs one thread at a time, and looking up takes most of a message's time. What a message leads to depends on the
message, its conversation and the library alone (:meth:`bot.reception.Reception.respond`), so that any process over the
same data folder comes to the same answer. The serving process keeps everything else to itself: doors, register, outboxes, clocks.
A process here notices changes of the library as the serving one does, with each question. It writes nothing; it ends with
the pipe to its parent, also when that is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import pickle
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from datetime import datetime
from multiprocessing.connection import Connection

from bot.config import Settings
from bot.errors import ThinkerDied
from bot.reception import Thought
from knowledge.model import Question
from register.inquiry import Conversation, Inquiry

log = logging.getLogger(__name__)

_TRIES = 2  # processes that one message may cost
_STOP_SECONDS = 5.0
_AGAIN_SECONDS = 10.0
_PATIENCE = 2.0  # seconds that a message waits for a process before the caller helps itself

Task = tuple[Inquiry, Conversation, datetime, int, int]
"""The arguments of :meth:`bot.reception.Reception.think`."""


class Thinkers:
    """思考进程组: ``count`` processes, each with a house of its own over the same data. Safe for many threads."""

    def __init__(self, settings: Settings, count: int) -> None:
        """Starts them all and returns at once: until one is ready, whoever asks helps himself."""
        self._settings = settings
        self._closing = False
        self._free: queue.LifoQueue[_Seat] = queue.LifoQueue()  # who worked last has the warmest caches
        self._ready = 0  # seats that have answered or can
        self._lock = threading.Lock()
        self._seats = [_Seat(settings) for _ in range(count)]
        atexit.register(self.close)  # before multiprocessing waits for processes that only end with their pipe
        for seat in self._seats:
            threading.Thread(target=self._admit, args=(seat,), name="thinker", daemon=True).start()

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether all of them are ready within so many seconds."""
        until = time.monotonic() + seconds
        while self._ready < len(self._seats) and time.monotonic() < until:
            time.sleep(0.02)
        return self._ready == len(self._seats)

    def think(
        self, inquiry: Inquiry, conversation: Conversation, now: datetime, limit_bytes: int, entry: int
    ) -> Thought | None:
        """What the message leads to; None when no process is to be had, because they are being started again.

        Raises what the work raises, and :class:`ThinkerDied` for a message that kills whoever works on it.
        """
        asked = pickle.dumps((inquiry, conversation, now, limit_bytes, entry), pickle.HIGHEST_PROTOCOL)
        if not self._ready:
            return None
        for _ in range(_TRIES):
            try:
                seat = self._free.get(timeout=_PATIENCE)
            except queue.Empty:
                return None
            try:
                told = seat.ask(asked)
            except (EOFError, OSError):
                log.error("a process died over entry %d and is started again", entry)
                with self._lock:
                    self._ready -= 1
                threading.Thread(target=self._start_again, args=(seat,), name="thinker", daemon=True).start()
                continue
            self._free.put(seat)
            if isinstance(told, _Failed):
                raise told.error from _Trace(told.trace)
            return told
        raise ThinkerDied(f"{_TRIES} processes died over entry {entry}; staff should look at its question")

    def _start_again(self, seat: _Seat) -> None:
        seat.stop(0.0)
        fresh = self._replace(seat)
        if fresh is not None:
            self._admit(fresh)

    def _replace(self, seat: _Seat) -> _Seat | None:
        """A new process in the place of this one; None when they are being ended."""
        with self._lock:
            if self._closing:
                return None
            fresh = _Seat(self._settings)
            self._seats[self._seats.index(seat)] = fresh
        return fresh

    def _admit(self, seat: _Seat) -> None:
        """Let it work as soon as it can; one that cannot start is tried again until one does."""
        waiting: _Seat | None = seat
        while waiting is not None:
            try:
                waiting.wait_until_ready()
            except (EOFError, OSError):
                if self._closing:
                    return
                log.error(
                    "a process that looks up answers could not start; its own message stands above; the serving process "
                    "answers meanwhile, the next try comes in %s s; BIANMIN_SERVER__PROCESSES=0 does without",
                    _AGAIN_SECONDS,
                )
                waiting.stop(0.0)
                time.sleep(_AGAIN_SECONDS)
                waiting = self._replace(waiting)
                continue
            with self._lock:
                self._ready += 1
            self._free.put(waiting)
            return

    def close(self) -> None:
        """End them."""
        with self._lock:
            self._closing = True
        atexit.unregister(self.close)
        for seat in self._seats:
            seat.stop(_STOP_SECONDS)


class _Seat:
    """One process and the pipe to it. Used by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share files and locks with running threads
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, settings), name="thinker", daemon=True)
        self._process.start()
        theirs.close()  # so that its end shows as the end of the pipe

    def wait_until_ready(self) -> None:
        """Raises ``EOFError`` when the process ended instead."""
        self._pipe.recv_bytes()

    def ask(self, asked: bytes) -> Thought | _Failed:
        """Raises ``EOFError`` or ``OSError`` when the process died."""
        self._pipe.send_bytes(asked)
        told: Thought | _Failed = pickle.loads(self._pipe.recv_bytes())  # noqa: S301 (our own process)
        return told

    def stop(self, seconds: float) -> None:
        """Close the pipe, by which it ends; kill it if it does not within ``seconds``."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class _Failed:
    """An exception on its way to the serving process, with the lines that led to it."""

    def __init__(self, error: Exception, trace: str) -> None:
        self.error, self.trace = error, trace


class _Trace(Exception):
    """Shows in the log where an exception of another process came from."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


# --- in the process -----------------------------------------------------------------------------------------------------


def _work(pipe: Connection, settings: Settings) -> None:
    """Answer what comes through the pipe until it is closed."""
    from bot.app import build  # the house needs this module

    # Ctrl-C and a stop go to all processes; what is under way is finished for the parent, which closes the pipe.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    house = build(settings)
    try:
        try:
            house.library.ask(Question("办事"))  # reads tables and index, so that no citizen waits for it
        except Exception:
            log.exception("the library cannot be asked; questions will fail until it can")
        with contextlib.suppress(EOFError, OSError):
            pipe.send_bytes(b"ready")
            while True:
                pipe.send_bytes(_told(house.reception.think, pickle.loads(pipe.recv_bytes())))  # noqa: S301
    finally:
        house.close()


def _told(think: Callable[..., Thought], task: Task) -> bytes:
    try:
        return pickle.dumps(think(*task), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        trace = traceback.format_exc()
        try:
            told = pickle.dumps(_Failed(error, trace), pickle.HIGHEST_PROTOCOL)
            pickle.loads(told)  # noqa: S301 (some exceptions can be written and not read)
        except Exception:
            told = pickle.dumps(
                _Failed(RuntimeError(f"{type(error).__name__}: {error}"), trace), pickle.HIGHEST_PROTOCOL
            )
        return told
