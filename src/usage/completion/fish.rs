//! Completions for fish.

use argh::{CommandInfoWithArgs, FlagInfo};

use super::{NAME, Offer, applets, commands, flags, value, values};

/// What comes first in the script; where it has an `@`, something is put in.
const SCRIPT: &str = r#"# Completion of @PROGRAM, for fish.

# Which applet is called, and how many arguments it has. Only for what is @NAME, told by where the
# word leads: it is never run.
function __@NAME_due
    set -l words (commandline -opc)
    set -l name $words[1]
    set -e words[1]
    functions -q -- $name; and return 1
    set -l found (command -s -- (string replace -r '^~/' "$HOME/" -- $name)); or return 1
    string match -qr '(^|/)@NAME$' -- (realpath -- $found); or return 1
    set -l applet (string replace -r '.*/' '' -- $name)
    contains -- $applet @APPLETS; or set applet @NAME
    set -l at 0
    set -l takes
    set -l ended
    for word in $words
        if test -n "$takes"
            set takes
        else if test -z "$ended"; and test x"$word" = x--
            set ended yes
        else if test -z "$ended"; and string match -q -- '-?*' "$word"
            switch "$applet $word"
                case @TAKES
                    set takes yes
            end
        else if test $applet = @NAME
            set applet "$word"
        else
            set at (math $at + 1)
        end
    end
    echo $applet $at
end

function __@NAME_at
    set -l due (__@NAME_due); or return 1
    string match -q -- $argv[1] $due
end

"#;

/// The script for a program of this name.
pub(crate) fn script(program: &str, root: &CommandInfoWithArgs) -> String {
    let takes = values(root).into_iter().flat_map(|(calls, _)| calls).map(|call| quoted(&call));
    let mut script = SCRIPT
        .replace("@PROGRAM", program)
        .replace("@NAME", NAME)
        .replace("@APPLETS", &applets(root).join(" "))
        .replace("@TAKES", &takes.collect::<Vec<_>>().join(" "));
    let at = |place: &str| format!("complete -c {program} -n '__{NAME}_at \"{place}\"'");
    // Files only where they are due.
    script += &format!("{} -f\n", at("*"));
    for one in &root.commands {
        let summary = quoted(one.command.description);
        script += &format!("{} -a {} -d {summary}\n", at(&format!("{NAME} 0")), one.name);
    }
    for (command, info) in commands(root) {
        for (place, one) in info.positionals.iter().enumerate() {
            let offered = offered(Offer::of(one.name));
            if !offered.is_empty() {
                script += &format!("{}{offered}\n", at(&format!("{command} {place}")));
            }
        }
        for flag in flags(info) {
            script += &format!("{}{}\n", at(&format!("{command} *")), form(flag));
        }
    }
    script
}

/// How `complete` is told of a flag.
fn form(flag: &FlagInfo<'static>) -> String {
    let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
    let long = flag.long.trim_start_matches('-');
    let value = match value(flag).map(Offer::of) {
        None => String::new(),
        Some(Offer::Anything) => " -x".into(),
        Some(offer) => format!(" -r{}", offered(offer)),
    };
    format!("{short} -l {long}{value} -d {}", quoted(flag.description))
}

fn offered(offer: Offer) -> String {
    match offer {
        Offer::Anything => String::new(),
        // It does not count this machine among the hosts.
        Offer::Hosts => " -f -a 'localhost (__fish_print_hostnames)'".into(),
        Offer::Folders => " -f -a '(__fish_complete_directories)'".into(),
        Offer::Files => " -F".into(),
        Offer::Words(words) => format!(" -f -a {}", quoted(&words.join(" "))),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
