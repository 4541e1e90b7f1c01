from taskworks.typed import Task
from taskworks.typed import params as task_params


class AddTask(Task):
    name = "add"

    inputs = {
        "numbers": task_params.ListParameter(task_params.NumberParameter()),
        "label": task_params.StringParameter(required=False),
    }
    outputs = {"sum": task_params.NumberParameter()}

    def run(self, numbers, label="sum"):
        self.set_target(len(numbers))
        self.set_progress(0)
        for _ in numbers:
            self.inc_progress()
        self.add_message(label)
        return sum(numbers)
