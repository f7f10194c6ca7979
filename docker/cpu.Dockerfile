# Everything FIRE needs on a machine without GPU: `docker build -f docker/cpu.Dockerfile .`
# Give the address of PyTorch's CPU wheels with `--build-arg PIP_EXTRA_INDEX_URL=...`;
# without it torch brings gigabytes of CUDA packages.
FROM python:3.11-slim-bookworm
RUN useradd --create-home fire
WORKDIR /opt/fire
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fire_core fire_core
COPY tasks tasks
COPY flows flows
COPY cli cli
ARG PIP_EXTRA_INDEX_URL=
RUN pip install --no-cache-dir -c constraints.txt .
USER fire
WORKDIR /home/fire
ENV PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 GOMP_SPINCOUNT=3000
ENTRYPOINT ["fire"]
CMD ["--help"]
