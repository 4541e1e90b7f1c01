from django.db import migrations
from taskworks.schedules import AddSchedule, ChangeSchedule, RemoveSchedule


class Migration(migrations.Migration):
    dependencies = [("taskworks", "0001_initial")]

    operations = [
        AddSchedule(
            "carts", "shop.nightly.empty_carts", "0 3 * * *", kwargs={"older_than_days": 7}
        ),
        ChangeSchedule("carts", before={"schedule": "0 3 * * *"}, after={"schedule": "@weekly"}),
        RemoveSchedule("digests", "shop.nightly.send_digests", "@hourly"),
    ]
