//! Every kind of frame in every phase, at both ends: accepted, or closed with which code.

use std::{sync::Arc, time::Instant};

use hongyan_proto::{BytesMut, CloseCode, client, codec, frame::Frame, kind::Kind, server, wire};

use crate::{core::settings, retransmission::live_pair};

/// A frame of each kind that is legal in itself.
fn sample(kind: Kind) -> Frame {
    match kind {
        Kind::Hello => Frame::Hello(wire::Hello::default()),
        Kind::Welcome => Frame::Welcome(wire::Welcome::default()),
        Kind::Resume => Frame::Resume(wire::Resume::default()),
        Kind::Resumed => Frame::Resumed(wire::Resumed::default()),
        Kind::Reject => Frame::Reject(wire::Reject { code: 5000, ..Default::default() }),
        Kind::Ping => Frame::Ping(wire::Ping::default()),
        Kind::Pong => Frame::Pong(wire::Pong::default()),
        Kind::Ack => Frame::Ack(wire::Ack::default()),
        Kind::Credit => Frame::Credit(wire::Credit::default()),
        Kind::GoAway => Frame::GoAway(wire::GoAway::default()),
        Kind::Close => Frame::Close(wire::Close { code: 1000, ..Default::default() }),
        Kind::Send => Frame::Send(wire::Send { send_no: 1, ..Default::default() }),
        Kind::SendAck => Frame::SendAck(wire::SendAck::default()),
        Kind::SendNack => Frame::SendNack(wire::SendNack::default()),
        Kind::Push => Frame::Push(wire::Entry { useq: 1, ..Default::default() }),
        Kind::Signal => Frame::Signal(wire::Signal::default()),
        Kind::Request => Frame::Request(wire::Request::default()),
        Kind::Response => Frame::Response(wire::Response::default()),
        Kind::SyncReq => Frame::SyncReq(wire::SyncReq::default()),
        Kind::SyncReset => Frame::SyncReset(wire::SyncReset::default()),
    }
}

fn bytes(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out
}

/// What a frame did: the code of the Closed event that it led to, if any.
fn server_verdict(server: &mut server::Connection, frame: &Frame, now: Instant) -> Option<CloseCode> {
    server.handle_bytes(bytes(frame), now);
    std::iter::from_fn(|| server.poll_event(now)).find_map(|event| match event {
        server::Event::Closed { code, .. } => Some(code),
        _ => None,
    })
}

fn client_verdict(client: &mut client::Connection, frame: &Frame, now: Instant) -> Option<CloseCode> {
    client.handle_bytes(bytes(frame));
    std::iter::from_fn(|| client.poll_event(now)).find_map(|event| match event {
        client::Event::Closed { code, .. } => Some(code),
        _ => None,
    })
}

fn server_at_login(now: Instant) -> server::Connection {
    let mut server = server::Connection::new(Arc::new(settings()), now);
    server.handle_bytes(BytesMut::from(&codec::PREFACE[..]), now);
    assert_eq!(server.poll_event(now), None);
    server
}

#[test]
fn the_server_takes_what_its_phase_allows() {
    use Kind::*;
    let now = Instant::now();
    for &kind in Kind::ALL {
        let wrong = Some(CloseCode::WRONG_STATE);
        let (at_login, live) = match kind {
            Hello | Resume => (None, wrong),
            Close => (Some(CloseCode::NORMAL), Some(CloseCode::NORMAL)),
            Ping | Pong | Ack | Send | Signal | Request | SyncReq => (wrong, None),
            Welcome | Resumed | Reject | Credit | GoAway | SendAck | SendNack | Push | Response | SyncReset => {
                (wrong, wrong)
            }
        };
        assert_eq!(server_verdict(&mut server_at_login(now), &sample(kind), now), at_login, "{kind:?} at login");
        let (mut server, _client) = live_pair(now, client::Settings::default());
        assert_eq!(server_verdict(&mut server, &sample(kind), now), live, "{kind:?} when live");
        // While the login is decided nothing is read, and after the end nothing at all.
        let mut deciding = server_at_login(now);
        assert_eq!(server_verdict(&mut deciding, &sample(Hello), now), None);
        assert_eq!(server_verdict(&mut deciding, &sample(kind), now), None, "{kind:?} while deciding");
        server.close(CloseCode::GOING_AWAY, "");
        server.take_output();
        assert!(matches!(server.poll_event(now), Some(server::Event::Closed { .. }) | None));
        assert_eq!(server_verdict(&mut server, &sample(kind), now), None, "{kind:?} after the end");
        assert!(server.take_output().is_empty());
    }
}

