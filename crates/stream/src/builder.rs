//! From a device, addresses and settings to a running stack.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
use towpath_device::Device;
use towpath_engine::{Config, Endpoint, Secrets, SocketError};
use towpath_wire::ip::{MIN_MTU_V4, MIN_MTU_V6};

use crate::deadline::{Clock, is_clock_paused};
use crate::driver::Driver;
use crate::error::Error;
use crate::exit::ExitGuard;
use crate::shared::{Lease, Shared};
use crate::stack::Stack;

/// How long a stack that nobody holds any more goes on delivering, unless told otherwise.
const EXIT_LINGER: Duration = Duration::from_secs(10);

/// How long the tasks of a device may still run on the driver's own thread when it has ended. The
/// last packets are resets and acknowledgments: bytes have been acknowledged before.
const DEVICE_GRACE: Duration = Duration::from_millis(10);

/// Builds a [`Stack`]: see [`Stack::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct StackBuilder {
    device: Option<Source>,
    addresses: Vec<String>,
    routes: Vec<String>,
    default_route: DefaultRoute,
    config: Config,
    seed: Option<[u8; 32]>,
    place: Place,
    exit_linger: Duration,
}

/// Where the device comes from.
enum Source {
    Ready(Box<dyn Device>),
    Open(Opener),
}

type Opener = Box<dyn FnOnce() -> Result<Box<dyn Device>, Failure> + Send>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DefaultRoute {
    None,
    Device,
}

/// Where the driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CurrentRuntime,
    OwnThread,
}

/// An address or a network, with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    address: IpAddr,
    len: u8,
}

impl StackBuilder {
    pub(crate) fn new() -> StackBuilder {
        StackBuilder {
            device: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            default_route: DefaultRoute::None,
            config: Config::default(),
            seed: None,
            place: Place::CurrentRuntime,
            exit_linger: EXIT_LINGER,
        }
    }

    /// Where packets come from and go to. Required, unless it is opened by
    /// [`open_device`](StackBuilder::open_device).
    pub fn device(mut self, device: impl Device) -> StackBuilder {
        self.device = Some(Source::Ready(Box::new(device)));
        self
    }

    /// Opens the device where the driver runs. For devices that register with the runtime they are
    /// opened in, as a TUN does, when the driver has a thread of its own: so the device does not
    /// fail when the caller's runtime ends.
    pub fn open_device<D, E, F>(mut self, open: F) -> StackBuilder
    where
        D: Device,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: FnOnce() -> Result<D, E> + Send + 'static,
    {
        let open = move || match open() {
            Ok(device) => Ok(Box::new(device) as Box<dyn Device>),
            Err(error) => Err(error.into()),
        };
        self.device = Some(Source::Open(Box::new(open)));
        self
    }

    /// An address of the stack with the length of its network's prefix, such as `10.77.0.2/24` or
    /// `fd00::2/64`. The network is reached through the device. May be given again.
    pub fn address(mut self, address: impl Into<String>) -> StackBuilder {
        self.addresses.push(address.into());
        self
    }

    /// A further network that is reached through the device, such as `192.0.2.0/24`. May be given
    /// again.
    pub fn route(mut self, network: impl Into<String>) -> StackBuilder {
        self.routes.push(network.into());
        self
    }

    /// Reaches everything through the device, in the families that the stack has addresses of.
    pub fn default_route(mut self) -> StackBuilder {
        self.default_route = DefaultRoute::Device;
        self
    }

    /// The numbers of the protocol.
    pub fn config(mut self, config: Config) -> StackBuilder {
        self.config = config;
        self
    }

    /// Replaces the system's random bytes, from which the stack's keys are made. For tests that
    /// are to repeat exactly; who knows the seed knows every sequence number.
    pub fn seed(mut self, seed: [u8; 32]) -> StackBuilder {
        self.seed = Some(seed);
        self
    }

