"""register.calendar: working days follow the year's notice, and a year without one is never guessed."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from register.calendar import WorkCalendar
from register.errors import CalendarUnknown

CALENDAR = WorkCalendar.load()
WORKING_DAYS = {2019: 250, 2020: 249, 2021: 250, 2022: 249, 2023: 249, 2024: 251, 2025: 248, 2026: 248}


@pytest.mark.parametrize(
    ("day", "working"),
    [
        ("2024-02-09", True),  # 除夕 of 2024 was worked
        ("2025-01-28", False),  # 除夕 of 2025 was the first that was off by law
        ("2024-10-12", True),  # a Saturday worked for 国庆
        ("2025-01-26", True),  # a Sunday worked for 春节
        ("2026-05-09", True),
        ("2026-05-10", False),
        ("2026-10-08", True),
        ("2020-01-31", False),  # the Spring Festival that was prolonged
        ("2019-05-02", False),  # 劳动节 as changed in March 2019
        ("2026-11-20", True),
        ("2026-11-21", False),
    ],
)
def test_single_days_are_as_the_notices_say(day: str, working: bool) -> None:
    assert CALENDAR.is_working_day(date.fromisoformat(day)) is working


@pytest.mark.parametrize(("year", "count"), WORKING_DAYS.items())
def test_each_year_has_the_known_number_of_working_days(year: int, count: int) -> None:
    days = (date(year, 1, 1) + timedelta(days=i) for i in range(365 + (year % 4 == 0)))
    assert sum(map(CALENDAR.is_working_day, days)) == count


@pytest.mark.parametrize(
    ("received", "n", "due"),
    [
        ("2024-01-31", 20, "2024-03-04"),
        ("2024-02-09", 7, "2024-02-26"),
        ("2024-09-27", 7, "2024-10-12"),
        ("2025-01-26", 40, "2025-03-28"),
        ("2025-04-25", 15, "2025-05-20"),
        ("2026-01-30", 40, "2026-04-02"),
        ("2026-04-27", 7, "2026-05-09"),
        ("2026-09-18", 40, "2026-11-19"),
        ("2026-12-10", 15, "2026-12-31"),
        ("2026-11-20", 0, "2026-11-20"),
    ],
)
def test_periods_begin_the_day_after_and_end_on_a_working_day(received: str, n: int, due: str) -> None:
    result = CALENDAR.add_working_days(date.fromisoformat(received), n)
    assert (result.date, result.provisional, result.reason) == (date.fromisoformat(due), False, "")


@pytest.mark.parametrize(
    ("received", "n"), [("2026-11-20", 40), ("2026-12-10", 20), ("2027-03-01", 1), ("9999-12-31", 1)]
)
def test_beyond_the_known_years_there_is_no_date_but_a_reason(received: str, n: int) -> None:
    result = CALENDAR.add_working_days(date.fromisoformat(received), n)
    assert result.date is None
    assert result.provisional
    assert "放假安排" in result.reason


def test_an_unknown_year_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CalendarUnknown, match="2027 are not known; add the year"):
        CALENDAR.is_working_day(date(2027, 1, 4))
    with pytest.raises(CalendarUnknown):
        CALENDAR.working_days_between(date(2026, 12, 30), date(2027, 1, 10))


def test_a_negative_period_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.add_working_days(date(2026, 1, 5), -1)


def test_the_real_vectors_agree(shared: Path) -> None:
    with (shared / "oracles" / "working_days.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 15
    for row in rows:
        result = CALENDAR.add_working_days(date.fromisoformat(row["received_on"]), int(row["working_days"]))
        if row["due_on"] == "provisional":
            assert (result.date, result.provisional) == (None, True), row
        else:
            assert (result.date, result.provisional) == (date.fromisoformat(row["due_on"]), False), row


@given(st.dates(date(2019, 1, 1), date(2026, 6, 30)), st.integers(min_value=1, max_value=100))
def test_counting_back_gives_the_period_again(start: date, n: int) -> None:
    due = CALENDAR.add_working_days(start, n).date
    assert due is not None
    assert CALENDAR.is_working_day(due)
    assert CALENDAR.working_days_between(start, due) == n
    assert CALENDAR.working_days_between(due, start) == -n


def own_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "workdays.toml"
    path.write_text(text, "utf-8")
    return path


def test_an_office_adds_a_year_and_replaces_another(tmp_path: Path) -> None:
    path = own_file(
        tmp_path,
        '[2027]\nnotice = "本县假定"\ncomplete = true\noff = ["01-01/01-03"]\nwork = ["01-09"]\n'
        '[2026]\nnotice = "本县假定"\ncomplete = true\noff = ["12-31"]\nwork = []\n',
    )
    calendar = WorkCalendar.load(path)
    assert calendar.is_working_day(date(2027, 1, 9))
    assert calendar.add_working_days(date(2026, 12, 30), 1).date == date(2027, 1, 4)
    assert calendar.is_working_day(date(2026, 10, 1))  # the replaced year knows only its own days
    assert [year.year for year in calendar.years] == [*range(2019, 2028)]


def test_an_incomplete_year_gives_a_date_marked_provisional(tmp_path: Path) -> None:
    path = own_file(tmp_path, '[2027]\nnotice = "待公布"\ncomplete = false\noff = ["01-01"]\nwork = []\n')
    result = WorkCalendar.load(path).add_working_days(date(2026, 12, 31), 1)
    assert (result.date, result.provisional) == (date(2027, 1, 4), True)
    assert "2027" in result.reason


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not toml at all [", "not in the form"),
        ('[2027]\noff = ["01-01"]\nwork = []\nnotice = "x"\n', "complete"),
        ('[2027]\noff = ["13-01"]\nwork = []\nnotice = "x"\ncomplete = true\n', "month"),
        ('[2027]\noff = ["01-05/01-01"]\nwork = []\nnotice = "x"\ncomplete = true\n', "backwards"),
        ('[2027]\noff = []\nwork = ["01-04"]\nnotice = "x"\ncomplete = true\n', "no weekend day"),
        ('[2027]\noff = ["01-02"]\nwork = ["01-02"]\nnotice = "x"\ncomplete = true\n', "both"),
        ('[2027]\noff = []\nwork = []\nnotice = "x"\ncomplete = "yes"\n', "true or false"),
        ('[2027]\noff = []\nwork = []\nnotice = "x"\ncomplete = true\nholidays = []\n', "unknown key 'holidays'"),
        ("years = 3\n", "not in the form"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_the_reason(tmp_path: Path, text: str, complaint: str) -> None:
    path = own_file(tmp_path, text)
    with pytest.raises(CalendarUnknown) as caught:
        WorkCalendar.load(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CalendarUnknown, match=r"nowhere\.toml cannot be read"):
        WorkCalendar.load(tmp_path / "nowhere.toml")
