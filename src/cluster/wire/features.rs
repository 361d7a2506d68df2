//! Feature levels, which an upgrade raises last: what a broker's program could do, and what the cluster has
//! agreed on (ApiVersions, UpdateFeatures; KIP-584, KIP-778).

use anyhow::{Context, Result};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiVersionsRequest, UpdateFeaturesRequest};
use kafka_protocol::protocol::StrBytes;

use super::{Wire, check, text};

/// The features of a cluster, as one broker sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Rises with each change of a finalized level; -1 if the broker does not know it.
    pub epoch: i64,
    /// By name.
    pub features: Vec<Feature>,
}

/// One feature, such as `metadata.version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The lowest level that the broker's program supports.
    pub supported_min: i16,
    /// The highest one.
    pub supported_max: i16,
    /// The level that the cluster uses; 0 if it does not use the feature.
    pub finalized: i16,
}

impl Wire {
    /// What this broker supports, and what the cluster uses.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn features(&mut self) -> Result<Features> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("lossproof"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        // Below version 4 features whose lowest level is 0 are left out, and most are such (KAFKA-17011).
        let answer = self.call(&request, 4).await.context("ApiVersions")?;
        check("ApiVersions", answer.error_code, None)?;
        let finalized = |name: &StrBytes| {
            let found = answer.finalized_features.iter().find(|feature| feature.name == *name);
            found.map_or(0, |feature| feature.max_version_level)
        };
        let mut features: Vec<Feature> = answer
            .supported_features
            .iter()
            .map(|feature| Feature {
                name: feature.name.to_string(),
                supported_min: feature.min_version,
                supported_max: feature.max_version,
                finalized: finalized(&feature.name),
            })
            .collect();
        features.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Features { epoch: answer.finalized_features_epoch, features })
    }

    /// Raises features of the cluster to these levels, all or none. There is no way back for most.
    ///
    /// # Errors
    /// What the controller says against it, such as a broker that does not support a level.
    pub async fn raise_features(&mut self, levels: &[(String, i16)]) -> Result<()> {
        const UPGRADE: i8 = 1;
        let updates = levels.iter().map(|(name, level)| {
            FeatureUpdateKey::default()
                .with_feature(text(name))
                .with_max_version_level(*level)
                .with_upgrade_type(UPGRADE)
        });
        let request =
            UpdateFeaturesRequest::default().with_timeout_ms(self.timeout_ms()).with_feature_updates(updates.collect());
        let answer = self.call(&request, 1).await.context("UpdateFeatures")?;
        check("raising features", answer.error_code, answer.error_message.as_deref())?;
        for result in &answer.results {
            let what = format!("raising {}", result.feature);
            check(&what, result.error_code, result.error_message.as_deref())?;
        }
        Ok(())
    }
}
