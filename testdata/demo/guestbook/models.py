import uuid

from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver


def stored_name(entry, filename):
    """A name of our own: the form has replaced what the client called its file by "picture." and the extension it found."""
    return f"{uuid.uuid4().hex}.{filename.rpartition('.')[2]}"


class Entry(models.Model):
    """One line of the guest book."""

    name = models.CharField(max_length=60)
    message = models.TextField(max_length=500)
    picture = models.FileField(upload_to=stored_name, blank=True)
    picture_name = models.CharField(max_length=100, blank=True, editable=False, help_text="What the guest called the file, for display only.")
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written", "-pk"]
        verbose_name_plural = "entries"

    def __str__(self):
        return f"{self.name}: {self.message[:40]}"


@receiver(post_delete, sender=Entry)
def remove_picture(instance, **kwargs):
    if instance.picture:
        instance.picture.delete(save=False)


class Planet(models.Model):
    name = models.CharField(max_length=20, unique=True)
    order = models.PositiveSmallIntegerField(help_text="Place from the Sun outwards.")

    class Meta:
        ordering = ["order"]

    def __str__(self):
        return self.name


class Moon(models.Model):
    name = models.CharField(max_length=20, unique=True)
    planet = models.ForeignKey(Planet, on_delete=models.CASCADE, related_name="moons")
    radius = models.FloatField("mean radius (km)")
    period = models.FloatField("orbital period (days)")
    discovered = models.PositiveSmallIntegerField(null=True, blank=True)
    discoverer = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["planet__order", "period"]

    def __str__(self):
        return self.name
