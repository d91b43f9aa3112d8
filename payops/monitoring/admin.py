from payops.core.admin import inspect
from payops.monitoring import models

inspect(models.Alert, "created_at", "rule", "scope", "state", "title", "closed_at")
inspect(models.FoldMark, "name", "xid", "at")
