from rest_framework.permissions import IsAdminUser
from taskworks.typed import TypedTask, api_task


@api_task
class CloseBooks(TypedTask):
    name = "close-books"
    permission_classes = (IsAdminUser,)
    throttle_scope = "reports"

    def run(self):
        pass
