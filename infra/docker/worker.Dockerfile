# The session-worker's image: one bundled file, Node and nothing else. Built from the root of the repository:
#
#   docker build -f infra/docker/worker.Dockerfile --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) -t worker .
#
# Every machine pulls this image before it can start, so its size is part of a candidate's wait on a new host.
FROM node:24-bookworm-slim AS build
ARG SOURCE_DATE_EPOCH=0
RUN apt-get update && apt-get install -y --no-install-recommends binutils tini && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Behind a proxy of your own, the secrets `npmrc` and `ca` carry npm's settings and its certificate authority.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=ca,target=/run/ca.pem \
    NODE_EXTRA_CA_CERTS=/run/ca.pem npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
# Stripping Node's symbol table saves 18 MB. JavaScript stack traces stay as they are; what is lost are the names of C++
# functions in a crash report of Node itself.
RUN mkdir -p /rootfs/usr/local/bin /rootfs/etc/ssl/certs /rootfs/app \
 && strip -o /rootfs/usr/local/bin/node /usr/local/bin/node \
 && cp /usr/bin/tini-static /rootfs/usr/local/bin/tini \
 && ldd /usr/local/bin/node | grep -o '/[^ ]*' | sort -u | xargs -I{} cp -L --parents {} /rootfs \
 && node -e "process.stdout.write(require('node:tls').rootCertificates.join('\n'))" > /rootfs/etc/ssl/certs/ca-certificates.crt \
 && echo 'worker:x:65532:65532::/:/sbin/nologin' > /rootfs/etc/passwd && echo 'worker:x:65532:' > /rootfs/etc/group
# The compiled code belongs to this bundle and this Node. The rehearsal runs as the user that will run the worker.
RUN node session-worker/build.ts /app --no-rehearsal && chown -R 65532:65532 /app \
 && /rootfs/usr/local/bin/node session-worker/rehearse.ts /app/worker.cjs 65532 \
 && chown -R 0:0 /app && chmod -R a+rX /app && cp -a /app/. /rootfs/app \
 && find /rootfs -exec touch -h -d @${SOURCE_DATE_EPOCH} {} +

FROM scratch
ARG SOURCE_DATE_EPOCH=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="greenroom-session-worker" \
      org.opencontainers.image.description="Serves one AI interview, then exits." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /rootfs/ /
ENV NODE_ENV=production \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080
# Fly's own init is PID 1 in a machine, hence `-s`: adopt orphans also when not PID 1. In a container tini is PID 1 itself.
ENTRYPOINT ["/usr/local/bin/tini", "-s", "--", "/usr/local/bin/node", "/app/worker.cjs"]
