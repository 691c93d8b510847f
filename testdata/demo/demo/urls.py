from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = "gowsgi demo"
admin.site.site_title = "gowsgi demo"

urlpatterns = [
    # Browsers ask for it on pages that name no icon: the admin's, a picture.
    path("favicon.ico", RedirectView.as_view(url=static("guestbook/favicon.svg"))),
    path("admin/", admin.site.urls),
    path("", include("guestbook.urls")),
]
