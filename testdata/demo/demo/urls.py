from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "gowsgi demo"
admin.site.site_title = "gowsgi demo"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("guestbook.urls")),
]
