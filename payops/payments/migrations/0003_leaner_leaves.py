"""Indexes and constraints that others cover are gone from these tables (ADR 0007)."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0005_leaner_leaves"),
        ("payments", "0002_every_provider"),
    ]

    operations = [
        migrations.AlterField(
            model_name="payment",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.provideraccount",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="book",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.book",
            ),
        ),
    ]
