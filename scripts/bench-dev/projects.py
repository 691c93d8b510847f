"""The projects whose modules are saved: small ones as the frameworks' tutorials make them, and large ones of 200 modules."""

import compileall
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from django.core.management import call_command

LARGE = 200  # modules, about
APPS = 10  # of the large Django project
PATH = "/answer"  # answers with the text of the module that is saved

ANSWER = """
# {padding}
ANSWER = "answer {number}"
"""


@dataclass
class Project:
    """One copy of a project; each server has its own."""

    folder: Path
    module: str  # the one that is saved

    def save(self, number, replace):
        """Writes the module so that its answer has the number: in place, or as most editors do, by a rename."""
        file = self.folder / self.module
        # Another length than before, as CPython takes bytecode for current by the source's size and whole seconds.
        text = re.sub(r"\n# x*\nANSWER = .*\n", ANSWER.format(padding="x" * (number % 40), number=number), file.read_text())
        if replace:
            fresh = file.with_name(f".{file.name}.new")
            fresh.write_text(text)
            os.replace(fresh, file)
        else:
            file.write_text(text)

    @staticmethod
    def answer(number):
        return f"answer {number}".encode()

    def copy(self, folder):
        shutil.copytree(self.folder, folder)  # with the bytecode: it is told apart by the source's time, which is kept
        return Project(folder, self.module)


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip())


def filler(number):
    """A module of 86 lines: classes and functions. A quarter of them has a dataclass, which costs as much as the rest of it."""
    parts = [f'"""What part {number} of the project does."""\n\nimport dataclasses\nimport datetime\nimport functools\nimport re\n\n'
             f'PATTERN = re.compile(r"part{number}-(\\d+)")\n']
    for n in range(3):
        parts.append(textwrap.dedent(f'''

            {"@dataclasses.dataclass" if n == 0 and number % 4 == 0 else "@functools.total_ordering"}
            class Record{n}:
                """What is kept of an item."""

                name: str = ""
                price: int = {n}
                made: datetime.date = datetime.date(2020, 1, 1)

                def total(self, count, discount=0):
                    if count < 0:
                        raise ValueError("a count is not negative")
                    return max(0, self.price * count - discount)

                def __lt__(self, other):
                    return self.price < other.price

                def label(self):
                    return "%s (%d)" % (self.name.strip().title(), self.price)


            @functools.lru_cache(maxsize=128)
            def find{n}(text):
                found = PATTERN.search(text)
                return int(found.group(1)) + {n} if found else None
            '''))
    return "".join(parts)


def add_fillers(package, count):
    for number in range(count):
        write(package / f"part{number}.py", filler(number))


def flask(folder, modules):
    """The application of Flask's tutorial: a factory, a database, blueprints and templates."""
    package = folder / "flaskr"
    write(package / "__init__.py", f"""
        import os

        from flask import Flask


        def create_app(test_config=None):
            app = Flask(__name__, instance_relative_config=True)
            app.config.from_mapping(SECRET_KEY="dev", DATABASE=os.path.join(app.instance_path, "flaskr.sqlite"))
            if test_config is not None:
                app.config.update(test_config)
            os.makedirs(app.instance_path, exist_ok=True)
            from . import auth, blog, db
            {"from . import parts" if modules else ""}

            db.init_app(app)
            app.register_blueprint(auth.bp)
            app.register_blueprint(blog.bp)
            app.add_url_rule("/", endpoint="index")
            return app
        """)
    write(package / "db.py", """
        import sqlite3

        import click
        from flask import current_app, g


        def get_db():
            if "db" not in g:
                g.db = sqlite3.connect(current_app.config["DATABASE"], detect_types=sqlite3.PARSE_DECLTYPES)
                g.db.row_factory = sqlite3.Row
            return g.db


        def close_db(e=None):
            db = g.pop("db", None)
            if db is not None:
                db.close()


        @click.command("init-db")
        def init_db_command():
            get_db().execute("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL)")


        def init_app(app):
            app.teardown_appcontext(close_db)
            app.cli.add_command(init_db_command)
        """)
    write(package / "auth.py", """
        import functools

        from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
        from werkzeug.security import check_password_hash, generate_password_hash

        from .db import get_db

        bp = Blueprint("auth", __name__, url_prefix="/auth")


        def login_required(view):
            @functools.wraps(view)
            def wrapped_view(**kwargs):
                return redirect(url_for("auth.login")) if g.user is None else view(**kwargs)

            return wrapped_view


        @bp.route("/login", methods=("GET", "POST"))
        def login():
            if request.method == "POST":
                user = get_db().execute("SELECT * FROM user WHERE username = ?", (request.form["username"],)).fetchone()
                if user is not None and check_password_hash(user["password"], request.form["password"]):
                    session["user_id"] = user["id"]
                    return redirect(url_for("index"))
                flash("Incorrect username or password.")
            return render_template("login.html")
        """)
    write(package / "blog.py", f"""
        from flask import Blueprint, render_template

        from .db import get_db

        bp = Blueprint("blog", __name__)

        # x
        ANSWER = "answer 0"


        @bp.route("{PATH}")
        def answer():
            return ANSWER


        @bp.route("/")
        def index():
            return render_template("index.html", posts=get_db().execute("SELECT * FROM post").fetchall())
        """)
    write(package / "templates" / "index.html", "<!doctype html><title>Flaskr</title>{% for post in posts %}<h1>{{ post['title'] }}</h1>{% endfor %}")
    write(package / "templates" / "login.html", "<!doctype html><title>Log in</title><form method=post><input name=username></form>")
    if modules:
        write(package / "parts" / "__init__.py", "".join(f"from . import part{n}\n" for n in range(modules - 5)))
        add_fillers(package / "parts", modules - 5)
    return Project(folder, "flaskr/blog.py")


