//! Is it right? Cases for any server, sender or receiver of the protocol, and what came of them.
//!
//! Knows sockets and processes, as anybody sees them. Must not know flags, nor how our own server and
//! clients are made, but for how these connect: what they use to write a line, a case spells out.
#![doc = include_str!("STUDENTS.md")]

mod case;
mod client;
mod error;
mod peer;
mod processes;
mod program;
mod report;
mod select;
mod server;
mod story;
mod subject;
mod trial;
mod verdict;

use std::io::{self, IsTerminal, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

use crate::client::transport::Address;
use crate::system::descriptors;
use crate::terminal::color::Color;
use crate::terminal::output;

use case::{About, Case};
use peer::{Patience, Peer, Place};
use report::Report;
use story::shown;
use subject::Subject;
use trial::{Ground, Tried};

pub(crate) use case::{Profile, What};
pub(crate) use error::CheckError;
pub(crate) use report::{Form, Options};
pub(crate) use select::Selection;

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// It runs there.
    Running(Address),
    /// These words start it.
    Command(Vec<String>),
}

/// What is to be tried, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub what: What,
    pub target: Target,
    pub selection: Selection,
    /// How long something may take that should happen at once.
    pub timeout: Duration,
}

/// Tries cases, and prints a report.
///
/// # Errors
///
/// [`CheckError`]; also if not all is right.
pub(crate) fn run(plan: Plan, options: Options) -> Result<(), CheckError> {
    program::look_after()??;
    descriptors::raise_limit();
    let report = match plan.what {
        What::Server => try_server(plan, options)?,
        What::Sender => try_client(plan, client::of_sender(), options)?,
        What::Receiver => try_client(plan, client::of_receiver(), options)?,
    };
    output::print(report::written(&report, options, Color::Auto.on(&io::stdout())))?;
    result(&report)
}

fn try_server(plan: Plan, options: Options) -> Result<Report, CheckError> {
    let cases = chosen(server::cases(), &plan.selection)?;
    let (profile, patience) = (plan.selection.profile, Patience(plan.timeout));
    let subject = match plan.target {
        Target::Running(address) => match place(address).and_then(|it| welcoming(it, patience)) {
            Ok(place) => Subject::Running(place),
            Err(why) => {
                let tried = trial::untried(&cases, &why);
                return Ok(Report { what: plan.what, profile, tried });
            }
        },
        Target::Command(words) => Subject::of(words, patience),
    };
    let mut stage = server::Stage::new(subject, profile, patience);
    Ok(Report { what: plan.what, profile, tried: try_all(&mut stage, &cases, options) })
}

fn try_client(
    plan: Plan,
    cases: Vec<Case<client::Stage>>,
    options: Options,
) -> Result<Report, CheckError> {
    let cases = chosen(cases, &plan.selection)?;
    let (profile, patience) = (plan.selection.profile, Patience(plan.timeout));
    let Target::Command(words) = plan.target else {
        return Err(CheckError::Nothing("a client is a command that starts it".into()));
    };
    let mut stage = client::Stage::new(words, plan.what == What::Receiver, profile, patience);
    Ok(Report { what: plan.what, profile, tried: try_all(&mut stage, &cases, options) })
}

/// Prints the names of cases, and what they ask.
///
/// # Errors
///
/// [`CheckError`], if there are none or they cannot be printed.
pub(crate) fn list(what: What, selection: &Selection) -> Result<(), CheckError> {
    let all = match what {
        What::Server => abouts(server::cases()),
        What::Sender => abouts(client::of_sender()),
        What::Receiver => abouts(client::of_receiver()),
    };
    let wanted = selection.of(all.iter())?;
    let wanted = all.iter().zip(wanted).filter(|(_, wanted)| *wanted);
    let lines = wanted.map(|(about, _)| format!("{}  {}\n", about.id, about.asks));
    Ok(output::print(lines.collect::<String>())?)
}

fn abouts<S>(cases: Vec<Case<S>>) -> Vec<About> {
    cases.into_iter().map(|case| case.about).collect()
}

/// Those that are wanted.
fn chosen<S>(cases: Vec<Case<S>>, selection: &Selection) -> Result<Vec<Case<S>>, CheckError> {
    let wanted = selection.of(cases.iter().map(|case| &case.about))?;
    Ok(cases.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(case, _)| case).collect())
}

/// Where that is. A name is looked up once.
fn place(address: Address) -> Result<Place, String> {
    if address.security.is_some() || address.is_local() {
        return Ok(Place::Other(address));
    }
    let Address { host, port, .. } = address;
    let found = (host.as_str(), port).to_socket_addrs();
    let found = found.map_err(|error| format!("cannot find {host}: {error}"))?;
    Ok(Place::Inet(found.collect()))
}

/// The same place, or why there is nothing to try: a server that knows who is there, by an account or a
/// certificate, may take one name alone.
fn welcoming(place: Place, patience: Patience) -> Result<Place, String> {
    if matches!(place, Place::Inet(_)) {
        return Ok(place);
    }
    let asked = Peer::newcomer(&place, patience, &trial::mark());
    let answer = asked.and_then(|mut peer| peer.line("an answer"));
    match answer.as_deref().map(|line| line.strip_prefix(b"err:")) {
        Ok(Some(reason)) => Err(format!("the server has to take any name: {}", shown(reason))),
        // Whatever is wrong otherwise, there are cases for.
        _ => Ok(place),
    }
}

/// Tries them all, and says on a terminal how far it is.
fn try_all<G: Ground>(ground: &mut G, cases: &[Case<G>], options: Options) -> Vec<Tried> {
    let shown = io::stderr().is_terminal() && !options.quiet;
    let show = |text: &str| {
        // A progress that cannot be written is no error.
        let _ = if shown { write!(io::stderr(), "\r\x1b[K{text}") } else { Ok(()) };
    };
    let tried = trial::try_all(ground, cases, |number, about| {
        show(&format!("{}/{} {}", number + 1, cases.len(), about.id));
    });
    show("");
    tried
}

/// What the report means for the exit status.
fn result(report: &Report) -> Result<(), CheckError> {
    let counts = report.counts();
    if counts.passed + counts.failed == 0 {
        let mut stops = report.tried.iter().filter_map(|tried| tried.outcome.as_ref().err());
        let why = stops.find_map(|stop| match stop {
            verdict::Stop::Skip(why) => Some(why.clone()),
            other => other.finding().map(|finding| finding.came.clone()),
        });
        return Err(CheckError::Nothing(why.unwrap_or_default()));
    }
    match counts.failed + counts.errors {
        0 => Ok(()),
        _ => Err(CheckError::NotRight {
            failed: counts.failed,
            errors: counts.errors,
            all: report.tried.len(),
        }),
    }
}
