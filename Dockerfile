# One image for every role of Fairlead. Targets: `cpu`, the default, and `cuda`.
#
# The same sources and the same base give the same files: dependencies are pinned by package-lock.json, Node is one of
# them, and times are those of SOURCE_DATE_EPOCH (with BuildKit add `--output type=image,rewrite-timestamp=true`, with
# buildah `--timestamp`).

# What the build stage runs in: it needs a shell, and npm where dependencies are not mounted.
ARG BUILD_IMAGE=node:24.21.0-bookworm-slim
# What the server runs on: glibc 2.28 or newer and libstdc++; no shell is needed.
ARG BASE_IMAGE=debian:bookworm-slim
# The same with CUDA 12 and cuDNN 9.
ARG CUDA_BASE_IMAGE=nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04

FROM ${BUILD_IMAGE} AS build
WORKDIR /source
COPY package.json package-lock.json .npmrc ./
# A builder that has the dependencies already may mount them (`buildah bud --volume DIR:/source/node_modules:ro`).
RUN [ -e node_modules/rolldown ] || npm ci
COPY scripts/build.ts scripts/
COPY src src
ARG SOURCE_DATE_EPOCH=0
RUN node_modules/.bin/node scripts/build.ts --with-node --out /image/opt/fairlead \
 && mkdir -p /image/var/lib/fairlead/models

# Not built where there is no network to the feed that the package's own script downloads the CUDA libraries from.
FROM build AS build-cuda
ARG SOURCE_DATE_EPOCH=0
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 node_modules/.bin/node node_modules/onnxruntime-node/script/install.js \
 && node_modules/.bin/node scripts/build.ts --with-node --out /image/opt/fairlead \
 && mkdir -p /image/var/lib/fairlead/models

FROM ${CUDA_BASE_IMAGE} AS cuda
COPY --from=build-cuda /image/opt/fairlead/bin /opt/fairlead/bin
COPY --from=build-cuda /image/opt/fairlead/node_modules /opt/fairlead/node_modules
COPY --from=build-cuda /image/opt/fairlead/*.js /image/opt/fairlead/package.json /opt/fairlead/
COPY --from=build-cuda --chown=65532:65532 /image/var/lib/fairlead /var/lib/fairlead
ENV PATH=/opt/fairlead/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["node", "/opt/fairlead/main.js"]

# What changes least comes first, so that a new version is a small layer on top.
FROM ${BASE_IMAGE} AS cpu
COPY --from=build /image/opt/fairlead/bin /opt/fairlead/bin
COPY --from=build /image/opt/fairlead/node_modules /opt/fairlead/node_modules
COPY --from=build /image/opt/fairlead/*.js /image/opt/fairlead/package.json /opt/fairlead/
COPY --from=build --chown=65532:65532 /image/var/lib/fairlead /var/lib/fairlead
ENV PATH=/opt/fairlead/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["node", "/opt/fairlead/main.js"]
