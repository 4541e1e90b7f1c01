from django.test import SimpleTestCase, override_settings
from shop.tasks import count_words
from taskworks import default_task_backend

DUMMY = {"default": {"BACKEND": "taskworks.backends.dummy.DummyBackend", "QUEUES": []}}
IMMEDIATE = {"default": {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []}}


class CountWordsTests(SimpleTestCase):
    @override_settings(TASKS=DUMMY)
    def test_is_enqueued(self) -> None:
        count_words.enqueue("one two")
        [result] = default_task_backend.results
        self.assertEqual(result.args, ["one two"])

    @override_settings(TASKS=IMMEDIATE)
    def test_counts(self) -> None:
        self.assertEqual(count_words.enqueue("one two").return_value, 2)

    def test_can_be_called(self) -> None:
        self.assertEqual(count_words.call("one two"), 2)
