//! How the faults of clients reach the client processes.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::clients::{Client, Clients};
use crate::fault::client::{ClientControl, ClientName, End, Process};

impl Clients {
    fn named(&self, client: &ClientName) -> Result<&Client> {
        self.find(client).with_context(|| format!("there is no {client}"))
    }
}

impl ClientControl for Clients {
    fn clients(&self) -> Vec<ClientName> {
        self.names()
    }

    fn process(&self, client: &ClientName) -> Option<Process> {
        let process = self.find(client)?.process()?;
        let runs = process.how_it_ended().is_none();
        runs.then(|| Process { id: process.id().clone(), pid: process.pid(), lines: process.lines() })
    }

    fn kill<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>> {
        async move {
            let client = self.named(client)?;
            let process = client.process().context("it is away already")?;
            let ended = process.kill().await;
            client.leaves();
            Ok(End { expected: ended.expected, how: ended.how })
        }
        .boxed()
    }

    fn stop<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<End>> {
        async move {
            let client = self.named(client)?;
            let ended = client.end().await.context("it is away already")?;
            client.leaves();
            Ok(End { expected: ended.expected, how: ended.how })
        }
        .boxed()
    }

    fn pause(&self, client: &ClientName) {
        if let Some(process) = self.find(client).and_then(Client::process) {
            process.pause();
        }
    }

    fn resume(&self, client: &ClientName) {
        if let Some(process) = self.find(client).and_then(Client::process) {
            process.resume();
        }
    }

    fn start<'a>(&'a self, client: &'a ClientName) -> BoxFuture<'a, Result<()>> {
        async move { self.named(client)?.start_again(&self.starter).await }.boxed()
    }

    fn ready<'a>(&'a self, client: &'a ClientName, limit: Duration) -> BoxFuture<'a, bool> {
        async move {
            match self.find(client) {
                Some(client) => client.reaches(limit, |status| status.ready).await,
                None => false,
            }
        }
        .boxed()
    }
}
