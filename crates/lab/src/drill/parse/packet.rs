//! Packets: direction, outer headers, IP, ports, and what is carried.

use super::super::ast::{
    Body, Direction, Icmp, IpInfo, Options, Packet, Quoted, Tcp, TcpFlags, Tos,
};
use super::super::lex::{Kind, Token};
use super::{ParseError, Parser, Result};

/// What an IP packet says of its length with 16 bits.
const MAX_PAYLOAD: u32 = 65_535;

impl Parser {
    pub(super) fn packet(&mut self) -> Result<Packet> {
        let direction = match self.take().text.as_str() {
            "<" => Direction::Inbound,
            _ => Direction::Outbound,
        };
        let encapsulation = self.encapsulation()?;
        let mut quoted = if self.at_quoted() { self.quoted()? } else { None };
        let ip = self.ip_info(direction)?;
        if quoted.is_none() && self.at_quoted() {
            quoted = self.quoted()?;
        }
        let mut ports = self.ports()?;
        let body = if quoted.is_some() && !self.at_word("icmp") {
            return Err(self.expected("icmp after what it quotes"));
        } else if self.skip_word("udp") {
            if ports.is_none() {
                ports = self.ports()?;
            }
            Body::Udp { len: self.length("the length of the datagram")? }
        } else if self.skip_word("icmp") {
            Body::Icmp(self.icmp(quoted)?)
        } else {
            Body::Tcp(self.tcp(direction)?)
        };
        Ok(Packet { direction, encapsulation, ip, ports, body })
    }

    /// The headers outside the packet's own. All but those after `encap` end with a colon.
    fn encapsulation(&mut self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        loop {
            let joined = self.skip_word("encap");
            let name = self.peek().text.clone();
            match (self.peek().kind, name.as_str()) {
                (Kind::Word, "ipv4" | "ipv6") => self.tunnel()?,
                (Kind::Word, "gre") => {
                    self.header_fields(&["flags", "sum", "off", "key", "seq"])?
                }
                (Kind::Word, "psp") => self.header_fields(&["spi", "vc"])?,
                (Kind::Word, "mpls") => self.label_stack()?,
                _ if joined => return Err(self.expected("a header after 'encap'")),
                _ => return Ok(names),
            }
            if !joined {
                self.symbol(":", &format!("after the {name} header"))?;
            }
            names.push(name);
        }
    }

    /// `ipv4 SRC > DST`, with IP info if there is any.
    fn tunnel(&mut self) -> Result<()> {
        let version = self.take().text;
        let address = if version == "ipv4" { Kind::Ipv4 } else { Kind::Ipv6 };
        for end in ["source", "destination"] {
            if end == "destination" {
                self.symbol(">", "between the addresses of the outer header")?;
            }
            if self.peek().kind != address {
                return Err(self.expected(format!("an {version} address as the outer {end}")));
            }
            self.take();
        }
        self.ip_info(Direction::Outbound).map(drop)
    }

    /// `gre flags 0x2000, key 5`: names with numbers, all of them optional.
    fn header_fields(&mut self, fields: &[&str]) -> Result<()> {
        self.take();
        while self.peek().kind == Kind::Word && fields.contains(&self.peek().text.as_str()) {
            let field = self.take().text;
            self.number::<i64>(&field)?;
            if !self.skip_symbol(",") {
                break;
            }
        }
        Ok(())
    }

    /// `mpls (label 5, tc 0, [S], ttl 64) ...`
    fn label_stack(&mut self) -> Result<()> {
        self.take();
        self.symbol("(", "before a label of the stack")?;
        loop {
            loop {
                if self.skip_symbol("[") {
                    self.word("S for the bottom of the stack")?;
                    self.symbol("]", "after the bottom of the stack")?;
                } else {
                    let field = self.word("label, tc, [S] or ttl")?;
                    self.number::<u32>(&field)?;
                }
                if !self.skip_symbol(",") {
                    break;
                }
            }
            self.symbol(")", "after a label of the stack")?;
            if !self.skip_symbol("(") {
                return Ok(());
            }
        }
    }

