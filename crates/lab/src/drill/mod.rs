//! `drill`: scripts in packetdrill's language, played against the engine in virtual time.
//!
//! [`parse`] reads a script into its tree ([`ast`]), [`play`] walks it, [`run`] does both for files
//! and [`report`] prints what came of them. [`code`] and [`constants`] are what scripts say in
//! Python's and in Linux's words.

pub mod ast;
pub mod code;
pub mod constants;
mod lex;
pub mod parse;
pub mod play;
pub mod report;
pub mod run;
pub mod settings;
pub mod verdict;
