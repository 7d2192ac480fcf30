# One image for every process: `docker run … <command>` is `securyflex-backup <command>`.
# Debian 13 brings PostgreSQL 17's client tools, which dump servers of version 17 and older.
ARG BASE=node:26-trixie-slim

FROM ${BASE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/shared/package.json packages/shared/
COPY apps/producer/package.json apps/producer/
COPY apps/worker/package.json apps/worker/
COPY apps/dashboard/package.json apps/dashboard/
COPY apps/cli/package.json apps/cli/
COPY test/package.json test/
# The image is Node 26 already: the optional packages that carry it are left out.
RUN npm ci --omit=dev --omit=optional

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends postgresql-client tini \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY packages packages
COPY apps apps
# A new volume takes over owner and mode of the directory that it is mounted on.
RUN install -d -o node -g node -m 0700 /backups /spool
# What memory a process keeps for itself: packages/shared/src/segments/memory.ts.
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=134217728
ENV NODE_OPTIONS=--max-semi-space-size=8
ENV NODE_ENV=production BACKUP_DIR=/backups BACKUP_SPOOL_DIR=/spool
VOLUME ["/backups", "/spool"]
USER node
# tini passes signals on and reaps what a killed tool leaves.
ENTRYPOINT ["tini", "--", "node", "/app/apps/cli/src/main.ts"]
CMD ["--help"]
