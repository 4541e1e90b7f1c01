"""The store: what can be done to the runs and workers of one database."""

from abc import ABC

from taskworks.store.blocking import Blocking
from taskworks.store.cancelling import Cancelling
from taskworks.store.claiming import Claiming
from taskworks.store.counting import Counting
from taskworks.store.finishing import Finishing
from taskworks.store.limiting import Limiting
from taskworks.store.pausing import Pausing
from taskworks.store.pruning import Pruning
from taskworks.store.rescuing import Rescuing
from taskworks.store.scheduling import Scheduling
from taskworks.store.shared_duties import SharedDuties
from taskworks.store.steering import Steering
from taskworks.store.stepping import Stepping
from taskworks.store.surveying import Surveying
from taskworks.store.taking_over import TakingOver
from taskworks.store.unique_runs import UniqueRuns
from taskworks.store.workflow_pruning import WorkflowPruning


class Store(
    Surveying,
    UniqueRuns,
    TakingOver,
    Claiming,
    Limiting,
    Finishing,
    WorkflowPruning,
    Blocking,
    Cancelling,
    Rescuing,
    Steering,
    Pruning,
    Stepping,
    Scheduling,
    Pausing,
    Counting,
    SharedDuties,
    ABC,
):
    """
    All verbs: those of a run in the order of its life, which begins with enqueueing, blocking or
    taking over, then those of a schedule, of a queue, of a workflow, of what workers share,
    and of what people look at.
    Each kind of database has a subclass.
    """
