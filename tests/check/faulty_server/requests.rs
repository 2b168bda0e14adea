//! What the faulty server makes of each request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::program::STDOUT;
use super::{Client, Member, Role, Room, Then};
use crate::fault::Fault::*;

impl Client<'_> {
    pub(super) fn log_in(&mut self, tag: &str, name: &[u8]) -> Then {
        let fault = self.server.fault;
        let again = self.role == Role::Sender
            && (fault == SenderLogsInTwice && tag == "slogin"
                || fault == SenderBecomesReceiver && tag == "rlogin");
        if again {
            return self.ok();
        }
        let is_name = self.is_name(name) || name.is_empty() && fault == EmptyUser;
        if self.role != Role::New || !is_name {
            let wanted = (tag.to_owned(), String::from_utf8_lossy(name).into_owned());
            if fault == RefusedLoginRenames && self.role != Role::New {
                self.user.clone_from(&wanted.1);
            }
            self.wanted.get_or_insert(wanted);
            self.err();
            let closes = matches!(fault, FailedLoginCloses | Reference) && self.role == Role::New;
            return if closes { Then::Close } else { Then::Stay };
        }
        let (mut tag, mut user) = (tag.to_owned(), String::from_utf8_lossy(name).into_owned());
        match (fault, self.wanted.take()) {
            (RoleStuck, Some((first, _))) => tag = first,
            (NameStuck, Some((_, first))) => user = first,
            _ => {}
        }
        let mut users = self.server.users.lock().unwrap();
        if fault == NamesUnique && users.contains(&user) {
            return self.err();
        }
        users.push(user.clone());
        drop(users);
        self.user = user;
        self.role = if tag == "slogin" { Role::Sender } else { Role::Receiver };
        self.ok()
    }

    pub(super) fn leave_as_receiver(&mut self) {
        if let (Role::Receiver, Some(room)) = (self.role, &self.room) {
            let mut rooms = self.server.rooms.lock().unwrap();
            let members = &mut rooms.entry(room.clone()).or_default().members;
            members.retain(|member| member.number != self.number);
        }
    }

    pub(super) fn join(&mut self, name: &[u8]) -> Then {
        let fault = self.server.fault;
        if self.role == Role::New {
            return if fault == JoinBeforeLogin { self.ok() } else { self.err() };
        }
        if !(self.is_name(name) || name.is_empty() && matches!(fault, EmptyRoom | Reference)) {
            match (fault, self.role) {
                (FailedJoinLeaves, Role::Sender) => self.room = None,
                (FailedJoinLeavesReceiver, _) => self.leave_as_receiver(),
                (JoinFailIn, Role::Sender) if self.room.is_none() => {
                    self.room = Some("nowhere".into());
                }
                _ => {}
            }
            self.err();
            let closes = fault == Reference && self.role == Role::Receiver;
            return if closes { Then::Close } else { Then::Stay };
        }
        let mut name = String::from_utf8_lossy(name).into_owned();
        if fault == AnyCaseRooms {
            name = name.to_lowercase();
        }
        if fault == RoomCut {
            name.truncate(40);
        }
        if fault == FewRooms && self.server.clients.load(Ordering::SeqCst) > 250 {
            return self.err();
        }
        if fault == RoomCreatedTwice {
            self.create(&name);
        }
        let was_here = self.been.contains(&name);
        self.been.push(name.clone());
        if self.role == Role::Sender {
            self.move_sender(name, was_here);
            return self.ok();
        }
        let same = self.room.as_ref() == Some(&name);
        if fault == QueueCleared && !same {
            self.output.clear();
        }
        if !(fault == ReceiverHearsBoth && !same || fault == SameRoomTwice && same) {
            self.leave_as_receiver();
        }
        self.room = Some(name.clone());
        self.register(&name, same);
        if fault == ReceiverBackTwice && was_here && !same {
            self.server.rooms.lock().unwrap().entry(name).or_default().members.push(self.member());
        }
        Then::Stay
    }

    /// It is looked whether there is such a room, and then there is another.
    fn create(&self, name: &str) {
        if !self.server.rooms.lock().unwrap().contains_key(name) {
            thread::sleep(Duration::from_millis(2));
            self.server.rooms.lock().unwrap().insert(name.to_owned(), Room::default());
        }
    }

    fn move_sender(&mut self, name: String, was_here: bool) {
        let stays = match self.server.fault {
            SenderDoesNotMove => true,
            SenderBackInVain => was_here,
            _ => false,
        };
        if self.room.is_some() && stays {
            return;
        }
        let lock = |name: &String| {
            let mut locks = self.server.locks.lock().unwrap();
            Arc::clone(locks.entry(name.clone()).or_default())
        };
        let from = self.room.as_ref().filter(|from| **from != name).map(lock);
        let to = lock(&name);
        let _held = (self.server.fault == TwoLocks).then(|| {
            let from = from.as_ref().map(|from| from.lock().unwrap());
            thread::sleep(Duration::from_micros(500));
            (from, to.lock().unwrap())
        });
        let mut rooms = self.server.rooms.lock().unwrap();
        self.forgotten = rooms.entry(name.clone()).or_default().forgotten;
        self.room = Some(name);
    }

    fn member(&self) -> Member {
        Member { number: self.number, user: self.user.clone(), output: self.output.clone() }
    }

    /// Enters a room as a receiver, and answers.
    fn register(&mut self, name: &str, again: bool) {
        let fault = self.server.fault;
        let member = self.member();
        if fault == JoinPrinted {
            let _ = std::fs::write(STDOUT, "joined\n");
        }
        let mut rooms = self.server.rooms.lock().unwrap();
        let room = rooms.entry(name.to_owned()).or_default();
        room.joined += 1;
        match fault {
            RegisteredBeforeOk => {
                room.members.push(member);
                drop(rooms);
                thread::sleep(Duration::from_millis(20));
                self.ok();
            }
            RegisteredLate if room.joined == 25 && room.last.is_some() => {
                drop(rooms);
                self.ok();
                thread::sleep(Duration::from_millis(100));
                self.server
                    .rooms
                    .lock()
                    .unwrap()
                    .entry(name.to_owned())
                    .or_default()
                    .members
                    .push(member);
            }
            _ => {
                // A delivery waits for the rooms, so this comes first.
                self.ok();
                room.members.push(member);
                if let Some(last) = room.last.as_ref().filter(|_| fault == OldTextsCome && !again) {
                    self.output.write(last);
                }
            }
        }
    }

    pub(super) fn say(&mut self, text: &[u8]) -> Then {
        let fault = self.server.fault;
        let receiver = fault == ReceiverSays && self.role == Role::Receiver;
        let Some(room) = self.room.clone().filter(|_| self.role == Role::Sender) else {
            let ok = receiver || fault == TextWithoutRoom && self.role == Role::Sender;
            return if ok { self.ok() } else { self.err() };
        };
        if text.is_empty() && fault == EmptyTextRefused {
            return self.err();
        }
        self.texts += 1;
        let dropped = fault == RepeatedDropped && self.said.as_deref() == Some(text)
            || fault == Text900Lost && self.texts == 900
            || fault == PercentLost && text.contains(&b'%');
        self.said = Some(text.to_vec());
        if fault == LastWordsLost && text == b"last words" {
            self.ok();
            thread::sleep(Duration::from_millis(200));
            // Of a connection that was reset, the other end is not known any more.
            if self.output.stream.peer_addr().is_ok() {
                self.deliver(&room, text);
            }
            return Then::Stay;
        }
        if !dropped {
            self.deliver(&room, &self.spoilt(text));
        }
        self.ok()
    }

    /// A text as the fault makes it.
    fn spoilt(&self, text: &[u8]) -> Vec<u8> {
        match self.server.fault {
            TextTrimmed => text.trim_ascii().to_vec(),
            NulCuts => text.split(|byte| *byte == 0).next().unwrap().to_vec(),
            Utf8Repaired => String::from_utf8_lossy(text).into_owned().into_bytes(),
            ControlStripped => {
                text.iter().copied().filter(|it| *it >= 0x20 || b"\t\r\0".contains(it)).collect()
            }
            ColonCuts => text.split(|byte| *byte == b':').next().unwrap().to_vec(),
            _ => text.to_vec(),
        }
    }

    pub(super) fn deliver(&self, name: &str, text: &[u8]) {
        let fault = self.server.fault;
        let user = if fault == NamesLowered { self.user.to_lowercase() } else { self.user.clone() };
        let head = format!("delivery:{name}:{user}:");
        let mut line = [head.as_bytes(), text].concat();
        if fault == DeliveryCut {
            line.truncate(254);
        }
        line.push(b'\n');
        if fault == Delivery255Lost && line.len() == 255 {
            return;
        }
        let mut rooms = self.server.rooms.lock().unwrap();
        if fault == NoOrder {
            let members = rooms.entry(name.to_owned()).or_default().members.iter();
            let mut outputs: Vec<_> = members.map(|member| member.output.clone()).collect();
            drop(rooms);
            if self.number % 2 == 1 {
                outputs.reverse();
            }
            for output in outputs {
                output.write(&line);
                thread::sleep(Duration::from_micros(50));
            }
            return;
        }
        let room = rooms.entry(name.to_owned()).or_default();
        room.last = Some(line.clone());
        if room.forgotten != self.forgotten {
            return;
        }
        for (other, room) in rooms.iter_mut() {
            if other != name && !(fault == PrefixHears && other.starts_with(name)) {
                continue;
            }
            let twice = fault == Text900Twice && self.texts == 900;
            let most = if fault == FortiethMissed { 39 } else { usize::MAX };
            let (mut number, mut gone) = (0, Vec::new());
            let mut skips = false;
            room.members.retain(|member| {
                number += 1;
                if std::mem::take(&mut skips) {
                    return true;
                }
                let times = usize::from(number <= most) * (1 + usize::from(twice));
                let stays = (0..times).all(|_| member.output.write(&line));
                gone.extend((!stays).then(|| member.user.clone()));
                skips = fault == EraseSkips && !stays;
                stays
            });
            if fault == GoneByName {
                gone.iter().for_each(|user| room.remove(user));
            }
        }
    }

    pub(super) fn leave(&mut self, payload: &[u8]) -> Then {
        let fault = self.server.fault;
        match (self.role, &self.room) {
            (Role::Sender, Some(_)) if fault == LeavePayloadRefused && !payload.is_empty() => {
                self.err()
            }
            (Role::Sender, Some(_)) => {
                if fault == LeaveByName {
                    let mut rooms = self.server.rooms.lock().unwrap();
                    rooms.values_mut().for_each(|room| room.remove(&self.user));
                }
                if fault != LeaveStays {
                    self.room = None;
                }
                self.ok()
            }
            (Role::Sender, None) if fault == LeaveWithoutRoom => self.ok(),
            (Role::Receiver, Some(_)) if fault == ReceiverLeaves => self.ok(),
            _ => self.err(),
        }
    }

    pub(super) fn quit(&mut self, payload: &[u8]) -> Then {
        let fault = self.server.fault;
        match (self.role, &self.room) {
            (Role::New, _) => {
                if fault == QuitBeforeLoginOk {
                    self.ok()
                } else {
                    self.err()
                };
                if fault == QuitBeforeLoginStays { Then::Stay } else { Then::Close }
            }
            (Role::Receiver, _) => self.err(),
            (Role::Sender, _) if fault == QuitPayloadRefused && !payload.is_empty() => self.err(),
            (Role::Sender, Some(_)) if fault == QuitInRoomStays => self.ok(),
            (Role::Sender, Some(_)) if fault == QuitInRoomUnanswered => Then::Close,
            (Role::Sender, room) => {
                let goes_on = fault == GoesOnAfterQuit && room.is_some();
                self.ok();
                if goes_on && self.input.buffer().starts_with(b"sendall:") {
                    self.deliver(&self.room.clone().unwrap_or_default(), b"too late");
                }
                Then::Close
            }
        }
    }
}
