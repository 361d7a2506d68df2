//! Requests of Kafka's protocol that the harness makes itself, one file for each theme. Always to one named
//! broker, by its HARNESS listener, so that the answer is that broker's view and no client library's mixture.
//!
//! What only the active controller can do (topics, options, elections, reassignments, features) any broker
//! forwards to it (KIP-590). Each request is sent in a version that brokers of 3.9 and of 4.3 take, by
//! `validVersions` in the message definitions of both.

mod acl;
mod config;
mod coordinator;
mod election;
mod features;
mod group_offsets;
mod metadata;
mod offsets;
mod quorum;
mod reassignment;
mod records;
mod topics;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use config::{ConfigEntry, Resource};
pub use coordinator::Coordinated;
pub use features::{Feature, Features};
pub use metadata::{PartitionView, View};
pub use reassignment::Reassignment;
pub use topics::NewTopic;

/// A topic's name and a partition of it.
pub type TopicPartition = (String, i32);

/// A connection to one broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    correlation: i32,
    limit: Duration,
}

impl Wire {
    /// Connects; each later call has the same limit.
    ///
    /// # Errors
    /// When the broker does not accept within `limit`.
    pub async fn connect(address: &str, limit: Duration) -> Result<Self> {
        let stream = tokio::time::timeout(limit, TcpStream::connect(address))
            .await
            .with_context(|| format!("{address} does not accept within {limit:?}"))?
            .with_context(|| format!("{address} refuses"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation: 0, limit })
    }

    async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let limit = self.limit;
        tokio::time::timeout(limit, self.exchange(request, version))
            .await
            .with_context(|| format!("no answer within {limit:?}"))?
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("lossproof-harness")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version))?;
        request.encode(&mut body, version)?;
        let length = i32::try_from(body.len()).context("a request over 2 GiB")?;
        self.stream.write_i32(length).await?;
        self.stream.write_all(&body).await?;

        let length = usize::try_from(self.stream.read_i32().await?).context("a negative length")?;
        if length > 64 << 20 {
            bail!("an answer of {length} bytes");
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version))?;
        if header.correlation_id != self.correlation {
            bail!("answer {} to request {}", header.correlation_id, self.correlation);
        }
        R::Response::decode(&mut answer, version)
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.limit.as_millis()).unwrap_or(i32::MAX)
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Partitions by topic, as most requests want them, in the order in which the topics come first.
fn by_topic<T>(partitions: impl IntoIterator<Item = (String, T)>) -> Vec<(TopicName, Vec<T>)> {
    let mut topics: Vec<(TopicName, Vec<T>)> = Vec::new();
    for (topic, partition) in partitions {
        match topics.iter_mut().find(|(known, _)| *known.0 == *topic) {
            Some((_, partitions)) => partitions.push(partition),
            None => topics.push((topic_name(&topic), vec![partition])),
        }
    }
    topics
}

fn check(what: &str, code: i16, message: Option<&str>) -> Result<()> {
    refusal(code, message).map_or(Ok(()), |said| Err(Refused(format!("{what}: {said}")).into()))
}

/// What a broker has against it, in its own words; none if nothing.
fn refusal(code: i16, message: Option<&str>) -> Option<String> {
    let error = code.err()?;
    Some(message.map_or_else(|| error.to_string(), |text| format!("{error} ({text})")))
}

/// A broker understood a request and said no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);
