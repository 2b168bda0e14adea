//! One room: its receivers, one order for its texts, and what holds its senders back.
//!
//! Knows queues and who owns them, and no sockets. Everything here happens under the room's own
//! lock and nothing under it can block: a publisher puts its frame into every receiver's queue,
//! which gives all of them one order, and learns which workers have to write. Senders are not
//! listed here; what they need is [`Room::publish`] and, while a receiver's queue is above its
//! mark, a place in the line of those who wait for that to end. With a log nobody waits: a receiver
//! that gets above its mark is left out, and given what the log has (see [`super::replay`]).

use slab::Slab;

use super::census::Census;
use super::frame::Frame;
use super::id::{SessionId, WorkerSet};
use super::lane::Lane;
use super::outbox::{Backlog, OutboxSender};
use super::publication::Publication;
use super::replay::{Asked, Lag, Start};
use super::session_queue::SessionQueue;
use super::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use super::sync::{Mutex, lock};
use crate::wire::position::{Position, Span};
use crate::wire::protocol::Name;

/// A room.
#[derive(Debug)]
pub(crate) struct Room {
    name: Name,
    /// The worker where the room's senders live, and its receivers until there are many.
    home: AtomicUsize,
    /// The home is another than it was, so that there may be some to follow.
    has_moved: AtomicBool,
    /// Receivers above their mark; the same as in `state`, to be read without the lock.
    congested: AtomicUsize,
    /// All receivers, to be read without the lock.
    receivers: AtomicUsize,
    /// For each worker, where among its open batches the room's was the last time. Only that worker
    /// looks.
    open_batches: Box<[AtomicUsize]>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The receivers, by the worker that owns their sessions.
    shards: Vec<Shard>,
    /// Receivers above their mark.
    congested: usize,
    /// Senders who wait until there are none.
    waiting: Vec<SessionId>,
    /// With a log, where the last text is that was published, once that is known.
    published: Option<Position>,
}

/// A room's receivers on one worker.
#[derive(Debug, Default)]
struct Shard {
    members: Slab<Member>,
    /// The worker has been notified that there is something to write, and has not looked yet.
    notified: bool,
    /// None of them can be given what comes next, and all have to find that out.
    is_overtaken: bool,
}

#[derive(Debug)]
struct Member {
    sender: OutboxSender,
    /// The session's place on its worker.
    token: usize,
    /// How to call it, if the room has waited for it a lot lately.
    slow: Option<Box<str>>,
    /// It wants records.
    records: bool,
    /// The SEQ of the last text that it has been given; `None` if its queue has all.
    lag: Option<u64>,
}

impl Member {
    fn set_lag(&mut self, lag: Option<u64>) {
        self.lag = lag;
        self.sender.backlog().set_lags(lag.is_some());
    }
}

/// What became of a frame in a shard.
#[derive(Clone, Copy, Default)]
struct Pushed {
    /// Receivers that have got above their marks.
    newly_over: usize,
    /// Receivers that are given what the log has.
    left_out: usize,
}

impl Shard {
    /// Queues what is published for all receivers that are not given what the log has; makes
    /// `records` if one wants them.
    fn push_all(&mut self, publication: &Publication<'_>, records: &mut Option<Frame>) -> Pushed {
        let (frame, last) = (publication.frame(), publication.last());
        let mut pushed = Pushed::default();
        for (_, member) in &mut self.members {
            if member.lag.is_some() {
                pushed.left_out += 1;
                continue;
            }
            let frame = if member.records {
                records.get_or_insert_with(|| publication.records())
            } else {
                frame
            };
            member.sender.push_counted(Frame::clone(frame));
            let backlog = member.sender.backlog();
            if backlog.above_mark() {
                if let Some(last) = last {
                    member.set_lag(Some(last.seq));
                } else if backlog.set_over(true) {
                    pushed.newly_over += 1;
                }
            }
        }
        pushed
    }

    /// Adds its sessions to those of their worker that are to be written to.
    fn queue_all(&mut self, writes: &mut SessionQueue, lane: Lane) {
        let is_overtaken = std::mem::take(&mut self.is_overtaken);
        for (_, member) in &self.members {
            // One that waits for a page has nothing to be written.
            if is_overtaken || member.lag.is_none() || member.sender.backlog().bytes() > 0 {
                writes.add(member.token, lane);
            }
        }
    }
}

