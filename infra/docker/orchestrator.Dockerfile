# The orchestrator's image: the bundles of the orchestrator and of `greenroom`, the candidate's page and the
# operators' dashboard. Built from the root of the repository:
#
#   docker build -f infra/docker/orchestrator.Dockerfile --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) -t orchestrator .
FROM node:24-bookworm-slim AS build
ARG SOURCE_DATE_EPOCH=0
RUN apt-get update && apt-get install -y --no-install-recommends binutils tini && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Behind a proxy of your own, the secrets `npmrc` and `ca` carry npm's settings and its certificate authority.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=ca,target=/run/ca.pem \
    NODE_EXTRA_CA_CERTS=/run/ca.pem npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
RUN mkdir -p /rootfs/usr/local/bin /rootfs/app \
 && strip -o /rootfs/usr/local/bin/node /usr/local/bin/node \
 && cp /usr/bin/tini-static /rootfs/usr/local/bin/tini \
 && node orchestrator/build.ts /rootfs/app \
 && node client/build.ts /rootfs/app/room \
 && node orchestrator/dashboard/build.ts /rootfs/app/dashboard \
 && cp -r supabase/migrations /rootfs/app/migrations \
 && find /rootfs -exec touch -h -d @${SOURCE_DATE_EPOCH} {} +

FROM debian:bookworm-slim
ARG SOURCE_DATE_EPOCH=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="greenroom-orchestrator" \
      org.opencontainers.image.description="Control plane: starts, watches and ends one machine per interview." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --system --uid 65532 --user-group --no-create-home --home-dir / orchestrator
COPY --from=build /rootfs/ /
ENV NODE_ENV=production \
    ROOM_DIR=/app/room \
    DASHBOARD_DIR=/app/dashboard
USER 65532:65532
EXPOSE 8080
# The program is the command, so that Fly's release command can name the other one (/app/greenroom.mjs migrate).
ENTRYPOINT ["/usr/local/bin/tini", "-s", "--", "/usr/local/bin/node"]
CMD ["/app/orchestrator.mjs"]
