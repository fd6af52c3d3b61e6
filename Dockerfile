# The worker, and every other `stream-app` command.
FROM python:3.12-slim

# LightGBM's wheel needs the OpenMP runtime, which the slim image leaves out.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home app && install --directory --owner app /data
WORKDIR /app

# PyPI's torch brings gigabytes of CUDA; PyTorch's own index has the CPU build of the same version.
COPY requirements.lock ./
RUN pip install --no-cache-dir --root-user-action ignore \
    --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.lock

COPY pyproject.toml README.md LICENSE topics.yaml ./
COPY stream_app stream_app
RUN pip install --no-cache-dir --root-user-action ignore --no-deps --no-build-isolation .

USER app
ENV DATA_DIR=/data PYTHONUNBUFFERED=1
# Compiles the models' loops into the user's cache; on another kind of processor the first start does.
RUN python -c 'import stream_app.prediction.answering' && \
    python -c 'from stream_app.models.catalog import import_loaders; import_loaders()'
VOLUME /data
EXPOSE 6066 6080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:6066/health/ready', timeout=4)"]
ENTRYPOINT ["stream-app"]
CMD ["worker"]
