//! The ways on which Towpath is measured beside the kernel, and what is wanted of it there.

/// The way of which the others are variations: 100 Mbit/s and 40 ms round trip. A full-size segment
/// carries 1,448 bytes in a packet of 1,500, so at most 96.5 Mbit/s of data.
pub const CLEAN: &str = "rate=100Mbit,delay=20ms,queue=500kB";

/// A way with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WanLink {
    /// Its name on a command line.
    pub name: &'static str,
    /// What is the matter with it.
    pub phrase: &'static str,
    /// What is between the data's sender and receiver.
    pub out: &'static str,
    /// What acknowledgments travel through.
    pub back: &'static str,
    /// Settings of both ends.
    pub settings: &'static [(&'static str, &'static str)],
    /// What is wanted.
    pub wanted: Wanted,
}

/// What the median of a sending Towpath is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// At least so many hundredths of Linux's in the same runs.
    OfLinux(u32),
    /// The same; and of the controllers that a loss slows down, cubic and reno, no more than 1.3
    /// times as much: they would not be what they are called.
    OfLinuxUnderLoss(u32),
    /// At least so many hundredths of its own on the clean way.
    OfClean(u32),
}

/// All of them, in the order of the table.
pub const ALL: [WanLink; 10] = [
    link("clean", "clean", CLEAN, Wanted::OfLinux(98)),
    lossy("loss-0.1", "0.1 % loss", "rate=100Mbit,delay=20ms,queue=500kB,loss=0.1%"),
    lossy("loss-1", "1 % loss", "rate=100Mbit,delay=20ms,queue=500kB,loss=1%"),
    lossy("loss-2", "2 % loss", "rate=100Mbit,delay=20ms,queue=500kB,loss=2%"),
    lossy("loss-5", "5 % loss", "rate=100Mbit,delay=20ms,queue=500kB,loss=5%"),
    lossy(
        "bursts",
        "bursts (Gilbert, 0.1 % and 70 %)",
        "rate=100Mbit,delay=20ms,queue=500kB,loss={gilbert={p=0.1%,r=70%}}",
    ),
    link(
        "late",
        "5 % of packets 5 ms late",
        "rate=100Mbit,delay=20ms,queue=500kB,reorder={random=5%,gap=5ms}",
        Wanted::OfClean(98),
    ),
    link(
        "duplicates",
        "2 % duplicated",
        "rate=100Mbit,delay=20ms,queue=500kB,duplicate=2%",
        Wanted::OfClean(98),
    ),
    WanLink {
        name: "long",
        phrase: "300 ms round trip, 2 MB queue",
        out: "rate=100Mbit,delay=150ms,queue=2MB",
        back: "rate=100Mbit,delay=150ms,queue=2MB",
        settings: &[("tcp_wmem", "4096 16384 33554432"), ("tcp_rmem", "4096 131072 33554432")],
        wanted: Wanted::OfLinux(97),
    },
    link("shallow", "60 kB queue", "rate=100Mbit,delay=20ms,queue=60kB", Wanted::OfLinux(97)),
];

const fn link(
    name: &'static str,
    phrase: &'static str,
    out: &'static str,
    wanted: Wanted,
) -> WanLink {
    WanLink { name, phrase, out, back: CLEAN, settings: &[], wanted }
}

const fn lossy(name: &'static str, phrase: &'static str, out: &'static str) -> WanLink {
    link(name, phrase, out, Wanted::OfLinuxUnderLoss(97))
}

/// The one of this name.
///
/// # Errors
///
/// With the names that there are.
pub fn named(name: &str) -> Result<WanLink, String> {
    ALL.into_iter().find(|link| link.name == name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|link| link.name).collect();
        format!("no link is called {name:?}: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use towpath_netem::LinkConfig;

    use super::*;

    #[test]
    fn every_way_is_one_that_the_relay_understands() {
        for link in ALL {
            for way in [link.out, link.back] {
                let parsed = way.parse::<LinkConfig>();
                parsed.unwrap_or_else(|error| panic!("{}: {error}", link.name)).validate().unwrap();
            }
        }
    }

    #[test]
    fn names_are_told_apart() {
        for link in ALL {
            assert_eq!(named(link.name), Ok(link));
        }
        assert!(named("dirty").unwrap_err().contains("shallow"));
    }
}
