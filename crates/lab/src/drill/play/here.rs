//! The host of a script as its shell commands find it: the engine's settings and counters, and the
//! few files that commands make.

use std::collections::BTreeMap;

use towpath_engine::Counters;

use super::commands::Machine;
use super::sockets::{Files, Kind};
use super::sysctl::{self, Settled};
use crate::host::Host;

/// A script's host while a command runs.
pub(super) struct Here<'p> {
    pub(super) host: &'p mut Host,
    pub(super) files: &'p mut Files,
}

impl Machine for Here<'_> {
    fn set(&mut self, name: &str, value: &str) -> Result<Settled, String> {
        let mut config = self.host.endpoint.config().clone();
        let settled = sysctl::set(&mut config, name, value)?;
        self.host.endpoint.set_config(config).map_err(|why| why.to_string())?;
        Ok(settled)
    }

    fn listens_on(&self, port: u16) -> bool {
        let mut sockets = self.files.sockets();
        sockets.any(|(_, socket)| {
            matches!(socket.kind, Kind::Listening(_))
                && socket.bound.is_some_and(|bound| bound.port() == port)
        })
    }

    fn set_mtu(&mut self, mtu: usize) -> Result<(), String> {
        if !(68..=65_535).contains(&mtu) {
            return Err(format!("an MTU of {mtu}: want 68 to 65535"));
        }
        self.host.set_mtu(mtu);
        Ok(())
    }

    fn counters(&self) -> &Counters {
        self.host.endpoint.counters()
    }

    fn files(&mut self) -> &mut BTreeMap<String, u64> {
        &mut self.files.on_disk
    }
}
