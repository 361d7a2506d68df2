# The sidecar: network holder (tc, ip, iptables, delay-packets) and disk helper (mke2fs, losetup, mount) of each broker.
# BASE is lossproof's own base where no registry can be reached; it has the tools already.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN command -v tc iptables mke2fs losetup mount >/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends iproute2 iptables e2fsprogs util-linux mount procps \
         && rm -rf /var/lib/apt/lists/*; }
COPY sidecar/delay-packets /usr/local/bin/
CMD ["sh"]
