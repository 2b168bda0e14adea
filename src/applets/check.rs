//! The `check` applet.

use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use super::applet::Applet;
use super::security::Flags;
use crate::check::{self, Form, Options, Plan, Profile, Selection, Target, What};
use crate::error::Error;
use crate::usage::call::Call;
use crate::usage::values::{port_to_connect_to, positive, seconds};

pub(super) const APPLET: Applet = Applet {
    name: "check",
    linked: false,
    summary: "see whether a server, sender or receiver is right",
    run,
    signals: &[("SIGINT, SIGTERM, SIGHUP", "end it, and all programs that it has started")],
    info: Arguments::get_args_info,
};

/// Tells of any server, sender or receiver whether it does what the protocol asks, and what it does
/// instead. WHAT is server, sender or receiver. TARGET is the HOST PORT of a server that runs, or the
/// command that starts it, after '--': a server is given a free port as last argument, a sender HOST
/// PORT USER, a receiver HOST PORT USER ROOM.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "Each case has an id and one sentence that says what is asked. One that fails shows what was \
            sent, what was expected, and what came instead. Where something goes wrong that comes before \
            what is asked, the case could not be tried. A program that crashes is started afresh.",
    note = "A glob is compared with the whole id: 'server/answers/*' is all cases of a group.",
    example = "{command_name} server -- ./server",
    example = "{command_name} server --profile assignment --only 'server/delivery/*' localhost 5000",
    example = "{command_name} receiver --format gradescope --points 20 -- ./receiver",
    error_code(0, "all cases passed, but for those that were skipped"),
    error_code(1, "some cases failed, or could not be tried"),
    error_code(2, "wrong usage"),
    error_code(3, "nothing could be tested, or all was skipped")
)]
struct Arguments {
    /// server, sender or receiver
    #[argh(positional, arg_name = "WHAT")]
    what: What,

    /// HOST PORT of a server that runs, or -- CMD [ARG...] to start it
    #[argh(positional, arg_name = "TARGET")]
    target: Vec<String>,

    /// how much is asked: assignment (what the course's text asks) or full (default: full)
    #[argh(option, arg_name = "PROFILE", default = "Profile::Full")]
    profile: Profile,

    /// try only the cases whose id this matches; may be given again for more
    #[argh(option, arg_name = "GLOB")]
    only: Vec<String>,

    /// leave out the cases whose id this matches; may be given again for more
    #[argh(option, arg_name = "GLOB")]
    skip: Vec<String>,

    /// name the cases, with what they ask, and try none
    #[argh(switch)]
    list: bool,

    /// leave out cases that are a burden for a server that others use
    #[argh(switch)]
    shared: bool,

    /// seconds that may pass before an answer counts as missing (default: 10)
    #[argh(option, arg_name = "SECS", default = "Duration::from_secs(10)", from_str_fn(seconds))]
    timeout: Duration,

    /// speak TLS, with a server whose certificate is for HOST and from somebody whom the system trusts
    #[argh(switch)]
    tls: bool,

    /// with --tls, trust servers with a certificate from those in this file (PEM) instead
    #[argh(option, arg_name = "FILE")]
    cacert: Option<PathBuf>,

    /// with --tls, show the server this certificate (PEM) of one's own
    #[argh(option, arg_name = "FILE")]
    cert: Option<PathBuf>,

    /// the key (PEM) of that certificate
    #[argh(option, arg_name = "FILE")]
    key: Option<PathBuf>,

    /// with --tls, trust whoever answers: nobody can read along but that one, whoever it is
    #[argh(switch)]
    insecure: bool,

    /// how to write the report: text, tap, json, junit or gradescope (default: text)
    #[argh(option, arg_name = "FORM", default = "Form::Text")]
    format: Form,

    /// with gradescope: one test for each group of cases
    #[argh(switch)]
    group: bool,

    /// with gradescope: points for all of it (default: 100)
    #[argh(option, arg_name = "N", from_str_fn(points))]
    points: Option<u32>,

    /// name the cases that passed, too
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// name only the cases that did not pass, and show no progress
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    // What follows belongs to the command.
    let (words, command) = match call.words.iter().position(|word| *word == "--") {
        Some(at) => (&call.words[..at], Some(&call.words[at + 1..])),
        None => (call.words, None),
    };
    let arguments: Arguments = Call { name: call.name, words }.arguments()?;
    if arguments.format != Form::Gradescope && (arguments.group || arguments.points.is_some()) {
        return Err(call.wrong("--group and --points need --format gradescope").into());
    }
    let selection = Selection {
        profile: arguments.profile,
        only: arguments.only,
        skip: arguments.skip,
        shared: arguments.shared,
    };
    if arguments.list && arguments.target.is_empty() && command.is_none_or(<[_]>::is_empty) {
        return Ok(check::list(arguments.what, &selection)?);
    }
    let options = Options {
        form: arguments.format,
        verbose: arguments.verbose > 0,
        quiet: arguments.quiet,
        by_group: arguments.group,
        points: arguments.points.unwrap_or(100),
    };
    let Arguments { what, tls, cacert, cert, key, insecure, .. } = arguments;
    let flags = Flags { tls, cacert, cert, key, insecure };
    let target = target(call, what, (&arguments.target, command), flags)?;
    if arguments.list {
        return Ok(check::list(arguments.what, &selection)?);
    }
    let plan = Plan { what: arguments.what, target, selection, timeout: arguments.timeout };
    Ok(check::run(plan, options)?)
}

/// Where the program is, out of the words before `--` and those after it.
fn target(
    call: &Call<'_>,
    what: What,
    (words, command): (&[String], Option<&[&str]>),
    flags: Flags,
) -> Result<Target, Error> {
    match (words, command) {
        ([], Some([_, ..])) if flags.are_given() => {
            Err(call.wrong("--tls and its flags need a server that runs, by HOST PORT").into())
        }
        ([], Some([_, ..])) => {
            let command = command.unwrap_or_default();
            Ok(Target::Command(command.iter().map(|word| (*word).to_owned()).collect()))
        }
        ([host, port], None) if what == What::Server => {
            let port = port_to_connect_to(port).map_err(|problem| call.wrong(&problem))?;
            Ok(Target::Running(flags.address(call, host.clone(), port)?))
        }
        _ if what == What::Server => {
            Err(call.wrong("a server is HOST PORT, or -- and a command that starts it").into())
        }
        _ => Err(call.wrong("a client is -- and a command that starts it").into()),
    }
}

fn points(word: &str) -> Result<u32, String> {
    let number = positive(word)?;
    number.try_into().map_err(|_| format!("a number up to {} is needed", u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applets::applet::tests::assert_default;

    #[test]
    fn the_help_quotes_the_defaults() {
        let defaults = Arguments::from_args(&["check"], &["server"]).unwrap();
        assert_default::<Arguments>("--profile", defaults.profile);
        assert_default::<Arguments>("--timeout", defaults.timeout.as_secs_f64());
    }
}
