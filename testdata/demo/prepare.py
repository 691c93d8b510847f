"""Makes what the demo needs in its data folder (demo/place.py): secret key, database with its rows, admin user. May be run again at any time."""

import os
import secrets

from demo.place import DATA_DIR

PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune", "Pluto (dwarf)"]
# Planet, name, mean radius in km, orbital period in days, year and name of the discovery.
MOONS = [
    ("Earth", "Moon", 1737.4, 27.322, None, ""),
    ("Mars", "Phobos", 11.1, 0.319, 1877, "Asaph Hall"),
    ("Mars", "Deimos", 6.2, 1.263, 1877, "Asaph Hall"),
    ("Jupiter", "Amalthea", 83.5, 0.498, 1892, "Edward Barnard"),
    ("Jupiter", "Io", 1821.6, 1.769, 1610, "Galileo Galilei"),
    ("Jupiter", "Europa", 1560.8, 3.551, 1610, "Galileo Galilei"),
    ("Jupiter", "Ganymede", 2634.1, 7.155, 1610, "Galileo Galilei"),
    ("Jupiter", "Callisto", 2410.3, 16.689, 1610, "Galileo Galilei"),
    ("Saturn", "Mimas", 198.2, 0.942, 1789, "William Herschel"),
    ("Saturn", "Enceladus", 252.1, 1.370, 1789, "William Herschel"),
    ("Saturn", "Tethys", 531.1, 1.888, 1684, "Giovanni Cassini"),
    ("Saturn", "Dione", 561.4, 2.737, 1684, "Giovanni Cassini"),
    ("Saturn", "Rhea", 763.8, 4.518, 1672, "Giovanni Cassini"),
    ("Saturn", "Titan", 2574.7, 15.945, 1655, "Christiaan Huygens"),
    ("Saturn", "Hyperion", 135.0, 21.277, 1848, "William Bond, George Bond, William Lassell"),
    ("Saturn", "Iapetus", 734.5, 79.322, 1671, "Giovanni Cassini"),
    ("Saturn", "Phoebe", 106.5, 550.3, 1899, "William Pickering"),
    ("Uranus", "Miranda", 235.8, 1.413, 1948, "Gerard Kuiper"),
    ("Uranus", "Ariel", 578.9, 2.520, 1851, "William Lassell"),
    ("Uranus", "Umbriel", 584.7, 4.144, 1851, "William Lassell"),
    ("Uranus", "Titania", 788.9, 8.706, 1787, "William Herschel"),
    ("Uranus", "Oberon", 761.4, 13.463, 1787, "William Herschel"),
    ("Neptune", "Proteus", 210.0, 1.122, 1989, "Voyager 2"),
    ("Neptune", "Triton", 1353.4, 5.877, 1846, "William Lassell"),
    ("Neptune", "Nereid", 170.0, 360.13, 1949, "Gerard Kuiper"),
    ("Pluto (dwarf)", "Charon", 606.0, 6.387, 1978, "James Christy"),
]


def make_secret_key():
    path = DATA_DIR / "secret_key"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))


def seed():
    from django.contrib.auth import get_user_model
    from guestbook.models import Entry, Moon, Planet

    planets = {name: Planet.objects.get_or_create(name=name, defaults={"order": i + 1})[0] for i, name in enumerate(PLANETS)}
    for planet, name, radius, period, year, who in MOONS:
        Moon.objects.get_or_create(name=name, defaults={
            "planet": planets[planet], "radius": radius, "period": period, "discovered": year, "discoverer": who})
    User = get_user_model()
    if not User.objects.filter(username="demo").exists():
        User.objects.create_superuser("demo", "demo@example.com", "demo")
        # With the user, so that an entry that a visitor deleted does not come back.
        Entry.objects.create(name="gowsgi", message="Welcome. Sign below, add a picture if you like, then find your entry in the admin.")


def main():
    (DATA_DIR / "media").mkdir(parents=True, exist_ok=True)
    make_secret_key()
    os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"

    import django
    from django.core.management import call_command
    from django.db import transaction

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    with transaction.atomic():
        seed()
    print(f"demo: database ready in {os.path.relpath(DATA_DIR)}; the admin's user is demo, its password demo")


if __name__ == "__main__":
    main()
