from django.test import TestCase
from taskworks.testing import assert_not_enqueued, run_tasks

from shop.invoices import write_invoice
from shop.tasks import count_words


class InvoiceTests(TestCase):
    def test_an_invoice_is_counted_after_the_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            write_invoice("two words")
            assert_not_enqueued(count_words)
        [result] = run_tasks()
        self.assertEqual(result.return_value, 2)
