# hlsd in a container: docker build -t hlsd . (or podman). How to run it with a root that is read-only: docs/install.md.
FROM debian:bookworm-slim AS build
# Versions of Debian's packages are not pinned: what has a known hole is gone from the archive the next day, and the build with it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The wheel with all that the pages load, then the locked dependencies by their hashes. Compiled here: the root is read-only later.
RUN make wheel \
 && python3 -m venv --without-pip /opt/hlsd \
 && .venv/bin/pip --python /opt/hlsd/bin/python3 install --no-cache-dir --no-compile --require-hashes -r requirements.txt \
 && .venv/bin/pip --python /opt/hlsd/bin/python3 install --no-cache-dir --no-compile --no-deps dist/hlsd-*.whl \
 && /opt/hlsd/bin/python3 -m compileall -q -j 0 /opt/hlsd/lib

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 hlsd \
 && useradd --system --uid 10001 --gid hlsd --home-dir /var/lib/hlsd --shell /usr/sbin/nologin hlsd \
 && install -d -m 0700 -o hlsd -g hlsd /var/lib/hlsd
COPY --from=build /opt/hlsd /opt/hlsd
COPY conf/hlsd.toml /etc/hlsd/hlsd.toml
ENV PATH=/opt/hlsd/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    HLSD_SERVER__STATE_DIR=/var/lib/hlsd \
    HLSD_SERVER__LOG_FORMAT=json
WORKDIR /var/lib/hlsd
# By number, so that a platform that forbids root can see that it is none.
USER 10001:10001
VOLUME /var/lib/hlsd
EXPOSE 1935/tcp 8000/tcp 8000/udp 8443/tcp
STOPSIGNAL SIGTERM
# Whoever serves by another port than 8000 sets HLSD_HTTP__PORT, which the server reads too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as ask; ask.urlopen(f\"http://127.0.0.1:{os.environ.get('HLSD_HTTP__PORT', '8000')}/healthz\", timeout=2)"]
ENTRYPOINT ["hlsd"]
CMD ["serve"]
