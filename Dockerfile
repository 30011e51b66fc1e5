# The service: one program on a base without a shell. `docker build -t credit-server .`
# The bases are named by arguments, so that a mirror or a digest can be given:
#   --build-arg RUNTIME_IMAGE=registry.example/distroless/cc-debian12@sha256:...
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS chef
ARG CARGO_CHEF_VERSION=0.1.78
# What is shipped has no symbols; thin LTO is in Cargo.toml.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=none CARGO_INCREMENTAL=0
RUN cargo install cargo-chef --locked --version "${CARGO_CHEF_VERSION}"
WORKDIR /src

# The recipe changes only with the manifests: sources do not touch the layer of the dependencies.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /src/recipe.json recipe.json
RUN cargo chef cook --release --locked --package credit-server --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package credit-server \
    && install -D --mode 755 target/release/credit-server /out/credit-server \
    && install -d /out/data

# What is inside, as CycloneDX: `docker build --target sbom --output . .`
FROM build AS sbom-maker
ARG CARGO_CYCLONEDX_VERSION=0.5.9
RUN cargo install cargo-cyclonedx --locked --version "${CARGO_CYCLONEDX_VERSION}" \
    && cargo cyclonedx --manifest-path bin/credit-server/Cargo.toml --format json --override-filename credit-server.cdx \
    && install -D --mode 644 bin/credit-server/credit-server.cdx.json /out/sbom/credit-server.cdx.json

FROM scratch AS sbom
COPY --from=sbom-maker /out/sbom/credit-server.cdx.json /

FROM ${RUNTIME_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="credit-server" \
      org.opencontainers.image.description="Keeps prepaid credits: who has how many, where they came from, when they expire and why they moved" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/credit-server /usr/local/bin/credit-server
# A new volume takes over whose it is.
COPY --from=build --chown=65532:65532 /out/data/ /var/lib/credit/
USER 65532:65532
# In a container the loopback address reaches nobody. Files of the configuration win over these.
ENV CREDIT_DATA_DIR=/var/lib/credit CREDIT_SERVER__HOST=0.0.0.0 CREDIT_METRICS__HOST=0.0.0.0
# The API and the metrics.
EXPOSE 8080 9090
VOLUME ["/var/lib/credit"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/usr/local/bin/credit-server", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/credit-server"]
