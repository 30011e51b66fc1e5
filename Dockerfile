# The service: one program on a base without a shell. `docker build -t credit-server .`
# The bases are named by arguments, so that a mirror or a digest can be given:
#   --build-arg RUNTIME_IMAGE=registry.example/distroless/cc-debian12@sha256:...
# The gate builds it for real: `make image-check`, `make image-check-full`.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS chef
ARG CARGO_CHEF_VERSION=0.1.78
# What is shipped has no symbols; thin LTO is in Cargo.toml.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=none CARGO_INCREMENTAL=0
# The allocator is made by `make`, cryptography by a C compiler. Debian's release pins both: a version of a package is
# gone from the mirrors with the next correction.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
# What cargo fetches is kept between builds, beside the layers.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install cargo-chef --locked --version "${CARGO_CHEF_VERSION}"
WORKDIR /src

# The recipe changes only with the manifests: sources do not touch the layer of the dependencies.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /src/recipe.json recipe.json
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --release --locked --package credit-server --recipe-path recipe.json
COPY . .
# The program tells which one it is (`credit_build_info`).
ARG REVISION
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    CREDIT_REVISION="${REVISION}" cargo build --release --locked --package credit-server \
    && install -D --mode 755 target/release/credit-server /out/credit-server \
    && install -d /out/data

# What is inside, as CycloneDX: `docker build --target sbom --output . .`, or `make sbom` without an image.
FROM chef AS sbom-maker
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-minimal libpython3-stdlib \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    python3 scripts/sbom.py /out/sbom/credit-server.cdx.json

FROM scratch AS sbom
COPY --from=sbom-maker /out/sbom/credit-server.cdx.json /

FROM ${RUNTIME_IMAGE} AS runtime
ARG RUNTIME_IMAGE
ARG VERSION=0.1.0
# What only the one who builds knows: the commit, when, and where sources and documentation are.
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://git.example/credit/credit-server
ARG DOCUMENTATION=https://git.example/credit/credit-server/docs
LABEL org.opencontainers.image.title="credit-server" \
      org.opencontainers.image.description="Keeps prepaid credits: who has how many, where they came from, when they expire and why they moved" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${DOCUMENTATION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}"
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
