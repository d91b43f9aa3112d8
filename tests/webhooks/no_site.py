"""A site without addresses: whatever the webhook edge lets through is 404."""

urlpatterns: list[object] = []
