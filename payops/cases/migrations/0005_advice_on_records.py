import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("cases", "0004_sending_and_discarded"),
    ]

    operations = [
        migrations.AlterField(
            model_name="recommendation",
            name="case",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="cases.case",
            ),
        ),
        migrations.AddField(
            model_name="recommendation",
            name="subject_id",
            field=models.CharField(blank=True, default="", max_length=40),
        ),
        migrations.AddField(
            model_name="recommendation",
            name="about",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.AddField(
            model_name="recommendation",
            name="output",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddConstraint(
            model_name="recommendation",
            constraint=models.UniqueConstraint(
                condition=Q(("case", None)),
                fields=("subject_id", "about", "engine", "version", "input_hash"),
                name="recommendation_subject_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="recommendation",
            constraint=models.CheckConstraint(
                condition=Q(
                    Q(("about", ""), ("case__isnull", False), ("subject_id", "")),
                    Q(
                        ("case__isnull", True),
                        Q(("subject_id", ""), _negated=True),
                        Q(("about", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="recommendation_about_one",
            ),
        ),
    ]