    /// Runs the driver on a thread of its own instead of the current runtime.
    ///
    /// If the stack is built on the thread that runs `main`, what was written is delivered also
    /// when `main` returns: the process then waits, at most for the
    /// [`exit_linger`](StackBuilder::exit_linger). (On Unix, where the C library runs the
    /// destructors of the main thread's locals; elsewhere, await
    /// [`Stack::shutdown`](Stack::shutdown).)
    pub fn own_thread(mut self) -> StackBuilder {
        self.place = Place::OwnThread;
        self
    }

    /// How long what was written is still delivered when the last handle, stream and listener is
    /// gone: 10 seconds unless set. Longer makes a program with a dead peer end late.
    pub fn exit_linger(mut self, exit_linger: Duration) -> StackBuilder {
        self.exit_linger = exit_linger;
        self
    }

    /// Builds the stack and starts its driver.
    ///
    /// # Errors
    ///
    /// Says which part is missing or wrong. Nothing is left running then.
    pub fn build(self) -> Result<Stack, Error> {
        match self.place {
            Place::CurrentRuntime => {
                let runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
                let (stack, driver) = self.assemble(&runtime)?;
                runtime.spawn(driver);
                Ok(stack)
            }
            Place::OwnThread => self.build_on_own_thread(),
        }
    }

    /// Builds the stack on a thread of its own and makes it the process's default, as
    /// [`Stack::set_default`] does.
    ///
    /// # Errors
    ///
    /// As [`build`](StackBuilder::build); and if the process has a default stack already.
    pub fn build_default(self) -> Result<Stack, Error> {
        let stack = self.own_thread().build()?;
        stack.set_default()?;
        Ok(stack)
    }

    fn build_on_own_thread(self) -> Result<Stack, Error> {
        let (send, receive) = mpsc::sync_channel(1);
        let body = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(send.send(Err(Error::Thread(error)))),
            };
            let entered = runtime.enter();
            match self.assemble(runtime.handle()) {
                Ok((stack, driver)) => {
                    // If the builder's thread is gone, so is the stack's only handle: it ends.
                    drop(send.send(Ok(stack)));
                    drop(send);
                    drop(entered);
                    runtime.block_on(async {
                        driver.await;
                        // Tasks that the device spawned hand on its last packets.
                        tokio::time::sleep(DEVICE_GRACE).await;
                    });
                }
                Err(error) => drop(send.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name("towpath".to_owned());
        let thread = thread.spawn(body).map_err(Error::Thread)?;
        let gone = || Error::Thread(io::Error::other("the driver's thread ended while it began"));
        let stack = receive.recv().map_err(|_| gone())??;
        ExitGuard::install(stack.lease().shared(), thread);
        Ok(stack)
    }

    /// Makes all parts. Runs inside the driver's runtime.
    fn assemble(self, runtime: &Handle) -> Result<(Stack, Driver), Error> {
        self.config.validate()?;
        let addresses = parse_all(&self.addresses)?;
        let mut routes = parse_all(&self.routes)?;
        if self.default_route == DefaultRoute::Device {
            routes.extend(default_routes(&addresses));
        }
        let device = match self.device {
            None => return Err(Error::NoDevice),
            Some(Source::Ready(device)) => device,
            Some(Source::Open(open)) => open().map_err(Error::Open)?,
        };
        if !device.is_virtual_time_safe() && is_clock_paused() {
            return Err(Error::PausedClock { device: device.name().to_owned() });
        }
        let mtu = device.capabilities().mtu;
        check_mtu(mtu, &addresses)?;

        let secrets = Secrets::from_seed(match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        });
        let mut endpoint = Endpoint::new(self.config.clone(), secrets, mtu);
        for Prefix { address, len } in addresses {
            endpoint.add_address(address, len).map_err(|error| unusable(address, len, error))?;
        }
        for Prefix { address, len } in routes {
            endpoint.add_route(address, len).map_err(|error| unusable(address, len, error))?;
        }

        let clock = Clock::start(device.is_virtual_time_safe(), runtime);
        let name = device.name().to_owned();
        let (rx, tx) = device.split().map_err(Error::Device)?;
        let shared = Shared::new(endpoint, tx, clock, self.config, self.exit_linger);
        let shared = Arc::new(shared);
        tracing::debug!(device = name, mtu, shard = shared.id().0, "stack built");
        let stack = Stack::new(Lease::new(Arc::clone(&shared)));
        Ok((stack, Driver::new(shared, rx)))
    }
}

