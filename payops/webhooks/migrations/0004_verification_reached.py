from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0003_edge")]

    operations = [
        migrations.AddField(
            model_name="verification",
            name="reached",
            field=models.JSONField(default=list),
        )
    ]
