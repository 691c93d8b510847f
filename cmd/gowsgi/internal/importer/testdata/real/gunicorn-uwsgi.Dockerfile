# Of gunicorn 27.0.1 (MIT): tests/docker/uwsgi/Dockerfile.gunicorn
FROM python:3.14-slim

WORKDIR /app

# Copy gunicorn source
COPY . /app/gunicorn-src/

# Install gunicorn from source
RUN pip install --no-cache-dir /app/gunicorn-src/

# Copy test application
COPY tests/docker/uwsgi/app.py /app/

EXPOSE 8000

CMD ["gunicorn", "--protocol", "uwsgi", "--uwsgi-allow-from", "*", "--bind", "0.0.0.0:8000", "--workers", "2", "--log-level", "debug", "app:application"]