/// Where a receiver is listed in a room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberKey {
    worker: usize,
    key: usize,
}

/// How a receiver enters a room with a log, or begins in it anew.
pub(crate) struct Beginning<'a> {
    /// It wants records.
    pub records: bool,
    /// Where it begins.
    pub start: Start,
    /// Makes what it is told, which comes before all that follows.
    pub answer: &'a dyn Fn(Span) -> Frame,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Receivers that it was queued for; those that lag are left out.
    pub receivers: usize,
    /// Other workers that have to be notified.
    pub notify: WorkerSet,
}

impl Room {
    /// An empty room on one of `workers` workers.
    pub(crate) fn new(name: Name, home: usize, workers: usize) -> Self {
        let mut shards = Vec::new();
        shards.resize_with(workers, Shard::default);
        Room {
            name,
            home: AtomicUsize::new(home),
            has_moved: AtomicBool::new(false),
            congested: AtomicUsize::new(0),
            receivers: AtomicUsize::new(0),
            open_batches: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            state: Mutex::new(State { shards, congested: 0, waiting: Vec::new(), published: None }),
        }
    }

    /// Where a worker finds or keeps the place of the room's batch among its open ones.
    pub(crate) fn open_batch(&self, worker: usize) -> &AtomicUsize {
        &self.open_batches[worker]
    }

    /// The lane of all that is done for those in the room.
    pub(crate) fn lane(&self) -> Lane {
        Lane::of_room(self.receivers())
    }

    /// The room's name.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The worker where a sender in this room should live.
    pub(crate) fn home(&self) -> usize {
        self.home.load(Ordering::Relaxed)
    }

    /// The room has a new home, where all in it are to follow.
    pub(crate) fn move_to(&self, home: usize) {
        self.home.store(home, Ordering::Relaxed);
        self.has_moved.store(true, Ordering::Relaxed);
    }

    /// The home that those in the room have to follow to, if it has moved and has not grown large
    /// since.
    pub(crate) fn home_to_follow_to(&self) -> Option<usize> {
        let moved = self.has_moved.load(Ordering::Relaxed) && self.lane() == Lane::Quiet;
        moved.then(|| self.home())
    }

    /// How many receivers there are.
    pub(crate) fn receivers(&self) -> usize {
        self.receivers.load(Ordering::Relaxed)
    }

    /// How many receivers there are on each worker.
    pub(crate) fn receivers_by_worker(&self) -> Vec<usize> {
        lock(&self.state).shards.iter().map(|shard| shard.members.len()).collect()
    }

    /// A receiver enters, whose session is `token` on `worker`. Every frame published from now
    /// on goes into its queue.
    /// In a room with a log, it has to be said how the receiver begins.
    pub(crate) fn enter(
        &self,
        worker: usize,
        token: usize,
        sender: &OutboxSender,
        beginning: Option<&Beginning<'_>>,
    ) -> MemberKey {
        let mut state = lock(&self.state);
        let sender = sender.clone();
        let mut member = Member { sender, token, slow: None, records: false, lag: None };
        self.receivers.fetch_add(1, Ordering::Relaxed);
        if let Some(beginning) = beginning {
            begin(&mut member, state.published.unwrap_or_default(), beginning);
        } else if member.sender.backlog().above_mark() && member.sender.backlog().set_over(true) {
            self.set_congested(&mut state, |congested| congested + 1);
        }
        let key = state.shards[worker].members.insert(member);
        MemberKey { worker, key }
    }

    /// Where the last text is that was published; `None` if that is not known yet, or there is no
    /// log.
    pub(crate) fn published(&self) -> Option<Position> {
        lock(&self.state).published
    }

    /// The last text in the log is there, and nothing that is in the log is still to be published.
    pub(crate) fn set_published(&self, position: Position) {
        lock(&self.state).published.get_or_insert(position);
    }

    /// Nothing up to that position can be had any more, and some of it was not published: no receiver
    /// can be given what comes next without a hole. Returns the workers that have to be notified.
    pub(crate) fn set_overtaken(&self, last: Position) -> WorkerSet {
        let mut state = lock(&self.state);
        let before = state.published.replace(last).unwrap_or_default().seq;
        let mut notify = WorkerSet::default();
        for (index, shard) in state.shards.iter_mut().enumerate() {
            shard.members.iter_mut().for_each(|(_, it)| it.set_lag(it.lag.or(Some(before))));
            shard.is_overtaken = true;
            notify.add(index);
        }
        notify
    }

