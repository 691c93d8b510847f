from django.contrib import admin

from .models import Entry, Moon, Planet


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "message", "picture_name", "written"]
    search_fields = ["name", "message"]
    date_hierarchy = "written"
    readonly_fields = ["picture", "picture_name", "written"]

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
