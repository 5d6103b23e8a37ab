//! What the client's connection tells a device: who takes which event.

use hongyan_proto::client::Event;

use super::{requests::GAP, state::Device};

impl Device {
    pub(super) fn handle_events(&mut self) {
        let now = self.world.clock.now();
        while let Some(event) = self.line.as_mut().and_then(|line| line.connection.poll_event(now)) {
            self.on_event(event);
        }
        self.move_cursor();
    }

    fn on_event(&mut self, event: Event) {
        tracing::trace!(at = ?self.world.clock.passed(), user = self.user, device = self.name, ?event);
        match event {
            Event::Welcome(welcome) => self.on_welcome(*welcome),
            Event::Resumed(resumed) => self.on_resumed(*resumed),
            Event::Rejected(reject) => self.on_rejected(&reject),
            Event::Entry(entry) => self.take_or_hold(*entry),
            Event::Answered(ack) => self.on_answered(ack),
            Event::Refused(nack) => self.on_refused(&nack),
            Event::Reset(reset) => self.on_reset(reset.log_epoch, reset.head),
            Event::Response(response) if response.id == GAP => self.on_gap_answered(response.result),
            Event::Response(response) => self.on_reloaded(*response),
            Event::GoAway(go_away) => {
                let spread = self.chance.span(0, u64::from(go_away.spread_ms) * 1000);
                self.leave_at = Some(self.world.clock.now() + spread);
            }
            Event::Closed { code, reason, .. } => self.on_end(code, &reason),
            Event::Own(entry) => self.on_own(*entry),
            Event::Postponed(_) | Event::Signal(_) => {}
        }
    }
}
