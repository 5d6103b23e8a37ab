//! A rogue comes, plays its trick, and must have an end: the server may not let it stay.

use std::{future::poll_fn, pin::pin, rc::Rc, task::Poll};

use super::{connection::Rogue, trick::Trick};
use crate::sim::{executor::Owner, world::World};

pub fn begin(world: &Rc<World>, trick: Trick) {
    let Some(mut rogue) = Rogue::connect(world) else { return };
    let job = async move {
        let world = rogue.world.clone();
        let mut given_up = false;
        {
            let mut play = pin!(rogue.play(trick));
            let until = world.clock.now() + trick.patience(&world);
            poll_fn(|context| {
                if play.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                if world.clock.now() >= until {
                    given_up = true;
                    return Poll::Ready(());
                }
                world.clock.wake_at(until, context.waker());
                Poll::Pending
            })
            .await;
        }
        // A server that was killed, paused or cut off owes nobody anything.
        if given_up && world.is_calm.get() {
            world.ledger.borrow_mut().violated(|| format!("I8: the server lets a rogue stay: {trick:?}"));
        }
    };
    world.spawner.spawn(Owner::World, job);
}