    fn ip_info(&mut self, direction: Direction) -> Result<IpInfo> {
        let mut info = IpInfo::default();
        let end = match () {
            () if self.skip_symbol("(") => ")",
            () if self.skip_symbol("[") => "]",
            () => return Ok(info),
        };
        loop {
            let Token { line, .. } = *self.peek();
            let field = self.word("noecn, ect0, ect1, ect01, ce, tos, ttl or flowlabel")?;
            let twice = match field.as_str() {
                "noecn" => info.tos.replace(Tos::Ecn(0)).is_some(),
                "ect1" => info.tos.replace(Tos::Ecn(1)).is_some(),
                "ect0" => info.tos.replace(Tos::Ecn(2)).is_some(),
                "ce" => info.tos.replace(Tos::Ecn(3)).is_some(),
                "ect01" if direction == Direction::Outbound => {
                    info.tos.replace(Tos::EitherEct).is_some()
                }
                "ect01" => {
                    let message = "ect01 is for outbound packets: which of the two is to be sent?";
                    return Err(ParseError::new(line, message));
                }
                "tos" => info.tos.replace(Tos::Byte(self.number("tos")?)).is_some(),
                "ttl" => info.ttl.replace(self.number("ttl")?).is_some(),
                "flowlabel" => {
                    let label: u32 = self.number("flowlabel")?;
                    if label > 0xf_ffff {
                        let message = format!("{label:#x} does not fit into flowlabel");
                        return Err(ParseError::new(line, message));
                    }
                    info.flow_label.replace(label).is_some()
                }
                _ => {
                    let message = format!(
                        "'{field}' says nothing about an IP header: expected \
                                           noecn, ect0, ect1, ect01, ce, tos, ttl or flowlabel"
                    );
                    return Err(ParseError::new(line, message));
                }
            };
            if twice {
                let message = format!("'{field}' says again what is already said of the IP header");
                return Err(ParseError::new(line, message));
            }
            if !self.skip_symbol(",") {
                break;
            }
        }
        self.symbol(end, "after what is said of the IP header")?;
        Ok(info)
    }

    /// `SRC > DST`. A digit may as well be the flags of a segment: the arrow decides.
    fn ports(&mut self) -> Result<Option<(u16, u16)>> {
        let arrow = self.ahead(1);
        if self.peek().kind != Kind::Integer || arrow.kind != Kind::Symbol || arrow.text != ">" {
            return Ok(None);
        }
        let source = self.number("a port")?;
        self.take();
        Ok(Some((source, self.number("a port")?)))
    }

    /// `(LEN)`
    fn length(&mut self, what: &str) -> Result<u32> {
        self.symbol("(", &format!("before {what}"))?;
        let length = self.number(what)?;
        self.symbol(")", &format!("after {what}"))?;
        Ok(length)
    }

    fn tcp(&mut self, direction: Direction) -> Result<Tcp> {
        let line = self.peek().line;
        let flags = self.flags()?;
        let (seq, len) = self.sequence()?;
        let ack = self.number_after("ack")?;
        let window = self.number_after("win")?;
        let urgent = self.number_after("urg")?;
        if direction == Direction::Inbound && len > MAX_PAYLOAD {
            let message = format!("{len} bytes do not fit into an IP packet");
            return Err(ParseError::new(line, message));
        }
        if direction == Direction::Inbound && window.is_none() {
            let message = "an inbound segment needs a window: expected win";
            return Err(ParseError::new(line, message));
        }
        let options = if self.at_symbol("<") { self.options(direction)? } else { Options::None };
        Ok(Tcp { flags, seq, len, ack, window, urgent, options })
    }

    /// Flags are cut into several tokens, as `P` and `.`: all up to the next blank belong to them.
    fn flags(&mut self) -> Result<TcpFlags> {
        let line = self.peek().line;
        if !matches!(self.peek().kind, Kind::Word | Kind::Integer | Kind::Float | Kind::Symbol) {
            return Err(self.expected("the flags of a segment, udp or icmp"));
        }
        let mut text = self.take().text;
        while self.peek().joined && self.peek().kind != Kind::End {
            text.push_str(&self.take().text);
        }
        flags(&text).map_err(|why| {
            ParseError::new(line, format!("'{text}' are no flags of a segment: {why}"))
        })
    }

