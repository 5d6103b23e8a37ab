//! Both ends of the seam in one process: what is handed over is encoded, and decoded at once.

use super::{effect, op};
use crate::ops::{effect::Outlet, op::Op};

/// The same operation, as another process would get it.
pub fn cross_op(op: Op) -> Op {
    op::decode(op::encode(op)).expect("what was encoded is no malformed operation")
}

/// Effects cross on their way to `outlet`.
pub fn crossing(mut outlet: Outlet) -> Outlet {
    Box::new(move |effect| {
        outlet(effect::decode(effect::encode(effect)).expect("what was encoded is no malformed effect"));
    })
}
