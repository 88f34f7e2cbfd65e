//! `docs/states.md` is drawn from the engine's table of transitions, and is as it would be drawn now.
//!
//! `TOWPATH_BLESS=1 cargo test -p towpath-lab --test states` draws it again.

use std::fmt::Write as _;
use std::path::PathBuf;

use towpath_engine::{StateName, TRANSITIONS, Transition};

const HEAD: &str = "\
# The states of a connection

Drawn from `TRANSITIONS` in `crates/engine/src/connection/state.rs` by the test `states` of
`towpath-lab`; `TOWPATH_BLESS=1 cargo test -p towpath-lab --test states` draws it again. What every
event of RFC 9293 section 3.10 does in each state, with what is sent and what the application sees, is
in `crates/lab/tests/events.txt`.

A LISTEN is a listener, a passive SYN-RECEIVED and a TIME-WAIT are small records of the endpoint, every
other state is a connection's. A FIN of ours waits until the handshake is complete, so SYN-RECEIVED
does not go to FIN-WAIT-1 as in RFC 9293 figure 5; a FIN that acknowledges ours passes from FIN-WAIT-1
through FIN-WAIT-2 into TIME-WAIT within one segment.
";

// Shows: RFC9293 s3.10.7.4o, RFC9293 s3.10.7.4v
#[test]
fn the_drawing_of_the_states_is_up_to_date() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    let drawn = draw();
    if std::env::var_os("TOWPATH_BLESS").is_some() {
        std::fs::write(&file, &drawn).expect("docs/states.md can be written");
    }
    let found = std::fs::read_to_string(&file).expect("docs/states.md is there");
    assert_eq!(found, drawn, "docs/states.md is out of date: see the head of this test");
}

fn draw() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n```mermaid\nstateDiagram-v2\n");
    for state in states() {
        let _ = writeln!(page, "    state \"{state}\" as {}", identifier(state));
    }
    for row in TRANSITIONS.iter().filter(|row| row.by != Transition::End) {
        let (from, to) = (identifier(row.from), identifier(row.to));
        let _ = writeln!(page, "    {from} --> {to}: {:?} / {}", row.by, row.sends);
    }
    page.push_str(
        "```\n\n`End` leads from every state to CLOSED and is left out of the drawing.\n",
    );
    page.push_str("\n| from | event | to | sent |\n|---|---|---|---|\n");
    for row in TRANSITIONS.iter().filter(|row| (row.from, row.by) != (row.to, Transition::End)) {
        let _ = writeln!(page, "| {} | {:?} | {} | {} |", row.from, row.by, row.to, row.sends);
    }
    page
}

/// Every state, in the order in which the table names it.
fn states() -> Vec<StateName> {
    let mut states = Vec::new();
    for state in TRANSITIONS.iter().flat_map(|row| [row.from, row.to]) {
        if !states.contains(&state) {
            states.push(state);
        }
    }
    states
}

/// The state's name as mermaid takes it.
fn identifier(state: StateName) -> String {
    state.to_string().replace('-', "_")
}
