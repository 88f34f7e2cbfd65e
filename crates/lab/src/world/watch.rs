//! What a world records over time: which flows and which links, and the taking of samples.

use core::time::Duration;

use towpath_engine::Instant;

use super::{FlowId, LinkId, Sender, World};
use crate::flow::Flow;
use crate::record::Record;

/// What is recorded over time.
pub(super) struct Watch {
    record: Record,
    /// The sending and the receiving side of each flow, by the flow of the active open.
    flows: Vec<(FlowId, Sender)>,
    links: Vec<LinkId>,
}

impl World {
    /// Records flows and links that are watched, every `interval`.
    pub fn record(&mut self, interval: Duration) {
        let record = Record::new(interval);
        self.watch = Some(Watch { record, flows: Vec::new(), links: Vec::new() });
    }

    /// Records a flow, from now on.
    pub fn watch_flow(&mut self, flow: FlowId, sender: Sender) {
        if let Some(watch) = &mut self.watch {
            watch.record.add_flow();
            watch.flows.push((flow, sender));
        }
    }

    /// Records the queue of a link, from now on.
    pub fn watch_link(&mut self, link: LinkId) {
        if let Some(watch) = &mut self.watch {
            watch.record.add_queue();
            watch.links.push(link);
        }
    }

    /// What was recorded so far.
    pub fn take_record(&mut self) -> Option<Record> {
        self.watch.take().map(|watch| watch.record)
    }

    /// Takes the samples that are due up to `until`.
    pub(super) fn sample(&mut self, until: Instant) {
        let Some(mut watch) = self.watch.take() else { return };
        loop {
            let at = watch.record.next_at();
            if at > until {
                break;
            }
            self.now = at.max(self.now);
            watch.record.push_time(at);
            for (index, (flow, sender)) in watch.flows.iter().enumerate() {
                let received = match sender {
                    Sender::Client => self.other_end(*flow).map_or(0, Flow::received),
                    Sender::Server => self.flow(*flow).received(),
                };
                watch.record.flows[index].push(received, self.info(*flow, *sender));
            }
            for (index, link) in watch.links.iter().enumerate() {
                let length = self.network.link_mut(link.0).queue_length(at.as_nanos());
                watch.record.queues[index].push(length);
            }
        }
        self.watch = Some(watch);
    }
}
