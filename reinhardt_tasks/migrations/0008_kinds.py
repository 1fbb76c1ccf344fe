"""Functions and coroutines lie apart in the index of what is ready, so that a worker with room for one does not walk over the other."""


import reinhardt_tasks.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reinhardt_tasks', '0007_admin'),
    ]

    operations = [
        migrations.AddField(
            model_name='jobrow',
            name='is_async',
            field=models.BooleanField(db_default=models.Value(False), editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name='jobrow',
            index=reinhardt_tasks.fields.SparseIndex(fields=['lane', 'is_async', 'precedence', 'due_at', 'id'], name='rt_job_next'),
        ),
        migrations.RemoveIndex(
            model_name='jobrow',
            name='rt_job_ready',
        ),
    ]
