"""Refused receipts of an account are found without looking through the accepted ones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0007_secret_approval")]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["account", "created_at", "id"],
                condition=models.Q(signature_ok=False, channel="webhook"),
                name="delivery_refused",
            ),
        ),
    ]