    /// `START:END(LEN)`
    fn sequence(&mut self) -> Result<(u32, u32)> {
        let line = self.peek().line;
        let start: u32 = self.number("the first sequence number")?;
        self.symbol(":", "between the sequence numbers")?;
        let end: u32 = self.number("the sequence number after the last")?;
        let len = self.length("the length of the payload")?;
        if start.wrapping_add(len) != end {
            let message = format!(
                "{start}:{end}({len}) does not add up: expected {start}:{}({len})",
                start.wrapping_add(len)
            );
            return Err(ParseError::new(line, message));
        }
        Ok((start, len))
    }

    /// What is quoted stands at the end, or before `icmp` as older scripts have it.
    fn icmp(&mut self, quoted: Option<Quoted>) -> Result<Icmp> {
        let kind = self.word("the type of the ICMP message")?;
        let has_code =
            self.peek().kind == Kind::Word && !self.at_word("mtu") && !self.at_word("id");
        let code = has_code.then(|| self.take().text);
        let mtu = self.number_after("mtu")?;
        let id = self.number_after("id")?;
        let quoted = if quoted.is_some() { quoted } else { self.quoted()? };
        Ok(Icmp { kind, code, mtu, id, quoted })
    }

    /// Whether a bracket opens here that is about a quoted packet, not about the IP header.
    fn at_quoted(&self) -> bool {
        let inner = self.ahead(1);
        let named = inner.kind == Kind::Word && (inner.text == "udp" || inner.text == "raw");
        self.at_symbol("[") && (inner.kind == Kind::Integer || named)
    }

    /// `[START:END(LEN)]`, `[udp (LEN)]` or `[raw (LEN)]`
    fn quoted(&mut self) -> Result<Option<Quoted>> {
        if !self.skip_symbol("[") {
            return Ok(None);
        }
        let quoted = if self.skip_word("udp") {
            Quoted::Udp(self.length("the length of the quoted datagram")?)
        } else if self.skip_word("raw") {
            Quoted::Raw(self.length("the length of the quoted payload")?)
        } else {
            let (seq, len) = self.sequence()?;
            Quoted::Tcp { seq, len }
        };
        self.symbol("]", "after what the ICMP message quotes")?;
        Ok(Some(quoted))
    }
}

/// Letters, or one digit for the three bits of accurate ECN; `-` is none at all.
fn flags(text: &str) -> core::result::Result<TcpFlags, String> {
    let mut flags = TcpFlags::default();
    if text == "-" {
        return Ok(flags);
    }
    let mut digit = None;
    for letter in text.chars() {
        let bits = flags.ace;
        let twice = match letter {
            'F' => core::mem::replace(&mut flags.fin, true),
            'S' => core::mem::replace(&mut flags.syn, true),
            'R' => core::mem::replace(&mut flags.rst, true),
            'P' => core::mem::replace(&mut flags.psh, true),
            '.' => core::mem::replace(&mut flags.ack, true),
            'U' => core::mem::replace(&mut flags.urg, true),
            'E' => core::mem::replace(&mut flags.ace, bits | 1) & 1 != 0,
            'W' => core::mem::replace(&mut flags.ace, bits | 2) & 2 != 0,
            'A' => core::mem::replace(&mut flags.ace, bits | 4) & 4 != 0,
            '0'..='7' => digit.replace(letter).is_some(),
            _ => return Err(format!("'{letter}' is none of F S R P . U E W A 0-7 -")),
        };
        if twice {
            return Err(format!("'{letter}' is one too many"));
        }
    }
    if let Some(digit) = digit {
        if flags.ace != 0 {
            return Err(format!("'{digit}' stands for E, W and A"));
        }
        flags.ace = digit as u8 - b'0';
    }
    Ok(flags)
}
