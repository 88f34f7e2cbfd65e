//! What is to be dropped, but not here: whoever drives the engine does so under a lock, and freeing
//! memory, of a chunk that an application made above all, belongs after it.

use bytes::Bytes;

use crate::connection::Connection;
use crate::recv::assembler::Assembler;

/// Chunks and records that are done with. Drop it after unlocking.
#[derive(Debug, Default)]
pub struct Garbage {
    chunks: Vec<Bytes>,
    reassemblies: Vec<Assembler>,
    connections: Vec<Connection>,
}

impl Garbage {
    /// Whether there is nothing to drop.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.reassemblies.is_empty() && self.connections.is_empty()
    }

    pub(crate) fn add_chunk(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    pub(crate) fn add_reassembly(&mut self, reassembly: Assembler) {
        self.reassemblies.push(reassembly);
    }

    pub(crate) fn add_connection(&mut self, connection: Connection) {
        self.connections.push(connection);
    }
}
