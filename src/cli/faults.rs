//! `lossproof faults`: the kinds of fault there are, and a page on each.

use super::{columns, hint, write_out};
use crate::exit::Exit;
use crate::experiment::hint::did_you_mean;
use crate::fault::pages;

/// Tell what kinds of fault there are, or all about one of them
///
/// With a NAME: what the fault does, how it is written in an experiment, how it is proven that it bit and that
/// it is gone, and what it needs.
#[derive(Debug, clap::Args)]
pub struct FaultsArgs {
    /// A kind of fault, such as `kill`
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: &FaultsArgs) -> Exit {
    let Some(name) = &args.name else {
        let rows = pages::kinds().map(|(name, title)| vec![name.to_owned(), title.to_owned()]).collect();
        return write_out(&format!(
            "Kinds of fault\n{}\n`lossproof faults NAME` tells how one is written and proven.\n",
            columns(rows)
        ));
    };
    match pages::page(name) {
        Some(page) => write_out(page),
        None => {
            eprintln!("error: there is no fault `{}`", name.escape_debug());
            hint(&did_you_mean(name, pages::kinds().map(|(name, _)| name)).unwrap_or_else(|| {
                let all: Vec<&str> = pages::kinds().map(|(name, _)| name).collect();
                format!("there are {}", all.join(", "))
            }));
            Exit::BadInput
        }
    }
}
