from django.db.models import Count
from taskworks.models import TaskRun, Worker

for state, count in TaskRun.objects.values_list("state").annotate(Count("id")):
    print(state, count)

for run in TaskRun.objects.failed().order_by("-finished_at")[:10]:
    print(run, run.errors[-1]["exception_class_path"])

for worker in Worker.objects.living():
    print(worker, worker.heartbeat_at)
