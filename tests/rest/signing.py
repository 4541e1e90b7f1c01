"""Signing in by a header that has the user's name."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed

HEADER = "X-User"


class ByName(BaseAuthentication):
    def authenticate(self, request: Any) -> tuple[User, None] | None:
        name = request.headers.get(HEADER)
        if name is None:
            return None
        user = User.objects.filter(username=name).first()
        if user is None:
            raise AuthenticationFailed("There is no such user.")
        return user, None

    def authenticate_header(self, request: Any) -> str:
        return "Name"
