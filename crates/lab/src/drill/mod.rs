//! `drill`: scripts in packetdrill's language, played against the engine in virtual time.

pub mod ast;
pub mod code;
pub mod constants;
mod lex;
pub mod parse;
