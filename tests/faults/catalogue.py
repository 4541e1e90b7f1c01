"""The faults by number: what is done, what we promise, and on which databases it can be done."""

from dataclasses import dataclass

EVERYWHERE = ("postgresql", "mariadb", "sqlite")
ON_SERVERS = ("postgresql", "mariadb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    what: str
    promise: str
    databases: tuple[str, ...] = EVERYWHERE
    in_ci: bool = False  # the others run by make faults, or when they are named
    asked_for_by: str = ""  # a variable of the environment, without which it is left out
    elsewhere: str = ""  # why it is not done on the databases that are left out


NO_SERVER = "SQLite has no server"

CATALOGUE = {
    1: Fault(
        what="`kill -9` of a worker in the middle of its runs",
        promise="another worker executes them, after the killed one has been silent for 30 s",
        in_ci=True,
    ),
    2: Fault(
        what="`kill -9` between a task's effect and the record of its end",
        promise="the task is executed again (at least once), and one outcome is recorded",
    ),
    3: Fault(
        what="`kill -9` of a supervisor",
        promise="its workers notice, finish their runs and exit with 0; no run is lost, and no "
        "process is left",
        in_ci=True,
    ),
    4: Fault(
        what="`kill -9` of one of a supervisor's workers",
        promise="it is replaced, and its runs come back at once",
        in_ci=True,
    ),
    5: Fault(
        what="a task calls `sys.exit` or `os._exit`, crashes, or kills its process",
        promise="its run fails with the cause; the runs beside it finish; the process is replaced",
    ),
    6: Fault(
        what="a task that kills its process every time",
        promise="a run that is executed alone fails for good at its third crash, and is shown; the "
        "runs beside it are never blamed",
    ),
    7: Fault(
        what="SIGTERM while tasks run",
        promise="no more claims; running tasks may finish; exit code 0",
        in_ci=True,
    ),
    8: Fault(
        what="SIGTERM while a task runs that takes longer than the grace period",
        promise="it is asked to stop, and its run is released without using up an attempt; exit "
        "code 0",
        in_ci=True,
    ),
    9: Fault(
        what="a storm of SIGTERM, SIGINT, SIGQUIT and SIGHUP",
        promise="one shutdown, no traceback, runs released at once",
    ),
    10: Fault(
        what="SIGSTOP of a worker until its runs have been rescued, then SIGCONT",
        promise="none of its outcomes is written; it registers again and continues",
        in_ci=True,
    ),
    11: Fault(
        what="a task that holds the interpreter's lock, so that no heartbeat is sent",
        promise="its runs are rescued, and its late writes are rejected: one outcome",
    ),
    12: Fault(
        what="child processes started after the worker has connected",
        promise="they are spawned, never forked, and share no socket with the worker",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    13: Fault(
        what="every connection of the workers is terminated, again and again",
        promise="they reconnect; each run has one attempt; no worker is declared dead",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    14: Fault(
        what="the server is stopped and started, normally and by force, and at full load",
        promise="workers wait and continue; outcomes from the outage are written; `enqueue` "
        "raises; no run at most once is executed twice",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    15: Fault(
        what="the server is down for a long time",
        promise="one log record per minute, bounded memory, at most 10 s between two tries",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    16: Fault(
        what="a black hole: the network drops everything that is sent, without an error",
        promise="workers that can reach the database rescue its runs; timeouts end its wait, and "
        "it reconnects on its own",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    17: Fault(
        what="failover to a read-only server",
        promise="it is treated as an outage; no task fails",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    18: Fault(
        what="deadlocks, and serialization failures",
        promise="the worker repeats its statements; nothing is lost or done twice",
        databases=ON_SERVERS,
        elsewhere="SQLite has one writer",
    ),
    19: Fault(
        what="no connection is left on the server",
        promise="workers keep their own connections: no worker is declared dead, and outcomes are "
        "written",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    20: Fault(
        what="PgBouncer in transaction mode",
        promise="the worker logs that no notification arrives, and polls; runs are executed and "
        "rescued, and schedules fire; no setting, lock or channel of Taskworks is left in "
        "sessions that others use",
        databases=("postgresql",),
        in_ci=True,
        elsewhere="PgBouncer is PostgreSQL's",
    ),
    21: Fault(
        what="the disk of the database is full",
        promise="`enqueue` raises; each outcome is written once, as soon as there is space",
    ),
    22: Fault(
        what="another session holds a transaction open, at full load",
        promise="at least half the throughput while it is open, and 90% within 30 s afterwards",
        databases=ON_SERVERS,
        elsewhere="on SQLite a reader does not block anybody",
    ),
    23: Fault(
        what="a statement that deletes old runs takes too long",
        promise="",
        databases=(),
        elsewhere="tested with a trigger that sleeps, in `tests/duties/test_housekeeping.py`",
    ),
    24: Fault(
        what="somebody holds SQLite's write lock for longer than the busy timeout",
        promise="the worker waits and continues; no worker is declared dead",
        databases=("sqlite",),
        elsewhere="servers lock rows instead",
        in_ci=True,
    ),
    25: Fault(
        what="workers whose clocks are an hour ahead and an hour behind",
        promise="nothing changes: all times that are compared are the database's",
        databases=ON_SERVERS,
        elsewhere="SQLite uses the machine's clock, which is also the workers'",
        in_ci=True,
    ),
    30: Fault(
        what="a migration adds columns while old code is running",
        promise="the old code continues to work",
    ),
    31: Fault(
        what="a migration locks the table of runs",
        promise="workers wait and continue; no worker is declared dead",
    ),
    32: Fault(
        what="the code of a stored run was removed, or cannot be imported",
        promise="the run is put back with growing delays, executed once the code is there, and "
        "finally failed with `TaskNotFound`; others are not delayed",
        in_ci=True,
    ),
    33: Fault(
        what="stored arguments no longer fit the function",
        promise="the run fails with `TypeError` and keeps its arguments; the worker continues",
        in_ci=True,
    ),
    34: Fault(
        what="arguments that are not JSON, or too large",
        promise="`enqueue` refuses them before a row exists, or they reach the task unchanged",
        in_ci=True,
    ),
    35: Fault(
        what="results and exceptions that cannot be stored or printed",
        promise="the run fails, with a cleaned and shortened text; the runs beside it are not "
        "affected",
        in_ci=True,
    ),
    36: Fault(
        what="a run in a batch of outcomes is refused by the database, is deleted, or is cancelled",
        promise="the others are written; cancellation takes precedence over retry",
        in_ci=True,
    ),
    37: Fault(
        what="an hour of load, with faults 1, 7, 10, 13 and 16 every 20 s",
        promise="all of the above at once; memory, connections and tables do not grow",
        asked_for_by="TASKWORKS_SOAK_SECONDS",
    ),
    41: Fault(
        what="20 times `kill -9` during 20,000 runs",
        promise="no run is lost, none is still running after 40 s, and none is failed as poison by "
        "mistake",
    ),
    42: Fault(
        what="10,000 late outcomes of workers declared dead, 100 of them from real workers that "
        "were frozen",
        promise="none is written",
    ),
    43: Fault(
        what="20 times `kill -9` and 5 stops during 10,000 runs with `transactional=True`",
        promise="each run's effect happens once: the counter is 10,000",
    ),
    44: Fault(
        what="a queue is paused at full load, while workers are killed, frozen and started",
        promise="nothing of it begins before it is resumed; then every run of it is executed",
        in_ci=True,
    ),
    45: Fault(
        what="a task is paused at full load, while workers are killed, frozen and started",
        promise="none of its runs begins before it is resumed, none is stranded; then every one is "
        "executed",
    ),
    46: Fault(
        what="`kill -9` of a worker every second while four of them share a rate",
        promise="in no time t, more than rate x t + burst runs are claimed; all are executed",
    ),
    47: Fault(
        what="`kill -9`, SIGSTOP and SIGTERM of workers at random moments during 1,000 workflows "
        "of 20 runs",
        promise="each workflow ends once, as it should; each callback is one run; no step is "
        "called again once it is recorded; nothing waits without a reason",
    ),
    48: Fault(
        what="`kill -9` and SIGSTOP at one point after another of claims, ends and enqueues with "
        "limits, rates, keys and pauses, for ten minutes at full load",
        promise="no limit or rate is exceeded, one run stands for a key and sees what was "
        "committed with its enqueue, nothing paused begins, nothing is stuck; all are executed",
    ),
}
