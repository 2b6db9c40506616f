# Images of the server and of the training command. See docs/container.md.
#
#   docker build -t genrestack-server --target server .                           # the server, on the CPU
#   docker build -t genrestack-server-gpu --target server --build-arg RUNTIME=gpu .   # the server, on a GPU
#   docker build -t genrestack-train --target train .                             # training and export
#
# BASE: an image with Python 3.11 to 3.13, its venv module, and glibc 2.28 or newer; name it by digest to pin it.
# COMPILER: an image of the same system with Python and a C compiler, or any without one: then there are no native operators.
# RUNTIME: cpu or gpu, which of onnxruntime's wheels the server gets.
# Secrets, both optional: `pip` is a pip.conf (a mirror, a proxy), `ca` certificates that it may name as /run/secrets/ca.
ARG BASE=python:3.11-slim-bookworm
ARG COMPILER=python:3.11-bookworm
ARG RUNTIME=cpu

# ---- pip and the build backend, and the project's own wheel ----
FROM ${BASE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PIP_ROOT_USER_ACTION=ignore
COPY deploy/requirements/build.txt /requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv /tools && /tools/bin/pip install --require-hashes -r /requirements/build.txt

# ---- the native operators: no image keeps the compiler ----
FROM ${COMPILER} AS native
COPY bundle/genrestack_bundle/native /source
RUN mkdir /compiled && (python3 /source/build.py /compiled/libgenrestack_native.so || true)

FROM tools AS wheel
COPY . /source
COPY --from=native /compiled /source/bundle/genrestack_bundle/native
RUN /tools/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheels /source

# ---- the server ----
FROM tools AS server-packages
ARG RUNTIME
COPY deploy/requirements/server-${RUNTIME}.txt /requirements/server.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv --without-pip /opt/genrestack \
 && /tools/bin/pip --python /opt/genrestack/bin/python install --require-hashes -r /requirements/server.txt
COPY --from=wheel /wheels /wheels
RUN /tools/bin/pip --python /opt/genrestack/bin/python install --no-deps --no-index --find-links /wheels genrestack

FROM ${BASE} AS server
LABEL org.opencontainers.image.title="GenreStack server" \
      org.opencontainers.image.description="Serves stacked ensembles, exported exactly to ONNX, over gRPC" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=server-packages /opt/genrestack /opt/genrestack
# A container's own loopback is of no use to callers. What is closed by default stays closed: TLS, tokens and management.
ENV PATH=/opt/genrestack/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    GENRESTACK_SERVE_HOST=0.0.0.0 \
    GENRESTACK_SERVE_METRICS_HOST=0.0.0.0 \
    GENRESTACK_SERVE_METRICS_PORT=9464
WORKDIR /models
USER 10001:10001
EXPOSE 50051 8000 9464
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["genrestack", "health"]
ENTRYPOINT ["genrestack"]
CMD ["serve", "/models"]

# ---- training and export ----
FROM tools AS train-packages
COPY deploy/requirements/train.txt /requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    python3 -m venv --without-pip /opt/genrestack \
 && /tools/bin/pip --python /opt/genrestack/bin/python install --require-hashes -r /requirements/train.txt
COPY --from=wheel /wheels /wheels
RUN /tools/bin/pip --python /opt/genrestack/bin/python install --no-deps --no-index --find-links /wheels genrestack

FROM ${BASE} AS train
LABEL org.opencontainers.image.title="GenreStack training" \
      org.opencontainers.image.description="Trains stacked ensembles and exports them exactly to ONNX" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=train-packages /opt/genrestack /opt/genrestack
# Caches of fonts and of compiled functions go where a read-only root still has room.
ENV PATH=/opt/genrestack/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    HOME=/tmp
WORKDIR /runs
USER 10001:10001
ENTRYPOINT ["genrestack"]
CMD ["train", "--help"]

# The last one is what is built when no target is named.
FROM server
