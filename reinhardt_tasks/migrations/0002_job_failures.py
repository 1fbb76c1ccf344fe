"""An index of failed tasks, for people who look for them among millions that are not."""


import reinhardt_tasks.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reinhardt_tasks', '0001_initial'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='jobrow',
            index=reinhardt_tasks.fields.ConditionalIndex(fields=['alias', 'id'], name='rt_job_failed', where=models.Q(('status__in', ['FAILURE', 'CANCELLED']))),
        ),
    ]
