from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("guests/", views.guests, name="guests"),
    path("guests/<int:pk>/picture", views.picture, name="picture"),
    path("moons/", views.moons, name="moons"),
    path("environ/", views.environ, name="environ"),
]
