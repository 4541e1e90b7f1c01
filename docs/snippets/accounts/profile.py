from django.contrib.auth.models import User
from rest_framework import serializers
from taskworks.endpoints import ALWAYS, IF_TRUTHY, EndpointDefinition, deferrable_task, task


class NameSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=150)


class Rename(EndpointDefinition):
    http_method_names = ["post"]
    http_status = 202
    response_filter = {User: {"username": ALWAYS, "first_name": IF_TRUTHY}}

    def is_authorized(self):
        return self.request.user.is_authenticated

    def is_valid(self):
        self.given = NameSerializer(data=self.request.data)
        return self.given.is_valid(raise_exception=True)

    @property
    def resource(self):
        return self.request.user

    @task
    def rename(self):
        self.resource.first_name = self.given.validated_data["name"]

    @deferrable_task(queue="mail")
    @staticmethod
    def confirm(user):
        user.email_user("Your name", f"Your name is now {user.first_name}.")
