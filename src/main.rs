//! lossproof: chaos testing for Apache Kafka that accounts for every message.
#![allow(unused_imports)]
#![allow(dead_code)]

mod cli;
mod experiment;

fn main() -> std::process::ExitCode {
    let files: Vec<_> = std::env::args_os().skip(2).map(Into::into).collect();
    std::process::ExitCode::from(cli::plan::run(&files))
}
