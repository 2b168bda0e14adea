//! What Linux tells of processes: whose children they are, and how their threads sleep.
//!
//! Knows `/proc`. Must not know which processes these are.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rustix::time::{ClockId, clock_gettime};

/// The children of a process.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let tasks = entries(&format!("/proc/{pid}/task"));
    let lists = tasks.map(|task| fs::read_to_string(task.join("children")));
    let lists: io::Result<Vec<_>> = lists.collect();
    let parsed = |list: &String| list.split_whitespace().flat_map(str::parse).collect::<Vec<_>>();
    // Some kernels do not have these lists.
    lists.map_or_else(|_| children_by_search(pid), |lists| lists.iter().flat_map(parsed).collect())
}

fn children_by_search(pid: i32) -> Vec<i32> {
    let parent = |path: &PathBuf| stat(path)?.1.split_whitespace().next()?.parse::<i32>().ok();
    let is_child = |path: &PathBuf| parent(path) == Some(pid);
    let children = entries("/proc").filter(is_child);
    children.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect()
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A process's or thread's state, and what the system tells of it after that.
fn stat(path: &Path) -> Option<(char, String)> {
    let stat = fs::read_to_string(path.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some((rest.chars().next()?, rest.get(2..)?.to_owned()))
}

/// A thread that sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Nap {
    /// How often it has gone to sleep or made way for another.
    switches: u64,
    /// It wakes by itself before long, whether or not anything happens.
    is_timed: bool,
}

/// How each thread of some processes sleeps.
type Naps = BTreeMap<PathBuf, Nap>;

/// How each thread of a process and of all that it has started sleeps, if all do. Who sleeps for no
/// longer than `soon` wakes by itself.
fn naps(pid: i32, soon: Duration) -> Option<Naps> {
    let (mut all, mut naps) = (vec![pid], Naps::new());
    while let Some(pid) = all.pop() {
        all.extend(children(pid));
        for task in entries(&format!("/proc/{pid}/task")) {
            let is_timed = match stat(&task)?.0 {
                'S' => is_timed(&task, soon)?,
                'Z' | 'X' => false,
                _ => return None,
            };
            let switches = switches(&task)?;
            naps.insert(task, Nap { switches, is_timed });
        }
    }
    Some(naps)
}

fn switches(task: &Path) -> Option<u64> {
    let status = fs::read_to_string(task.join("status")).ok()?;
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
}

/// Where a system call has the time after which it returns in any case.
enum Limit {
    /// In this argument, in milliseconds; a negative number is none.
    Millis(usize),
    /// Where this argument points to: seconds first. Null is none.
    Span(usize),
    /// As in `futex`.
    Futex,
    /// As in `clock_nanosleep`.
    Clock,
    /// That cannot be told.
    Unknown,
}

#[cfg(target_arch = "x86_64")]
fn limit(call: i64) -> Option<Limit> {
    Some(match call {
        7 => Limit::Millis(2),
        232 | 281 => Limit::Millis(3),
        35 => Limit::Span(0),
        128 | 271 => Limit::Span(2),
        220 | 441 => Limit::Span(3),
        23 | 270 => Limit::Span(4),
        202 => Limit::Futex,
        230 => Limit::Clock,
        219 => Limit::Unknown,
        _ => return None,
    })
}

#[cfg(target_arch = "aarch64")]
fn limit(call: i64) -> Option<Limit> {
    Some(match call {
        22 => Limit::Millis(3),
        101 => Limit::Span(0),
        73 | 137 => Limit::Span(2),
        192 | 441 => Limit::Span(3),
        72 => Limit::Span(4),
        98 => Limit::Futex,
        115 => Limit::Clock,
        128 => Limit::Unknown,
        _ => return None,
    })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn limit(_call: i64) -> Option<Limit> {
    Some(Limit::Unknown)
}

/// Whether a thread that sleeps wakes by itself within that time; nothing, if it is awake.
fn is_timed(task: &Path, soon: Duration) -> Option<bool> {
    // Of a thread that one may not look at, nothing is known.
    let Ok(call) = fs::read_to_string(task.join("syscall")) else { return Some(true) };
    let mut words = call.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    if number < 0 {
        return None;
    }
    let args = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16));
    let args: Vec<u64> = args.flatten().collect();
    let arg = |at: usize| args.get(at).copied().unwrap_or_default();
    let spans = |at: usize| arg(at) != 0 && seconds(task, arg(at)) <= soon.as_secs();
    let ends = |at: usize, clock| {
        let left = || seconds(task, arg(at)).saturating_sub(now(clock));
        arg(at) != 0 && left() <= soon.as_secs()
    };
    Some(match limit(number) {
        None => false,
        Some(Limit::Unknown) => true,
        // An `int`, of which only the lower half counts.
        Some(Limit::Millis(at)) => u128::from(arg(at) & 0xffff_ffff) <= soon.as_millis(),
        Some(Limit::Span(at)) => spans(at),
        // Other operations than these give a point in time.
        Some(Limit::Futex) if arg(1) & 0x7f == 0 => spans(3),
        Some(Limit::Futex) if arg(1) & 0x100 != 0 => ends(3, ClockId::Realtime),
        Some(Limit::Futex) => ends(3, ClockId::Monotonic),
        Some(Limit::Clock) if arg(1) == 0 => spans(2),
        Some(Limit::Clock) if arg(0) == 0 => ends(2, ClockId::Realtime),
        Some(Limit::Clock) => ends(2, ClockId::Monotonic),
    })
}

