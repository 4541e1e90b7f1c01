"""Celery's crontab as a cron expression of ours."""

import pytest

from taskworks.moving.beat.entries import CannotImport, Crontab
from taskworks.moving.beat.expressions import expression

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("* * * * *", "* * * * *"),
        ("*/15 9-17 * * *", "*/15 9-17 * * *"),
        ("0 0,12 1 */3 *", "0 0,12 1 */3 *"),
        ("5 4 * * mon-fri", "5 4 * * 1-5"),
        ("5 4 * * Sunday,wed", "5 4 * * 0,3"),
        ("5 4 * * 7", "5 4 * * 7"),
        # Celery of today refuses 7; cron and rows that were written by hand have it as Sunday.
        ("5 4 * * 0-7", "5 4 * * *"),
        ("5 4 * * 5-7", "5 4 * * 5-7"),
        ("5 4 * * fri-7", "5 4 * * 0,5,6"),
        ("5 4 * * 7-2", "5 4 * * 0-2"),
        ("5 4 * * 1-7/2", "5 4 * * 1-7/2"),
        ("5 4 * * fri-mon", "5 4 * * 0,1,5,6"),
        ("0 22-2 * * *", "0 0-2,22,23 * * *"),
        ("0 22-4/2 * * *", "0 0,2,4,22 * * *"),
        ("0 0 * jan,December *", "0 0 * 1,12 *"),
        ("*/90 * * * *", "0 * * * *"),
        ("0-59 * 1-31 * 0-6", "* * * * *"),
        ("0 9 1-7 * mon", "0 9 * * 1#1"),
        ("0 9 8-14 * tue,thu", "0 9 * * 2#2,4#2"),
        ("0 9 1-31 * mon", "0 9 * * 1"),
        ("0 9 15 * 0-6", "0 9 15 * *"),
    ],
)
def test_expressions(fields: str, expected: str) -> None:
    assert expression(Crontab(*fields.split(), "UTC")) == expected


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ("60 * * * *", r"minute='60' of its crontab is not valid"),
        ("* 24 * * *", "hour='24'"),
        ("* * 0 * *", "day_of_month='0'"),
        ("* * * 13 *", "month_of_year='13'"),
        ("* * * someday *", "month_of_year='someday'"),
        ("*/0 * * * *", r"minute='\*/0'"),
        ("5/10 * * * *", r"minute='5/10'"),
        (", * * * *", "minute=','"),
        ("0 9 13 * fri", "match both day_of_month='13' and day_of_week='fri'"),
    ],
)
def test_what_has_no_expression(fields: str, sentence: str) -> None:
    with pytest.raises(CannotImport, match=sentence):
        expression(Crontab(*fields.split(), "UTC"))
