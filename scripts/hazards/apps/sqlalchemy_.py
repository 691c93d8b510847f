"""SQLAlchemy's pool and SQLite, eight requests at once"""
import os

from _app import text
from sqlalchemy import create_engine, text as sql

engine = create_engine(f"sqlite:///{os.environ['HAZARD_FILE']}.db", connect_args={"timeout": 20})
with engine.begin() as connection:
    connection.execute(sql("create table if not exists t (n integer)"))


@text
def app(environ):
    with engine.begin() as connection:
        connection.execute(sql("insert into t values (1)"))
    with engine.connect() as connection:
        return connection.execute(sql("select count(*) from t")).scalar_one()
