#!/usr/bin/env bash
# Runs one class of Kafka's jars: kafka-run-class.sh CLASS [ARG...]
# Options of the JVM come from the same variables as in Kafka's own script of this name.
set -euo pipefail
home=/opt/kafka

if [[ $# -eq 0 ]]; then
  echo "usage: $(basename "$0") CLASS [ARG...]" >&2
  exit 1
fi

# A tool is short-lived: the C2 compiler would only take a core away from the brokers.
read -ra options <<<"${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC} ${KAFKA_OPTS:-}"
read -ra logging <<<"${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:$home/config/tools-log4j.properties -Dlog4j2.configurationFile=$home/config/tools-log4j2.yaml}"
# `train` sets CDS_OPTS to write the archive that all later starts read.
read -ra archive <<<"${CDS_OPTS:--XX:SharedArchiveFile=$home/tools.jsa -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off}"

exec java "${options[@]}" "${archive[@]}" "${logging[@]}" -cp "$home/libs/*" "$@"
