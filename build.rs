//! The catalogue is embedded file by file: a new file must make the binary anew.

fn main() {
    println!("cargo::rerun-if-changed=experiments");
}
