from django.contrib.auth.models import User
from taskworks.endpoints import ALWAYS, EndpointDefinition, deferrable_task, task

SHORT = {User: {"username": ALWAYS}}


def has_no_address(self):
    return not self.resource.email


class UserEndpoint(EndpointDefinition):
    http_method_names = ["get"]

    def is_authorized(self):
        return True

    @property
    def resource(self):
        return User.objects.get(username=self.kwargs["username"])

    @task
    def set_response_filter(self):
        self.response._api_filter = SHORT

    @deferrable_task(execute_unless=has_no_address)
    @staticmethod
    def notify_user(user):
        user.email_user("A visit", "Someone looked at your profile.")
