//! The options of a script: what stands at its head, and over it the command line (section 3 of the
//! language: the command line wins).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses packets have, and which family the sockets are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 packets, `AF_INET` sockets.
    #[default]
    V4,
    /// IPv4 packets, `AF_INET6` sockets.
    V4Mapped,
    /// IPv6 packets, `AF_INET6` sockets.
    V6,
}

/// How a script is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `--ip_version`
    pub ip_version: IpVersion,
    /// `--local_ip`; the family's default if none.
    pub local_ip: Option<IpAddr>,
    /// `--remote_ip`; the family's default if none.
    pub remote_ip: Option<IpAddr>,
    /// `--bind_port`: where `bind(fd, ..., ...)` binds to.
    pub bind_port: u16,
    /// `--connect_port`: where `connect(fd, ..., ...)` goes.
    pub connect_port: u16,
    /// `--mtu` of the interface, in bytes.
    pub mtu: usize,
    /// `--mss`: payload bytes of each segment that an injected one is said to be joined from.
    pub gso_size: u16,
    /// `--tolerance_usecs`
    pub tolerance_micros: i64,
    /// `--tolerance_percent`
    pub tolerance_percent: f64,
    /// `--tcp_ts_tick_usecs`: microseconds of a tick of the timestamp clock; 0: TSval is not compared.
    pub ts_tick_micros: i64,
    /// `--tcp_ts_ecr_scaled`: echoes that the stack never sent are counted on from the first.
    pub ts_ecr_scaled: bool,
    /// `--strict_segments`: a packet is met by one segment only.
    pub strict_segments: bool,
    /// `--ignore-psh`: PSH is not compared.
    pub ignore_psh: bool,
    /// `--options-as-set`: order and padding of options are not compared.
    pub options_as_set: bool,
    /// `--strict-end`: nothing may be left at the end.
    pub strict_end: bool,
    /// `--dry-run`: the script is read, not played.
    pub dry_run: bool,
    /// `--verbose`: what happens is printed.
    pub verbose: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ip_version: IpVersion::V4,
            local_ip: None,
            remote_ip: None,
            bind_port: 8080,
            connect_port: 8080,
            mtu: 1500,
            gso_size: 0,
            tolerance_micros: 4000,
            tolerance_percent: 12.5,
            ts_tick_micros: 0,
            ts_ecr_scaled: false,
            strict_segments: false,
            ignore_psh: false,
            options_as_set: false,
            strict_end: false,
            dry_run: false,
            verbose: false,
        }
    }
}

/// Why an option was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such option, or its value cannot be read.
    Wrong(String),
    /// The option changes what packets show, and is not built.
    Unsupported(String),
}

impl Settings {
    /// Takes one option, by its name without dashes.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refused> {
        match name.replace('-', "_").as_str() {
            "ip_version" => self.ip_version = ip_version(name, value)?,
            "local_ip" => self.local_ip = Some(address(name, value)?),
            "remote_ip" => self.remote_ip = Some(address(name, value)?),
            "bind_port" => self.bind_port = number(name, value)?,
            "connect_port" => self.connect_port = number(name, value)?,
            "mtu" => self.mtu = number(name, value)?,
            "mss" => self.gso_size = number(name, value)?,
            "tolerance_usecs" => self.tolerance_micros = number(name, value)?,
            "tolerance_percent" => self.tolerance_percent = number(name, value)?,
            "tcp_ts_tick_usecs" => self.ts_tick_micros = number(name, value)?,
            "tcp_ts_ecr_scaled" => self.ts_ecr_scaled = true,
            "strict_segments" => self.strict_segments = true,
            "ignore_psh" => self.ignore_psh = true,
            "options_as_set" => self.options_as_set = true,
            "strict_end" => self.strict_end = true,
            "dry_run" => self.dry_run = true,
            "verbose" => self.verbose = true,
            // The engine has one interface and one route, the script's text is not code of ours, and
            // a write's buffer is not the stack's to keep.
            "gateway_ip" | "netmask_ip" | "speed" | "code_command" | "code_sockopt"
            | "send_omit_free" | "init_scripts" | "wire_client_dev" | "wire_server_dev"
            | "persistent_tun_dev" => {}
            // Words of the definition are replaced when the script is read.
            "define" => {}
            "non_fatal" | "is_anyip" | "so_filename" | "so_flags" | "wire_client"
            | "wire_server" | "udp_encapsulation" => {
                return Err(Refused::Unsupported(format!("option --{name}")));
            }
            _ => return Err(Refused::Wrong(format!("unknown option --{name}"))),
        }
        Ok(())
    }

    /// The stack's address.
    pub fn local_ip(&self) -> IpAddr {
        self.local_ip.unwrap_or(match self.ip_version {
            IpVersion::V4 | IpVersion::V4Mapped => Ipv4Addr::new(192, 168, 0, 1).into(),
            IpVersion::V6 => Ipv6Addr::new(0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1).into(),
        })
    }

    /// The peer's address.
    pub fn remote_ip(&self) -> IpAddr {
        self.remote_ip.unwrap_or(match self.ip_version {
            IpVersion::V4 | IpVersion::V4Mapped => Ipv4Addr::new(192, 0, 2, 1).into(),
            IpVersion::V6 => Ipv6Addr::new(0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1).into(),
        })
    }

    /// Judges the options together.
    ///
    /// # Errors
    ///
    /// Addresses of the wrong family, an MTU that no packet fits.
    pub fn validate(&self) -> Result<(), Refused> {
        let v6 = self.ip_version == IpVersion::V6;
        for ip in [self.local_ip(), self.remote_ip()] {
            if ip.is_ipv6() != v6 {
                return Err(Refused::Wrong(format!("{ip} is not of the script's ip_version")));
            }
        }
        if !(68..=65_535).contains(&self.mtu) {
            return Err(Refused::Wrong(format!("--mtu={}: want 68 to 65535", self.mtu)));
        }
        Ok(())
    }
}

fn wrong(name: &str, value: Option<&str>) -> Refused {
    match value {
        Some(value) => Refused::Wrong(format!("--{name}={value} cannot be read")),
        None => Refused::Wrong(format!("--{name} wants a value")),
    }
}

fn number<T: core::str::FromStr>(name: &str, value: Option<&str>) -> Result<T, Refused> {
    value.and_then(|text| text.trim().parse().ok()).ok_or_else(|| wrong(name, value))
}

/// An address, with or without the length of its prefix.
fn address(name: &str, value: Option<&str>) -> Result<IpAddr, Refused> {
    let text = value.unwrap_or_default();
    let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
    number(name, value.map(|_| bare))
}

fn ip_version(name: &str, value: Option<&str>) -> Result<IpVersion, Refused> {
    match value {
        Some("ipv4") => Ok(IpVersion::V4),
        Some("ipv4-mapped-ipv6") => Ok(IpVersion::V4Mapped),
        Some("ipv6") => Ok(IpVersion::V6),
        other => Err(wrong(name, other)),
    }
}
