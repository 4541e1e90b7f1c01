"""A process whose clock is wrong: the system's time of day is moved for it, nothing else is."""

import os
import subprocess
from pathlib import Path

# Python reads the time of day by this function alone; waits use the monotonic clock.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*usual)(clockid_t, struct timespec *);
    if (!usual) usual = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = usual(clock, now);
    const char *moved = getenv("TASKWORKS_FAULTS_CLOCK");
    if (!failed && moved && clock == CLOCK_REALTIME) now->tv_sec += atol(moved);
    return failed;
}
"""


def moved_clock(folder: Path, seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much; it takes a C compiler."""
    library = folder / "clock.so"
    if not library.exists():
        source = folder / "clock.c"
        source.write_text(SOURCE)
        words = ["-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run([os.environ.get("CC", "cc"), *words], check=True)
    return {"LD_PRELOAD": str(library), "TASKWORKS_FAULTS_CLOCK": str(seconds)}