impl std::fmt::Debug for StackBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StackBuilder")
            .field("addresses", &self.addresses)
            .field("routes", &self.routes)
            .field("default_route", &self.default_route)
            .field("place", &self.place)
            .field("exit_linger", &self.exit_linger)
            .finish_non_exhaustive()
    }
}

fn random_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Random(io::Error::other(error)))?;
    Ok(seed)
}

fn unusable(address: IpAddr, prefix_len: u8, error: SocketError) -> Error {
    let reason = match error {
        SocketError::AddressInUse => "it was given before",
        SocketError::AddressNotAvailable => "not an address that a host can have",
        _ => "not a usable address and prefix length",
    };
    Error::Unusable { address, prefix_len, reason }
}

fn check_mtu(mtu: usize, addresses: &[Prefix]) -> Result<(), Error> {
    let v6 = addresses.iter().any(|prefix| prefix.address.is_ipv6());
    if mtu < MIN_MTU_V4 {
        return Err(Error::MtuTooSmall { mtu, needed: MIN_MTU_V4, family: 4 });
    }
    if v6 && mtu < MIN_MTU_V6 {
        return Err(Error::MtuTooSmall { mtu, needed: MIN_MTU_V6, family: 6 });
    }
    Ok(())
}

fn default_routes(addresses: &[Prefix]) -> Vec<Prefix> {
    let has = |v4: bool| addresses.iter().any(|prefix| prefix.address.is_ipv4() == v4);
    let v4 = has(true).then_some(Prefix { address: Ipv4Addr::UNSPECIFIED.into(), len: 0 });
    let v6 = has(false).then_some(Prefix { address: Ipv6Addr::UNSPECIFIED.into(), len: 0 });
    v4.into_iter().chain(v6).collect()
}

fn parse_all(texts: &[String]) -> Result<Vec<Prefix>, Error> {
    texts.iter().map(|text| parse(text)).collect()
}

fn parse(text: &str) -> Result<Prefix, Error> {
    let parsed = || {
        let (address, len) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let len = len.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (len <= most).then_some(Prefix { address, len })
    };
    parsed().ok_or_else(|| Error::InvalidAddress { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_prefix_length_of_its_family() {
        for (text, address, len) in [
            ("10.77.0.2/24", "10.77.0.2", 24),
            ("0.0.0.0/0", "0.0.0.0", 0),
            ("fd00::2/128", "fd00::2", 128),
        ] {
            let expected = Prefix { address: address.parse().unwrap(), len };
            assert_eq!(parse(text).unwrap(), expected);
        }
        for text in
            ["", "10.77.0.2", "10.77.0.2/33", "fd00::2/129", "10.77.0/24", "a/b", "1.2.3.4/-1"]
        {
            assert!(matches!(parse(text), Err(Error::InvalidAddress { .. })), "{text}");
        }
    }

    #[test]
    fn the_default_route_is_of_the_families_there_are() {
        let of = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            let routes = default_routes(&parse_all(&texts).unwrap());
            routes.into_iter().map(|route| route.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["10.0.0.1/8"]), ["0.0.0.0"]);
        assert_eq!(of(&["fd00::1/8"]), ["::"]);
        assert_eq!(of(&["10.0.0.1/8", "fd00::1/8", "10.0.0.2/8"]), ["0.0.0.0", "::"]);
        assert!(of(&[]).is_empty());
    }
}
