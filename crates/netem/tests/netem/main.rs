//! The link from outside: what each stage does, alone and together with others.

mod chance;
mod common;
mod conservation;
mod duplex;
mod headers;
mod losses;
mod packets;
mod queues;
mod settings;
mod ways;
