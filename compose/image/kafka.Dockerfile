# Apache Kafka with the environment contract of the official image apache/kafka, for machines
# that cannot pull it. build.sh prepares the context: this folder plus libs/, the jars of one version.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN command -v java >/dev/null \
    || { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
         && rm -rf /var/lib/apt/lists/*; }

# The same user and folders as in the official image.
RUN useradd --uid 1000 --create-home --shell /bin/bash appuser \
    && mkdir -p /opt/kafka/config /etc/kafka/docker /etc/kafka/secrets /mnt/shared/config /var/lib/kafka/data \
    && chown -R appuser:appuser /opt/kafka /mnt/shared /var/lib/kafka /etc/kafka
COPY --chown=appuser:appuser libs /opt/kafka/libs
COPY --chown=appuser:appuser kafka/bin /opt/kafka/bin
COPY --chown=appuser:appuser kafka/docker /etc/kafka/docker

USER appuser
RUN cp /etc/kafka/docker/*log4j* /opt/kafka/config/ && /etc/kafka/docker/link-tools && /etc/kafka/docker/train

EXPOSE 9092
# Anonymous volumes, as the official image makes them: tear-down has to cope with them anyway.
VOLUME ["/etc/kafka/secrets", "/mnt/shared/config", "/var/lib/kafka/data"]
CMD ["/etc/kafka/docker/run"]
