use proptest::prelude::*;

use super::*;

fn token(n: u8) -> ResumeToken {
    ResumeToken::new(300, 2, [n; SECRET_LEN])
}

fn slots(confirmed: Option<u8>, offered: Option<u8>) -> Slots {
    Slots { confirmed: confirmed.map(|n| token(n).hash()), offered: offered.map(|n| token(n).hash()) }
}

fn raw(slots: &Slots) -> [Option<[u8; 32]>; 2] {
    [slots.confirmed, slots.offered].map(|slot| slot.map(|hash| hash.0))
}

#[test]
fn the_table_of_transitions() {
    // (confirmed, offered), presented, answer, (confirmed, offered) after.
    use Which::{Confirmed, Offered};
    let table = [
        ((None, None), 1, None, (None, None)),
        ((None, Some(1)), 1, Some(Offered), (Some(1), None)),
        ((None, Some(1)), 2, None, (None, Some(1))),
        ((Some(1), None), 1, Some(Confirmed), (Some(1), None)),
        ((Some(1), None), 2, None, (Some(1), None)),
        ((Some(1), Some(2)), 1, Some(Confirmed), (Some(1), Some(2))),
        ((Some(1), Some(2)), 2, Some(Offered), (Some(2), None)),
        ((Some(1), Some(2)), 3, None, (Some(1), Some(2))),
    ];
    for ((confirmed, offered), presented, answer, after) in table {
        let mut state = slots(confirmed, offered);
        assert_eq!(state.accept(&token(presented).hash()), answer, "{confirmed:?} {offered:?} accept {presented}");
        assert_eq!(raw(&state), raw(&slots(after.0, after.1)), "{confirmed:?} {offered:?} accept {presented}");
    }
    let offers = [((None, None), (None, Some(9))), ((Some(1), None), (Some(1), Some(9)))];
    for ((confirmed, offered), after) in offers.into_iter().chain([((Some(1), Some(2)), (Some(1), Some(9)))]) {
        let mut state = slots(confirmed, offered);
        state.offer(token(9).hash());
        assert_eq!(raw(&state), raw(&slots(after.0, after.1)), "{confirmed:?} {offered:?} offer");
    }
    let confirms = [
        ((None, None), false, (None, None)),
        ((Some(1), None), false, (Some(1), None)),
        ((None, Some(2)), true, (Some(2), None)),
        ((Some(1), Some(2)), true, (Some(2), None)),
    ];
    for ((confirmed, offered), answer, after) in confirms {
        let mut state = slots(confirmed, offered);
        assert_eq!(state.confirm(), answer, "{confirmed:?} {offered:?} confirm");
        assert_eq!(raw(&state), raw(&slots(after.0, after.1)), "{confirmed:?} {offered:?} confirm");
    }
}

#[test]
fn a_token_survives_the_wire_and_nothing_else_is_one() {
    for (user_no, device_no) in [(0, 0), (1, 127), (128, 16_383), (16_384, u64::from(u32::MAX)), (u64::MAX, u64::MAX)] {
        let token = ResumeToken::new(user_no, device_no, [7; SECRET_LEN]);
        let bytes = token.encode();
        assert!(bytes.len() <= MAX_RESUME_TOKEN_LEN);
        let back = ResumeToken::decode(&bytes).unwrap();
        assert_eq!((back.user_no(), back.device_no(), back.hash().0), (user_no, device_no, token.hash().0));
        for len in 0..bytes.len() {
            assert!(ResumeToken::decode(&bytes[..len]).is_none(), "cut at {len}");
        }
        assert!(ResumeToken::decode(&[&bytes[..], &[0]].concat()).is_none(), "one byte more");
    }
    let secret = [7; SECRET_LEN];
    let malformed: [&[u8]; 4] = [
        &[0x80, 0x00, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00, 0x01],
        &[0x01, 0x81, 0x80, 0x00],
    ];
    for prefix in malformed {
        assert!(ResumeToken::decode(&[prefix, &secret[..]].concat()).is_none(), "{prefix:x?}");
    }
}

