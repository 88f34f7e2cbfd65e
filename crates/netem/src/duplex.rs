//! Both ways of a link, with a wire of its own each way or one medium between them.

use crate::config::{DuplexConfig, LinkError, Medium};
use crate::link::{Link, LinkStatistics};
use crate::payload::Payload;
use crate::wire::Wire;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first end to the second.
    There,
    /// From the second end to the first.
    Back,
}

/// Both directions of an emulated link.
///
/// ```
/// use towpath_netem::{Direction, Duplex, DuplexConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A radio of 1 Mbit/s: 125 bytes are 1 ms, and only one side talks at a time.
/// let config: DuplexConfig = "rate=1Mbit delay=5ms shared=true".parse()?;
/// let mut link = Duplex::new(config, 42)?;
/// link.offer(0, Direction::There, vec![0_u8; 125]);
/// link.offer(0, Direction::Back, vec![0_u8; 125]);
/// assert_eq!(link.next_delivery_ns(Direction::There), Some(6_000_000));
/// assert_eq!(link.next_delivery_ns(Direction::Back), Some(7_000_000));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Duplex<P> {
    there: Link<P>,
    back: Link<P>,
    /// The medium that both share. A link holds it while it takes a packet.
    shared: Option<Wire>,
}

impl<P: Payload> Duplex<P> {
    /// A link that does what `config` says. The two ways draw different decisions from `seed`.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense ([`DuplexConfig::validate`]).
    pub fn new(config: DuplexConfig, seed: u64) -> Result<Self, LinkError> {
        config.validate()?;
        let shared = (config.medium == Medium::Shared).then(|| Wire::new(&config.there));
        Ok(Self {
            there: Link::new(config.there, seed)?,
            // Any other seed does: each stage mixes it.
            back: Link::new(config.back, !seed)?,
            shared,
        })
    }

    /// Gives a packet to the link.
    pub fn offer(&mut self, now_ns: u64, direction: Direction, packet: P) {
        let Self { there, back, shared } = self;
        let link = match direction {
            Direction::There => there,
            Direction::Back => back,
        };
        match shared {
            Some(wire) => {
                link.swap_wire(wire);
                link.offer(now_ns, packet);
                link.swap_wire(wire);
            }
            None => link.offer(now_ns, packet),
        }
    }

    /// When to ask for a packet that goes one way ([`Link::next_delivery_ns`]).
    #[must_use]
    pub fn next_delivery_ns(&self, direction: Direction) -> Option<u64> {
        self.link(direction).next_delivery_ns()
    }

    /// Takes the next packet that has arrived one way by `now_ns`.
    pub fn deliver(&mut self, now_ns: u64, direction: Direction) -> Option<P> {
        self.link_mut(direction).deliver(now_ns)
    }

    /// What one way has done so far.
    #[must_use]
    pub fn statistics(&self, direction: Direction) -> LinkStatistics {
        self.link(direction).statistics()
    }

    /// How many packets are queued or under way, both ways.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.there.in_flight() + self.back.in_flight()
    }

    /// Whether no packet is queued or under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_flight() == 0
    }

    /// One way.
    #[must_use]
    pub fn link(&self, direction: Direction) -> &Link<P> {
        match direction {
            Direction::There => &self.there,
            Direction::Back => &self.back,
        }
    }

    /// One way, for its queue's length. What is offered to it here is not put on a shared medium.
    fn link_mut(&mut self, direction: Direction) -> &mut Link<P> {
        match direction {
            Direction::There => &mut self.there,
            Direction::Back => &mut self.back,
        }
    }

    /// How long the queue of one way is at `now_ns` ([`Link::queue_length`]).
    pub fn queue_length(&mut self, now_ns: u64, direction: Direction) -> crate::QueueLength {
        self.link_mut(direction).queue_length(now_ns)
    }
}
