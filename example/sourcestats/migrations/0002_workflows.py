from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("sourcestats", "0001_initial"),)

    operations = (
        migrations.DeleteModel(name="Module"),
        migrations.RemoveField(model_name="survey", name="summary_run_id"),
        migrations.AddField(
            model_name="survey",
            name="workflow_id",
            field=models.UUIDField(editable=False, null=True),
        ),
    )
