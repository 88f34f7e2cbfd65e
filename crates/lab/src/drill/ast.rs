//! A script as it was written: the tree that `parse` makes and `play` walks.
//!
//! Nothing is resolved here but what the grammar itself decides: words stay words (Linux's constants
//! are looked up when a call is made), sequence numbers stay the script's.

use core::net::IpAddr;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The options at its head, in their order: name without dashes, and value if one was given.
    pub options: Vec<(String, Option<String>)>,
    /// The command that runs before time 0.
    pub init: Option<Command>,
    /// What happens, in the order of the file.
    pub events: Vec<Event>,
    /// The command that runs at the end, whatever the outcome.
    pub cleanup: Option<Command>,
}

/// A shell command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Where it stands, from 1.
    pub line: u32,
    /// The text between the back-quotes.
    pub text: String,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where it stands, from 1.
    pub line: u32,
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
}

/// When an event happens. All numbers are microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the script's start.
    Absolute(i64),
    /// Since the previous event was finished.
    Relative(i64),
    /// Whenever it happens.
    Any,
    /// Between two times since the script's start.
    AbsoluteRange(i64, i64),
    /// Between two times since the previous event was finished.
    RelativeRange(i64, i64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A packet arrives or leaves.
    Packet(Packet),
    /// The application calls.
    Call(Call),
    /// A shell command runs.
    Command(String),
    /// Statements about `TCP_INFO`, in a subset of Python.
    Code(String),
}

/// Which way a packet goes, seen from the stack under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: the script sends it.
    Inbound,
    /// `>`: the stack has to send it.
    Outbound,
}

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// Headers outside the packet's own IP header (tunnels), by their names; not built.
    pub encapsulation: Vec<String>,
    /// What is said of the IP header.
    pub ip: IpInfo,
    /// The ports, source first, where they are not those of the connection under test.
    pub ports: Option<(u16, u16)>,
    /// What it carries.
    pub body: Body,
}

/// What a script says of an IP header; what is not said is not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpInfo {
    /// The ECN bits, or the whole byte.
    pub tos: Option<Tos>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// IPv6's flow label.
    pub flow_label: Option<u32>,
}

/// What a script says of the type-of-service byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tos {
    /// `noecn`, `ect1`, `ect0`, `ce`: the two ECN bits, 0 to 3.
    Ecn(u8),
    /// `ect01`: either ECT.
    EitherEct,
    /// `tos 0xNN`: the byte.
    Byte(u8),
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram with this many bytes.
    Udp {
        /// Payload bytes.
        len: u32,
    },
    /// An ICMP or ICMPv6 message.
    Icmp(Icmp),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// The flags.
    pub flags: TcpFlags,
    /// The sequence number as the script counts.
    pub seq: u32,
    /// Payload bytes.
    pub len: u32,
    /// The acknowledgment number as the script counts.
    pub ack: Option<u32>,
    /// The window field as it stands in the header.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options.
    pub options: Options,
}

/// The flags of a segment, as letters or with an ACE counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// `F`
    pub fin: bool,
    /// `S`
    pub syn: bool,
    /// `R`
    pub rst: bool,
    /// `P`
    pub psh: bool,
    /// `.`
    pub ack: bool,
    /// `U`
    pub urg: bool,
    /// The three ECN bits AE, CWR and ECE as one number (4, 2, 1), whether written as letters or as
    /// the digit of accurate ECN.
    pub ace: u8,
}

/// The options of a segment.
#[derive(Clone, Debug, PartialEq)]
pub enum Options {
    /// Nothing is written: none may be there.
    None,
    /// `<...>`: whatever.
    Any,
    /// These, in this order, with this padding.
    List(Vec<TcpOption>),
}

/// One TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `nop`
    Nop,
    /// `eol`
    Eol,
    /// `mss N`
    Mss(u16),
    /// `wscale N`
    WindowScale(u8),
    /// `sackOK`
    SackPermitted,
    /// `sack L:R ...`
    Sack(Vec<(u32, u32)>),
    /// `TS val N ecr N`
    Timestamps {
        /// TSval.
        val: u32,
        /// TSecr.
        ecr: u32,
    },
    /// `FO cookie`: fast open (RFC 7413).
    FastOpen(Vec<u8>),
    /// `FOEXP cookie`: fast open, experimental.
    FastOpenExperimental(Vec<u8>),
    /// `md5 digest`; empty if none is written.
    Md5(Vec<u8>),
    /// `ECN e0b N ceb N e1b N`: accurate ECN, in kind 172 (order 0: `e0b` first) or 174 (`e1b` first).
    AccEcn {
        /// `e1b` comes first.
        e1b_first: bool,
        /// The counters in the order of the kind, as many as are written.
        counters: Vec<u32>,
    },
}

/// An ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// The type's word, as `unreachable` or `echo_request`.
    pub kind: String,
    /// The code's word, if one is written.
    pub code: Option<String>,
    /// The next hop's MTU.
    pub mtu: Option<u32>,
    /// An echo's identifier.
    pub id: Option<u32>,
    /// What is quoted of the packet in question.
    pub quoted: Option<Quoted>,
}

/// What an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// A TCP segment of the stack, by its sequence number and length.
    Tcp {
        /// As the script counts.
        seq: u32,
        /// Payload bytes.
        len: u32,
    },
    /// A UDP datagram with this many bytes.
    Udp(u32),
    /// This many bytes of no known protocol.
    Raw(u32),
}

/// A call of the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When a blocking call has to return.
    pub end: Option<i64>,
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// What it has to return.
    pub result: Expr,
    /// The name of the errno that a result of -1 has to come with.
    pub errno: Option<String>,
}

/// An argument or result.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `...`: what the call usually takes.
    Ellipsis,
    /// A number, decimal or hexadecimal.
    Integer(i64),
    /// A constant's name.
    Word(String),
    /// A string, adjacent ones joined.
    String(String),
    /// An address, bare or through `inet_addr("...")`.
    Address(IpAddr),
    /// `htons(N)` or another function of one argument.
    Apply(String, Box<Expr>),
    /// `a | b | ...`
    Or(Vec<Expr>),
    /// `NAME = value` among arguments or in a list; the name is for the reader.
    Named(String, Box<Expr>),
    /// `[ ... ]`
    List(Vec<Expr>),
    /// `{ ... }`
    Braces(Vec<Field>),
}

/// A member of `{ ... }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, as `msg_iov` or `revents`; none in `{..., 10}`.
    pub name: Option<String>,
    /// The number of its elements, as in `msg_iov(2) = [...]`, or `...`.
    pub count: Option<Expr>,
    /// Its value.
    pub value: Expr,
}
