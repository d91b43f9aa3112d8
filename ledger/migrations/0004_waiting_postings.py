"""Late postings that wait for people; a granted day is bound to the facts that were shown."""

import django.db.models.deletion
from django.db import migrations, models

import payops.core.clock
import payops.core.ids


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0006_books_and_rates"),
        ("ledger", "0003_accounting_source"),
    ]

    operations = [
        migrations.CreateModel(
            name="WaitingPosting",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=payops.core.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=payops.core.clock.utc_now, editable=False),
                ),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.CharField(max_length=64)),
                ("event_class", models.CharField(max_length=48)),
                ("subject_id", models.CharField(max_length=64)),
                ("event_id", models.CharField(blank=True, default="", max_length=40)),
                ("occurred_on", models.DateField()),
                ("amount_minor", models.BigIntegerField()),
                ("why", models.CharField(max_length=240)),
                (
                    "book",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="core.book",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="waitingposting",
            constraint=models.UniqueConstraint(
                fields=("book", "key", "fingerprint"), name="waiting_posting_once"
            ),
        ),
        migrations.AddField(
            model_name="lateplacement",
            name="fingerprint",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.RemoveConstraint(model_name="lateplacement", name="late_placement_once"),
        migrations.AddConstraint(
            model_name="lateplacement",
            constraint=models.UniqueConstraint(
                fields=("book", "key", "approval_id"), name="late_placement_once"
            ),
        ),
    ]
