# syntax=docker/dockerfile:1
# The party host: one static program and the engine, nothing else. Build with
#   docker build --build-arg ENGINE_DIGEST="$(cargo xtask engine | cut -d ' ' -f 1)" -t tercet-party .
# The label must be the digest that the survey pins; the build stops if the engine in it is another.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/*
RUN rustup target add wasm32-wasip2 "$(uname -m)-unknown-linux-musl"
WORKDIR /tercet
COPY . .
ARG ENGINE_DIGEST
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/tercet/target \
    set -eu; \
    target="$(uname -m)-unknown-linux-musl"; \
    RUSTFLAGS="--remap-path-prefix=/usr/local/cargo=/cargo -C strip=symbols" \
        cargo build --locked --release --target "$target" -p party-host --bin party-host; \
    cargo xtask engine > engine.txt; \
    test "$(cut -d ' ' -f 1 engine.txt)" = "${ENGINE_DIGEST:?pass --build-arg ENGINE_DIGEST}"; \
    mkdir -p /out/usr/bin /out/usr/share/tercet; \
    cp "target/$target/release/party-host" /out/usr/bin/; \
    cp "$(cut -d ' ' -f 2 engine.txt)" /out/usr/share/tercet/party_wasm.wasm

# Nothing but the program, the engine and root certificates: no shell, no package manager, no user to become.
FROM scratch
ARG ENGINE_DIGEST
LABEL org.opencontainers.image.title="tercet party host" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.tercet.engine="${ENGINE_DIGEST}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    TERCET_LOG_JSON=true
# Runs with a read-only root file system: it writes to its bucket only.
USER 65532:65532
EXPOSE 8080 7443
# ECS and Docker send SIGTERM; sessions under way get TERCET_STOP_SECONDS to end.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/bin/party-host", "healthcheck"]
ENTRYPOINT ["/usr/bin/party-host"]
