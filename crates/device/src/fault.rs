//! The error that ended a device, kept so that it can be reported to every later call.
//!
//! `io::Error` is not `Clone`; this is the part of it that can be repeated: the operating
//! system's number where there is one, else kind and text.

use std::io;

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Os(i32),
    Other { kind: io::ErrorKind, text: String },
}

impl Fault {
    pub(crate) fn new(kind: io::ErrorKind, text: &str) -> Self {
        Self::Other { kind, text: text.to_owned() }
    }

    pub(crate) fn to_error(&self) -> io::Error {
        match self {
            Self::Os(code) => io::Error::from_raw_os_error(*code),
            Self::Other { kind, text } => io::Error::new(*kind, text.clone()),
        }
    }
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::Os(code),
            None => Self::Other { kind: error.kind(), text: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_repeats_the_error_it_was_made_from() {
        let os = io::Error::from_raw_os_error(77);
        let again = Fault::from(&os).to_error();
        assert_eq!(again.raw_os_error(), Some(77));
        assert_eq!(again.to_string(), os.to_string());

        let own = io::Error::new(io::ErrorKind::BrokenPipe, "unplugged");
        let again = Fault::from(&own).to_error();
        assert_eq!((again.kind(), again.to_string()), (own.kind(), own.to_string()));
    }
}
