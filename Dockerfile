# Larder in a container.
#
#   docker build -t larder .
#   docker run -p 8080:8080 larder serve --listen 0.0.0.0:8080 --origin http://app:3000
#   docker run -p 8080:8080 -v ./config.toml:/etc/larder/config.toml:ro larder
#
# It runs as nobody in particular, writes nothing (--read-only works) and brings no shell tools of its own: the health
# check is the binary asking itself. scripts/docker-proof builds and runs it without an engine.

FROM rust:1-slim-bookworm AS build
WORKDIR /src

# The allocator is built by make. A release is built twice, the second time by a profile, which python3 makes traffic for
# and llvm-19 reads.
RUN { command -v make && command -v python3 && [ -x /usr/lib/llvm-19/bin/llvm-profdata ]; } >/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends llvm-19 make python3 && rm -rf /var/lib/apt/lists/*; }

# benches/ is there because the manifest names the files in it.
COPY . .
# What was built before is kept from one build of the image to the next. The sources have the times they have outside,
# which may be earlier than that.
RUN --mount=type=cache,target=/src/target \
    touch src/main.rs src/lib.rs \
    && scripts/release \
    && cp target/released/larder /usr/local/bin/larder

FROM debian:bookworm-slim

ARG VERSION=dev
LABEL org.opencontainers.image.title="larder" \
      org.opencontainers.image.description="An HTTP reverse caching proxy that keeps the RFC, explains every decision and can be purged with one curl line." \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"

# For origins that are reached by https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/larder /usr/local/bin/larder
COPY deploy/container.toml /etc/larder/config.toml

# A number and no name: an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["larder", "healthcheck", "--config", "/etc/larder/config.toml"]
ENTRYPOINT ["larder"]
CMD ["serve", "--config", "/etc/larder/config.toml"]
