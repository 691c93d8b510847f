from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from .models import Entry, Moon, Planet


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "message", "picture_name", "written"]
    search_fields = ["name", "message"]
    date_hierarchy = "written"
    fields = ["name", "message", "shown", "written"]
    readonly_fields = ["shown", "written"]

    # Pictures have no URL of their own (MEDIA_URL): the site's view sends them.
    @admin.display(description="picture")
    def shown(self, entry):
        if not entry.picture:
            return "-"
        return format_html('<a href="{0}"><img src="{0}" alt="{1}" height="120"></a>', reverse("picture", args=[entry.pk]), entry.picture_name)

    def has_add_permission(self, request):
        return False  # pictures are checked by the site's own form


class MoonInline(admin.TabularInline):
    model = Moon
    extra = 0


@admin.register(Planet)
class PlanetAdmin(admin.ModelAdmin):
    list_display = ["name", "order"]
    inlines = [MoonInline]


@admin.register(Moon)
class MoonAdmin(admin.ModelAdmin):
    list_display = ["name", "planet", "radius", "period", "discovered", "discoverer"]
    list_filter = ["planet"]
    search_fields = ["name", "discoverer"]
