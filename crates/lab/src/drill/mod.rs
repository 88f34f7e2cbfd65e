//! `drill`: scripts in packetdrill's language, played against the engine in virtual time.

pub mod ast;
mod lex;
pub mod parse;