def manage(folder, *command):
    done = subprocess.run([sys.executable, "manage.py", *command], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench-dev: manage.py {' '.join(command)} failed: {done.stderr.strip()[-500:]}")


def django(folder, modules):
    """What django-admin startproject makes, with a view; or with apps too, each with models, an admin, views and more modules."""
    folder.mkdir(parents=True)
    call_command("startproject", "mysite", str(folder))
    write(folder / "mysite" / "views.py", """
        from django.http import HttpResponse

        # x
        ANSWER = "answer 0"


        def answer(request):
            return HttpResponse(ANSWER)
        """)
    urls = folder / "mysite" / "urls.py"
    text = urls.read_text().replace("urlpatterns = [", f'urlpatterns = [\n    path("{PATH[1:]}", views.answer),', 1)
    urls.write_text(text.replace("from django.urls import path", "from django.urls import path\n\nfrom . import views", 1))
    if modules:
        names = [f"app{n}" for n in range(APPS)]
        for name in names:
            _django_app(folder, name, modules // APPS)
        settings = folder / "mysite" / "settings.py"
        listed = "".join(f'    "{name}",\n' for name in names)
        settings.write_text(settings.read_text().replace("INSTALLED_APPS = [\n", "INSTALLED_APPS = [\n" + listed, 1))
        included = "".join(f'urlpatterns.append(path("{name}/", include("{name}.urls")))\n' for name in names)
        urls.write_text(urls.read_text().replace("import path\n", "import include, path\n", 1) + included)
        manage(folder, "makemigrations", "-v", "0")
    manage(folder, "migrate", "-v", "0")
    return Project(folder, "mysite/views.py")


def _django_app(folder, name, modules):
    app = folder / name
    app.mkdir()
    call_command("startapp", name, str(app))
    fillers = modules - 9  # startapp makes 7 and two are written below
    models = "".join(f"""
class Item{n}(models.Model):
    name = models.CharField(max_length=100)
    price = models.IntegerField(default={n})
    made = models.DateTimeField(auto_now_add=True)
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE)
""" for n in range(4))
    write(app / "models.py", "from django.db import models\n\n" + models)
    write(app / "admin.py", "from django.contrib import admin\n\nfrom . import models\n\n" +
          "".join(f"admin.site.register(models.Item{n})\n" for n in range(4)))
    write(app / "forms.py", "from django import forms\n\nfrom . import models\n\n\n" +
          "".join(f"class Item{n}Form(forms.ModelForm):\n    class Meta:\n        model = models.Item{n}\n        fields = ['name', 'price']\n"
                  for n in range(4)))
    write(app / "views.py", "from django.http import JsonResponse\n\nfrom . import forms, models\n" +
          "".join(f"from . import part{n}\n" for n in range(fillers)) +
          "\n\ndef index(request):\n    return JsonResponse({'items': models.Item0.objects.count(), 'fields': list(forms.Item0Form().fields)})\n")
    write(app / "urls.py", 'from django.urls import path\n\nfrom . import views\n\nurlpatterns = [path("", views.index)]\n')
    add_fillers(app, fillers)


def make(folder):
    """All projects by their names, compiled."""
    made = {}
    for name, (maker, modules) in {
        "Flask, the tutorial's": (flask, 0),
        f"Flask, {LARGE} modules": (flask, LARGE),
        "Django, startproject": (django, 0),
        f"Django, {APPS} apps, {LARGE} modules": (django, LARGE),
    }.items():
        made[name] = maker(folder / f"project{len(made)}", modules)
        compileall.compile_dir(made[name].folder, quiet=2)
    return made
