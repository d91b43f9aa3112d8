"""The cause of a failure as a column, and indexes for the dead-letter screens to page by."""

import django.db.models.deletion
from django.db import migrations, models

from payops.core import causes

ROWS_AT_ONCE = 1000


def name_causes(apps, schema_editor):
    """Rows that died before this column existed."""
    rows = apps.get_model("webhooks", "ProviderEvent").objects.using(schema_editor.connection.alias)
    for row in rows.filter(state="DEAD", cause="").iterator(chunk_size=ROWS_AT_ONCE):
        rows.filter(pk=row.pk).update(cause=causes.signature(row.last_error))


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_failure_cause"),
        ("webhooks", "0004_verification_reached"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="providerevent",
            name="event_dead",
        ),
        migrations.AddField(
            model_name="providerevent",
            name="cause",
            field=models.CharField(blank=True, db_default="", default="", max_length=160),
        ),
        migrations.AddField(
            model_name="providerevent",
            name="owner",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.person",
            ),
        ),
        migrations.AlterField(
            model_name="providerevent",
            name="account",
            field=models.ForeignKey(
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
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="core.book",
            ),
        ),
        migrations.RunPython(name_causes, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "last_failed_at", "id"],
                name="event_dead_book",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "type", "last_failed_at", "id"],
                name="event_dead_type",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "cause", "last_failed_at", "id"],
                name="event_dead_cause",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "lane", "last_failed_at", "id"],
                name="event_dead_lane",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "failure_kind", "last_failed_at", "id"],
                name="event_dead_failure_kind",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "owner", "last_failed_at", "id"],
                name="event_dead_owner",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(
                condition=models.Q(("state", "DEAD")),
                fields=["book", "account", "last_failed_at", "id"],
                name="event_dead_account",
            ),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(fields=["book", "state", "id"], name="event_state"),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(fields=["book", "lane", "id"], name="event_lane"),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(fields=["book", "type", "id"], name="event_type"),
        ),
        migrations.AddIndex(
            model_name="providerevent",
            index=models.Index(fields=["account", "id"], name="event_account"),
        ),
    ]
