"""Totals of parties per month too, and a way to one account's totals; both tables are empty."""

from django.db import migrations, models

FILLED_TO = 80


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_waiting_postings")]

    operations = [
        migrations.RemoveConstraint(model_name="partytotal", name="party_total_once"),
        migrations.RenameField(
            model_name="partytotal", old_name="posting_on", new_name="starts_on"
        ),
        migrations.AddField(
            model_name="partytotal",
            name="grain",
            field=models.CharField(
                choices=[("day", "Day"), ("month", "Month")], default="day", max_length=5
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="partytotal",
            name="party",
            field=models.CharField(blank=True, max_length=120),
        ),
        migrations.AddConstraint(
            model_name="partytotal",
            constraint=models.UniqueConstraint(
                fields=["book", "account", "currency", "party", "grain", "starts_on"],
                name="party_total_once",
            ),
        ),
        migrations.AddIndex(
            model_name="partytotal",
            index=models.Index(fields=["book", "party"], name="party_total_of"),
        ),
        migrations.AddIndex(
            model_name="accounttotal",
            index=models.Index(
                fields=["book", "account", "currency", "grain", "starts_on"],
                name="account_total_of",
            ),
        ),
        # The same rows are updated every few seconds: room beside them keeps that off the indexes.
        migrations.RunSQL(
            [
                f"ALTER TABLE {table} SET (fillfactor = {FILLED_TO})"
                for table in ("ledger_accounttotal", "ledger_partytotal", "ledger_balancecut")
            ],
            [
                f"ALTER TABLE {table} RESET (fillfactor)"
                for table in ("ledger_accounttotal", "ledger_partytotal", "ledger_balancecut")
            ],
        ),
    ]
