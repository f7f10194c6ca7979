# Everything FIRE needs on a machine without GPU:
#   docker build -f docker/cpu.Dockerfile -t fire:cpu .
# Give the address of PyTorch's CPU wheels with `--build-arg PIP_EXTRA_INDEX_URL=...`;
# without it torch brings gigabytes of CUDA packages.
#
# The base is pinned by tag: 3.11 because all tests ran on it, bookworm
# because the wheels' glibc is settled. A digest would also pin Debian's security holes.
FROM python:3.11-slim-bookworm AS builder
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
ARG PIP_EXTRA_INDEX_URL=
# Extras of pyproject.toml.
ARG EXTRAS=service
# 1. What FIRE stands on, a layer that stays while only FIRE changes.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"
# 2. FIRE itself, over the empty package of step 1.
COPY fire_core fire_core
COPY tasks tasks
COPY flows flows
COPY cli cli
COPY dashboard dashboard
COPY deployments deployments
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM python:3.11-slim-bookworm
# libgomp1: tblite's wheel uses the system's. postgresql-client: `fire db backup`. tini:
# hands on signals and buries the children that outlive their flow. Debian removes old
# versions, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 postgresql-client tini \
    && rm -rf /var/lib/apt/lists/*
# Fixed numbers: volumes belong to them, and Kubernetes can see that they are not root.
RUN groupadd --gid 10001 fire \
    && useradd --uid 10001 --gid 10001 --create-home fire \
    && install -d -o fire -g fire /data /data/blobs /data/work /data/results
COPY --from=builder /opt/venv /opt/venv
COPY --chmod=755 deployments/worker.sh /usr/local/bin/fire-worker
# Heartbeat: silence is how a dead run is told from a living one. Spin count: OpenMP
# threads that spin for long starve each other on a shared machine. Static directory:
# Prefect's page is copied before it is served, and the venv is not its user's.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    GOMP_SPINCOUNT=3000 \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui \
    DO_NOT_TRACK=1 \
    FIRE_BLOBS=/data/blobs \
    FIRE_RESULTS=/data/results
USER 10001:10001
WORKDIR /home/fire
ENTRYPOINT ["tini", "--", "fire"]
CMD ["--help"]
