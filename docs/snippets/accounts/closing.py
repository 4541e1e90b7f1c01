from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView
from taskworks.endpoints import EndpointTasks, deferrable_task


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=150, default="")


class CloseAccount(EndpointTasks, APIView):
    permission_classes = (IsAuthenticated,)

    def post(self, request):
        self.given = ReasonSerializer(data=request.data)
        self.given.is_valid(raise_exception=True)
        self.run_tasks(request.user)
        return self.accepted()

    def is_empty(self):
        return not self.resource.email

    @deferrable_task(execute_unless=is_empty)
    @staticmethod
    def say_goodbye(user):
        user.email_user("Goodbye", "We close your account.")

    def say_why(self):
        return [], {"reason": self.given.validated_data["reason"]}

    @deferrable_task(task_args_factory=say_why)
    @staticmethod
    def close(user, reason):
        user.is_active = False
        user.last_name = reason
        user.save(update_fields=["is_active", "last_name"])
