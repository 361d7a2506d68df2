//! Who may write to a topic (CreateAcls, DeleteAcls; KIP-140), and whether a broker would take it (Produce).
//!
//! Everybody is `User:ANONYMOUS` here, as no listener asks for a name, lossproof too: a rule is for all, `User:*`.

use anyhow::{Context, Result};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, ProduceRequest};

use super::{Refused, Wire, check, text, topic_name};

/// ResourceType.TOPIC
const TOPIC: i8 = 2;
/// PatternType.LITERAL
const LITERAL: i8 = 3;
const EVERYBODY: &str = "User:*";
const ANYWHERE: &str = "*";

/// A rule by operation (AclOperation) and permission (AclPermissionType).
type Rule = (i8, i8);

const ALL: i8 = 2;
const WRITE: i8 = 4;
const DENY: i8 = 2;
const ALLOW: i8 = 3;

/// A topic that has a rule is closed to all that no rule allows: so everything else is allowed by one. What is denied
/// goes before what is allowed.
const NO_WRITES: [Rule; 2] = [(ALL, ALLOW), (WRITE, DENY)];

impl Wire {
    /// Lets nobody write to these topics any more; all else stays allowed.
    ///
    /// # Errors
    /// What the broker says against it, as one without an authorizer does.
    pub async fn deny_writes(&mut self, topics: &[String]) -> Result<()> {
        let creations = topics.iter().flat_map(|topic| {
            NO_WRITES.map(|(operation, permission)| {
                AclCreation::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(topic))
                    .with_resource_pattern_type(LITERAL)
                    .with_principal(text(EVERYBODY))
                    .with_host(text(ANYWHERE))
                    .with_operation(operation)
                    .with_permission_type(permission)
            })
        });
        let request = CreateAclsRequest::default().with_creations(creations.collect());
        let answer = self.call(&request, 3).await.context("CreateAcls")?;
        for result in answer.results {
            check("a rule against writing", result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Removes the rules of [`Wire::deny_writes`] from these topics; those that are not there are passed over.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn allow_writes(&mut self, topics: &[String]) -> Result<()> {
        let filters = topics.iter().flat_map(|topic| {
            NO_WRITES.map(|(operation, permission)| {
                DeleteAclsFilter::default()
                    .with_resource_type_filter(TOPIC)
                    .with_resource_name_filter(Some(text(topic)))
                    .with_pattern_type_filter(LITERAL)
                    .with_principal_filter(Some(text(EVERYBODY)))
                    .with_host_filter(Some(text(ANYWHERE)))
                    .with_operation(operation)
                    .with_permission_type(permission)
            })
        });
        let request = DeleteAclsRequest::default().with_filters(filters.collect());
        let answer = self.call(&request, 3).await.context("DeleteAcls")?;
        for result in answer.filter_results {
            check("removing a rule against writing", result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }

    /// Whether this broker lets clients write to the topic. Asked by a Produce request without a record, which changes
    /// nothing: the broker looks at who asks before it looks at what is asked, and then finds it invalid.
    ///
    /// # Errors
    /// When the broker does not answer, or says something else.
    pub async fn may_write(&mut self, topic: &str) -> Result<bool> {
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(Bytes::new()));
        let data = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![partition]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(self.timeout_ms()).with_topic_data(vec![data]);
        let answer = self.call(&request, 9).await.context("Produce")?;
        let result = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        let code = result.context("Produce: an answer without the partition")?.error_code;
        match ResponseError::try_from_code(code) {
            Some(ResponseError::TopicAuthorizationFailed) => Ok(false),
            Some(ResponseError::InvalidRecord) => Ok(true),
            Some(other) => Err(Refused(format!("writing nothing to topic {topic}: {other}")).into()),
            None => Err(Refused(format!("topic {topic} took a write of nothing")).into()),
        }
    }
}
