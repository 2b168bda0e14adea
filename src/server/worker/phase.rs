//! How far a worker has come with its end.

use std::sync::mpsc;
use std::time::Instant;

/// What a worker does: all it can, or what is left to do before it ends.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Everything.
    Running,
    /// Carrying out what had been received, to say so when it is done.
    Finishing(Option<mpsc::Sender<()>>),
    /// Carrying out nothing more, to say so when all that was carried out is published.
    Halted(Option<mpsc::Sender<()>>),
    /// Writing what is queued, until then.
    Draining(Instant),
}

impl Phase {
    /// The server is not stopping.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Phase::Running)
    }

    /// It carries out only what had been received.
    pub(crate) fn is_finishing(&self) -> bool {
        matches!(self, Phase::Finishing(_))
    }

    /// It writes what is queued, and closes connections.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Phase::Draining(_))
    }

    /// Lines are carried out.
    pub(crate) fn takes_lines(&self) -> bool {
        matches!(self, Phase::Running | Phase::Finishing(_))
    }

    /// There is no time left.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Phase::Draining(deadline) if *deadline <= Instant::now())
    }

    /// At the end of a turn: says that the phase is done, if it is. `finished` looks whether all that
    /// had been received is carried out.
    pub(crate) fn report(&mut self, finished: impl FnOnce() -> bool) {
        let done = match self {
            Phase::Finishing(done) if done.is_some() && finished() => done.take(),
            Phase::Halted(done) => done.take(),
            _ => None,
        };
        if let Some(done) = done {
            // Nobody listens any more if this took too long.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_phase_is_reported_once_and_when_it_is_done() {
        let (done, reports) = mpsc::channel();
        let mut phase = Phase::Finishing(Some(done.clone()));
        phase.report(|| false);
        assert_eq!(reports.try_iter().count(), 0);
        (0..2).for_each(|_| phase.report(|| true));
        assert_eq!(reports.try_iter().count(), 1);
        phase = Phase::Halted(Some(done));
        (0..2).for_each(|_| phase.report(|| false));
        assert_eq!(reports.try_iter().count(), 1);
    }

    #[test]
    fn only_draining_ends_and_not_before_its_deadline() {
        let later = Instant::now() + Duration::from_secs(60);
        assert!(!Phase::Running.is_over() && !Phase::Draining(later).is_over());
        assert!(Phase::Draining(Instant::now()).is_over());
    }
}
