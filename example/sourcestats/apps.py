from django.apps import AppConfig


class SourceStatsConfig(AppConfig):
    name = "sourcestats"
    verbose_name = "Source statistics"
    default_auto_field = "django.db.models.BigAutoField"
