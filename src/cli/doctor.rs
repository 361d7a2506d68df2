//! `lossproof doctor`: whether this machine can run experiments, and all faults.

use super::{columns, fail, write_out};
use crate::exit::Exit;
use crate::runner::doctor::{Finding, State, examine};
use crate::runner::stop::Stop;

/// Tell what this machine has of what runs and faults need, and how to get the rest
///
/// Everything is found by trying it in containers of its own, which are removed again. Ends with 4 if no run is
/// possible here, and with 0 otherwise, also where some faults are not.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Image of the brokers
    #[arg(long, env = "KAFKA_IMAGE", default_value = crate::cli::run::DEFAULT_IMAGE, value_name = "IMAGE")]
    kafka_image: String,
}

/// Runs the subcommand.
pub async fn run(args: DoctorArgs) -> Exit {
    let stop = match Stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&error.into()),
    };
    let findings = examine(&args.kafka_image, &stop).await;
    let exit = write_out(&text(&findings));
    let possible = findings.iter().all(|finding| finding.state != State::Missing);
    if possible { exit } else { exit.worse(Exit::Environment) }
}

fn text(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    let mut remedies = Vec::new();
    for Finding { what, state, seen, gives, remedy } in findings {
        let mark = match state {
            State::Good => "ok",
            State::Lacking => "lacks",
            State::Missing => "MISSING",
        };
        rows.push(vec![mark.to_owned(), what.clone(), seen.clone(), format!("for {gives}")]);
        remedies.extend(remedy.iter().map(|remedy| vec![what.clone(), remedy.clone()]));
    }
    let mut text = columns(rows);
    if !remedies.is_empty() {
        text.push_str(&format!("\nWhat helps\n{}", columns(remedies)));
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    text.push_str(match (count(State::Missing), count(State::Lacking)) {
        (0, 0) => "\nEverything is there.\n",
        (0, _) => "\nExperiments can run here, but not all that is listed.\n",
        _ => "\nNo experiment can run here yet.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::runner::doctor::{Finding, State};

    #[test]
    fn what_lacks_is_told_with_its_remedy() {
        let finding = |what: &str, state, remedy: Option<&str>| Finding {
            what: what.to_owned(),
            state,
            seen: "seen".to_owned(),
            gives: "something",
            remedy: remedy.map(str::to_owned),
        };
        let good = finding("engine", State::Good, None);
        let lacking = finding("delays (netem)", State::Lacking, Some("load sch_netem"));
        let missing = finding("image", State::Missing, Some("build it"));
        insta::assert_snapshot!(text(&[good.clone(), lacking.clone()]), @r"
          ok     engine          seen  for something
          lacks  delays (netem)  seen  for something

        What helps
          delays (netem)  load sch_netem

        Experiments can run here, but not all that is listed.
        ");
        assert!(text(std::slice::from_ref(&good)).ends_with("\nEverything is there.\n"));
        assert!(text(&[good, lacking, missing]).ends_with("\nNo experiment can run here yet.\n"));
    }
}
