from django.apps import AppConfig


class TypedTasksConfig(AppConfig):
    name = "typedtasks"
    verbose_name = "Typed tasks"
