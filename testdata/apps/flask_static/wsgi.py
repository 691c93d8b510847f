"""Flask apps with static folders, inside middleware too. What the apps answer themselves has the field Server-Side."""
from blog import blog

from flask import Flask, url_for

app = Flask(__name__)
app.register_blueprint(blog, url_prefix="/news")


@app.get("/")
def index():
    return url_for("static", filename="css/site.css") + " " + url_for("blog.static", filename="blog.css")


@app.after_request
def mark(response):
    response.headers["Server-Side"] = "yes"
    return response


class Middleware:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


wrapped = Middleware(app.wsgi_app)

at_root = Flask(__name__, static_url_path="", static_folder="assets")
at_root.after_request(mark)
