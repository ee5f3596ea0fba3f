# One image for every part of docker-compose.yml: code location, webserver, daemon, migrations.
FROM python:3.11-slim

# The CPU build of torch. For a CUDA machine: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 1000 fashion && mkdir /data && chown fashion /data
WORKDIR /app

# Before the code: this layer changes with the lock only.
COPY requirements.lock ./
RUN pip install --extra-index-url "$TORCH_INDEX" -r requirements.lock

COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY deploy deploy
COPY fashion_assets fashion_assets
RUN pip install --no-deps -e . && chown fashion /app

USER fashion
ENV DAGSTER_HOME=/app \
    FASHION_ASSETS_HOME=/data
VOLUME /data
