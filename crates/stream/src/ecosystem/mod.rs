//! Traits of other crates, which can only be implemented where the type lives. Each behind a
//! feature that names the foreign version.

#[cfg(feature = "axum-08")]
mod axum;