/// The seconds that a clock shows.
fn now(clock: ClockId) -> u64 {
    clock_gettime(clock).tv_sec.try_into().unwrap_or_default()
}

/// The number at this address of a thread; the least, if one may not look there.
fn seconds(task: &Path, address: u64) -> u64 {
    let mut bytes = [0; 8];
    let memory = fs::File::open(task.join("mem"));
    match memory.and_then(|memory| memory.read_exact_at(&mut bytes, address)) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}

/// Whether processes have nothing to do any more: all of their threads sleep, and none has been awake
/// in between but those that wake by themselves; and these have looked around, and gone to sleep again.
#[derive(Debug)]
pub(super) struct Calm {
    pid: i32,
    /// What is no longer than that is a short time.
    soon: Duration,
    /// The first look of those that all saw the same, with what was written then, and how many there
    /// were.
    first: Option<(Naps, usize)>,
    looks: usize,
}

impl Calm {
    pub(super) fn of(pid: i32, soon: Duration) -> Self {
        Calm { pid, soon, first: None, looks: 0 }
    }

    /// Looks once more, and tells whether it was so `looks` times. They have written so many bytes.
    pub(super) fn is_there(&mut self, looks: usize, written: usize) -> bool {
        let Some(now) = naps(self.pid, self.soon) else { return false };
        match &self.first {
            Some((first, before)) if *before == written && is_same(first, &now) => {
                self.looks += 1;
                self.looks >= looks && have_looked_around(first, &now)
            }
            _ => {
                (self.first, self.looks) = (Some((now, written)), 0);
                false
            }
        }
    }
}

/// The same threads, and none has been awake but those that wake by themselves.
fn is_same(first: &Naps, now: &Naps) -> bool {
    let is_same = |(one, other): (&Nap, &Nap)| one == other || one.is_timed && other.is_timed;
    first.keys().eq(now.keys()) && first.values().zip(now.values()).all(is_same)
}

/// Who wakes by himself has been awake twice.
fn have_looked_around(first: &Naps, now: &Naps) -> bool {
    let mut pairs = first.values().zip(now.values());
    pairs.all(|(first, now)| !first.is_timed || now.switches >= first.switches + 2)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    /// How the only thread of a command sleeps, once it does.
    fn sleeps(words: &[&str]) -> bool {
        let mut command = Command::new(words[0]);
        let mut child = command.args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id().try_into().unwrap();
        let is_timed = loop {
            let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            let begun = exe.file_name().is_some_and(|name| name != "sh" && name != "dash");
            match naps(pid, Duration::from_secs(10)).filter(|naps| begun && naps.len() == 1) {
                Some(naps) => break naps.values().next().unwrap().is_timed,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        is_timed
    }

    #[test]
    fn who_wakes_by_himself_is_known() {
        assert!(sleeps(&["sleep", "9"]));
        assert!(!sleeps(&["sleep", "9000"]));
        assert!(!sleeps(&["cat"]));
    }

    #[test]
    fn who_polls_is_calm_only_after_he_has_looked_around() {
        let nap = |switches, is_timed| Nap { switches, is_timed };
        let of = |naps: &[Nap]| -> Naps {
            (0..).zip(naps).map(|(at, nap): (u8, _)| (at.to_string().into(), nap.clone())).collect()
        };
        let first = of(&[nap(5, false), nap(5, true)]);
        for (naps, same, calm) in [
            ([nap(5, false), nap(5, true)], true, false),
            ([nap(5, false), nap(6, true)], true, false),
            ([nap(5, false), nap(7, true)], true, true),
            ([nap(6, false), nap(7, true)], false, true),
            ([nap(5, false), nap(7, false)], false, true),
        ] {
            let now = of(&naps);
            assert_eq!((is_same(&first, &now), have_looked_around(&first, &now)), (same, calm));
        }
        assert!(!is_same(&first, &of(&[nap(5, false)])));
    }
}
