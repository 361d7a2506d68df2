//! `lossproof plan`
#![allow(clippy::print_stdout, clippy::print_stderr)]
use std::path::PathBuf;
pub fn run(files: &[PathBuf]) -> u8 {
    match crate::experiment::load(files) {
        Ok(e) => {
            for e in e {
                println!("{}", e.resolved);
            }
            0
        }
        Err(p) => {
            eprint!("{}", p.render(false, 100));
            3
        }
    }
}