#[test]
fn the_client_takes_what_its_phase_allows() {
    use Kind::*;
    let now = Instant::now();
    for &kind in Kind::ALL {
        let wrong = Some(CloseCode::WRONG_STATE);
        let (opening, live) = match kind {
            Welcome | Resumed => (None, wrong),
            Reject => (Some(CloseCode::BAD_CREDENTIALS), wrong),
            Close => (Some(CloseCode::NORMAL), Some(CloseCode::NORMAL)),
            Ping | Pong | Credit | GoAway | SendAck | SendNack | Push | Signal | Response | SyncReset => (wrong, None),
            Hello | Resume | Ack | Send | Request | SyncReq => (wrong, wrong),
        };
        let place = client::Place { cursor: 0, first_unanswered: 1, last_queued: 0 };
        let mut client = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
        assert_eq!(client_verdict(&mut client, &sample(kind), now), opening, "{kind:?} before the answer");
        let (_server, mut client) = live_pair(now, client::Settings::default());
        assert_eq!(client_verdict(&mut client, &sample(kind), now), live, "{kind:?} when live");
    }
}

#[test]
fn the_numbers_of_a_client_are_checked() {
    let now = Instant::now();
    let send = |send_no| Frame::Send(wire::Send { send_no, ..Default::default() });
    let ack = |useq| Frame::Ack(wire::Ack { useq });
    let ping = |ack| Frame::Ping(wire::Ping { ack, ..Default::default() });
    let sync = |after| Frame::SyncReq(wire::SyncReq { after });
    for (frame, verdict) in [
        (send(64), None),
        (send(65), Some(CloseCode::CREDIT_EXCEEDED)),
        (send(u64::MAX), Some(CloseCode::CREDIT_EXCEEDED)),
        (send(0), Some(CloseCode::BAD_FIELD)),
        (ack(0), None),
        (ack(1), Some(CloseCode::BAD_ACK)),
        (ack(u64::MAX), Some(CloseCode::BAD_ACK)),
        (ping(1), Some(CloseCode::BAD_ACK)),
        (sync(u64::MAX), None),
    ] {
        let (mut server, _client) = live_pair(now, client::Settings::default());
        assert_eq!(server_verdict(&mut server, &frame, now), verdict, "{frame:?}");
    }
}

#[test]
fn the_numbers_of_a_server_are_checked() {
    let now = Instant::now();
    let welcome = |last_send_no| Frame::Welcome(wire::Welcome { last_send_no, ..Default::default() });
    for (last_send_no, verdict) in [(0, None), (9, None), (10, Some(CloseCode::STATE_LOST))] {
        let place = client::Place { cursor: 0, first_unanswered: 5, last_queued: 9 };
        let mut client = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
        assert_eq!(client_verdict(&mut client, &welcome(last_send_no), now), verdict, "last_send_no {last_send_no}");
        if verdict.is_none() {
            let gap =
                |expected| Frame::SendNack(wire::SendNack { send_no: 5, code: 1, expected, ..Default::default() });
            assert_eq!(client_verdict(&mut client, &gap(5), now), None);
            assert_eq!(client_verdict(&mut client, &gap(4), now), Some(CloseCode::STATE_LOST), "4 was answered before");
        }
    }
}

/// A client that is logged in, with messages up to `last_queued` of which none was answered.
fn welcomed(last_queued: u64, now: Instant) -> client::Connection {
    let place = client::Place { cursor: 0, first_unanswered: 1, last_queued };
    let mut client = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
    let welcome = wire::Welcome { max_send_no: 64, ..Default::default() };
    assert_eq!(client_verdict(&mut client, &Frame::Welcome(welcome), now), None);
    client
}

