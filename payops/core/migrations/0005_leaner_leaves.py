"""Indexes and constraints that others cover are gone from these tables (ADR 0007)."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_failure_cause"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="book",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.book",
            ),
        ),
        migrations.AlterField(
            model_name="auditevent",
            name="person",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.person",
            ),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(
                condition=models.Q(("person__isnull", False)),
                fields=["person"],
                name="audit_person",
            ),
        ),
    ]
