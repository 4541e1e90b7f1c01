from django.db import models
from django.urls import reverse

from taskworks.models import TaskRun
from taskworks.models.run import TaskRunQuerySet


class Survey(models.Model):
    """A survey of a folder of Python source. The results are in its runs."""

    source = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    summary_run_id = models.UUIDField(null=True, editable=False)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"Survey {self.pk} of {self.source}"

    def get_absolute_url(self) -> str:
        return reverse("sourcestats:survey", args=[self.pk])

    def runs(self) -> TaskRunQuerySet:
        return TaskRun.objects.filter(id__in=self.modules.values("run_id"))

    def summary_runs(self) -> TaskRunQuerySet:
        """Return the run of the summary, once it is enqueued."""
        return TaskRun.objects.filter(id=self.summary_run_id)


class Module(models.Model):
    """A module of a survey, and the run that measures it."""

    survey = models.ForeignKey(Survey, on_delete=models.CASCADE, related_name="modules")
    path = models.CharField(max_length=500)
    run_id = models.UUIDField(editable=False)

    def __str__(self) -> str:
        return self.path
