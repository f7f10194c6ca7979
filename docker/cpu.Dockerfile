# Everything FIRE needs on a machine without GPU: `docker build -f docker/cpu.Dockerfile .`
FROM python:3.11-slim-bookworm
RUN useradd --create-home fire
WORKDIR /opt/fire
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY fire_core fire_core
COPY tasks tasks
COPY flows flows
COPY cli cli
# The CPU build of torch; the plain index would bring gigabytes of CUDA packages.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt .
USER fire
WORKDIR /home/fire
ENV PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
ENTRYPOINT ["fire"]
CMD ["--help"]