/// While a refusal was under way, the number it asks for was written again, taken, and came out of the log first.
#[test]
fn a_refusal_that_the_log_has_overtaken_is_old_news() {
    let now = Instant::now();
    let mut client = welcomed(2, now);
    for send_no in [1, 2] {
        assert_eq!(client.poll_send(now), Some(send_no));
        client.send(&wire::Send { send_no, ..Default::default() }, now);
    }
    let own = Some(wire::entry::Item::Message(wire::Message { cseq: 1, ..Default::default() }));
    let own = Frame::Push(wire::Entry { useq: 1, own_send_no: 1, item: own });
    assert_eq!(client_verdict(&mut client, &own, now), None);
    let gap = Frame::SendNack(wire::SendNack { send_no: 2, code: 1, expected: 1, ..Default::default() });
    assert_eq!(client_verdict(&mut client, &gap, now), None, "1 was answered here, so nothing is lost");
    assert_eq!(client.poll_send(now), Some(2));
}

/// 2 was answered on an earlier connection, ahead of 1; the server may have forgotten the device since.
#[test]
fn what_was_answered_ahead_is_filled_without_news_of_it() {
    let now = Instant::now();
    let mut client = welcomed(3, now);
    client.take_output(now);
    client.send(&wire::Send { send_no: 1, to: "bob".into(), ..Default::default() }, now);
    client.take_output(now);
    for answer in [
        Frame::SendNack(wire::SendNack { send_no: 2, code: 2, expected: 2, ..Default::default() }),
        Frame::SendNack(wire::SendNack { send_no: 2, code: 18, ..Default::default() }),
    ] {
        assert_eq!(client.poll_send(now), Some(2), "a refusal for now brings it again");
        client.fill(2, now);
        assert_eq!(client.take_output(now), bytes(&Frame::Send(wire::Send { send_no: 2, ..Default::default() })));
        client.handle_bytes(BytesMut::from(&bytes(&answer)[..]));
        assert!(matches!(client.poll_event(now), None | Some(client::Event::Postponed(_))), "{answer:?}");
    }
    assert_eq!(client.poll_send(now), Some(3));
}

#[test]
fn a_peer_that_only_repeats_is_read_no_faster_than_it_is_answered() {
    let now = Instant::now();
    let (mut server, _client) = live_pair(now, client::Settings::default());
    let sends = bytes(&Frame::Send(wire::Send { send_no: 1, ..Default::default() })).repeat(1000);
    server.handle_bytes(BytesMut::from(&sends[..]), now);
    let drain = |server: &mut server::Connection| std::iter::from_fn(|| server.poll_event(now)).count();
    assert_eq!(drain(&mut server), 256);
    assert!(server.is_saturated());
    let ack = wire::SendAck { send_no: 1, cseq: 1, useq: 1, time_ms: 1, group: 0 };
    (0..10).for_each(|_| server.acked(ack, now));
    assert_eq!((server.is_saturated(), drain(&mut server)), (false, 10));
    server.close(CloseCode::GOING_AWAY, "");
    assert!(matches!(server.poll_event(now), Some(server::Event::Closed { .. })), "its end is told all the same");
}

#[test]
fn a_welcome_that_is_refused_moves_nothing() {
    let now = Instant::now();
    let place = client::Place { cursor: 3, first_unanswered: 1, last_queued: 0 };
    let mut client = client::Connection::hello(client::Settings::default(), &wire::Hello::default(), place, now);
    let welcome = wire::Welcome { cursor: 9, last_send_no: 1, ..Default::default() };
    assert_eq!(client_verdict(&mut client, &Frame::Welcome(welcome), now), Some(CloseCode::STATE_LOST));
    assert_eq!(client.applied(), 3);
}

/// An answer to a login that has ended meanwhile brings nothing back to life.
#[test]
fn a_closed_connection_stays_closed() {
    let now = Instant::now();
    let mut server = server_at_login(now);
    assert_eq!(server_verdict(&mut server, &sample(Kind::Hello), now), None);
    server.close(CloseCode::GOING_AWAY, "draining");
    let closed = server.take_output();
    server.welcome(wire::Welcome::default(), now);
    server.resumed(wire::Resumed::default(), 0, 0, now);
    server.reject(CloseCode::BAD_CREDENTIALS, "", std::time::Duration::ZERO);
    server.grease(0);
    assert!(!closed.is_empty() && server.take_output().is_empty() && !server.is_live());

    let (_server, mut client) = live_pair(now, client::Settings::default());
    client.close(CloseCode::NORMAL, "", now);
    assert!(!client.take_output(now).is_empty());
    client.ping(now);
    client.request(&wire::Request::default());
    client.signal(&wire::Signal::default());
    client.grease(1);
    assert!(client.take_output(now).is_empty());
}
