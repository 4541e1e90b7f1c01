import json

from django.db import models
from taskworks.schedules import task_with_callable


class SisyTask(models.Model):
    label = models.CharField(max_length=255)
    schedule = models.CharField(max_length=80)
    func_info = models.TextField(db_column="_func_info")
    extra_data = models.TextField(db_column="_extra_data")
    wait_for_schedule = models.BooleanField()
    iterations = models.IntegerField()
    allow_overlap = models.BooleanField()
    start_running = models.DateTimeField()
    end_running = models.DateTimeField()
    enabled = models.BooleanField()

    class Meta:
        managed = False
        db_table = "sisy_task"
        app_label = "shop"

    def __str__(self):
        return self.label


for old in SisyTask.objects.filter(enabled=True):
    callable_info = json.loads(old.func_info)
    task_with_callable(
        callable_info["func_path"],
        label=f"{old.label} ({old.pk})",  # labels in sisy need not be unique
        schedule=old.schedule,
        userdata=json.loads(old.extra_data),
        pk_override=callable_info.get("model_pk"),
        timezone="UTC",  # sisy plans in UTC
        wait_for_schedule=old.wait_for_schedule,
        iterations=old.iterations,
        allow_overlap=old.allow_overlap,
        start_running=old.start_running,
        end_running=old.end_running,
    ).save()
