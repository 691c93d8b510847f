from flask import Blueprint

blog = Blueprint("blog", __name__, static_folder="files", static_url_path="/files")