    /// A receiver that is in the room begins anew.
    pub(crate) fn restart(&self, key: MemberKey, beginning: &Beginning<'_>) {
        let mut state = lock(&self.state);
        let published = state.published.unwrap_or_default();
        begin(&mut state.shards[key.worker].members[key.key], published, beginning);
    }

    /// How far a receiver is that is given what the log has.
    pub(crate) fn lag(&self, key: MemberKey) -> Option<Lag> {
        let state = lock(&self.state);
        let after = state.shards[key.worker].members[key.key].lag?;
        Some(Lag { after, published: state.published.unwrap_or_default() })
    }

    /// The same. One that has everything hears what is said from now on.
    pub(crate) fn catch_up(&self, key: MemberKey) -> Option<Lag> {
        let mut state = lock(&self.state);
        let published = state.published.unwrap_or_default();
        let member = &mut state.shards[key.worker].members[key.key];
        let lag = member.lag.filter(|after| *after < published.seq);
        member.set_lag(lag);
        lag.map(|after| Lag { after, published })
    }

    /// Queues what the log has given for a receiver, up to that position; returns how many texts
    /// these are. `None` if the room has begun another epoch since, so that they may be others now.
    pub(crate) fn give(&self, key: MemberKey, texts: Frame, to: Position) -> Option<u64> {
        let mut state = lock(&self.state);
        let published = state.published.unwrap_or_default();
        if to.epoch != published.epoch {
            return None;
        }
        let member = &mut state.shards[key.worker].members[key.key];
        let after = member.lag?;
        member.sender.push(texts);
        member.set_lag(Some(to.seq).filter(|seq| *seq < published.seq));
        Some(to.seq.saturating_sub(after))
    }

    /// Texts that were published may be lost. The last that is left is there, and what is said from
    /// now on comes after it, in another epoch. A room that does not know where it is hears of that
    /// when it learns.
    pub(crate) fn begin_epoch(&self, last: Position) {
        let mut state = lock(&self.state);
        if state.published.is_none() {
            return;
        }
        state.published = Some(last);
        for (_, member) in state.shards.iter_mut().flat_map(|shard| shard.members.iter_mut()) {
            member.set_lag(member.lag.map(|after| after.min(last.seq)));
        }
    }

    /// A receiver's session has moved, with its queue, and is now `token` on `worker`, which has to
    /// look into the queue.
    pub(crate) fn move_member(&self, key: MemberKey, worker: usize, token: usize) -> MemberKey {
        let mut state = lock(&self.state);
        let member = state.shards[key.worker].members.remove(key.key);
        let key = state.shards[worker].members.insert(Member { token, ..member });
        MemberKey { worker, key }
    }

    /// A receiver leaves the room, or a sender the line of those who wait. Returns the senders who
    /// need no longer wait. Does not panic, for it may be called while something else does.
    pub(crate) fn leave(&self, key: Option<MemberKey>, waits: Option<SessionId>) -> Vec<SessionId> {
        let mut state = lock(&self.state);
        if let Some(session) = waits {
            state.waiting.retain(|waiting| *waiting != session);
        }
        let member = key.and_then(|key| {
            state.shards.get_mut(key.worker).and_then(|shard| shard.members.try_remove(key.key))
        });
        if let Some(member) = member {
            self.receivers.fetch_sub(1, Ordering::Relaxed);
            member.sender.backlog().set_lags(false);
            if member.sender.backlog().set_over(false) {
                self.set_congested(&mut state, |congested| congested - 1);
            }
        }
        relieved(&mut state)
    }

    /// Queues a frame for every receiver. If the caller is a worker, adds the sessions there to its
    /// queue: they are the caller's to write to.
    pub(crate) fn publish(
        &self,
        publication: Publication<'_>,
        mut here: Option<(usize, &mut SessionQueue)>,
    ) -> Published {
        let mut state = lock(&self.state);
        let mut records = None;
        if let Some(last) = publication.last() {
            state.published = Some(last);
        }
        let mut published = Published { receivers: 0, notify: WorkerSet::default() };
        let (mut newly_over, mut left_out) = (0, 0);
        if let Some(any) = state.any_backlog() {
            any.add_slots(self.receivers());
        }
        for (index, shard) in state.shards.iter_mut().enumerate() {
            if shard.members.is_empty() {
                continue;
            }
            let pushed = shard.push_all(&publication, &mut records);
            published.receivers += shard.members.len() - pushed.left_out;
            newly_over += pushed.newly_over;
            left_out += pushed.left_out;
            if let Some((_, writes)) = here.as_mut().filter(|(worker, _)| *worker == index) {
                shard.queue_all(writes, self.lane());
            } else if !shard.notified {
                shard.notified = true;
                published.notify.add(index);
            }
        }
        if left_out > 0
            && let Some(any) = state.any_backlog()
        {
            any.remove_slots(left_out);
        }
        if newly_over > 0 {
            self.set_congested(&mut state, |congested| congested + newly_over);
        }
        published
    }

