from adrf import generics
from adrf.serializers import ModelSerializer
from adrf.views import APIView
from django.contrib.auth.models import User
from rest_framework.permissions import IsAuthenticated
from taskworks.endpoints import EndpointTasks, deferrable_task


class UserSerializer(ModelSerializer):
    class Meta:
        model = User
        fields = ("username", "email")


class Welcoming(EndpointTasks):
    @deferrable_task
    @staticmethod
    def welcome(user):
        user.email_user("Welcome", f"Dear {user.username} ...")


class SignUp(Welcoming, generics.CreateAPIView):
    serializer_class = UserSerializer
    permission_classes = ()


class WelcomeAgain(Welcoming, APIView):
    permission_classes = (IsAuthenticated,)

    async def post(self, request):
        await self.arun_tasks(request.user)
        return self.accepted()
