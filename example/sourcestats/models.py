from django.db import models
from django.urls import reverse

from taskworks import Workflow, WorkflowResult


class Survey(models.Model):
    """A survey of a folder of Python source. The results are in the runs of its workflow."""

    source = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    workflow_id = models.UUIDField(null=True, editable=False)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"Survey {self.pk} of {self.source}"

    def get_absolute_url(self) -> str:
        return reverse("sourcestats:survey", args=[self.pk])

    def workflow(self) -> WorkflowResult:
        """Return the workflow as it is now; raise WorkflowDoesNotExist if it was deleted."""
        return Workflow.get_result(str(self.workflow_id))
