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
        promise="another worker executes them, once it was silent for 30 s",
        in_ci=True,
    ),
    2: Fault(
        what="`kill -9` between a task's effect and the record of its end",
        promise="it is executed again: at least once; one outcome is recorded",
    ),
    3: Fault(
        what="`kill -9` of a supervisor",
        promise="its workers notice, drain and exit with 0; no run is lost, no process left over",
        in_ci=True,
    ),
    4: Fault(
        what="`kill -9` of one of a supervisor's workers",
        promise="it is replaced, and its runs come back at once",
        in_ci=True,
    ),
    5: Fault(
        what="a task calls `sys.exit`, `os._exit`, crashes, kills its process",
        promise="its run fails and says how; its neighbours end; the process is replaced",
    ),
    6: Fault(
        what="a task that kills its process every time",
        promise="the third crash of a run that is executed alone is its last: failed, and shown; "
        "runs beside it are never blamed",
    ),
    7: Fault(
        what="SIGTERM while tasks run",
        promise="no more claims, what runs may end, exit code 0",
        in_ci=True,
    ),
    8: Fault(
        what="SIGTERM while a task runs that takes longer than the grace",
        promise="it is asked to stop and given back, no attempt spent, exit code 0",
        in_ci=True,
    ),
    9: Fault(
        what="a storm of SIGTERM, SIGINT, SIGQUIT and SIGHUP",
        promise="one shutdown, no traceback, runs given back at once",
    ),
    10: Fault(
        what="SIGSTOP of a worker past its rescue, then SIGCONT",
        promise="nothing that it brings is written; it registers anew and works on",
        in_ci=True,
    ),
    11: Fault(
        what="a task that holds the interpreter, so that no heartbeat is sent",
        promise="rescued and fenced: one outcome",
    ),
    12: Fault(
        what="child processes after the worker has connected",
        promise="spawned, never forked: no socket is in both",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    13: Fault(
        what="every connection of the workers is terminated, again and again",
        promise="they connect anew; each run has one attempt; no worker is given up",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    14: Fault(
        what="the server is stopped and started, politely and by force",
        promise="workers wait and go on; what ended meanwhile is written; `enqueue` raises",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    15: Fault(
        what="the server is down for long",
        promise="a line a minute in the log, bounded memory, tries at most 10 s apart",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    16: Fault(
        what="a black hole: the network swallows what is sent, and says nothing",
        promise="the runs of the worker are rescued by those who can reach the database; time "
        "limits end its wait, and it comes back by itself",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
        in_ci=True,
    ),
    17: Fault(
        what="failover to a server that only reads",
        promise="an outage and no task's failure",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    18: Fault(
        what="deadlocks, and serialization failures",
        promise="the worker's statements are done again; nothing is lost or done twice",
        databases=ON_SERVERS,
        elsewhere="SQLite has one writer",
    ),
    19: Fault(
        what="no connection is left on the server",
        promise="the machinery keeps its own: no worker is given up, outcomes are written",
        databases=ON_SERVERS,
        elsewhere=NO_SERVER,
    ),
    20: Fault(
        what="PgBouncer in transaction mode",
        promise="the worker says that no notice arrives, and polls; runs are executed and rescued, "
        "schedules fire; no setting, lock or channel of ours is left to others",
        databases=("postgresql",),
        in_ci=True,
        elsewhere="PgBouncer is PostgreSQL's",
    ),
    21: Fault(
        what="the disk of the database is full",
        promise="`enqueue` raises; outcomes are written once there is space, each once",
    ),
    22: Fault(
        what="another session holds a transaction open, at full load",
        promise="at least half the throughput meanwhile, 90 % of it within 30 s afterwards",
        databases=ON_SERVERS,
        elsewhere="on SQLite a reader keeps nobody from anything",
    ),
    23: Fault(
        what="a statement of the retention takes too long",
        promise="",
        databases=(),
        elsewhere="a trigger that sleeps shows it in `tests/worker/test_housekeeping.py`",
    ),
    24: Fault(
        what="somebody holds SQLite's write lock for longer than the busy timeout",
        promise="the worker waits and goes on; no worker is given up",
        databases=("sqlite",),
        elsewhere="servers lock rows",
        in_ci=True,
    ),
    25: Fault(
        what="workers whose clocks are an hour ahead and an hour behind",
        promise="nothing changes: all times that are compared are the database's",
        databases=ON_SERVERS,
        elsewhere="the clock of SQLite is the machine's, and so the workers'",
        in_ci=True,
    ),
    30: Fault(
        what="a migration adds columns while old code works",
        promise="it works on",
    ),
    31: Fault(
        what="a migration locks the table of runs",
        promise="workers wait and go on; no worker is given up",
    ),
    32: Fault(
        what="the code of a stored run is gone, or cannot be imported",
        promise="given back with growing delays, executed once it is there, failed as "
        "`TaskNotFound` at the end; others are not held up",
        in_ci=True,
    ),
    33: Fault(
        what="stored arguments do not fit the function any more",
        promise="failed with `TypeError`, the arguments kept; the worker lives",
        in_ci=True,
    ),
    34: Fault(
        what="arguments that are no JSON, or too large",
        promise="refused by `enqueue` before a row exists, or unchanged when the task gets them",
        in_ci=True,
    ),
    35: Fault(
        what="results and exceptions that cannot be stored or printed",
        promise="failed with a cleaned, cut text; neighbours are not touched",
        in_ci=True,
    ),
    36: Fault(
        what="a run of a batch that the database refuses, that is deleted, that is cancelled",
        promise="the others are written; cancel goes before retry",
        in_ci=True,
    ),
    37: Fault(
        what="an hour of load, with faults 1, 7, 10, 13 and 16 every 20 s",
        promise="all of the above at once; memory, connections and tables do not grow",
        asked_for_by="TASKWORKS_SOAK_SECONDS",
    ),
    41: Fault(
        what="20 times `kill -9` during 20,000 runs",
        promise="none lost, none left running after 40 s, none called poison that is not",
    ),
    42: Fault(
        what="10,000 outcomes of zombies, 100 of them by real workers that were frozen",
        promise="none is written",
    ),
    43: Fault(
        what="20 times `kill -9` and 5 stops during 10,000 runs with `transactional=True`",
        promise="each run's effect happens once: the counter is 10,000",
    ),
}
