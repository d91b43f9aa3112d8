"""A webhook secret may wait for an approval; until then it has no time from which it is good."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0006_leaner_leaves")]

    operations = [
        operation
        for name in ("secret", "historicalsecret")
        for operation in (
            migrations.AlterField(
                model_name=name,
                name="active_from",
                field=models.DateTimeField(blank=True, null=True),
            ),
            migrations.AddField(
                model_name=name,
                name="approval_id",
                field=models.CharField(blank=True, default="", max_length=40),
            ),
        )
    ]
