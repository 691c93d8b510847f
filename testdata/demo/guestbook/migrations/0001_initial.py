import django.db.models.deletion
import guestbook.models
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('message', models.TextField(max_length=500)),
                ('picture', models.FileField(blank=True, upload_to=guestbook.models.stored_name)),
                ('picture_name', models.CharField(blank=True, editable=False, help_text='What the guest called the file, for display only.', max_length=100)),
                ('written', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'entries',
                'ordering': ['-written', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='Planet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=20, unique=True)),
                ('order', models.PositiveSmallIntegerField(help_text='Place from the Sun outwards.')),
            ],
            options={
                'ordering': ['order'],
            },
        ),
        migrations.CreateModel(
            name='Moon',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=20, unique=True)),
                ('radius', models.FloatField(verbose_name='mean radius (km)')),
                ('period', models.FloatField(verbose_name='orbital period (days)')),
                ('discovered', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('discoverer', models.CharField(blank=True, max_length=60)),
                ('planet', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='moons', to='guestbook.planet')),
            ],
            options={
                'ordering': ['planet__order', 'period'],
            },
        ),
    ]
