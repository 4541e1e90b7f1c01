"""``Dashboard``: stands for the dashboard where only models can stand."""

from django.utils.translation import gettext_lazy as _

from taskworks.models.run import TaskRun


class Dashboard(TaskRun):
    """The entry of the dashboard in the admin's index. It has no table and no permissions."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
