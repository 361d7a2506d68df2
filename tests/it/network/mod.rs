//! Network effects on bare containers of the sidecar image, without any broker: what each does to real
//! packets, what it leaves alone, and that nothing of it stays.
//!
//! As the tests on brokers, they need a Docker engine and the images, and take the engine one at a time.

mod bed;
mod clearing;
mod cuts;
mod faults;
mod flow;
mod latency;
mod shaping;
