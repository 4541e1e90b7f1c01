"""A worker of pgqueuer: ``python -m benchmarks.project.pgqueuer_worker BATCH_SIZE``."""

import sys

import uvloop

from benchmarks.place import Place
from benchmarks.systems import system_at
from benchmarks.systems.pgqueuer import forever

if __name__ == "__main__":
    uvloop.run(forever(system_at(Place.here()), int(sys.argv[1])))
