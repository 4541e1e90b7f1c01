"""``Workflow``: runs that belong together; ``Step``: one of them that has a name."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import JSONTextField, NameField
from taskworks.database.indexes import PartialIndex
from taskworks.models import readable
from taskworks.models.run import new_run_id

MAX_NAME = 128  # characters, of a workflow and of a step


class Kind(models.TextChoices):
    """What the members of a workflow are."""

    STEPS = "steps", _("Steps")  # each has a name and follows others
    GROUP = "group", _("Group")  # runs without names: a step of another workflow


class OnFailure(models.TextChoices):
    """What becomes of the others when a member fails."""

    WAIT = "wait", _("Wait")  # those that depend on it wait; the others go on
    STOP = "stop", _("Stop")  # those that wait are cancelled, running ones are asked to stop


class Workflow(models.Model):
    """
    Runs that belong together: those that have its id in their column ``workflow``, and the members
    of the workflows whose ``parent`` it is. It ends once, when none of them can go on.

    Whether it has ended follows from the states of its members; ``finished_at`` is written when
    somebody has seen that.
    """

    id = models.UUIDField(primary_key=True, default=new_run_id, editable=False)
    kind = models.CharField(max_length=5, choices=Kind, default=Kind.STEPS)
    name = NameField(max_length=MAX_NAME)
    # Whose RETENTION applies to it.
    backend = NameField(max_length=64)
    # The workflow that it is a step of.
    parent = models.UUIDField(null=True)
    depth = models.PositiveSmallIntegerField(default=1)  # 1 is that of a workflow without a parent
    on_failure = models.CharField(max_length=4, choices=OnFailure, default=OnFailure.WAIT)
    owner = NameField(max_length=255, null=True)
    metadata = JSONTextField(default=dict, holds=readable.metadata)

    created_at = models.DateTimeField()
    # Since when it gets no more members from its creator. Until then it does not end. NULL again
    # once it is being deleted, because it ended long ago.
    closed_at = models.DateTimeField(null=True)
    # Since when its members are being cancelled.
    stopping_at = models.DateTimeField(null=True)
    # Since when members are retried. What had failed before does not stop it any more.
    reopened_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # The state of a run that ended like this: "successful", "failed" or "cancelled".
    outcome = models.CharField(max_length=10, null=True)  # noqa: DJ001 - NULL while it is unfinished

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        indexes = (
            PartialIndex(
                name="taskworks_workflow_unfinished",
                where=models.Q(finished_at__isnull=True),
                fields=["id"],
                otherwise=["finished_at", "id"],
            ),
            models.Index(name="taskworks_workflow_aged", fields=["outcome", "finished_at", "id"]),
            # Lists show those without a parent, the newest first.
            PartialIndex(
                name="taskworks_workflow_parent",
                where=models.Q(parent__isnull=True),
                fields=["id"],
                otherwise=["parent", "id"],
            ),
            # Whether one within another goes on, or has failed, among thousands that have ended.
            models.Index(name="taskworks_workflow_within", fields=["parent", "outcome"]),
            PartialIndex(
                name="taskworks_workflow_owned",
                where=models.Q(owner__isnull=False, parent__isnull=True),
                fields=["owner", "id"],
                otherwise=["owner", "parent", "id"],
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.id} ({self.outcome or 'unfinished'})"


class Step(models.Model):
    """
    A named step of a workflow: a run, or another workflow. It keeps what the step follows, of which
    the edges are gone once they hold.
    """

    id = models.UUIDField(primary_key=True)  # of the run, or of the workflow
    workflow = models.UUIDField()
    name = NameField(max_length=MAX_NAME)
    position = models.PositiveIntegerField(default=0)  # in the order in which they were added
    # [id, "success" | "any_end" | "failure"] of each that it follows.
    after = JSONTextField(default=list, holds=readable.a_list)
    # Whether it is to run whatever becomes of others: then it is not cancelled with them.
    always = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = (
            models.UniqueConstraint(fields=["workflow", "name"], name="taskworks_step_once"),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.workflow}"
