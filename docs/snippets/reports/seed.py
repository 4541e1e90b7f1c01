from taskworks.typed import Task, params


class AddTask(Task):
    name = "add"

    inputs = {
        "numbers": params.ListParameter(params.NumberParameter()),
        "label": params.StringParameter(required=False),
    }
    outputs = {"sum": params.NumberParameter()}

    def run(self, numbers, label="sum"):
        self.set_target(len(numbers))
        self.set_progress(0)
        for _ in numbers:
            self.inc_progress()
        self.add_message(label)
        return sum(numbers)
