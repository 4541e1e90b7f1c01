TASKWORKS = {
    "API_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "API_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"reports": "10/hour"}}
