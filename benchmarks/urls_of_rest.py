"""The REST API, and a handwritten view that does the same for one task."""

from typing import Any

from django.urls import include, path
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.tasks_of_rest import three


class ThreeSerializer(serializers.Serializer):
    text = serializers.CharField(max_length=100)
    number = serializers.IntegerField(min_value=0)
    flag = serializers.BooleanField()


class ByHand(APIView):
    permission_classes = (IsAuthenticated,)

    def post(self, request: Any) -> Response:
        serializer = ThreeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        result = three.enqueue(**serializer.validated_data)
        return Response({"id": result.id, "status": "pending"}, status=201)


urlpatterns = [
    path("", include("taskworks.rest.urls")),
    path("by-hand/", ByHand.as_view()),
]
