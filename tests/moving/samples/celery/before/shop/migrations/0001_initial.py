from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("price", models.IntegerField()),
                ("total", models.IntegerField(null=True)),
                ("paid_in", models.IntegerField(null=True)),
                ("paid_by", models.CharField(default="", max_length=20)),
                ("shipped_in", models.IntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Count",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("orders", models.IntegerField()),
                ("by", models.CharField(max_length=20)),
            ],
        ),
    ]
