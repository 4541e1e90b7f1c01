from datetime import timedelta

from django.contrib.auth.models import User
from django.core.mail import send_mail
from rest_framework import generics, serializers
from taskworks.endpoints import EndpointTasks, deferrable_task, task


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("username", "first_name", "email")


class SignUp(EndpointTasks, generics.CreateAPIView):
    serializer_class = UserSerializer
    permission_classes = ()

    @task
    def tidy_name(self):
        self.resource.first_name = self.resource.first_name.strip().title()

    @deferrable_task(retries=5, retry_exception_filter=(OSError,))
    @staticmethod
    def welcome(user):
        send_mail("Welcome", f"Dear {user.first_name} ...", None, [user.email])

    @deferrable_task(depends_on="welcome", delay=timedelta(days=1))
    @staticmethod
    def ask_how_it_goes(user):
        send_mail("How is it going?", f"Dear {user.first_name} ...", None, [user.email])
