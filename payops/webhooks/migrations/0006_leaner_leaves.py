"""Receipts, bodies and events without indexes and constraints that others cover (ADR 0007).

Half of each page of the inbox stays free, so that a claim rewrites its row in place instead of
adding it to every index once more.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0005_leaner_leaves"),
        ("webhooks", "0005_queue_indexes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.provideraccount",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
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
            model_name="delivery",
            name="payload",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.payload",
            ),
        ),
        migrations.AlterField(
            model_name="payload",
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
            model_name="providerevent",
            name="account",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.provideraccount",
            ),
        ),
        migrations.AlterField(
            model_name="providerevent",
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
            model_name="providerevent",
            name="payload",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.payload",
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE webhooks_providerevent SET (fillfactor = 50)",
            "ALTER TABLE webhooks_providerevent RESET (fillfactor)",
        ),
    ]
