//! Options of topics and brokers, read and changed while the cluster runs (DescribeConfigs, and
//! IncrementalAlterConfigs of KIP-339, which leaves the other options alone).

use std::fmt;

use anyhow::{Context, Result};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use serde::{Deserialize, Serialize};

use super::{Wire, check, text};

/// What has options of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// A topic, by name. Every broker tells of it.
    Topic(String),
    /// A broker, by id. Only it tells of itself.
    Broker(i32),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
        }
    }
}

impl Resource {
    /// ConfigResource.Type
    const fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    /// DescribeConfigsResponse.ConfigSource of a value that was set on the resource itself, and not on what it
    /// inherits from: DYNAMIC_TOPIC_CONFIG, DYNAMIC_BROKER_CONFIG (KIP-226).
    const fn own_source(&self) -> i8 {
        match self {
            Self::Topic(_) => 1,
            Self::Broker(_) => 2,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
        }
    }
}

/// An option as a broker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// The value in force; none if there is none, or if it is secret.
    pub value: Option<String>,
    /// Whether it was set on the topic or broker itself while the cluster ran, instead of being inherited.
    pub is_own: bool,
    /// Whether brokers keep its value to themselves.
    pub is_secret: bool,
}

impl Wire {
    /// The named options of a topic or broker, or all. Names that the broker does not know are left out.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn config(&mut self, resource: &Resource, names: Option<&[String]>) -> Result<Vec<ConfigEntry>> {
        let asked = DescribeConfigsResource::default()
            .with_resource_type(resource.code())
            .with_resource_name(text(&resource.name()))
            .with_configuration_keys(names.map(|names| names.iter().map(|name| text(name)).collect()));
        let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
        let answer = self.call(&request, 4).await.context("DescribeConfigs")?;
        let mut entries = Vec::new();
        for result in answer.results {
            check(&format!("options of {resource}"), result.error_code, result.error_message.as_deref())?;
            entries.extend(result.configs.into_iter().map(|entry| ConfigEntry {
                name: entry.name.to_string(),
                value: entry.value.map(|value| value.to_string()),
                is_own: entry.config_source == resource.own_source(),
                is_secret: entry.is_sensitive,
            }));
        }
        Ok(entries)
    }

    /// Sets options of a topic or broker, or removes what was set, where there is no value; all or none.
    ///
    /// # Errors
    /// What the broker says against it.
    pub async fn change_config(&mut self, resource: &Resource, changes: &[(String, Option<String>)]) -> Result<()> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let configs = changes.iter().map(|(name, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.as_deref().map(text))
        });
        let changed = AlterConfigsResource::default()
            .with_resource_type(resource.code())
            .with_resource_name(text(&resource.name()))
            .with_configs(configs.collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![changed]);
        let answer = self.call(&request, 1).await.context("IncrementalAlterConfigs")?;
        for result in answer.responses {
            check(&format!("options of {resource}"), result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }
}
