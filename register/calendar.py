"""工作日历: working days, from a data file that an office can extend without a new release.

The year's notice of 国务院办公厅 decides (放假办法 art. 6: 调休); statutory holidays alone are not enough. A year without
data is an answer 「暂定」 or an error with a name, never a guess. Periods in working days begin on the day after the
event (民法典 art. 201, by analogy; the Regulation is silent).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from register.errors import CalendarUnknown

SHIPPED = Path(__file__).with_name("workdays.toml")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DueDate:
    """到期日. ``date`` is None when it cannot be known yet; ``reason`` (Chinese, for staff) says why it is provisional."""

    date: date | None
    provisional: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkYear:
    """年度放假安排: weekdays off and weekend days worked in one year, and the notice that says so."""

    year: int
    off: frozenset[date]
    work: frozenset[date]
    notice: str
    complete: bool


class WorkCalendar:
    """工作日历."""

    __slots__ = ("_years",)

    def __init__(self, years: Mapping[int, WorkYear]) -> None:
        self._years = dict(years)

    @classmethod
    def load(cls, path: Path | None = None) -> WorkCalendar:
        """The years that ship with the program, replaced and extended by those of the office's own file.

        Raises :class:`CalendarUnknown` when a file is missing or not in the form of ``register/workdays.toml``.
        """
        years = _read(SHIPPED)
        if path is not None:
            years |= _read(path)
        return cls(years)

    @property
    def years(self) -> tuple[WorkYear, ...]:
        """The loaded years, in order."""
        return tuple(self._years[year] for year in sorted(self._years))

    def is_working_day(self, day: date) -> bool:
        """Raises :class:`CalendarUnknown` when the year of ``day`` is not loaded."""
        year = self._years.get(day.year)
        if year is None:
            raise CalendarUnknown(
                f"the working days of {day.year} are not known; add the year to the office's working-day file "
                "when the notice of 国务院办公厅 is out"
            )
        if day.weekday() >= 5:
            return day in year.work
        return day not in year.off

    def add_working_days(self, start: date, n: int) -> DueDate:
        """期限届满日: the ``n``-th working day after ``start``, which is not counted itself; ``n`` = 0 gives ``start``.

        Raises ``ValueError`` for a negative ``n``.
        """
        if n < 0:
            raise ValueError("a period has no negative number of working days")
        day, incomplete = start, None
        while n:
            try:
                day += _DAY
                n -= self.is_working_day(day)
            except (CalendarUnknown, OverflowError):
                return DueDate(None, True, f"{day.year}年的放假安排尚未公布或尚未录入，无法确定到期日")
            if not self._years[day.year].complete:
                incomplete = day.year
        if incomplete is not None:
            return DueDate(day, True, f"{incomplete}年的放假安排尚不完整，到期日待放假通知公布后复核")
        return DueDate(day)

    def working_days_between(self, a: date, b: date) -> int:
        """Working days after ``a`` up to and including ``b``, the inverse of :meth:`add_working_days`; negative when
        ``b`` lies before ``a``. Raises :class:`CalendarUnknown`."""
        if b < a:
            return -self.working_days_between(b, a)
        return sum(map(self.is_working_day, _days(a + _DAY, b))) if b > a else 0


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=i) for i in range((last - first).days + 1))


def _read(path: Path) -> dict[int, WorkYear]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        return {int(key): _year(int(key), table) for key, table in raw.items()}
    except OSError as error:
        raise CalendarUnknown(f"the working-day file {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CalendarUnknown(
            f"the working-day file {path} is not in the form of register/workdays.toml: {error}"
        ) from error


def _year(year: int, table: dict[str, Any]) -> WorkYear:
    unknown = table.keys() - {"off", "work", "notice", "complete"}
    if unknown:
        raise ValueError(f"[{year}] has the unknown key '{min(unknown)}'")
    off = frozenset(day for span in table["off"] for day in _span(year, span))
    work = frozenset(day for span in table["work"] for day in _span(year, span))
    if off & work:
        raise ValueError(f"{min(off & work)} is both a day off and a working day")
    for day in work:
        if day.weekday() < 5:
            raise ValueError(f"{day} is no weekend day and needs no entry under 'work'")
    if not isinstance(table["complete"], bool) or not isinstance(table["notice"], str):
        raise ValueError(f"[{year}] needs 'complete' (true or false) and 'notice' (text)")
    return WorkYear(year, off, work, table["notice"], table["complete"])


def _span(year: int, text: str) -> Iterator[date]:
    first, _, last = text.partition("/")
    begin, end = date.fromisoformat(f"{year}-{first}"), date.fromisoformat(f"{year}-{last or first}")
    if end < begin:
        raise ValueError(f"the range {text} runs backwards")
    return _days(begin, end)
