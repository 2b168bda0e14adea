//! Clients of which it has to be found out what vouches for their names.

use std::sync::Arc;
use std::time::Duration;

use super::test_server::{Client, TestServer};
use crate::server::chat::id::SessionId;
use crate::server::chat::vouched::{Vouched, Voucher};
use crate::wire::protocol::Name;

/// A client on worker 0 whose name is not known yet, the only one there.
fn nameless(server: &mut TestServer) -> (Client, SessionId) {
    let client = server.client(0);
    let slots = &mut server.workers[0].sessions.slots;
    let [token] = slots.tokens()[..] else { panic!("not one client") };
    slots[token].connection.session.vouch(Vouched::Awaited);
    (client, slots.id(token).unwrap())
}

fn ann() -> Vouched {
    let name = Name::parse(b"ann").unwrap();
    Vouched::By(Voucher::Account, Arc::from([name]))
}

#[test]
fn who_is_not_known_yet_is_heard_and_waits_with_its_login() {
    let mut server = TestServer::new();
    let (mut client, id) = nameless(&mut server);
    client.send("join:cafe\nslogin:bob\nslogin:ann\njoin:cafe\n");
    server.step_until_idle(0);
    assert_eq!(client.heard(), "err:not logged in\n");
    // Nothing happens until it is known.
    assert!(server.workers[0].wait() > Some(Duration::from_secs(1)));
    server.workers[0].sessions.vouch(id, ann());
    server.step_all();
    let answers = "err:by your account you are ann, log in as that\nok:logged in as ann\n";
    assert_eq!(client.heard(), format!("{answers}ok:joined room cafe\n"));
}

#[test]
fn what_vouches_for_somebody_who_has_gone_vouches_for_nobody_else() {
    let mut server = TestServer::new();
    let (client, id) = nameless(&mut server);
    drop(client);
    server.step_until_idle(0);
    let (mut other, _) = nameless(&mut server);
    server.workers[0].sessions.vouch(id, ann());
    other.send("slogin:ann\n");
    server.step_until_idle(0);
    assert_eq!(other.heard(), "");
}
