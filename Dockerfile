# The image of the agent and the controller: one native binary on a base with glibc, OpenSSL and CA certificates, and nothing else.
# The two bases go together: what is built against a glibc runs on it or a newer one.
ARG BUILD_BASE=mcr.microsoft.com/dotnet/sdk:10.0-noble
ARG RUNTIME_BASE=mcr.microsoft.com/dotnet/runtime-deps:10.0-noble-chiseled

FROM ${BUILD_BASE} AS build
WORKDIR /source
COPY . .
RUN scripts/build.sh

FROM ${RUNTIME_BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reconciler" \
      org.opencontainers.image.description="Keeps the containers and images of Linux nodes as declared" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /source/artifacts/bin/reconciler /usr/bin/reconciler
# containerd's socket is root's.
USER 0:0
ENTRYPOINT ["/usr/bin/reconciler"]
CMD ["--help"]
