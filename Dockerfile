# One demo in a container: `docker build -t amend .`, then docs/deploy.md.
FROM python:3.11-slim

# The pinned torch is the CUDA build on most machines. Its CPU build, a tenth of the size, comes from an index of its own:
# give that index's address as TORCH_INDEX (docs/deploy.md). The pin stays the same.
ARG TORCH_INDEX=""

ENV HF_HUB_OFFLINE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    TOKENIZERS_PARALLELISM=false \
    AMEND_CACHE=/data/cache

RUN useradd --uid 1000 --create-home amend && install -d -o amend -g amend /data
WORKDIR /srv/amend

COPY requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)"; fi \
    && pip install -r requirements.txt

COPY app.py pyproject.toml ./
COPY feedback ./feedback
COPY model ./model
COPY analysis ./analysis
COPY demos ./demos

USER amend
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
# The first start trains the starter model before it listens.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/readyz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", "--home", "/data", "--log-format", "json"]
CMD ["demos/disease.toml"]