    /// Adds the sessions on `worker` to `writes`, after another worker published.
    pub(crate) fn look(&self, worker: usize, writes: &mut SessionQueue) {
        let mut state = lock(&self.state);
        let shard = &mut state.shards[worker];
        shard.notified = false;
        shard.queue_all(writes, self.lane());
    }

    /// What that worker was notified of may have been lost.
    pub(crate) fn forget_notified(&self, worker: usize) {
        lock(&self.state).shards[worker].notified = false;
    }

    /// A receiver's queue is above its mark, so the room's senders have to wait.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested.load(Ordering::SeqCst) > 0
    }

    /// Puts a sender into the line of those who wait, or tells that there is nothing to wait for.
    pub(crate) fn wait(&self, session: SessionId) -> bool {
        let mut state = lock(&self.state);
        let wait = state.congested > 0;
        if wait {
            state.waiting.push(session);
        }
        wait
    }

    /// Senders in the line.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).waiting.len()
    }

    /// A receiver's queue may have got below its mark. Returns the senders who need no longer
    /// wait.
    pub(crate) fn relieve(&self, key: MemberKey) -> Vec<SessionId> {
        let mut state = lock(&self.state);
        let backlog = state.shards[key.worker].members[key.key].sender.backlog();
        if !backlog.above_mark() && backlog.set_over(false) {
            self.set_congested(&mut state, |congested| congested - 1);
        }
        relieved(&mut state)
    }

    /// Sets how to call a receiver that the room has waited for a lot lately, or that this is
    /// over.
    pub(crate) fn set_slow(&self, key: MemberKey, slow: Option<Box<str>>) {
        lock(&self.state).shards[key.worker].members[key.key].slow = slow;
    }

    /// What there is in the room.
    pub(crate) fn census(&self) -> Census {
        let state = lock(&self.state);
        let mut census = Census::default();
        for (_, member) in state.shards.iter().flat_map(|shard| shard.members.iter()) {
            let backlog = member.sender.backlog();
            if backlog.is_half_closed() {
                census.half_closed += 1;
            } else {
                census.receivers += 1;
            }
            census.bytes += backlog.bytes();
            census.waits_for.extend(member.slow.clone());
        }
        census
    }

    fn set_congested(&self, state: &mut State, change: impl FnOnce(usize) -> usize) {
        state.congested = change(state.congested);
        self.congested.store(state.congested, Ordering::SeqCst);
    }
}

impl State {
    /// The accounting of some receiver's queue: the budget is the same for all.
    fn any_backlog(&self) -> Option<&Backlog> {
        let any = self.shards.iter().find_map(|shard| shard.members.iter().next());
        any.map(|(_, member)| member.sender.backlog())
    }
}

/// Puts the answer to a receiver into its queue, and sets what follows.
fn begin(member: &mut Member, published: Position, beginning: &Beginning<'_>) {
    let from = match (beginning.start.asked, member.lag) {
        // It goes on where it is.
        (Asked::Now, Some(lag)) => lag.min(published.seq),
        _ => beginning.start.from(published),
    };
    let to = if beginning.start.asked == Asked::Now { from } else { published.seq };
    let from = Position { seq: from, ..published };
    member.records = beginning.records;
    member.sender.push((beginning.answer)(Span { from, to }));
    let lags = from.seq < published.seq || member.sender.backlog().above_mark();
    member.set_lag(lags.then_some(from.seq));
}

/// Empties the line of those who wait, if there is nothing left to wait for.
fn relieved(state: &mut State) -> Vec<SessionId> {
    match state.congested {
        0 => std::mem::take(&mut state.waiting),
        _ => Vec::new(),
    }
}
