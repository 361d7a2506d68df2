//! lossproof: chaos testing for Apache Kafka that accounts for every message.

fn main() -> std::process::ExitCode {
    let files: Vec<_> = std::env::args_os().skip(2).map(Into::into).collect();
    std::process::ExitCode::from(lossproof::cli::plan::run(&files))
}