#[test]
fn the_hash_is_of_the_secret_alone() {
    // SHA-256 of 32 zero bytes.
    let expected = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
    let hash = ResumeToken::new(1, 2, [0; SECRET_LEN]).hash();
    assert_eq!(hash.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
}

#[test]
fn slots_survive_the_store_and_nothing_else_is_read() {
    for state in [slots(None, None), slots(Some(1), None), slots(None, Some(2)), slots(Some(1), Some(2))] {
        let bytes = state.encode();
        assert_eq!(raw(&Slots::decode(&bytes).unwrap()), raw(&state));
        assert!(Slots::decode(&[&bytes[..], &[0]].concat()).is_none());
        for len in 0..bytes.len() {
            assert!(Slots::decode(&bytes[..len]).is_none());
        }
        assert!(Slots::decode(&[&[bytes[0] | 4], &bytes[1..]].concat()).is_none());
    }
}

/// One device and its server, with what each has on its disk.
struct World {
    stored: Vec<u8>,
    client: u8,
    used: Vec<u8>,
    next: u8,
}

/// Where both ends crash in a resume. The later, the more has happened.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Crash {
    BeforeStore,
    BeforeSend,
    BeforeClientStored,
    BeforeConfirm,
    BeforeConfirmStored,
    Never,
}

const CRASHES: [Crash; 6] = [
    Crash::BeforeStore,
    Crash::BeforeSend,
    Crash::BeforeClientStored,
    Crash::BeforeConfirm,
    Crash::BeforeConfirmStored,
    Crash::Never,
];

impl World {
    fn logged_in() -> Self {
        Self { stored: slots(None, Some(1)).encode(), client: 1, used: Vec::new(), next: 2 }
    }

    fn resume(&mut self, crash: Crash) {
        let mut slots = Slots::decode(&self.stored).unwrap();
        assert!(slots.accept(&token(self.client).hash()).is_some(), "the device is locked out");
        let offered = self.next;
        self.next += 1;
        slots.offer(token(offered).hash());
        if crash > Crash::BeforeStore {
            self.stored = slots.encode();
        }
        if crash > Crash::BeforeClientStored {
            self.used.push(std::mem::replace(&mut self.client, offered));
        }
        if crash > Crash::BeforeConfirm {
            slots.confirm();
        }
        if crash > Crash::BeforeConfirmStored {
            self.stored = slots.encode();
            self.no_used_token_works();
        }
    }

    fn no_used_token_works(&self) {
        for used in &self.used {
            let mut slots = Slots::decode(&self.stored).unwrap();
            assert_eq!(slots.accept(&token(*used).hash()), None, "token {used} was used and works again");
        }
    }
}

#[test]
fn no_order_of_crashes_locks_a_device_out_or_lets_a_used_token_in() {
    let all = CRASHES.len();
    for order in 0..all.pow(5) {
        let mut world = World::logged_in();
        for step in 0..5 {
            world.resume(CRASHES[order / all.pow(step) % all]);
        }
        world.resume(Crash::Never);
        world.resume(Crash::Never);
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Offer(u8),
    Accept(u8),
    Confirm,
    StoreAndLoad,
}

fn operation() -> impl Strategy<Value = Operation> {
    let token = 0..6_u8;
    prop_oneof![
        token.clone().prop_map(Operation::Offer),
        token.prop_map(Operation::Accept),
        Just(Operation::Confirm),
        Just(Operation::StoreAndLoad),
    ]
}

proptest! {
    #[test]
    fn slots_follow_the_model(operations in prop::collection::vec(operation(), 0..40)) {
        let (mut confirmed, mut offered) = (None, None);
        let mut state = Slots::default();
        for operation in operations {
            match operation {
                Operation::Offer(n) => {
                    offered = Some(n);
                    state.offer(token(n).hash());
                }
                Operation::Accept(n) => {
                    let expected = if offered == Some(n) {
                        (confirmed, offered) = (offered, None);
                        Some(Which::Offered)
                    } else {
                        (confirmed == Some(n)).then_some(Which::Confirmed)
                    };
                    prop_assert_eq!(state.accept(&token(n).hash()), expected);
                }
                Operation::Confirm => {
                    prop_assert_eq!(state.confirm(), offered.is_some());
                    confirmed = offered.take().or(confirmed);
                }
                Operation::StoreAndLoad => state = Slots::decode(&state.encode()).unwrap(),
            }
            prop_assert_eq!(raw(&state), raw(&slots(confirmed, offered)));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Some(slots) = Slots::decode(&bytes) {
            prop_assert_eq!(slots.encode(), bytes.clone());
        }
        if let Some(token) = ResumeToken::decode(&bytes) {
            prop_assert_eq!(token.encode(), bytes);
        }
    }
}
