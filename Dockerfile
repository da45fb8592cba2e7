# The environment of environment.lock, and slt in it. `make build` builds it; docs/docker.md tells how to run it.
#
#   python ── locks, uv           how to install: neither is in the image
#        └─── env ── slt          what runs: env-gpu, or env-cpu with VARIANT=cpu (`make build-cpu`)
#                └── dev ── test  with the development tools; with the tests
#
ARG VARIANT=gpu
# Pinned by digest, so that the same file gives the same system. Moved on by hand, for Debian's security updates.
ARG BASE_IMAGE=debian:bookworm-slim@sha256:abd67ffcfa541b485a3dff59865ab629aa048a6c613e639d36e7456b0b229241

FROM ${BASE_IMAGE} AS python
# The one place that asks Debian's mirror. tini: as process 1 Python would take no SIGTERM, and `docker stop` would kill.
# No versions: the digest above fixes the release, and its mirror keeps only the newest build of each package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3.11 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old

FROM python AS locks
WORKDIR /build
COPY environment.lock pyproject.toml ./
COPY docker/lock_parts.py docker/
RUN python3.11 docker/lock_parts.py /locks

FROM python AS uv
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3.11-venv && rm -rf /var/lib/apt/lists/*
COPY docker/with-registry.sh /
COPY --from=locks /locks/uv.lock /
RUN --mount=type=secret,id=certificates --mount=type=secret,id=registry \
    python3.11 -m venv /opt/uv \
    && /with-registry.sh /opt/uv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r /uv.lock

FROM python AS env-gpu
# For the builder only: arguments, unlike ENV, are not in the image. The cache is on another file system than the image.
ARG VIRTUAL_ENV=/opt/venv
ARG UV_CACHE_DIR=/cache
ARG UV_LINK_MODE=copy
# Bytecode: on a read-only root, or as another user, every start would compile torch anew, for 5 s.
ARG UV_COMPILE_BYTECODE=1
ARG SYNC="/tools/with-registry.sh /opt/uv/bin/uv pip sync --quiet --require-hashes --only-binary :all:"
RUN python3.11 -m venv --without-pip /opt/venv
# Three layers, the largest and least often changed first (docker/lock_parts.py).
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=bind,source=docker/with-registry.sh,target=/tools/with-registry.sh \
    --mount=type=bind,from=locks,source=/locks/1-cuda.lock,target=/tools/1-cuda.lock \
    --mount=type=secret,id=certificates --mount=type=secret,id=registry --mount=type=cache,target=/cache \
    $SYNC /tools/1-cuda.lock
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=bind,source=docker/with-registry.sh,target=/tools/with-registry.sh \
    --mount=type=bind,from=locks,source=/locks/2-torch.lock,target=/tools/2-torch.lock \
    --mount=type=secret,id=certificates --mount=type=secret,id=registry --mount=type=cache,target=/cache \
    $SYNC /tools/2-torch.lock
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=bind,source=docker/with-registry.sh,target=/tools/with-registry.sh \
    --mount=type=bind,from=locks,source=/locks/3-run.lock,target=/tools/3-run.lock \
    --mount=type=secret,id=certificates --mount=type=secret,id=registry --mount=type=cache,target=/cache \
    $SYNC /tools/3-run.lock

COPY --from=locks /locks/3-run.lock /opt/venv/installed.lock

FROM python AS cpu
ARG VIRTUAL_ENV=/opt/venv
ARG UV_CACHE_DIR=/cache
ARG UV_LINK_MODE=copy
ARG UV_COMPILE_BYTECODE=1
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=bind,source=docker,target=/tools \
    --mount=type=bind,from=locks,source=/locks,target=/locks \
    --mount=type=secret,id=certificates --mount=type=secret,id=registry --mount=type=cache,target=/cache \
    python3.11 -m venv --without-pip /opt/venv \
    && /tools/with-registry.sh /opt/uv/bin/uv pip sync --quiet --require-hashes --only-binary :all: /locks/3-cpu.lock \
    && python3.11 /tools/cuda_stubs.py /opt/venv && cp /locks/3-cpu.lock /opt/venv/installed.lock

FROM python AS env-cpu
COPY --from=cpu /opt/venv /opt/venv

# hadolint ignore=DL3006
FROM env-${VARIANT} AS env
# Any user may write here: who runs the image is known only when it is run.
RUN useradd --uid 1000 --create-home slt && mkdir -m 1777 /slt && mkdir -m 1777 /data
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    # All that is fetched or cached, in the one volume.
    SLT_HOME=/slt \
    # Under a user id without a name Python looks for a home and a name in vain, and some packages fail.
    HOME=/tmp USER=slt \
    LANG=C.UTF-8 \
    # Packages of a home that is seen in the container must not mix with the image's.
    PYTHONNOUSERSITE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /slt
WORKDIR /data

FROM env AS slt
WORKDIR /opt/slt
COPY LICENSE README.md pyproject.toml environment.lock ./
COPY docker/make-env.sh docker/
COPY src src
COPY cli cli
# The script of `make env`: it finds the packages there, and installs slt itself. Readable whatever umask the
# files were checked out with, and with bytecode, as above.
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=cache,target=/cache \
    UV_CACHE_DIR=/cache PATH=/opt/uv/bin:$PATH docker/make-env.sh /opt/venv /opt/venv/installed.lock \
    && find . ! -perm -a=r -exec chmod a+rX {} + && /opt/venv/bin/python -m compileall -q src cli
WORKDIR /data
USER 1000:1000
# Of slt serve.
EXPOSE 8000
HEALTHCHECK --interval=5m --timeout=1m --start-period=1m CMD ["slt", "doctor", "--quick"]
ENTRYPOINT ["tini", "-s", "--", "slt"]
CMD ["--help"]
ARG VERSION
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="slt" \
      org.opencontainers.image.description="Sign-language video to text on SignHiera, SONAR and fairseq2" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

FROM env AS dev
ARG VIRTUAL_ENV=/opt/venv
ARG UV_CACHE_DIR=/cache
ARG UV_LINK_MODE=copy
ARG UV_COMPILE_BYTECODE=1
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=uv,source=/opt/uv/bin,target=/opt/uv/bin \
    --mount=type=bind,source=docker/with-registry.sh,target=/tools/with-registry.sh \
    --mount=type=bind,from=locks,source=/locks/4-dev.lock,target=/tools/4-dev.lock \
    --mount=type=secret,id=certificates --mount=type=secret,id=registry --mount=type=cache,target=/cache \
    /tools/with-registry.sh /opt/uv/bin/uv pip sync --quiet --require-hashes --only-binary :all: /tools/4-dev.lock
# The project is mounted at /opt/slt (docker/devcontainer), where the image's own environment then takes its code from.
WORKDIR /opt/slt
COPY pyproject.toml environment.lock LICENSE README.md ./
COPY docker/make-env.sh docker/
COPY src src
COPY cli cli
RUN --mount=type=bind,from=locks,source=/locks/4-dev.lock,target=/tools/4-dev.lock \
    --mount=type=cache,target=/cache \
    cp /tools/4-dev.lock /opt/venv/installed.lock && docker/make-env.sh /opt/venv /opt/venv/installed.lock
# `make test` and `make lint` take this environment.
ENV SLT_VENV=/opt/venv SLT_LOCK=/opt/venv/installed.lock
USER 1000:1000

FROM dev AS test
COPY . .
ENTRYPOINT ["tini", "-s", "--", "python", "-m", "pytest", "-p", "no:cacheprovider"]
CMD ["--quiet", "--numprocesses", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
