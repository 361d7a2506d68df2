#!/usr/bin/env bash
# Kafka's command-line tools under their official names: link-tools makes a link to this script for each.
set -euo pipefail

# Two tools moved to another package in Kafka 4.
tools=org.apache.kafka.tools
moved=$tools
if compgen -G '/opt/kafka/libs/kafka-clients-3.*.jar' >/dev/null; then
  moved=kafka.tools
fi

name=$(basename "$0")
case $name in
  kafka-cluster.sh) class=$tools.ClusterTool ;;
  kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
  kafka-console-consumer.sh) class=$tools.consumer.ConsoleConsumer ;;
  kafka-console-producer.sh) class=$moved.ConsoleProducer ;;
  kafka-consumer-groups.sh) class=$tools.consumer.group.ConsumerGroupCommand ;;
  kafka-delete-records.sh) class=$tools.DeleteRecordsCommand ;;
  kafka-dump-log.sh) class=$moved.DumpLogSegments ;;
  kafka-features.sh) class=$tools.FeatureCommand ;;
  kafka-get-offsets.sh) class=$tools.GetOffsetShell ;;
  kafka-leader-election.sh) class=$tools.LeaderElectionCommand ;;
  kafka-log-dirs.sh) class=$tools.LogDirsCommand ;;
  kafka-metadata-quorum.sh) class=$tools.MetadataQuorumCommand ;;
  kafka-reassign-partitions.sh) class=$tools.reassign.ReassignPartitionsCommand ;;
  kafka-storage.sh) class=kafka.tools.StorageTool ;;
  kafka-topics.sh) class=$tools.TopicCommand ;;
  kafka-transactions.sh) class=$tools.TransactionsCommand ;;
  kafka-verifiable-consumer.sh) class=$tools.VerifiableConsumer ;;
  kafka-verifiable-producer.sh) class=$tools.VerifiableProducer ;;
  *)
    echo "$name is not one of this image's tools; /opt/kafka/bin has them" >&2
    exit 1
    ;;
esac

exec /opt/kafka/bin/kafka-run-class.sh "$class" "$@"
